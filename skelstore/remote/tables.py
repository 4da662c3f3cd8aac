"""Large tables of a store at a URL: sparse files in the cache, into which blocks are fetched as they are needed.

The file has the bytes of the table at their own places, and after them a byte per block that says whether it is there.
It is written after the block, and each process compares the block with the checksum in the manifest before it uses it,
so a process may be killed at any time. A block that is stated to be there is never written with other bytes, except
after its checksum has failed.

The file stays open while the store is. If it is evicted, this process goes on with it, and others make a new one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import skelstore.packages  # noqa: F401 - before pyarrow is imported

# isort: split

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import DamageError, StoreNotFoundError
from skelstore.format.checksums import Blocks, crc32c
from skelstore.format.files import write_at
from skelstore.format.partial_files import FileParts
from skelstore.remote.batches import Batched, run_batch
from skelstore.remote.cache import Cache
from skelstore.remote.connections import CONNECTIONS
from skelstore.remote.locks import Patience, try_lock, unlock
from skelstore.remote.ranges import plan_requests
from skelstore.remote.service import Service
from skelstore.remote.sparse_files import open_sparse
from skelstore.remote.url import Url

END_BYTES = 16 << 10
"""What is fetched of both ends of a table when it is opened: mostly all that an Arrow file says about its columns."""

GAP_BYTES = 32 << 10
"""Up to this number of bytes between two blocks are fetched with them. A row needs a block of each column, all at once,
so the gaps of shards would make a few MB of two rows."""

_VERIFIED_BYTES = 1 << 20
"""Blocks are read together up to this size to verify them."""

_CALLS_AT_ONCE = 8 * CONNECTIONS
"""Maximum number of requests that are planned before one is sent, so that an error does not come after gigabytes."""

_LONGEST_PAUSE = 0.05
"""Seconds between looks at what another process is fetching, at most."""


class TableCopy(FileParts):
    """The copy of one table. ``url`` is that of the table, ``refuse_replaced`` raises if the store was replaced.

    It may be used by several threads, and by a forked child. ``buffer`` is set by ``map``.
    """

    def __init__(
        self,
        *,
        url: Url,
        key: str,
        size: int,
        blocks: Blocks,
        path: Path,
        cache: Cache,
        service: Service,
        refuse_replaced: Callable[[], None],
    ) -> None:
        self._url = url
        self._key = key
        self._size = size
        self._block_bytes = blocks.size
        self._checksums = np.frombuffer(blocks.checksums, "<u4")
        self._path = path
        self._cache = cache
        self._service = service
        self._refuse_replaced = refuse_replaced
        self._bounds = _Bounds(size, blocks.size)
        self._present = np.zeros(len(self._checksums), np.uint8)
        self._verified = np.zeros(len(self._checksums), np.uint8)
        self._filled: memoryview | None = None
        self._fd = open_sparse(cache, path, size, bytes(len(self._checksums)))
        cache.touch(path)
        weakref.finalize(self, os.close, self._fd)

    def map(self, shared: bool) -> None:
        """Set ``buffer``: the file itself, or with ``shared`` false memory of this process that ``provide`` fills."""
        if shared:
            self.buffer = pa.py_buffer(mmap.mmap(self._fd, self._size, mmap.MAP_SHARED, mmap.PROT_READ))
        else:
            memory = mmap.mmap(-1, self._size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._filled = memoryview(memory)
            self.buffer = pa.py_buffer(memory)
        self._verified[:] = 0  # what was verified before is not in the memory

    # --- the file

    @contextlib.contextmanager
    def _locking(self) -> Iterator[int]:
        """A descriptor of its own for locks, so that threads are kept apart, too."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            if not os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
                os.close(fd)
                raise FileNotFoundError
        except OSError:  # it was evicted, so nobody else fills it
            fd = os.dup(self._fd)
        try:
            yield fd
        finally:
            unlock(fd, 0, self._size)  # a child that was forked meanwhile still has the descriptor
            os.close(fd)

    def _refresh(self) -> None:
        """Learn which blocks are there by now; other processes may have added some."""
        data = os.pread(self._fd, len(self._present), self._size)
        self._present = np.frombuffer(data.ljust(len(self._present), b"\0"), np.uint8)

    def _mark(self, first: int, stop: int, there: bool = True) -> None:
        write_at(self._fd, bytes([there]) * (stop - first), self._size + first)

    # --- what is needed

    def provide(self, spans: Sequence[tuple[int, int]]) -> None:
        wanted = self._blocks_of(spans)
        wanted = wanted[self._verified[wanted] == 0]
        for attempt in range(2):
            if not len(wanted):
                return
            self._fetch(wanted)
            wrong = self._verify(wanted)
            if wrong and attempt:
                raise self._cache.broken(OSError(0, f"it does not keep what is written ({self._path})"))
            for block in wrong:  # the disk has lost them
                self._mark(block, block + 1, False)
            wanted = np.array(wrong, np.int64)

    def begin(self) -> tuple[list[Callable[[], None]], contextlib.ExitStack]:
        """The requests for the ends of the table that are not there yet, and what ends their locks."""
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(self._locking())
            ends = [(0, END_BYTES), (self._size - END_BYTES, self._size)]
            calls, _ = self._claim(self._blocks_of(ends), lock, False)
            return [one.call for one in calls], stack.pop_all()

    def _blocks_of(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        """The blocks that hold some bytes, ascending, each once. What is outside of the file is left out."""
        within = np.zeros(len(self._checksums), bool)
        for start, stop in spans:
            if start < stop:
                within[max(start, 0) // self._block_bytes : -(-min(stop, self._size) // self._block_bytes)] = True
        return np.flatnonzero(within)

    def _verify(self, wanted: NDArray[np.int64]) -> list[int]:
        """Compare blocks in the file with their checksums, and return those that differ."""
        wrong: list[int] = []
        most = max(_VERIFIED_BYTES // self._block_bytes, 1)
        for first, stop in _runs(wanted, most):
            begin, end = self._bounds[first], self._bounds[stop]
            data = memoryview(os.pread(self._fd, end - begin, begin))
            damaged = self._wrong_blocks(data, first, stop)
            for start, until in _between(first, stop, damaged):
                low, high = self._bounds[start], self._bounds[until]
                if self._filled is not None:
                    self._filled[low:high] = data[low - begin : high - begin]
                self._verified[start:until] = 1
            wrong += damaged
        return wrong

    def _wrong_blocks(self, data: memoryview, first: int, stop: int) -> list[int]:
        """The blocks from ``first`` to ``stop`` whose checksums differ; ``data`` begins with the first of them."""
        size = self._block_bytes
        expected = self._checksums[first:stop].tolist()
        return [first + i for i, crc in enumerate(expected) if crc32c(data[i * size : (i + 1) * size]) != crc]

    # --- fetching

    def _fetch(self, wanted: NDArray[np.int64]) -> None:
        """Fetch the blocks that are missing; those that another process is fetching are waited for."""
        patience = Patience(_LONGEST_PAUSE)
        with self._locking() as lock:
            while True:
                calls, held = self._claim(wanted, lock, patience.is_over)
                for start in range(0, len(calls), _CALLS_AT_ONCE):
                    run_batch(calls[start : start + _CALLS_AT_ONCE])
                if not held:
                    return
                if calls:
                    patience.restart()
                else:
                    patience.wait(int(np.count_nonzero(self._present)))

    def _claim(self, wanted: NDArray[np.int64], lock: int, impatient: bool) -> tuple[list[Batched], bool]:
        """The requests for missing blocks that nobody else is fetching, and whether somebody fetches others."""
        self._refresh()
        missing = wanted[self._present[wanted] == 0]
        claimed = []
        held = False
        for first, stop in plan_requests(self._bounds, missing.tolist(), gap=GAP_BYTES):
            if try_lock(lock, self._bounds[first], self._bounds[stop]) or impatient:
                claimed.append((first, stop))
            else:
                held = True
        self._refresh()
        calls: list[Batched] = []
        missing = wanted[self._present[wanted] == 0]
        for first, stop in claimed:
            needed = missing[(missing >= first) & (missing < stop)].tolist()
            if needed:
                call = partial(self._request, first, stop, needed, lock)
                span = self._bounds[first], self._bounds[stop]
                calls.append(Batched(call, partial(self._service.first_request, self._key, *span)))
            else:
                unlock(lock, self._bounds[first], self._bounds[stop])
        return calls, held

    def _request(self, first: int, stop: int, needed: list[int], lock: int) -> None:
        """Fetch a run of blocks by one request; if a needed one is wrong, once more past the caches on the way."""
        begin, end = self._bounds[first], self._bounds[stop]
        for fresh in (False, True):
            whole = _Whole(self._take, self._block_bytes)
            try:
                part = self._service.read_range(self._key, begin, end, whole.take, fresh=fresh)
            except StoreNotFoundError as error:
                self._refuse_replaced()
                raise DamageError(f"{error}: the store is damaged, so it has to be published again") from error
            if part.data is None:
                whole.end()
                self._refresh()
                wrong = [block for block in needed if not self._present[block]]
            elif part.total != self._size or len(part.data) != end - begin:
                wrong = needed
            else:
                wrong = self._take(first, memoryview(part.data))
            if not set(wrong) & set(needed):
                unlock(lock, begin, end)
                return
        self._refuse_replaced()
        raise DamageError(
            f"{self._url} is damaged or from another version of the store (a block of it at byte "
            f"{self._bounds[min(set(wrong) & set(needed))]:,} does not match the manifest, also when it is fetched "
            "again), so the store has to be published again"
        )

    def _take(self, first: int, data: memoryview) -> list[int]:
        """Write the blocks that begin with ``first`` and say that they are there; return those that are wrong."""
        stop = min(first + -(-len(data) // self._block_bytes), len(self._checksums))
        wrong = self._wrong_blocks(data, first, stop)
        begin = self._bounds[first]
        try:
            for start, until in _between(first, stop, wrong):
                write_at(self._fd, data[self._bounds[start] - begin : self._bounds[until] - begin], self._bounds[start])
                self._mark(start, until)
        except OSError as error:
            raise self._cache.broken(error) from error
        self._cache.count_written(len(data))
        return wrong


class _Bounds(Sequence[int]):
    """The first byte of each block, and the end of the last one."""

    def __init__(self, size: int, block_bytes: int) -> None:
        self._size = size
        self._block_bytes = block_bytes

    def __len__(self) -> int:
        return -(-self._size // self._block_bytes) + 1

    def __getitem__(self, block: Any) -> Any:
        return min(block * self._block_bytes, self._size)


class _Whole:
    """Cuts a file that arrives from its first byte to its last, since the server ignores ranges, into blocks."""

    def __init__(self, take: Callable[[int, memoryview], list[int]], block_bytes: int) -> None:
        self._take = take
        self._block_bytes = block_bytes
        self._rest = bytearray()
        self._first = 0

    def take(self, offset: int, data: bytes) -> None:
        if offset == 0:
            self._rest.clear()
            self._first = 0
        self._rest += data
        self._pass_on(len(self._rest) // self._block_bytes * self._block_bytes)

    def end(self) -> None:
        self._pass_on(len(self._rest))

    def _pass_on(self, size: int) -> None:
        if size:
            self._take(self._first, memoryview(bytes(self._rest[:size])))
            self._first += -(-size // self._block_bytes)
            del self._rest[:size]


def _runs(blocks: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """The runs of consecutive blocks, of at most ``most`` each: the first block, and the one after the last."""
    starts = np.flatnonzero(np.diff(blocks, prepend=blocks[:1] - 2) != 1)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(blocks)], strict=True):
        first, last = int(blocks[start]), int(blocks[stop - 1])
        for begin in range(first, last + 1, most):
            yield begin, min(begin + most, last + 1)


def _between(first: int, stop: int, wrong: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The runs of blocks between those that are wrong."""
    for block in [*wrong, stop]:
        if first < block:
            yield first, block
        first = block + 1
