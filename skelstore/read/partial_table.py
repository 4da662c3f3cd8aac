"""A table of which parts are fetched when they are needed: whole columns, or rows in groups.

Nothing is looked at before its bytes are verified (``FileParts.provide``), and its values are checked as those of a
table that is read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import StoreError
from skelstore.format.arrow_file import load_parts
from skelstore.format.partial_files import FileParts

GROUP_ROWS = 512
"""Rows that are fetched and checked together. An int64 of each takes 4 KiB, the smallest block of a table."""

_MISSES_PER_DOUBLING = 16
"""The first groups that are missing are fetched alone, since one video may be all that is wanted. Then as many
neighbours are fetched with one as it takes for the number of requests to grow with the square root of the videos."""

_MOST_GROUPS = 64
"""Maximum number of groups that are fetched because one of them is missing: 256 KiB of an int64."""


class PartialTable:
    """The columns of a table, each of which is fetched when it is asked for. ``place`` is what messages call the file.

    ``raw`` is the table as a pyarrow.Table; only what ``provide`` was called for may be looked at. It has the methods
    of a pyarrow.Table that are used for tables of videos.
    """

    def __init__(self, parts: FileParts, place: str) -> None:
        self._parts = parts
        self._place = place
        try:
            self.raw: pa.Table = load_parts(parts.buffer, lambda start, stop: parts.provide([(start, stop)]))
        except StoreError as error:
            if type(error) is not StoreError:  # not one of fetching
                raise
            raise StoreError(
                f"{place} is not an Arrow file that the format allows ({error}): convert the source again"
            ) from error
        self._whole: set[str] = set()

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def column_names(self) -> list[str]:
        names: list[str] = self.raw.column_names
        return names

    @property
    def schema(self) -> pa.Schema:
        return self.raw.schema

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        self.fetch([name])
        return self.raw[name]

    def has(self, name: str) -> bool:
        """Whether a whole column was fetched."""
        return name in self._whole

    def select(self, names: Sequence[str]) -> pa.Table:
        """Some columns as a table."""
        self.fetch(names)
        return self.raw.select(names)

    def fetch(self, names: Iterable[str]) -> None:
        """Fetch whole columns, all at once. Raises StoreError if one is not what Arrow says it is."""
        missing = [name for name in names if name not in self._whole]
        chunks = [chunk for name in missing for chunk in self.raw[name].chunks]
        self.provide(span for chunk in chunks for span in self.spans(chunk))
        for name in missing:
            try:
                self.raw[name].validate(full=True)
            except pa.ArrowInvalid as error:
                raise StoreError(f"{self._place}: the column {name!r} is damaged ({error})") from error
            self._whole.add(name)

    def provide(self, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch bytes (start, stop) of the file, all at once, and verify them."""
        self._parts.provide([span for span in spans if span[0] < span[1]])

    def spans(self, chunk: pa.Array) -> list[tuple[int, int]]:
        """Where the buffers of a column are in the file."""
        return [self.span(buffer) for buffer in chunk.buffers() if buffer is not None and buffer.size]

    def span(self, buffer: pa.Buffer) -> tuple[int, int]:
        """Where a buffer of the table is in the file."""
        start = buffer.address - self._parts.buffer.address
        if not 0 <= start <= start + buffer.size <= self._parts.buffer.size:
            raise StoreError(f"{self._place} has a column that is not in the file")
        return start, start + buffer.size


class _Text:
    """A column of text or bytes: where its offsets and its bytes are in the file."""

    def __init__(self, table: PartialTable, name: str) -> None:
        self.name = name
        chunk = table.raw[name].chunk(0)
        self.type = chunk.type
        self.rows = len(chunk)
        _, self.offsets_buffer, self.data_buffer = chunk.buffers()
        self.offsets = np.frombuffer(self.offsets_buffer, np.int64, self.rows + 1)
        self.start = table.span(self.offsets_buffer)[0]
        self.data = table.span(self.data_buffer) if self.data_buffer is not None else (0, 0)
        self.margin = 1 << 10

    def offset_span(self, first: int, stop: int) -> tuple[int, int]:
        return self.start + 8 * first, self.start + 8 * (stop + 1)

    def guessed_span(self, first: int, stop: int) -> tuple[int, int]:
        """Where the bytes of some rows are if all rows have as many, and a little around them."""
        begin, end = self.data
        per_row = (end - begin) / self.rows
        low, high = int(first * per_row) - self.margin, int(stop * per_row) + self.margin
        return begin + max(low, 0), min(begin + high, end)

    def span(self, first: int, stop: int) -> tuple[int, int]:
        """Where the bytes of some rows are; their offsets have been fetched. Raises StoreError for bad offsets."""
        low, high = int(self.offsets[first]), int(self.offsets[stop])
        if not 0 <= low <= high <= self.data[1] - self.data[0]:
            raise StoreError(f"the column {self.name!r} has cells outside of the file")
        return self.data[0] + low, self.data[0] + high

    def check(self, first: int, stop: int) -> None:
        """Raise StoreError if cells are not what Arrow says they are, those under null included."""
        data = self.data_buffer if self.data_buffer is not None else pa.py_buffer(b"")
        cells = pa.Array.from_buffers(self.type, stop - first, [None, self.offsets_buffer, data], 0, first)
        try:
            cells.validate(full=True)
        except pa.ArrowInvalid as error:
            raise StoreError(f"the column {self.name!r} has cells that are not text ({error})") from error


