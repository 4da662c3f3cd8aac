"""Positions of rows, compared with brute force."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from skelstore.format import chunking
from skelstore.format.chunking import Grid, ShardRun
from skelstore.format.codecs import PROFILES, Profile

small = st.integers(0, 60)


@given(start=small, length=small, shard_rows=st.integers(1, 20))
def test_runs_are_the_rows_shard_by_shard(start: int, length: int, shard_rows: int) -> None:
    runs = list(chunking.shard_runs(start, start + length, shard_rows))
    rows = [run.shard * shard_rows + row for run in runs for row in range(run.start, run.stop)]
    assert rows == list(range(start, start + length))
    assert [run.into + i for run in runs for i in range(run.stop - run.start)] == list(range(length))
    assert all(0 <= run.start < run.stop <= shard_rows for run in runs)
    assert len({run.shard for run in runs}) == len(runs)


def test_runs_of_an_example() -> None:
    assert list(chunking.shard_runs(8, 25, 10)) == [ShardRun(0, 8, 10, 0), ShardRun(1, 0, 10, 2), ShardRun(2, 0, 5, 12)]
    assert list(chunking.shard_runs(5, 5, 10)) == []


@given(rows=st.integers(0, 10**12), shard_rows=st.integers(1, 10**6))
def test_aligned_is_the_next_shard_boundary(rows: int, shard_rows: int) -> None:
    found = chunking.aligned(rows, shard_rows)
    assert found % shard_rows == 0
    assert rows <= found < rows + shard_rows


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 20))
def test_parts_begin_on_shard_boundaries_and_share_no_shard(rows_of_parts: list[int], shard_rows: int) -> None:
    offsets, total = chunking.part_offsets(rows_of_parts, shard_rows)
    taken: set[int] = set()
    last = 0
    for offset, rows in zip(offsets, rows_of_parts, strict=True):
        assert offset >= last
        if not rows:
            continue
        assert offset % shard_rows == 0
        assert offset - last < shard_rows, "a whole shard is skipped"
        shards = {row // shard_rows for row in range(offset, offset + rows)}
        assert not shards & taken, "two parts write one shard"
        taken |= shards
        last = offset + rows
    assert total == last
    assert len(offsets) == len(rows_of_parts)
    assert taken == set(range(-(-total // shard_rows)))


def full_parts(sizes: list[int], target: int, longest: int) -> list[tuple[int, int]]:
    """Parts in sequence, each ended as soon as it is full; the last one may not be full."""
    parts = []
    first = 0
    for stop in range(1, len(sizes) + 1):
        if sum(sizes[first:stop]) >= target or stop - first == longest or stop == len(sizes):
            parts.append((first, stop))
            first = stop
    return parts


@given(st.lists(small, max_size=40), st.integers(1, 100), st.integers(1, 8))
@example([2, 1, 0], 2, 3)
@example([8, 2, 2, 2], 8, 8)
@example([1, 1, 1, 1, 0], 3, 8)
@example([1, 1, 1, 9, 0], 3, 8)
def test_a_plan_is_a_partition_into_parts_of_the_requested_size(sizes: list[int], target: int, longest: int) -> None:
    parts = list(chunking.plan_parts(iter(sizes), target, longest))
    assert [i for first, stop in parts for i in range(first, stop)] == list(range(len(sizes)))
    assert all(0 < stop - first <= longest for first, stop in parts)
    full = full_parts(sizes, target, longest)
    alike = [one == other for one, other in zip(full, parts, strict=False)]
    whole = alike.index(False) if False in alike else len(alike)
    last = sizes[full[whole][0] :] if whole < len(full) else []
    assert len(full) - whole <= 2, "more than the last two are divided"
    assert sum(last) == 0 or sum(last) > target or len(last) >= longest, "videos that fit into one part are divided"
    for first, stop in parts[whole:-1]:
        assert sum(sizes[first:stop]) * chunking.LAST_PIECES >= sum(last) or stop - first == longest
    for first, stop in parts[whole:]:
        while stop > first + 1 and sizes[stop - 1] == 0:  # items without bytes join the piece before them
            stop -= 1
        assert (sum(sizes[first : stop - 1]) - 1) * chunking.LAST_PIECES < sum(last)
    if len(last) < longest:
        assert len(parts) - whole <= chunking.LAST_PIECES


@given(st.lists(small, max_size=40), st.integers(1, 100), st.integers(1, 8))
def test_a_part_is_planned_as_soon_as_the_next_one_is_full(sizes: list[int], target: int, longest: int) -> None:
    """A conversion can begin with the parts of a source that is still being indexed."""
    taken = 0

    def slowly() -> Iterator[int]:
        nonlocal taken
        for taken, size in enumerate(sizes, 1):  # noqa: B007
            yield size
        taken = len(sizes) + 1

    full = full_parts(sizes, target, longest)
    for number, part in enumerate(chunking.plan_parts(slowly(), target, longest)):
        if taken <= len(sizes):
            assert part == full[number]
            assert taken == full[number + 1][1]


def test_a_cut_of_an_example() -> None:
    assert list(chunking.plan_parts([1, 9, 5, 5, 20, 1], 10, 100)) == [(0, 2), (2, 4), (4, 5), (5, 6)]
    assert list(chunking.plan_parts([5] * 7, 10, 100)) == [(0, 2), (2, 4), (4, 5), (5, 6), (6, 7)]
    assert list(chunking.plan_parts([1] * 35, 10, 100)) == [(0, 10), (10, 20), (20, 24), (24, 28), (28, 32), (32, 35)]
    assert list(chunking.plan_parts([1] * 10, 10, 100)) == [(0, 10)]
    assert list(chunking.plan_parts([0] * 5, 10, 2)) == [(0, 2), (2, 4), (4, 5)]
    assert list(chunking.plan_parts([], 10, 2)) == []
    assert list(chunking.plan_parts([2, 1, 0], 2, 3)) == [(0, 1), (1, 3)]
    assert list(chunking.plan_parts([8, 2, 2, 2], 8, 8)) == [(0, 1), (1, 4)]
    assert list(chunking.plan_parts([1, 1, 1, 1, 0], 3, 8)) == [(0, 1), (1, 2), (2, 3), (3, 5)]


@given(
    row_bytes=st.integers(1, 1 << 20),
    chunk_bytes=st.floats(chunking.CHUNK_BYTES_MIN, chunking.CHUNK_BYTES_MAX),
    part_rows=st.floats(0, 1e9),
)
def test_a_grid_has_whole_chunks_in_a_shard_and_a_part_in_a_shard(
    row_bytes: int, chunk_bytes: float, part_rows: float
) -> None:
    chunk_rows, shard_rows = Grid.of_bytes(row_bytes, chunk_bytes, part_rows)
    assert chunk_rows >= 1
    assert shard_rows % chunk_rows == 0
    assert shard_rows >= max(int(part_rows * 1.25), chunk_rows)
    assert shard_rows < int(part_rows * 1.25) + 1 + chunk_rows
    assert chunk_rows < 16 or chunk_rows % 8 == 0, "bitshuffle leaves a remainder of rows"
    if chunk_rows > 1:
        assert chunk_bytes / 2 <= chunk_rows * row_bytes <= chunk_bytes * 1.5


@given(video_bytes=st.floats(0, 1e12))
def test_a_chunk_of_the_default_profile_is_of_the_size_that_costs_least(video_bytes: float) -> None:
    def cost(size: float) -> float:
        return (1 + video_bytes / size) * (chunking.CHUNK_CALL_BYTES + size)

    found = chunking.chunk_bytes("default", video_bytes)
    assert chunking.CHUNK_BYTES_MIN <= found <= chunking.CHUNK_BYTES_MAX
    sizes = [
        chunking.CHUNK_BYTES_MIN * (chunking.CHUNK_BYTES_MAX / chunking.CHUNK_BYTES_MIN) ** (i / 50) for i in range(51)
    ]
    assert cost(found) <= min(map(cost, sizes)) * (1 + 1e-9)


@given(first=st.floats(0, 1e12), second=st.floats(0, 1e12), profile=st.sampled_from(PROFILES))
def test_larger_videos_have_chunks_at_least_as_large(first: float, second: float, profile: Profile) -> None:
    small, large = sorted((first, second))
    assert chunking.chunk_bytes(profile, small) <= chunking.chunk_bytes(profile, large)
    assert chunking.chunk_bytes("default", small) <= chunking.chunk_bytes("small", small) <= chunking.CHUNK_BYTES_MAX
    assert chunking.chunk_bytes("small", small) >= chunking.CHUNK_BYTES_SMALL
