"""Collecting one column of the table of videos as Arrow arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.format.columns import numpy_dtype


class Column:
    """Collects the values of one column of the table as Arrow arrays; rows without a value are null."""

    def __init__(self, kind: pa.DataType, rows_before: int) -> None:
        self._kind = kind
        self._chunks: list[pa.Array] = [pa.nulls(rows_before, kind)] if rows_before else []
        self._pending: list[tuple[NDArray[np.int64], Sequence[Any]]] = []

    def set(self, rows: NDArray[np.int64], values: Sequence[Any]) -> None:
        """Set the values of rows, none of which has one yet; rows are counted from the last flush."""
        self._pending.append((rows, values))

    def flush(self, rows: int) -> None:
        """Turn the values since the last flush into an Arrow array of ``rows`` rows."""
        if pa.types.is_large_string(self._kind) or pa.types.is_large_binary(self._kind):
            cells = np.full(rows, None, object)
            for at, values in self._pending:
                cells[at] = values
            chunk = pa.array(cells.tolist(), self._kind)
        else:
            # Through NumPy, which keeps the bits of every NaN and of NumPy scalars.
            dtype = numpy_dtype(self._kind)
            mask, filled = np.ones(rows, bool), np.zeros(rows, dtype)
            for at, values in self._pending:
                filled[at] = np.array(values, dtype)
                mask[at] = False
            chunk = pa.array(filled, self._kind, mask=mask)
        self._chunks.append(chunk)
        self._pending = []

    def array(self) -> pa.ChunkedArray:
        return pa.chunked_array(self._chunks, self._kind)
