"""Where rows lie: pure planning without I/O.

An array of a store is ``[rows, *trailing]``: its videos' rows one after the other. Rows are grouped into
chunks (the unit of decoding) and chunks into shards (a file). Everything here is arithmetic on those three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from skelstore.format.codecs import Profile

PART_BYTES = 64 << 20
"""Array bytes of a part, before coding: large enough that a data set is hundreds of files, not millions."""

LAST_PIECES = 4

PLAIN_VIDEO_BYTES = 1 << 10
"""Of one number a row (``frame_inds``, ``box_score``) a video has less than this: the profile ``default`` then stores
it as it is, since calling the codec costs more than reading it, and it is a few hundredths of the data."""

RARE_SHARD_BYTES = 4 << 20
RARE_VIDEO_BYTES = 32 << 10
"""Taken for an array that no video had when the store was planned."""

CHUNK_CALL_BYTES = 10 << 10
"""Bytes that are decoded in the time that one call of the codec costs whatever its size (about 3 us)."""

CHUNK_BYTES_MIN = 2 << 10
CHUNK_BYTES_MAX = 64 << 10
CHUNK_BYTES_PLAIN = 128 << 10
"""Of a chunk that is stored as it is: parts of it can be read, so it is only checked as a whole, once."""


def chunk_bytes(profile: Profile, video_bytes: float) -> float:
    """Bytes of a chunk of an array of which a video has ``video_bytes`` on average.

    ``default``: so that videos are read soonest. A video of n bytes touches 1 + n / c chunks of c bytes. Each costs a
    call, which is worth k bytes of decoding, and c bytes of decoding: (1 + n / c)(k + c) is least where c is the root
    of n k. ``small``: four times that, which compresses better. ``fast``: nothing is decoded, so it is large.
    """
    if profile == "fast":
        return CHUNK_BYTES_PLAIN
    soonest = math.sqrt(video_bytes * CHUNK_CALL_BYTES)
    return min(max(soonest * (4 if profile == "small" else 1), CHUNK_BYTES_MIN), CHUNK_BYTES_MAX)


class Grid(NamedTuple):
    """Rows of a chunk and of a shard of one array."""

    chunk_rows: int
    shard_rows: int

    @classmethod
    def of_bytes(cls, row_bytes: int, chunk_bytes: float, part_rows: float) -> Grid:
        """Chunks of about so many bytes; a shard takes a part's rows with a quarter to spare.

        So parts are one file a field. An entry in the index of a shard costs 16 bytes whether it is used or not.
        """
        rows = max(1, round(chunk_bytes / row_bytes))
        rows = rows if rows < 16 else rows // 8 * 8  # bitshuffle works on groups of eight elements
        return cls(rows, max(1, -(-int(part_rows * 1.25) // rows)) * rows)


def aligned(rows: int, rows_of_shard: int) -> int:
    """The first row at or after ``rows`` on which a shard begins."""
    return -(-rows // rows_of_shard) * rows_of_shard


def part_offsets(rows_of_parts: Sequence[int], rows_of_shard: int) -> tuple[list[int], int]:
    """First row of each part when parts are joined, each on a shard boundary, and the rows of the whole."""
    offsets = []
    end = 0
    for rows in rows_of_parts:
        start = aligned(end, rows_of_shard) if rows else end
        offsets.append(start)
        end = start + rows
    return offsets, end


class ShardRun(NamedTuple):
    """Rows ``start`` to ``stop`` of shard ``shard``, which are rows ``into`` onward of the result."""

    shard: int
    start: int
    stop: int
    into: int


def shard_runs(start: int, stop: int, rows_of_shard: int) -> Iterator[ShardRun]:
    """The pieces, shard by shard, of the rows ``start`` to ``stop`` of an array."""
    into = 0
    while start < stop:
        shard, offset = divmod(start, rows_of_shard)
        end = min(rows_of_shard, offset + stop - start)
        yield ShardRun(shard, offset, end, into)
        into += end - offset
        start += end - offset


def plan_parts(sizes: Iterable[int], target: int, longest: int) -> Iterator[tuple[int, int]]:
    """The parts of a run of items, each of about ``target`` bytes and at most ``longest`` items: (first, last + 1).

    A part is given as soon as the one after it is full, for the sizes may take their time to become known. The last one
    or two are given in up to ``LAST_PIECES`` pieces: who writes them side by side is done at about the same time then.
    What fits into one part stays in one piece, and no piece is without bytes unless ``longest`` asks for it.
    """
    last: list[int] = []  # the sizes of the items from ``begin`` on, of which no part is given
    begin = first = count = filled = 0
    for count, size in enumerate(sizes, 1):
        last.append(size)
        filled += size
        if filled >= target or count - first >= longest:
            if begin < first:
                yield begin, first
                del last[: first - begin]
                begin = first
            first, filled = count, 0
    remaining = sum(last)
    in_pieces = remaining > target
    piece = -(-remaining // LAST_PIECES) if in_pieces else target
    start, filled = begin, 0
    for place, size in enumerate(last, begin + 1):
        filled += size
        remaining -= size
        full = filled >= piece and (remaining > 0 or not in_pieces)
        if full or place - start >= longest or place == count:
            yield start, place
            if (start, place) == (begin, first):  # the last full part is a piece: what follows fits into one part
                piece = target
            start, filled = place, 0
