"""Fetching what is missing in copies of shards: plan, claim, request, check, write, and say that it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import numpy as np

from skelstore.errors import DamageError, StoreNotFoundError
from skelstore.format.checksums import crc32c
from skelstore.format.codecs import CRC_BYTES
from skelstore.format.partial_files import EvictedError
from skelstore.format.shards import DIGEST_BYTES, Shard
from skelstore.remote.batches import Batched, run_batch
from skelstore.remote.copies import ShardCopy
from skelstore.remote.locks import Patience, try_lock, unlock
from skelstore.remote.ranges import plan_requests
from skelstore.remote.service import Part, Service
from skelstore.wording import counted

_LONGEST_PAUSE = 0.02
"""Seconds between looks at what somebody else is fetching, at most."""

_SHARDS_AT_ONCE = 128
"""Maximum number of copies that are open for writing."""

_CRC_OF_INTACT = crc32c(bytes(CRC_BYTES))
"""The crc32c of any bytes that are followed by their own crc32c (here of none, whose crc32c is 0)."""

_RENEWALS = 5
"""How often a copy that is evicted while it is filled is made anew."""


class Fetcher:
    """Fills the copies of the shards of one store.

    ``refuse_replaced`` raises StoreReplacedError if the store was replaced. ``whole``: the server ignores ranges, so
    shards are fetched whole.
    """

    def __init__(self, service: Service, refuse_replaced: Callable[[], None]) -> None:
        self._service = service
        self._refuse_replaced = refuse_replaced
        self.whole = False

    def provide_indexes(self, copies: Sequence[ShardCopy]) -> None:
        """Fetch the indexes that are missing in copies, all at once. Raises as ``provide`` does."""
        for start in range(0, len(copies), _SHARDS_AT_ONCE):
            group = copies[start : start + _SHARDS_AT_ONCE]
            self._claim_and_fetch([(copy, partial(self._claim_index, copy)) for copy in group], run_batch)

    def provide(self, wanted: Iterable[tuple[Shard, int, int]]) -> None:
        """Fetch chunks (shard, first, last + 1) that are missing, all at once.

        Those that another process or thread is fetching are waited for.
        Afterwards ``shard.present`` has all of them. A copy that was evicted is replaced by a new one.
        Raises DamageError, with URL and key, if what arrives is not what the manifest names, StoreReplacedError if the
        store was replaced, and RemoteError.
        """
        groups = _by_shard(wanted)
        for start in range(0, len(groups), _SHARDS_AT_ONCE):
            group = groups[start : start + _SHARDS_AT_ONCE]
            for attempt in range(_RENEWALS):
                copies = [(copy_of(shard), partial(self._claim_chunks, shard, chunks)) for shard, chunks in group]
                try:
                    self._claim_and_fetch(copies, run_batch)
                    break
                except EvictedError:
                    if attempt == _RENEWALS - 1:
                        raise
                    for shard, _ in group:
                        renew_if_evicted(shard)

    def provide_ahead(self, wanted: Iterable[tuple[Shard, int, int]], goes_on: Callable[[], bool]) -> None:
        """Fetch chunks that are missing, by one request after another in this thread, while ``goes_on()``.

        All that nobody is fetching are claimed first, so that readers wait for them.
        Raises as ``provide`` does, and EvictedError if a copy is evicted.
        """

        def run(jobs: Sequence[Batched]) -> None:
            for job in jobs:
                if goes_on():
                    job.call()

        groups = _by_shard(wanted)
        for shard, _ in groups:
            renew_if_evicted(shard)
        copies = [(copy_of(shard), partial(self._claim_chunks, shard, chunks)) for shard, chunks in groups]
        self._claim_and_fetch(copies, run, goes_on)

    def _claim_and_fetch(
        self,
        copies: Sequence[tuple[ShardCopy, Callable[..., Any]]],
        run: Callable[[Sequence[Batched]], None],
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Let each copy claim what it lacks, fetch that, and repeat until nothing is missing.

        Nothing is waited for while a claim is held, so processes cannot wait for each other.
        """
        patience = Patience(_LONGEST_PAUSE)
        with ExitStack() as stack:
            opened = [(stack.enter_context(copy.writable()), claim) for copy, claim in copies]
            while goes_on():
                jobs: list[Batched] = []
                held = False
                for fd, claim in opened:
                    more, others = claim(fd, patience.is_over)
                    jobs += more
                    held |= others
                if jobs:
                    run(jobs)
                    patience.restart()
                elif held:
                    patience.wait(sum(copy.present.count(1) for copy, _ in copies))
                else:
                    return

    def _claim_index(self, copy: ShardCopy, fd: int, impatient: bool) -> tuple[list[Batched], bool]:
        copy.refresh(fd)
        if copy.indexed:
            return [], False
        start = 0 if self.whole else max(copy.shard_size - copy.tail, 0)
        if not try_lock(fd, start, copy.shard_size) and not impatient:
            return [], True
        copy.refresh(fd)
        if copy.indexed:
            unlock(fd, start, copy.shard_size)
            return [], False
        fetch = self._fetch_whole if self.whole else self._fetch_index
        return [self._batched(partial(fetch, copy, fd), copy, start, copy.shard_size)], False

    def _claim_chunks(
        self, shard: Shard, spans: Sequence[tuple[int, int]], fd: int, impatient: bool
    ) -> tuple[list[Batched], bool]:
        """The requests for missing chunks that nobody else is fetching, and whether somebody fetches others."""
        copy, bounds = copy_of(shard), shard.bounds
        copy.refresh(fd)
        missing = _missing(copy.present, spans)
        if not missing:
            return [], False
        held = False
        claimed: list[tuple[int, int]] = []
        requests = [(0, len(shard.checked))] if self.whole else plan_requests(bounds, missing, copy.present)
        for first, stop in requests:
            if try_lock(fd, bounds[first], bounds[stop]) or impatient:
                claimed.append((first, stop))
            else:
                held = True
        copy.refresh(fd)
        jobs: list[Batched] = []
        still = set(_missing(copy.present, spans))
        for first, stop in claimed:
            needed = still.intersection(range(first, stop))
            partly = not self.whole and copy.present.find(1, first, stop) >= 0
            if not needed or partly:  # somebody has fetched chunks of it meanwhile, so the rest is planned again
                unlock(fd, bounds[first], bounds[stop])
                held |= partly
            else:
                fetch_chunks = partial(self._fetch_chunks, shard, fd, first, stop, needed)
                fetch = partial(self._fetch_whole, copy, fd) if self.whole else fetch_chunks
                jobs.append(self._batched(fetch, copy, bounds[first], bounds[stop]))
        return jobs, held

    def _batched(self, call: Callable[[], None], copy: ShardCopy, start: int, stop: int) -> Batched:
        """A call that first requests bytes of a shard, or all of it."""
        return Batched(call, None if self.whole else partial(self._service.first_request, copy.key, start, stop))

    def _fetch_chunks(self, shard: Shard, fd: int, first: int, stop: int, needed: set[int]) -> None:
        """Fetch a run of chunks by one request; if a needed one is wrong, once more past the caches on the way."""
        copy, bounds = copy_of(shard), shard.bounds
        start, end = bounds[first], bounds[stop]
        wrong: list[int] = []
        for fresh in (False, True):
            part = self._read(copy, fd, start, end, fresh)
            if part.data is None:
                return
            if len(part.data) != end - start or not self._is_same_version(copy, fd, part.version):
                wrong = sorted(needed)
                continue
            wrong = wrong_chunks(memoryview(part.data), bounds, first, stop)
            copy.write(fd, start, part.data)
            for run in _runs_without(first, stop, wrong):
                copy.mark(fd, *run)
            copy.cache.count_written(end - start)
            if needed.isdisjoint(wrong):
                unlock(fd, start, end)
                return
        self._refuse_replaced()
        chunk = next(chunk for chunk in wrong if chunk in needed)
        raise DamageError(
            f"{copy.path}: chunk {chunk} is damaged (its crc32c does not match its bytes, also when they are fetched "
            "again), so the store has to be published again"
        )

    def _fetch_index(self, copy: ShardCopy, fd: int) -> None:
        """Fetch the digest and the index of a shard."""
        start = copy.shard_size - copy.tail
        if start < 0:
            raise DamageError(
                f"{copy.path} has {counted(copy.shard_size, 'byte')} by the manifest, fewer than its index needs"
            )
        trouble = ""
        for fresh in (False, True):
            part = self._read(copy, fd, start, copy.shard_size, fresh)
            if part.data is None:
                return
            trouble = _trouble_of_tail(part.data, copy)
            if not trouble:
                copy.write(fd, start, part.data)
                copy.set_version(fd, part.version)
                copy.mark_index(fd)
                copy.cache.count_written(len(part.data))
                unlock(fd, start, copy.shard_size)
                return
        self._refuse_replaced()
        raise DamageError(f"{copy.path}: {trouble}, so the store has to be published again")

    def _is_same_version(self, copy: ShardCopy, fd: int, version: str) -> bool:
        """Whether bytes that came with a version are of the shard that the manifest names.

        If the version is not the one that came with the digest, or there is none, the digest is fetched again: a file
        that was written again, or comes from another server, has another version and the same digest.
        """
        if version and version == copy.version:
            return True
        start = copy.shard_size - copy.tail
        part = self._read(copy, fd, start, start + DIGEST_BYTES, True)
        if part.data is None:
            return False
        if part.data.hex() != copy.expected.digest:
            self._refuse_replaced()
            raise DamageError(
                f"{copy.path} is not the shard that the manifest names: the store was changed, so publish it again"
            )
        copy.set_version(fd, part.version)
        return part.version == version

    def _read(self, copy: ShardCopy, fd: int, start: int, stop: int, fresh: bool) -> Part:
        """Bytes of the remote shard; if the server sends all of them, they are in the copy afterwards."""
        whole = _Whole(copy, fd)
        part = self._call(copy, lambda: self._service.read_range(copy.key, start, stop, whole.take, fresh=fresh))
        if part.data is None:
            self.whole = True
            self._end_whole(whole, part)
        elif part.total != copy.shard_size:
            self._refuse_size(copy, part.total)
        return part

    def _fetch_whole(self, copy: ShardCopy, fd: int) -> None:
        whole = _Whole(copy, fd)
        part = self._call(copy, lambda: self._service.read_all(copy.key, whole.take))
        self._end_whole(whole, part)
        unlock(fd, 0, copy.shard_size)

    def _end_whole(self, whole: _Whole, part: Part) -> None:
        copy = whole.copy
        if part.total != copy.shard_size:
            self._refuse_size(copy, part.total)
        if whole.crc != copy.expected.crc32c:
            self._refuse_replaced()
            raise DamageError(
                f"{copy.path} is damaged (its checksum does not match the manifest), so the store has to be published "
                "again"
            )
        copy.set_version(whole.fd, part.version)
        copy.mark(whole.fd, 0, copy.chunks)
        copy.mark_index(whole.fd)
        copy.cache.count_written(part.total)

    def _call(self, copy: ShardCopy, call: Callable[[], Part]) -> Part:
        try:
            return call()
        except StoreNotFoundError as error:
            self._refuse_replaced()
            raise DamageError(f"{error}: the store has to be published again") from error

    def _refuse_size(self, copy: ShardCopy, size: int) -> None:
        self._refuse_replaced()
        raise DamageError(
            f"{copy.path} has {counted(size, 'byte')}; the manifest says {copy.shard_size:,}: it was cut short or "
            "replaced, so the store has to be published again"
        )


