"""The order in which training reads a data set: a resumable function of (seed, epoch); does not need PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.wording import counted

if TYPE_CHECKING:
    from skelstore.read.ahead import FetchAhead

ClassProb: TypeAlias = Sequence[float] | Mapping[int, float]
"""How often the videos of each class are read per epoch, by label; 1 for a class that is not listed."""

_RUN_VIDEOS = 1024
"""Without shuffling, this number of videos is fetched ahead as a window is."""

_SETTINGS = ("seed", "samples", "shuffle", "window", "num_replicas", "drop_last", "class_prob")


class EpochSampler:
    """Yields the positions of a data set, epoch by epoch, in an order that depends only on ``seed`` and the epoch.

    For DataLoader(sampler=…). ``dataset`` needs a length. If it has a ``class_prob`` (see `resampled`), it also needs
    ``labels``. Call ``set_epoch`` before each epoch, as with PyTorch's DistributedSampler.

    - ``shuffle``: False reads the data set in its order.
    - ``window``: 0 shuffles the whole data set. Otherwise each ``window`` neighbouring shards form a window; windows
      come in random order, and each is shuffled within itself. A cold disk or a remote file system is then read a few
      files at a time. The data set needs ``shards``, as a ``SkeletonDataset`` has them. If it is at a URL, the coming
      windows are fetched into the cache, in threads of this process that end with the epoch.
    - ``rank``: each of ``num_replicas`` processes gets its own contiguous part of the order. With ``drop_last`` all
      parts have the same length, as DDP requires, and up to ``num_replicas - 1`` samples of the epoch are dropped.
      Without it, the first parts may be one sample longer, and none is dropped. No sample is repeated as padding.

    The order is the same with every version of NumPy. Memory: 8 bytes per sample of the epoch, in the main process.

    Raises ValueError if ``rank`` is not below ``num_replicas``, or if ``rank``, ``window`` or ``seed`` is below 0.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        seed: int = 0,
        shuffle: bool = True,
        window: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        drop_last: bool = True,
    ) -> None:
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"rank is {rank}, of {counted(num_replicas, 'process', 'processes')}: give 0 to {num_replicas - 1}"
            )
        if window < 0 or seed < 0:
            raise ValueError(f"window is {window} and seed is {seed}: give 0 or more")
        self.epoch = 0
        self._class_prob: ClassProb | None = getattr(dataset, "class_prob", None)
        self._labels = None if self._class_prob is None else np.asarray(dataset.labels)
        self._shards = np.asarray(dataset.shards) if window and shuffle else None
        self._fetch_ahead = getattr(dataset, "fetch_ahead", None) if window or not shuffle else None
        self._videos = len(dataset)
        self._rank = rank
        samples = len(self._samples(_random(seed, 0)))
        settings = seed, samples, shuffle, window, num_replicas, drop_last, _listed(self._class_prob)
        self._settings: dict[str, Any] = dict(zip(_SETTINGS, settings, strict=True))
        share, more = divmod(samples, num_replicas)
        more = 0 if drop_last else more
        self._first = rank * share + min(rank, more)
        self._length = share + (rank < more)
        self._start = self._taken = 0

    def __len__(self) -> int:
        """The number of samples of this process in a whole epoch."""
        return self._length

    def __iter__(self) -> Iterator[int]:
        self._taken, self._start = self._start, 0
        order = self._whole_order()
        mine = order[self._first : self._first + self._length][self._taken :]
        if self._fetch_ahead is None:
            return self._draw(mine)
        return self._draw_ahead(mine, self._starts(order, mine))

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process would fetch what is fetched already.
        return {**self.__dict__, "_fetch_ahead": None}

    def order(self) -> NDArray[np.int64]:
        """The positions of this process in the whole epoch, in the order in which they are read."""
        return self._whole_order()[self._first : self._first + self._length]

    def _whole_order(self) -> NDArray[np.int64]:
        """The positions of all processes."""
        random = _random(self._settings["seed"], self.epoch)
        positions = self._samples(random)
        if self._settings["shuffle"]:
            places = shuffled(random, len(positions), self._shards_of(positions), self._settings["window"])
            positions = positions[places]
        return positions

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; if it is the current one, keep the position that ``load_state_dict`` set."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._start = self._taken = 0

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """The position of the training, for ``load_state_dict``.

        ``taken`` is the number of samples of this epoch that training has used in this process. DataLoader's workers
        draw samples ahead, so pass it if there are workers: batches x batch size. Without it, all samples that were
        drawn count. Raises ValueError if it is below 0 or above the number of samples of the epoch.
        """
        taken = self._taken if taken is None else taken
        if not 0 <= taken <= self._length:
            raise ValueError(f"taken is {taken}: give 0 to {self._length}, the number of samples of an epoch")
        return {"epoch": self.epoch, "taken": taken, **self._settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was called, in this process or another process of the same training.

        Raises ValueError if that sampler had other settings or a data set of another size.
        """
        for name, mine in self._settings.items():
            if state.get(name) != mine:
                raise ValueError(
                    f"the state was saved with {name}={state.get(name)!r}, but this sampler has {mine!r}: make the "
                    "sampler with the same settings"
                )
        # The part of the process that saved the state may be one sample longer than the part of this process.
        self.epoch, self._start = int(state["epoch"]), min(int(state["taken"]), self._length)
        self._taken = self._start

    def _draw(self, order: NDArray[np.int64]) -> Iterator[int]:
        for position in order:
            self._taken += 1
            yield int(position)

    def _draw_ahead(self, order: NDArray[np.int64], starts: Sequence[int]) -> Iterator[int]:
        """``_draw``, while what comes next is fetched; threads run from the first sample to the last, or to the end of
        the iterator."""
        ahead: FetchAhead | None = None if self._fetch_ahead is None else self._fetch_ahead(order, starts)
        if ahead is None:
            yield from self._draw(order)
            return
        try:
            for position in self._draw(order):
                ahead.take()
                yield position
        finally:
            ahead.stop()

    def _starts(self, whole: NDArray[np.int64], order: NDArray[np.int64]) -> list[int]:
        """The places at which the windows of an order begin, which is a part of the whole one."""
        if self._shards is None:
            return list(range(0, len(order), _RUN_VIDEOS))
        numbers = np.unique(self._shards[whole])
        windows = numbers.searchsorted(self._shards[order]) // self._settings["window"]
        return [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist()]

    def _samples(self, random: np.random.RandomState) -> NDArray[np.int64]:
        if self._labels is None or self._class_prob is None:
            return np.arange(self._videos)
        return resampled(random, self._labels, self._class_prob)

    def _shards_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64] | None:
        return None if self._shards is None else self._shards[positions]


def resampled(
    random: np.random.RandomState, labels: NDArray[np.integer[Any]], class_prob: ClassProb
) -> NDArray[np.int64]:
    """The positions of an epoch with classes resampled like PYSKL's ClassSpecificDistributedSampler.

    Of a class with n videos and a ``class_prob`` of m, every video comes floor(m) times, and int((m % 1) * n) random
    videos come once more (pyskl/datasets/samplers/distributed_sampler.py). Classes are in the order of their first
    video.
    """
    multipliers = _by_label(class_prob)
    classes, first = np.unique(labels, return_index=True)
    drawn = [np.zeros(0, np.int64)]
    for label in classes[np.argsort(first)]:
        videos = np.flatnonzero(labels == label)
        multiplier = multipliers.get(int(label), 1)
        drawn += [videos] * int(multiplier // 1)
        drawn.append(videos[random.permutation(len(videos))[: int((multiplier % 1) * len(videos))]])
    return np.concatenate(drawn)


def _by_label(class_prob: ClassProb) -> Mapping[int, float]:
    return class_prob if isinstance(class_prob, Mapping) else dict(enumerate(class_prob))


def _listed(class_prob: ClassProb | None) -> list[list[float]] | None:
    """The labels and their multipliers in a form that JSON preserves."""
    if class_prob is None:
        return None
    return sorted([int(label), float(multiplier)] for label, multiplier in _by_label(class_prob).items())


def shuffled(
    random: np.random.RandomState, count: int, shards: NDArray[np.int64] | None = None, window: int = 0
) -> NDArray[np.int64]:
    """0 to ``count`` - 1 in random order; with ``shards`` [count], one window of ``window`` shards after another."""
    order: NDArray[np.int64] = random.permutation(count)
    if shards is None:
        return order
    numbers, shard = np.unique(shards, return_inverse=True)
    windows = -(-len(numbers) // window)
    turn = random.permutation(windows)  # the rank of each window in the order
    return order[np.argsort(turn[shard.reshape(-1) // window][order], kind="stable")]


def _random(seed: int, epoch: int) -> np.random.RandomState:
    # The streams of RandomState are frozen (NumPy's NEP 19); those of Generator may change.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch])))
