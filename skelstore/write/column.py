"""Collecting one column of the table of videos as Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.format.columns import numpy_dtype


class Column:
    """Collects the values of one column of the table as Arrow arrays; rows without a value are null."""

    def __init__(self, kind: pa.DataType, rows_before: int) -> None:
        self._kind = kind
        self._chunks: list[pa.Array] = [pa.nulls(rows_before, kind)] if rows_before else []
        self._values: list[Any] = []

    def append(self, row: int, value: Any) -> None:
        """Set the value of a row; rows are counted from the last flush."""
        if row > len(self._values):
            self._values.extend([None] * (row - len(self._values)))
        self._values.append(value)

    def flush(self, rows: int) -> None:
        """Turn the values since the last flush into an Arrow array of ``rows`` rows."""
        pending = self._values
        pending.extend([None] * (rows - len(pending)))
        if pa.types.is_large_string(self._kind) or pa.types.is_large_binary(self._kind):
            chunk = pa.array(pending, self._kind)
        else:
            # Through NumPy, which keeps the bits of every NaN and of NumPy scalars.
            mask = np.fromiter((value is None for value in pending), bool, len(pending))
            filled = np.array([0 if value is None else value for value in pending], numpy_dtype(self._kind))
            chunk = pa.array(filled, self._kind, mask=mask)
        self._chunks.append(chunk)
        self._values = []

    def array(self) -> pa.ChunkedArray:
        return pa.chunked_array(self._chunks, self._kind)
