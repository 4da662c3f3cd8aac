"""All benchmarks that run on a user's own store: a sample of it, kept in every way that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from converters.bench import decompression, opening, reading, workers
from converters.bench.data import DataSet, sample_of
from converters.bench.peers import StoreAsItIs
from converters.bench.results import Result

CALLS = 1000
ROUNDS = 7
PROCESSES = 5
WORKERS = (1, 4, 8)


def measure(store: Path, folder: Path, videos: int) -> Iterator[Result]:
    """Measure on a random sample of ``videos`` videos of a store; ``folder`` is for the files of all sides.

    Raises FieldNotFoundError if no video of the store can be read by name.
    """
    data = sample_of(store, videos, folder)
    yield opening.measure(data, PROCESSES)
    yield reading.measure(data, folder, CALLS, ROUNDS, [*reading.peers(), StoreAsItIs(store)])
    yield workers.measure(data, len(data.names), WORKERS)
    if _compressed(data):
        yield decompression.measure(data, folder, CALLS, ROUNDS)


def _compressed(data: DataSet) -> bool:
    """Whether every video is compressed, for DecompressPose, and has the scores by which boxes are filtered."""
    suitable = all(
        isinstance(annotation.get(key), np.ndarray)
        for annotation in data.loaded
        for key in ("keypoint", "frame_inds", "box_score")
    )
    data.forget()
    return suitable
