"""What every dialect gives: the videos of a foreign data set, one annotation at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.pickles.arrays import Foreign
from skelstore.errors import SkelstoreError, SourceError, UnsupportedValueError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json, is_utf8
from skelstore.wording import file_name, kind_of


class SkippedVideoError(SourceError):
    """A video that its source leaves out: a conversion goes on without it, and records its name and the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@contextmanager
def broken_video(name: str, place: str, *, left_out: bool) -> Iterator[None]:
    """What a SourceError inside becomes: one that begins with the place, or the video's being left out."""
    try:
        yield
    except SkippedVideoError:
        raise
    except SourceError as error:
        if left_out:
            raise SkippedVideoError(name, str(error)) from None
        raise SourceError(f"{place}: {error}") from None


class Reached(NamedTuple):
    """How far a conversion is: what is written, what is known of the source, and whether that is all of it."""

    videos: int
    bytes: int
    known_videos: int
    known_bytes: int
    complete: bool


class Source(Protocol):
    """The videos of a foreign data set. Picklable, and readable at any known index from any process."""

    path: Path
    dialect: str

    @property
    def known(self) -> int:
        """How many videos are known so far; of them all the rest of this tells, but for what says otherwise."""
        ...

    def explore(self) -> bool:
        """Go on through a large source until more videos are known; False if all are.

        Raises SourceError for what is wrong with the source beyond the known videos.
        """
        ...

    def __len__(self) -> int:
        """How many videos there are; explores what is not known."""
        ...

    def sizes(self) -> NDArray[np.int64]:
        """About how many bytes each of the known annotations takes in the source; parts are cut by them."""
        ...

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """One annotation, and the file that it is from where there are many.

        Raises SourceError, which names file and place, if it is not as the dialect says, SkippedVideoError if it is to
        be left out.
        """
        ...

    def files(self, start: int, stop: int) -> list[Path]:
        """The files that the videos from ``start`` to ``stop`` are read from: those for all, then the videos' own.

        A part of these videos is taken from an interrupted run if none of them has changed.
        """
        ...

    def settings(self) -> Json:
        """What the videos depend on beside the files, such as a recipe: another makes other parts."""
        ...

    def place(self, index: int) -> str:
        """Where a video stands in the source, for messages: ``annotations[17]``."""
        ...

    def splits(self) -> dict[Any, Any]:
        """Name of each split -> ids, as the source holds them; explores what is not known."""
        ...

    def description(self) -> dict[str, Json]:
        """What the store keeps of the source beside its videos: ``document`` and whatever its export needs.

        Explores what is not known.
        """
        ...

    def close(self) -> None:
        """Let go of open files."""
        ...


class KnownAtOnce(Sized):
    """What a source has in common with others all of whose videos are known when it is opened."""

    @property
    def known(self) -> int:
        return len(self)

    def explore(self) -> bool:
        return False


def explore_all(source: Source) -> None:
    """Let all videos of a source be known. Raises SourceError for what is wrong with it."""
    while source.explore():
        pass


def refusal(source: Source, error: SkelstoreError, index: int | None = None) -> str:
    """The sentence that refuses a value of a video, or of the top of the file, with file and place."""
    if not isinstance(error, UnsupportedValueError):
        return str(error)
    place = error.place if index is None else source.place(index) + error.place
    if isinstance(error.value, Foreign):
        if index is None and _is_array_of_names(error.value) and place.startswith("split"):
            return (
                f"{source.path}: {place}: {kind_of(error.value)} is not stored; expected a list of names: write "
                f"{place} = list({place}) where the file is made"
            )
        return (
            f"{source.path}: {place}: {kind_of(error.value)} is not data and "
            "cannot be stored: turn it into NumPy arrays and Python values where the file is made"
        )
    return f"{source.path}: {place}{str(error.args[0]).removeprefix(error.place or 'the annotation')}"


def _is_array_of_names(value: Foreign) -> bool:
    """Whether a value is what train_test_split of scikit-learn and sets make of names."""
    return value.name.startswith("numpy.ndarray") or value.name.rpartition(".")[2] in ("set", "frozenset")


def splits_without(splits: dict[Any, Any], left_out: list[Json]) -> dict[Any, Any]:
    """The splits of a source without the videos that a conversion left out, as they were recorded."""
    names = {entry["name"] for entry in left_out}
    return {split: [name for name in ids if name not in names] for split, ids in splits.items()} if names else splits


def checked_annotation(value: object, path: Path, place: str) -> Annotation:
    """The value, if it is a dict. Raises SourceError that names what it is instead."""
    if isinstance(value, dict):
        return value
    raise SourceError(f"{path}: {place} is {kind_of(value)}; expected an annotation (a dict)")


def storable_name(name: str, folder: Path) -> str:
    """The name of a file below a folder. Raises SourceError if it is not UTF-8, which no column of texts can hold."""
    if not is_utf8(name):
        raise SourceError(f"{file_name(folder)}: the file name {name!r} is not UTF-8: rename the file")
    return name
