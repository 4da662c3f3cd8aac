"""How well arrays compress with the codecs of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

CHUNK_BYTES = 16 << 10
"""About the size of a chunk of the profile ``default``."""


def compressibility(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Bytes after compression with lz4 in chunks of rows, against the bytes before: byte shuffle and bit shuffle.

    The arrays are those of videos, one after the other: the last axes are a row.
    """
    rows = np.concatenate(arrays)
    step = CHUNK_BYTES // rows[0].nbytes // 8 * 8  # bit shuffle leaves other numbers of elements as they are
    chunks = [np.ascontiguousarray(rows[i : i + step]) for i in range(0, len(rows) - step + 1, step)]
    byte, bit = (
        sum(len(blosc.compress(chunk, b"lz4", 9, shuffle, chunk.nbytes)) for chunk in chunks)
        for shuffle in (blosc.SHUFFLE, blosc.BITSHUFFLE)
    )
    size = sum(chunk.nbytes for chunk in chunks)
    return byte / size, bit / size


def as_rows(annotations: Sequence[dict[str, Any]], key: str) -> list[NDArray[Any]]:
    """The arrays [M, T, …] of dense annotations as rows [M * T, …]."""
    return [annotation[key].reshape(-1, *annotation[key].shape[2:]) for annotation in annotations]
