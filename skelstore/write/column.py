"""One column of the table of the videos, gathered as Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.format.columns import numpy_dtype


class Column:
    """Values of one column of the table, gathered as Arrow arrays; rows without a value are null."""

    def __init__(self, kind: pa.DataType, rows_before: int) -> None:
        self._kind = kind
        self._chunks: list[pa.Array] = [pa.nulls(rows_before, kind)] if rows_before else []
        self._values: list[Any] = []

    def append(self, row: int, value: Any) -> None:
        """Set the value of a row, counted from the last flush."""
        if row > len(self._values):
            self._values.extend([None] * (row - len(self._values)))
        self._values.append(value)

    def flush(self, rows: int) -> None:
        found = self._values
        found.extend([None] * (rows - len(found)))
        if pa.types.is_large_string(self._kind) or pa.types.is_large_binary(self._kind):
            chunk = pa.array(found, self._kind)
        else:
            # Through NumPy, which keeps the bits of every NaN and of NumPy's own scalars.
            mask = np.fromiter((value is None for value in found), bool, len(found))
            filled = np.array([0 if value is None else value for value in found], numpy_dtype(self._kind))
            chunk = pa.array(filled, self._kind, mask=mask)
        self._chunks.append(chunk)
        self._values = []

    def array(self) -> pa.ChunkedArray:
        return pa.chunked_array(self._chunks, self._kind)
