"""The random order in which a conversion may write the videos of a source, and reading them in that order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from converters.choices import MOST_SEED
from converters.conversion.source import Source, index_all
from skelstore.errors import SkelstoreError, SourceError, StoreError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json

Order: TypeAlias = NDArray[np.int64]
"""The positions of videos in the source, in the order in which they are written [videos]."""

_AHEAD_BYTES = 64 << 20
"""Bytes of the annotations of a part that are read ahead: most parts have as many."""
_VALUE_BYTES = 64
"""Bytes that are counted for each value of an annotation in addition to its content."""


def require_seed(seed: object) -> None:
    """Raise StoreError for a seed that is not one."""
    if type(seed) is not int or not 0 <= seed <= MOST_SEED:
        raise StoreError(f"shuffle is {seed!r}; expected a seed, an integer from 0 to {MOST_SEED}")


def shuffled_order(source: Source, seed: int) -> Order:
    """All positions of a source in a random order, which depends on their number and the seed alone.

    Indexes the rest of the source. It is the same with every version of NumPy, whose NEP 19 freezes the streams of
    RandomState. Raises SourceError if the source can be read only in its order.
    """
    if reason := source.in_order():
        raise SourceError(reason)
    index_all(source)
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    return random.permutation(len(source)).astype(np.int64, copy=False)


def recorded_seed(about: Mapping[str, Json]) -> int | None:
    """The seed with which a store was shuffled, None if it was not; ``about`` is ``store.source``."""
    shuffled = about.get("shuffled")
    seed = shuffled.get("seed") if isinstance(shuffled, Mapping) else None
    return seed if type(seed) is int and 0 <= seed <= MOST_SEED else None


def files_of(source: Source, positions: Sequence[int]) -> list[Path]:
    """The files from which the videos at some positions are read, each once; as ``Source.files`` for a range."""
    if isinstance(positions, range):
        return source.files(positions.start, positions.stop)
    return list(dict.fromkeys(file for position in positions for file in source.files(position, position + 1)))


def read_ahead(source: Source, positions: Sequence[int]) -> dict[int, tuple[Annotation, Origin | None]]:
    """The videos at some positions, read in the order of the source, until they have 64 MiB.

    A disk is then read in one direction, and a file with many videos once. A video that cannot be read is left out:
    whoever reads it in its turn gets the error.
    """
    videos: dict[int, tuple[Annotation, Origin | None]] = {}
    left = _AHEAD_BYTES
    for position in sorted(positions):
        if left <= 0:
            break
        with suppress(SkelstoreError):
            video = source.video(position)
            left -= _bytes_of(video[0], left)
            videos[position] = video
    return videos


def _bytes_of(annotation: Annotation, enough: int) -> int:
    """About the bytes of an annotation in memory; those of a large one are counted until there are ``enough``."""
    total = 0
    containers: list[Collection[Any]] = [annotation.values()]
    while containers and total < enough:
        values = containers.pop()
        total += _VALUE_BYTES * len(values)
        for value in values:
            if isinstance(value, np.ndarray):
                total += value.nbytes
            elif isinstance(value, str | bytes):
                total += len(value)
            elif isinstance(value, list | tuple):
                containers.append(value)
            elif isinstance(value, dict):
                containers.append(value.values())
    return total
