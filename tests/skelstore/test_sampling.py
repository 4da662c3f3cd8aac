"""The sampler: a partition of the data set for every seed, epoch and number of processes; it resumes anywhere."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore.sampling import EpochSampler, resampled, shuffled


class Videos:
    """The part of a data set that a sampler uses."""

    def __init__(self, count: int, **more: Any) -> None:
        self.count = count
        self.__dict__.update(more)

    def __len__(self) -> int:
        return self.count


@given(
    count=st.integers(0, 60),
    ranks=st.integers(1, 7),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    shards=st.one_of(st.none(), st.integers(1, 9)),
)
def test_ranks_have_the_data_set_without_overlap(
    count: int, ranks: int, seed: int, epoch: int, shuffle: bool, drop_last: bool, shards: int | None
) -> None:
    videos = Videos(count, shards=np.arange(count) // (shards or 1))
    options: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "drop_last": drop_last, "num_replicas": ranks}
    if shards is not None:
        options["window"] = 2
    read: list[int] = []
    lengths = []
    for rank in range(ranks):
        sampler = EpochSampler(videos, rank=rank, **options)
        sampler.set_epoch(epoch)
        mine = list(sampler)
        assert len(mine) == len(sampler)
        assert all(type(position) is int for position in mine)
        assert list(sampler) == mine  # the same epoch again
        read += mine
        lengths.append(len(mine))
    assert len(set(read)) == len(read)
    assert set(read) <= set(range(count))
    assert len(read) == (count // ranks * ranks if drop_last else count)
    assert max(lengths) - min(lengths) <= (0 if drop_last else 1)
    if not shuffle:
        assert read == sorted(read)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    orders = set()
    for seed in range(5):
        sampler = EpochSampler(Videos(50), seed=seed)
        for epoch in (4, 0, 2):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
            fresh = EpochSampler(Videos(50), seed=seed)
            fresh.set_epoch(epoch)
            assert tuple(fresh) == tuple(sampler)
    assert len(orders) == 15


def test_the_orders_are_those_of_every_numpy() -> None:
    """Pinned: a change of these orders changes every training."""
    sampler = EpochSampler(Videos(10), seed=7)
    found = {0: list(sampler)}
    sampler.set_epoch(3)
    found[3] = list(sampler)
    windowed = EpochSampler(Videos(10, shards=[0, 0, 0, 1, 1, 4, 4, 9, 9, 9]), seed=7, window=2)
    assert found == GOLDEN
    assert list(windowed) == GOLDEN_WINDOWS


GOLDEN = {0: [4, 5, 9, 8, 1, 7, 6, 0, 2, 3], 3: [5, 4, 9, 2, 7, 1, 0, 8, 3, 6]}
GOLDEN_WINDOWS = [5, 9, 8, 7, 6, 4, 1, 0, 2, 3]


@given(count=st.integers(0, 80), window=st.integers(1, 5), videos_a_shard=st.integers(1, 20), seed=st.integers(0, 9))
def test_windows_are_read_in_sequence(count: int, window: int, videos_a_shard: int, seed: int) -> None:
    shards = np.arange(count) // videos_a_shard
    # As in a view: not in the order of the store.
    shards = np.random.default_rng(seed).permutation(shards)
    order = shuffled(np.random.RandomState(seed), count, shards, window)
    assert sorted(order.tolist()) == list(range(count))
    windows = (shards[order] // window).tolist()
    runs = [number for i, number in enumerate(windows) if i == 0 or windows[i - 1] != number]
    assert len(runs) == len(set(runs))  # no window is read twice


def test_windows_are_shuffled_and_so_are_their_videos() -> None:
    sampler = EpochSampler(Videos(1000, shards=np.arange(1000) // 50), window=4)
    orders = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert len({tuple(position // 200 for position in order[::200]) for order in orders}) > 1
    for order in orders:
        first = order[:200]
        assert {position // 200 for position in first} == {first[0] // 200}
        assert first != sorted(first)


# --- resuming -----------------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 3), st.data())
@settings(max_examples=60)
def test_resumes_in_the_middle_of_an_epoch(count: int, ranks: int, data: Any) -> None:
    rank = data.draw(st.integers(0, ranks - 1))
    epoch = data.draw(st.integers(0, 3))

    def make() -> EpochSampler:
        return EpochSampler(Videos(count), seed=5, rank=rank, num_replicas=ranks)

    sampler = make()
    sampler.set_epoch(epoch)
    whole = list(sampler)
    taken = data.draw(st.integers(0, len(whole)))
    iterator = iter(sampler)
    assert [next(iterator) for _ in range(taken)] == whole[:taken]
    # A worker that is ahead does not matter if the training states what it has received.
    ahead = data.draw(st.integers(0, len(whole) - taken))
    state = sampler.state_dict() if data.draw(st.booleans()) else None
    for _ in range(ahead):
        next(iterator)
    state = json.loads(json.dumps(state or sampler.state_dict(taken)))
    resumed = make()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    resumed.set_epoch(epoch)  # the training loop begins with the epoch that it was in
    assert list(resumed) == whole[taken:]
    sampler.set_epoch(epoch + 1)
    resumed.set_epoch(epoch + 1)
    assert list(resumed) == list(sampler)
    assert len(resumed) == len(whole)


def test_an_epoch_after_a_resumed_one_is_complete() -> None:
    sampler = EpochSampler(Videos(10))
    sampler.load_state_dict({**sampler.state_dict(), "taken": 7})
    assert len(list(sampler)) == 3
    assert len(list(sampler)) == 10


def test_the_end_of_a_longer_run_is_the_end_of_a_shorter_one() -> None:
    first, second = (EpochSampler(Videos(7), rank=rank, num_replicas=2, drop_last=False) for rank in range(2))
    assert (len(list(first)), len(second)) == (4, 3)
    second.load_state_dict(first.state_dict())
    assert second.state_dict()["taken"] == 3
    assert list(second) == []


@pytest.mark.parametrize("class_prob", [[1, 2.5], {np.int64(1): np.float32(2.5), 0: 1}])
def test_a_state_with_class_prob_is_json(class_prob: Any) -> None:
    videos = Videos(2, labels=[0, 1], class_prob=class_prob)
    state = json.loads(json.dumps(EpochSampler(videos).state_dict(2)))
    sampler = EpochSampler(Videos(2, labels=[0, 1], class_prob=[1, 2.5]))
    sampler.load_state_dict(state)
    assert sampler.state_dict() == state


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (EpochSampler(Videos(11)), "samples=11, but this sampler has 10"),
        (EpochSampler(Videos(10), seed=1), "seed=1"),
        (EpochSampler(Videos(20), num_replicas=2), "samples=20"),
        (EpochSampler(Videos(10), shuffle=False), "shuffle=False"),
        (EpochSampler(Videos(10, shards=[0] * 10), window=2), "window=2"),
        (EpochSampler(Videos(10, labels=[0] * 10, class_prob=[1])), r"class_prob=\[\[0, 1\.0\]\], .* has None"),
    ],
)
def test_a_state_of_another_training_is_refused(other: EpochSampler, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        EpochSampler(Videos(10)).load_state_dict(other.state_dict())


def test_invalid_arguments_are_refused() -> None:
    for options in ({"rank": 2, "num_replicas": 2}, {"rank": -1}, {"window": -1}, {"seed": -1}):
        with pytest.raises(ValueError, match="give 0"):
            EpochSampler(Videos(3), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="taken is 4"):
        EpochSampler(Videos(3)).state_dict(4)


# --- resampling ---------------------------------------------------------------------------------------------


def counts_of_pyskl(labels: list[int], class_prob: dict[int, float]) -> tuple[Counter[int], dict[int, int]]:
    """How often PYSKL reads each video at least, and how many of each class one more time."""
    least: Counter[int] = Counter()
    more: dict[int, int] = {}
    for label in set(labels):
        videos = [i for i, other in enumerate(labels) if other == label]
        multiplier = class_prob.get(label, 1)
        for video in videos:
            least[video] = int(multiplier // 1)
        more[label] = int((multiplier % 1) * len(videos))
    return least, more


@given(
    st.lists(st.integers(0, 4), max_size=40),
    st.dictionaries(st.integers(0, 4), st.floats(0, 4, allow_nan=False)),
    st.integers(0, 5),
)
def test_classes_are_read_as_often_as_in_pyskl(labels: list[int], class_prob: dict[int, float], seed: int) -> None:
    found = Counter(resampled(np.random.RandomState(seed), np.array(labels, np.int64), class_prob).tolist())
    least, more = counts_of_pyskl(labels, class_prob)
    extra: Counter[int] = Counter()
    for video, label in enumerate(labels):
        assert found[video] - least[video] in (0, 1)
        extra[label] += found[video] - least[video]
    assert {label: extra[label] for label in more} == more


def test_the_sampler_takes_class_prob_from_the_data_set() -> None:
    videos = Videos(6, labels=np.array([0, 0, 0, 0, 1, 1]), class_prob=[1, 2.5])
    sampler = EpochSampler(videos)
    drawn = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        epoch_of = Counter(sampler)
        assert [epoch_of[i] for i in range(4)] == [1] * 4
        assert sorted([epoch_of[4], epoch_of[5]]) == [2, 3]
        drawn.append(epoch_of[4])
    assert len(sampler) == 9
    assert set(drawn) == {2, 3}
    halves = [EpochSampler(videos, rank=rank, num_replicas=2, drop_last=False) for rank in range(2)]
    sampler.set_epoch(0)
    assert [*halves[0], *halves[1]] == list(sampler)