class _Whole:
    """Writes a shard that arrives from its first byte to its last, and computes its checksum."""

    def __init__(self, copy: ShardCopy, fd: int) -> None:
        self.copy = copy
        self.fd = fd
        self.crc = 0

    def take(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self.copy.shard_size:
            raise DamageError(f"{self.copy.path} has more bytes than the {self.copy.shard_size:,} of the manifest")
        self.crc = crc32c(data, self.crc if offset else 0)
        self.copy.write(self.fd, offset, data)


def copy_of(shard: Shard) -> ShardCopy:
    """The copy that a shard of a remote store is read from."""
    return cast(ShardCopy, shard.file)


def _by_shard(wanted: Iterable[tuple[Shard, int, int]]) -> list[tuple[Shard, list[tuple[int, int]]]]:
    """The chunks (first, last + 1) of each shard, without runs of which this process knows that they are there."""
    groups: dict[int, tuple[Shard, list[tuple[int, int]]]] = {}
    for shard, first, stop in wanted:
        stop = min(stop, len(shard.checked))
        if shard.present is not None and shard.present.find(0, first, stop) >= 0:
            groups.setdefault(id(shard), (shard, []))[1].append((first, stop))
    return list(groups.values())


def renew_if_evicted(shard: Shard) -> None:
    """Let a shard continue with a new copy if its copy is no longer in the cache."""
    try:
        with copy_of(shard).writable():
            return
    except EvictedError:
        shard.renew()


def wrong_chunks(data: memoryview, bounds: Sequence[int], first: int, stop: int) -> list[int]:
    """The chunks from ``first`` to ``stop`` whose crc32c does not match; ``data`` begins with the first of them."""
    begin, coded = bounds[first], np.frombuffer(data, np.uint8)
    return [
        chunk
        for chunk in range(first, stop)
        if crc32c(coded[bounds[chunk] - begin : bounds[chunk + 1] - begin]) != _CRC_OF_INTACT
    ]


def _trouble_of_tail(data: bytes, copy: ShardCopy) -> str:
    """What is wrong with the digest and the index of a shard; empty if they are those of the manifest."""
    if len(data) != copy.tail or crc32c(data[DIGEST_BYTES:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        return "the index of the shard is damaged"
    if data[:DIGEST_BYTES].hex() != copy.expected.digest:
        return "it is not the shard that the manifest names"
    return ""


def _missing(present: bytearray, spans: Iterable[tuple[int, int]]) -> list[int]:
    """The chunks of some spans that are not there, ascending, each once."""
    wanted = np.zeros(len(present), bool)
    for first, stop in spans:
        wanted[first:stop] = True
    missing: list[int] = np.flatnonzero(wanted & (np.frombuffer(present, np.uint8) == 0)).tolist()
    return missing


def _runs_without(first: int, stop: int, wrong: Sequence[int]) -> Iterable[tuple[int, int]]:
    """The runs of chunks between those that are wrong."""
    for chunk in [*wrong, stop]:
        if first < chunk:
            yield first, chunk
        first = chunk + 1
