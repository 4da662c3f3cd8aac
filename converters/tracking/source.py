"""The compressed annotations of a source, or of a store, as a source of dense ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

import skelstore
from converters.conversion.convert import ConvertOptions, convert_source
from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.conversion.source import Around, Downloaded, Source, broken_video
from converters.conversion.stored import FromStore
from converters.tracking.dense import DENSE, Settings, dense, recognise_form
from skelstore.errors import SkelstoreError, SourceError, StoreError
from skelstore.format.schema import Annotation, Origin, video_name
from skelstore.format.values import Json
from skelstore.joints import is_guess
from skelstore.read.store import reading_in_turn
from skelstore.remote.url import Url
from skelstore.wording import shown

NAME = "track"
"""The ``dialect`` of a store that was tracked."""

MAX_GAP = 30
"""Default of ``max_gap``: a second at 30 frames per second. Trackers such as ByteTrack wait as long."""

MOST_PERSONS = 100
"""Largest ``max_persons``."""

MOST_GAP = 100_000
"""Largest ``max_gap``."""

_EXAMPLES = 50
"""Number of videos from which the form of the annotations is recognised."""


def track(
    store: str | os.PathLike[str] | Url,
    out: str | os.PathLike[str],
    *,
    max_persons: int,
    max_gap: int = MAX_GAP,
    interpolate: bool = False,
    **options: Unpack[ConvertOptions],
) -> None:
    """Make a dense store at ``out`` from a store of compressed annotations: row m of ``keypoint`` is one person.

    The rows are the persons with the largest sums of scores, at most ``max_persons``. ``interpolate`` fills gaps of at
    most ``max_gap`` frames. ``converters.tracking.dense.dense`` defines the annotations. Splits, class names and the
    joint layout are kept; a video without a person is left out and recorded. If the store is shuffled, so is the dense
    one, with the same seed, unless ``shuffle`` is another.

    Raises SourceError if the store is not compressed, ValueError if a number is out of range, and what
    ``skelstore.open`` and ``convert_source`` raise: UnsupportedValueError lists videos that cannot be tracked.
    """
    videos = StoreVideos(store)
    options.setdefault("shuffle", videos.seed)
    convert_source(Tracked(videos, max_persons, max_gap, interpolate), out, **options)


class StoreVideos(FromStore):
    """The compressed annotations of a store as a source.

    Raises SourceError if the store has no compressed annotations, and what ``skelstore.open`` raises.
    """

    def __init__(self, path: str | os.PathLike[str] | Url) -> None:
        super().__init__(path)
        try:
            self.dialect = str(self._store.source.get("dialect"))
            _refuse_dense(self._store)
            self._sizes = _sizes(self._store)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._store)

    def sizes(self) -> NDArray[np.int64]:
        return self._sizes

    @cached_property
    def _read(self) -> Callable[[int], Annotation]:
        return reading_in_turn(self._store)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_read"}

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        return self._read(index), None

    def place(self, index: int) -> str:
        return f"video {index} ({shown(self._store.name(index))})"

    def splits(self) -> dict[Any, Any]:
        return self._store.splits

    def description(self) -> dict[str, Json]:
        """The source of the store, without a joint layout that was guessed."""
        about = {key: value for key, value in self._store.source.items() if key not in ("dialect", "shuffled")}
        if is_guess(about.get("joints")):
            del about["joints"]
        return about


def tracked_alike(source: Source, store: skelstore.Store) -> Source:
    """The videos of a source, tracked if those of a store are, with the same settings.

    Raises StoreError if the settings in the store do not follow the format, SourceError as ``Tracked`` does.
    """
    settings = store.source.get("tracking")
    if settings is None:
        return source
    try:
        persons, gap, interpolate = (settings[name] for name in ("max_persons", "max_gap", "interpolate"))
        if (type(persons), type(gap), type(interpolate)) != (int, int, bool):
            raise TypeError("settings of other types")
        return Tracked(source, persons, gap, interpolate)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{store.path}: the tracking in its source does not follow the format ({error!r})") from error


def detections_dialect(about: Mapping[str, Json]) -> Json:
    """The dialect of the source of a store; of its detections, if it was tracked. ``about`` is ``store.source``."""
    tracking = about.get("tracking")
    return tracking.get("dialect") if isinstance(tracking, dict) else about.get("dialect")


def _refuse_dense(store: skelstore.Store) -> None:
    fields = [field for name, field in store.fields.items() if name.partition(".")[0] == "keypoint"]
    if any(field.ragged == 2 for field in fields):
        raise SourceError(f"{store.path} {DENSE}")
    if len(store) and not fields:
        raise SourceError(
            f"{store.path} has no keypoint; expected the detections of a pose tool: keypoint [N, V, 3] with frame_inds"
        )


def _sizes(store: skelstore.Store) -> NDArray[np.int64]:
    """Bytes of the arrays of each video, at least 1."""
    sizes = np.ones(len(store), np.int64)
    table = store.videos
    for name, field in store.fields.items():
        row_bytes = int(np.prod(field.trailing, dtype=np.int64)) * field.dtype.itemsize
        rows = np.full(len(store), row_bytes)
        for axis in range(field.ragged):
            rows *= table[f"{name}.dim{axis}"].fill_null(0).to_numpy()
        sizes += rows
    return sizes


class Tracked(Around):
    """Source of the dense annotations (``dense``) of a source of compressed ones; their form is recognised here.

    Raises SourceError if the first videos are not compressed, ValueError if a number is out of range.
    """

    dialect = NAME

    def __init__(self, source: Source, max_persons: int, max_gap: int = MAX_GAP, interpolate: bool = False) -> None:
        super().__init__(source)
        self._settings = Settings(max_persons, max_gap, interpolate)
        try:
            if not 1 <= max_persons <= MOST_PERSONS:
                raise ValueError(f"max_persons is {max_persons}; expected 1 to {MOST_PERSONS}")
            if not 0 <= max_gap <= MOST_GAP:
                raise ValueError(f"max_gap is {max_gap}; expected 0 to {MOST_GAP:,} frames")
            form = recognise_form(self._examples())
            if form is None:
                raise SourceError(f"{self.path} {DENSE}")
            self._form = form
        except BaseException:
            self.close()
            raise

    def _examples(self) -> Iterator[Annotation]:
        while self._source.indexed < _EXAMPLES and self._source.index_more():
            pass
        for index in range(min(self._source.indexed, _EXAMPLES)):
            try:
                yield self._source.video(index)[0]
            except SkelstoreError:
                continue  # reported when its part is written

    @property
    def digests(self) -> Mapping[Path, str]:
        return self._source.digests if isinstance(self._source, Downloaded) else {}

    def here(self) -> Source:
        if not isinstance(self._source, Downloaded):
            return self
        source = self._source.here()
        settings = self._settings
        return (
            self
            if source is self._source
            else Tracked(source, settings.max_persons, settings.max_gap, settings.interpolate)
        )

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        annotation, _ = self._source.video(index)
        with broken_video(video_name(annotation) or "", f"{self.path}: {self.place(index)}", left_out=False):
            return dense(annotation, self._form, self._settings), None

    def settings(self) -> Json:
        form = [sorted(map(str, self._form.keys)), list(self._form.numbering)]
        return [self._source.dialect, self._source.settings(), list(self._settings), form]

    def description(self) -> dict[str, Json]:
        """As in the source, but for what only its own dialect needs, and ``tracking``, how persons were tracked."""
        about = {key: value for key, value in self._source.description().items() if key not in ("size", "kpfiles")}
        document = about.get("document")
        if not isinstance(document, dict) or "annotation" in document:
            document = PYSKL_DOCUMENT if self.splits() else LIST_DOCUMENT
        settings = self._settings._asdict()
        return {**about, "document": document, "tracking": {"dialect": self._source.dialect, **settings}}