class RowGroups:
    """Rows of the table of videos, fetched by groups. ``ready`` has a byte per group, 1 if its rows can be read.

    ``columns`` are the columns that annotations need, and ``check`` raises StoreError, for rows (first, last + 1), if
    their values are not allowed.
    """

    def __init__(
        self, table: PartialTable, columns: Iterable[str], check: Callable[[int, int], Any], place: str
    ) -> None:
        self._table = table
        self._check = check
        self._place = place
        self._rows = len(table)
        self.group_rows = GROUP_ROWS
        self.ready = np.zeros(-(-self._rows // GROUP_ROWS), np.uint8)
        self._misses = 0
        self._numbers: list[tuple[int, int]] = []  # where the cells of a column are in the file, and their bits
        self._texts: list[_Text] = []
        for name in columns if self._rows else ():
            chunk = table.raw[name].chunk(0)
            if pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type):
                self._texts.append(_Text(table, name))
            else:
                self._numbers.append((table.span(chunk.buffers()[1])[0], chunk.type.bit_width))

    def provide(self, rows: Iterable[int]) -> None:
        """Make rows ready, fetching what is missing at once. Raises StoreError, DamageError, RemoteError and others."""
        taken = np.fromiter(rows, np.int64)
        taken = taken[(taken >= 0) & (taken < self._rows)]
        needed = np.zeros(len(self.ready), bool)
        needed[taken // self.group_rows] = True
        missing = np.flatnonzero(needed & (self.ready == 0))
        if not len(missing):
            return
        width = min(1 << max((self._misses // _MISSES_PER_DOUBLING).bit_length() - 1, 0), _MOST_GROUPS)
        self._misses += len(missing)
        starts = sorted(set((missing // width * width).tolist()))
        runs = [(start, min(start + width, len(self.ready))) for start in starts]
        self._provide([(g * self.group_rows, min(h * self.group_rows, self._rows)) for g, h in runs])
        for start, stop in runs:
            self.ready[start:stop] = 1

    def provide_texts(self, name: str, rows: Iterable[int]) -> None:
        """Make the cells of one column of text ready, with those of their groups. Raises as ``provide`` does."""
        groups = {row // self.group_rows for row in rows}
        runs = [
            (group * self.group_rows, min((group + 1) * self.group_rows, self._rows))
            for group in sorted(groups)
            if not self.ready[group]
        ]
        self._fetch([], [text for text in self._texts if text.name == name], runs)

    def reader(self, column: NDArray[Any]) -> Callable[[int], Any]:
        """A function from a row to its value in a column; the row is made ready before."""
        ready, group_rows, provide, item = self.ready, self.group_rows, self.provide, column.item

        def read(row: int) -> Any:
            if not ready[row // group_rows]:
                provide([row])
            return item(row)

        return read

    def _provide(self, runs: Sequence[tuple[int, int]]) -> None:
        self._fetch(self._numbers, self._texts, runs)
        with self._placed():
            for run in runs:
                self._check(*run)

    def _fetch(
        self, numbers: Iterable[tuple[int, int]], texts: Iterable[_Text], runs: Sequence[tuple[int, int]]
    ) -> None:
        """Fetch runs of rows of some columns, and check the texts in them."""
        table = self._table
        spans = [
            (start + first * bits // 8, start + (stop * bits + 7) // 8)
            for start, bits in numbers
            for first, stop in runs
        ]
        for text in texts:
            spans += [text.offset_span(*run) for run in runs]
            spans += [text.guessed_span(*run) for run in runs]
        table.provide(spans)
        with self._placed():
            table.provide(text.span(*run) for text in texts for run in runs)
            for run in runs:
                for text in texts:
                    text.check(*run)

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Let a StoreError about what is in the table name the file; those of fetching do."""
        try:
            yield
        except StoreError as error:
            if type(error) is not StoreError or self._place in str(error):
                raise
            raise StoreError(f"{self._place}: {error}") from error
