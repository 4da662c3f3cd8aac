"""The rows of the fields of a clip: their shape, and where they are until the clip is complete."""

from __future__ import annotations

import math
import mmap
import tempfile
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.format.files import flat_bytes

_IN_MEMORY = 16 << 20
"""Bytes of one array that are kept in memory; larger ones go to a temporary file."""
_MOVED = 1024
"""Rows that are moved together."""


class Form(NamedTuple):
    """The shape of a row of a field, and the number of its values. ``scaled`` says which values are x and which y:
    their starts, and the step."""

    trailing: tuple[int, ...]
    scaled: tuple[int, int, int] | None
    width: int


def form_of(name: str, width: int) -> Form:
    """The form of a field by its name in the annotation, and by the number of values in a row of it."""
    if name.endswith("keypoint"):
        return Form((width // 3, 3), (0, 1, 3), width // 3 * 3)
    if name.endswith("box"):
        return Form((width,), (0, 1, 2), width)
    return Form((width // 4, 4), None, width // 4 * 4) if name.endswith("3d") else Form((width,), None, width)


class Rows:
    """The rows [N, *trailing] of an array, in memory or, beyond ``_IN_MEMORY`` bytes, in a temporary file.

    The file is in the folder for temporary files (``TMPDIR``) and has no name: it is gone with the process. It is
    mapped, so that its pages are those of the page cache, and the array cannot be written to.
    """

    def __init__(self, trailing: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._trailing = trailing
        self._dtype = dtype
        self._count = 0
        self._blocks: list[NDArray[Any]] = []
        self._file: IO[bytes] | None = None

    def append(self, block: NDArray[Any]) -> None:
        """Append rows [n, *trailing] of the dtype."""
        self._count += len(block)
        if self._file is None:
            self._blocks.append(block)
            if self._count * self._row_bytes > _IN_MEMORY:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by finish, or with this object
                for kept in self._blocks:
                    self._file.write(flat_bytes(kept))
                self._blocks = []
        else:
            self._file.write(flat_bytes(block))

    def pad(self, count: int) -> None:
        """Append rows of zeros until there are ``count`` rows."""
        while (missing := min(count - self._count, _MOVED)) > 0:
            self.append(np.zeros((missing, *self._trailing), self._dtype))

    def finish(self, order: NDArray[np.intp] | None) -> NDArray[Any]:
        """The rows, in the order given: positions [N], or None. Nothing can be appended afterwards."""
        if self._file is None:
            rows = np.concatenate([np.zeros((0, *self._trailing), self._dtype), *self._blocks])
            return rows if order is None else rows[order]
        data = self._map(self._file)
        rows = self._rows_in(data)
        if order is None:
            return rows
        with tempfile.TemporaryFile() as file:
            for start in range(0, len(rows), _MOVED):
                file.write(flat_bytes(rows[order[start : start + _MOVED]]))
                data.madvise(mmap.MADV_DONTNEED)  # the pages stay in the cache of the system
            return self._rows_in(self._map(file))

    @property
    def _row_bytes(self) -> int:
        return math.prod(self._trailing) * self._dtype.itemsize

    def _map(self, file: IO[bytes]) -> mmap.mmap:
        with file:
            file.flush()
            return mmap.mmap(file.fileno(), self._count * self._row_bytes, access=mmap.ACCESS_READ)

    def _rows_in(self, data: mmap.mmap) -> NDArray[Any]:
        return np.frombuffer(data, self._dtype).reshape(-1, *self._trailing)
