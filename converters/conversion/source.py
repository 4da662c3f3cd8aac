"""The interface of every dialect: the videos of a source data set, one annotation at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from converters.pickles.arrays import Foreign
from skelstore.errors import SkelstoreError, SourceError, UnsupportedValueError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json, is_utf8
from skelstore.remote.url import Url
from skelstore.wording import file_name, kind_of


class SkippedVideoError(SourceError):
    """A video that the source skips: a conversion continues without it and records its name and the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@contextmanager
def broken_video(name: str, place: str, *, left_out: bool) -> Iterator[None]:
    """Handle a SourceError in the block: skip the video if ``left_out``, else put the place before the message.

    A skipped video is raised as SkippedVideoError.
    """
    try:
        yield
    except SkippedVideoError:
        raise
    except SourceError as error:
        if left_out:
            raise SkippedVideoError(name, str(error)) from None
        raise SourceError(f"{place}: {error}") from None


class Reached(NamedTuple):
    """The progress of a conversion: what is written, what is known of the source, and whether the source is indexed.

    ``known_bytes`` is 0 until then.
    """

    videos: int
    bytes: int
    known_videos: int
    known_bytes: int
    complete: bool


class Source(Protocol):
    """The videos of a source data set. It can be pickled, and read at any indexed position from any process."""

    dialect: str

    @property
    def path(self) -> Path | Url:
        """The file or folder, or the URL that the file was downloaded from."""
        ...

    @property
    def indexed(self) -> int:
        """The number of videos indexed so far. The other members cover these videos unless they say otherwise."""
        ...

    def index_more(self) -> bool:
        """Index a large source further until more videos are known; False if all are known.

        Raises SourceError for errors in the source beyond the indexed videos.
        """
        ...

    def __len__(self) -> int:
        """The number of all videos; indexes the rest of the source."""
        ...

    def sizes(self) -> NDArray[np.int64]:
        """The approximate size in bytes of each known annotation in the source [videos]; parts are planned from it."""
        ...

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """One annotation and, if the source has many files, the file that it comes from.

        Raises SourceError, which names file and place, if the annotation is not as the dialect says; SkippedVideoError
        if the source skips it.
        """
        ...

    def files(self, start: int, stop: int) -> list[Path]:
        """The files from which the videos ``start`` to ``stop`` are read: the common files, then those of the videos.

        A part with these videos is reused from an interrupted run only if none of the files has changed.
        """
        ...

    def settings(self) -> Json:
        """What the videos depend on in addition to the files, such as a recipe; parts with other settings differ."""
        ...

    def place(self, index: int) -> str:
        """The place of a video in the source, for messages: ``annotations[17]``."""
        ...

    def splits(self) -> dict[Any, Any]:
        """The ids of each split by its name, as the source holds them; indexes the rest of the source."""
        ...

    def description(self) -> dict[str, Json]:
        """What the store keeps about the source in addition to its videos: ``document``, and what an export needs.

        Indexes the rest of the source.
        """
        ...

    def in_order(self) -> str | None:
        """A sentence that says why reading the videos in another order would take much longer, and what to do.

        None if they can be read in any order.
        """
        ...

    def close(self) -> None:
        """Close open files."""
        ...


@runtime_checkable
class Downloaded(Protocol):
    """What a source has in addition if some of its files were downloaded."""

    @property
    def digests(self) -> Mapping[Path, str]:
        """The SHA-256 of each of these files."""
        ...

    def here(self) -> Source:
        """The same source, with files that are in the cache of this process; else they are downloaded into it."""
        ...


class KnownAtOnce(Sized):
    """Base class of sources that know all their videos when they are opened, and read them in any order."""

    @property
    def indexed(self) -> int:
        return len(self)

    def index_more(self) -> bool:
        return False

    def in_order(self) -> str | None:
        return None


class Around:
    """Base class of sources that pass on what another source has, but for what they define themselves."""

    dialect: str

    def __init__(self, source: Source) -> None:
        self.path: Path | Url = source.path
        self._source = source

    @property
    def indexed(self) -> int:
        return self._source.indexed

    def index_more(self) -> bool:
        return self._source.index_more()

    def __len__(self) -> int:
        return len(self._source)

    def sizes(self) -> NDArray[np.int64]:
        return self._source.sizes()

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        return self._source.video(index)

    def files(self, start: int, stop: int) -> list[Path]:
        return self._source.files(start, stop)

    def settings(self) -> Json:
        return self._source.settings()

    def place(self, index: int) -> str:
        return self._source.place(index)

    def splits(self) -> dict[Any, Any]:
        return self._source.splits()

    def description(self) -> dict[str, Json]:
        return self._source.description()

    def in_order(self) -> str | None:
        return self._source.in_order()

    def close(self) -> None:
        self._source.close()


def index_all(source: Source) -> None:
    """Index a source until all videos are known. Raises SourceError for errors in the source."""
    while source.index_more():
        pass


def refusal(source: Source, error: SkelstoreError, index: int | None = None) -> str:
    """The message that refuses a value of a video, or of the top of the file, with file and place."""
    if not isinstance(error, UnsupportedValueError):
        return str(error)
    place = error.place if index is None else source.place(index) + error.place
    if isinstance(error.value, Foreign):
        if index is None and _is_array_of_names(error.value) and place.startswith("split"):
            return (
                f"{source.path}: {place}: {kind_of(error.value)} cannot be stored; expected a list of names: write "
                f"{place} = list({place}) in the code that writes the file"
            )
        return (
            f"{source.path}: {place}: {kind_of(error.value)} is not data and "
            "cannot be stored: convert it to NumPy arrays and Python values in the code that writes the file"
        )
    return f"{source.path}: {place}{str(error.args[0]).removeprefix(error.place or 'the annotation')}"


def _is_array_of_names(value: Foreign) -> bool:
    """Whether a value is an array or set of names, as scikit-learn's train_test_split or ``set`` returns it."""
    return value.name.startswith("numpy.ndarray") or value.name.rpartition(".")[2] in ("set", "frozenset")


def splits_without(splits: dict[Any, Any], left_out: list[Json]) -> dict[Any, Any]:
    """The splits of a source without the videos that a conversion skipped; ``left_out`` is its record of them."""
    names = {entry["name"] for entry in left_out}
    return {split: [name for name in ids if name not in names] for split, ids in splits.items()} if names else splits


def checked_annotation(value: object, path: Path, place: str) -> Annotation:
    """Return the value if it is a dict. Raises SourceError, which names its type, if it is not."""
    if isinstance(value, dict):
        return value
    raise SourceError(f"{path}: {place} is {kind_of(value)}; expected an annotation (a dict)")


def storable_name(name: str, folder: Path) -> str:
    """Return the name of a file below a folder. Raises SourceError if it is not UTF-8: a text column cannot hold it."""
    if not is_utf8(name):
        raise SourceError(f"{file_name(folder)}: the file name {name!r} is not UTF-8: rename the file")
    return name
