"""Fetching into the cache what a training reads next, in threads beside it."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise, starmap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.read.arrays import ArrayReader
from skelstore.read.reader import Reader

LANES = 12
"""Threads that fetch, each by one request of at most 1 MiB at a time: so much is in memory, and enough is under way to
use 1,000 Mbit/s at a round-trip time of 60 ms."""

STRETCH_BYTES = 4 << 20
"""About how much a thread takes on at a time. Readers wait for what a thread has taken on."""


class Stretch(NamedTuple):
    """Videos that are close to each other in a store: their rows in its table, ascending, int64 [n].

    ``places`` [n] are their positions in the order in which they are read, ascending; ``sizes`` [n] has their bytes in
    that order. ``before`` is the row before them that is fetched with the stretch before, if there is one.
    """

    reader: Reader
    before: list[int]
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    sizes: NDArray[np.float64]

    def left(self, taken: int) -> float:
        """The bytes of the videos that are not among the first ``taken`` ones in order."""
        return float(self.sizes[self.places.searchsorted(taken) :].sum())


class Opening(NamedTuple):
    """A shard whose index is needed soon: a round trip that would have to be waited for later."""

    array: ArrayReader
    number: int


class FetchAhead:
    """Fetches what remote stores lack of an epoch's videos, in threads, ahead of those that the sampler has yielded.

    ``stores`` has the reader of each store of a data set and the rows of its videos; ``order`` [n] are positions in all
    of them together, in the order in which they are read, and ``starts`` the places in it at which windows begin.
    A window is fetched in the order of the files. Of videos that take more than ``largest`` bytes, nothing is fetched.

    At most ``StoreFiles.ahead_bytes`` are fetched that are not taken yet. Errors are left to the reader that needs the
    video. Threads end by ``stop``, at the end of the epoch and with the process. A child that was forked has none of
    them, and does nothing here.
    """

    def __init__(
        self,
        stores: Sequence[tuple[Reader, NDArray[np.int64]]],
        order: NDArray[np.int64],
        starts: Sequence[int],
        largest: float = math.inf,
    ) -> None:
        self._process = os.getpid()
        self._taken = 0
        self._stopped = False
        self._coming: deque[Stretch] = deque()
        self._openings: deque[Opening] = deque()
        self._seen: set[tuple[ArrayReader, int]] = set()
        self._fetched: list[Stretch] = []
        self._plan = plan_stretches(stores, order, starts, largest)
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._wake_at = math.inf
        for number in range(LANES):
            threading.Thread(target=self._run, name=f"skelstore-ahead-{number}", daemon=True).start()

    def take(self) -> None:
        """The next video of the order is about to be read."""
        self._taken += 1
        if self._taken >= self._wake_at and os.getpid() == self._process:
            self._wake_at = math.inf
            self._wake.set()

    def stop(self) -> None:
        """Let the threads end; requests that are under way are not waited for."""
        if os.getpid() == self._process:
            self._stopped = True
            self._wake.set()

    def _goes_on(self) -> bool:
        return not self._stopped

    def _run(self) -> None:
        """What a thread does. Nothing that fails here is reported: the reader of the video meets it, too."""
        try:
            while (task := self._next()) is not None:
                with suppress(Exception):
                    if isinstance(task, Opening):
                        task.array.shard(task.number)
                    else:
                        task.reader.gatherer.fetch_ahead(task.rows.tolist(), task.before, self._goes_on)
        except Exception:
            self._stopped = True

    def _next(self) -> Stretch | Opening | None:
        """The next shard to open, or stretch to fetch when there is room for it; None if there is no more."""
        with self._turn:
            while not self._stopped:
                while len(self._coming) <= LANES and (planned := next(self._plan, None)) is not None:
                    self._coming.append(planned)
                    unopened = planned.reader.gatherer.unopened(planned.rows.tolist())
                    self._openings += starmap(Opening, unopened - self._seen)
                    self._seen |= unopened
                if self._openings:
                    return self._openings.popleft()
                if not self._coming:
                    return None
                stretch, taken = self._coming[0], self._taken
                self._fetched = [one for one in self._fetched if one.places[-1] >= taken]
                room = stretch.reader.files.ahead_bytes() - sum(one.left(taken) for one in self._fetched)
                size = stretch.left(taken)
                if size and size <= room:
                    self._fetched.append(self._coming.popleft())
                    return stretch
                if size and self._fetched:
                    self._wait(taken + 1 + len(stretch.rows) // 4)
                    continue
                self._coming.popleft()  # it has been taken, or is too large
                if self._coming:
                    self._coming[0] = self._coming[0]._replace(before=[])
            return None

    def _wait(self, taken: int) -> None:
        """Wait until this number of videos has been taken, or for the end."""
        self._wake.clear()
        self._wake_at = taken
        if self._taken < taken and not self._stopped:
            self._wake.wait()


def plan_stretches(
    stores: Sequence[tuple[Reader, NDArray[np.int64]]],
    order: NDArray[np.int64],
    starts: Sequence[int],
    largest: float = math.inf,
) -> Iterator[Stretch]:
    """What is fetched for an order, one after another; the parameters are those of ``FetchAhead``.

    Videos that are in the cache when their window is planned are left out.
    """
    firsts = np.cumsum([0, *(len(rows) for _, rows in stores)])
    for begin, end in pairwise([*starts, len(order)]):
        for (reader, rows), first in zip(stores, firsts, strict=False):
            if not reader.files.ahead_bytes():
                continue
            positions = order[begin:end] - first
            mine = np.flatnonzero((positions >= 0) & (positions < len(rows)))
            mine = mine[reader.gatherer.lacking(rows[positions[mine]])]
            chosen = rows[positions[mine]]
            sizes = reader.gatherer.sizes(chosen.tolist())
            ascending = np.argsort(chosen, kind="stable")
            ascending = ascending[sizes[ascending] <= largest]
            behind = np.cumsum(sizes[ascending]) - sizes[ascending]
            cuts = np.flatnonzero(np.diff(behind // STRETCH_BYTES)) + 1
            before: list[int] = []
            for part in np.split(ascending, cuts):
                if len(part):
                    in_turn = np.sort(part)
                    yield Stretch(reader, before, chosen[part], begin + mine[in_turn], sizes[in_turn])
                    before = [int(chosen[part[-1]])]
