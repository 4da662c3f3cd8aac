"""How rows are divided into chunks, shards and parts: arithmetic only, no I/O.

An array of a store is ``[rows, *trailing]``: the rows of its videos, stored contiguously. Rows are grouped into
chunks (the unit of decoding) and chunks into shards (one file each).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from skelstore.format.codecs import Profile

PART_BYTES = 64 << 20
"""Array bytes of a part, before encoding: large enough that a data set is hundreds of files, not millions."""

LAST_PIECES = 4
"""Maximum number of pieces into which the last one or two parts are cut."""

PLAIN_VIDEO_BYTES = 1 << 10
"""Limit on a video's bytes in an array of one number per row (``frame_inds``, ``box_score``). Below it, the profile
``default`` does not compress the array: calling the codec costs more than reading it, and it is a few percent of the
data."""

RARE_SHARD_BYTES = 4 << 20
RARE_VIDEO_BYTES = 32 << 10
"""Assumed sizes for an array that no video had when the store was planned."""

CHUNK_CALL_BYTES = 1 << 10
"""Bytes that can be decoded in the time of the fixed cost of one codec call: about 0.1 KiB if compiled code calls
blosc, 10 KiB if Python does. This is the geometric mean: each reader takes a few percent more than with chunks of its
own."""

CHUNK_BYTES_MIN = 4 << 10
"""Smaller chunks compress clearly worse, and take longer to write."""

CHUNK_BYTES_MAX = 64 << 10
CHUNK_BYTES_SMALL = 16 << 10
"""Minimum chunk size of the profile ``small``: chunks of 64 KiB are at most a hundredth smaller and decode in twice
the time."""

CHUNK_BYTES_PLAIN = 8 << 10
"""Bytes of a chunk that is not compressed. Slices of it can be read, but its checksum needs the whole chunk, once: when
a video is first read, so are the rest of its first and of its last chunk."""


def chunk_bytes(profile: Profile, video_bytes: float) -> float:
    """Chunk size in bytes of an array in which a video has ``video_bytes`` on average.

    ``default`` minimises the time to read a video. A video of n bytes touches 1 + n / c chunks of c bytes. Each chunk
    costs one codec call, which takes as long as decoding k bytes, and the decoding of its c bytes. The sum
    (1 + n / c)(k + c) is smallest at c = √(n k). ``small`` has larger chunks, which compress better. ``fast`` decodes
    nothing, so its chunks do not depend on the videos.
    """
    if profile == "fast":
        return CHUNK_BYTES_PLAIN
    least = CHUNK_BYTES_SMALL if profile == "small" else CHUNK_BYTES_MIN
    return min(max(math.sqrt(video_bytes * CHUNK_CALL_BYTES), least), CHUNK_BYTES_MAX)


class Grid(NamedTuple):
    """Number of rows per chunk and per shard of one array."""

    chunk_rows: int
    shard_rows: int

    @classmethod
    def of_bytes(cls, row_bytes: int, chunk_bytes: float, part_rows: float) -> Grid:
        """A grid with chunks of about ``chunk_bytes`` bytes and shards of ``part_rows`` rows plus a quarter.

        So a part has one file per field. Each entry of a shard's index costs 16 bytes, used or not.
        """
        rows = max(1, round(chunk_bytes / row_bytes))
        rows = rows if rows < 16 else rows // 8 * 8  # bitshuffle processes groups of eight elements
        return cls(rows, max(1, -(-int(part_rows * 1.25) // rows)) * rows)


def aligned(rows: int, rows_of_shard: int) -> int:
    """The first row at or after ``rows`` at which a shard begins."""
    return -(-rows // rows_of_shard) * rows_of_shard


def part_offsets(rows_of_parts: Sequence[int], rows_of_shard: int) -> tuple[list[int], int]:
    """First row of each part after joining, each on a shard boundary, and the number of rows of the whole array."""
    offsets = []
    end = 0
    for rows in rows_of_parts:
        start = aligned(end, rows_of_shard) if rows else end
        offsets.append(start)
        end = start + rows
    return offsets, end


class ShardRun(NamedTuple):
    """Rows ``start`` to ``stop`` of shard ``shard``; they are the rows of the result from ``into`` on."""

    shard: int
    start: int
    stop: int
    into: int


def shard_runs(start: int, stop: int, rows_of_shard: int) -> Iterator[ShardRun]:
    """Divide the rows ``start`` to ``stop`` of an array into one run per shard."""
    into = 0
    while start < stop:
        shard, offset = divmod(start, rows_of_shard)
        end = min(rows_of_shard, offset + stop - start)
        yield ShardRun(shard, offset, end, into)
        into += end - offset
        start += end - offset


class ChunkSpan(NamedTuple):
    """The chunks ``first`` to ``stop`` of shard ``shard``."""

    shard: int
    first: int
    stop: int


def chunk_spans(start: int, count: int, chunk_rows: int, rows_of_shard: int) -> Iterator[ChunkSpan]:
    """The chunks that hold ``count`` rows of an array from the row ``start`` on, one span per shard."""
    for run in shard_runs(start, start + count, rows_of_shard):
        yield ChunkSpan(run.shard, run.start // chunk_rows, -(-run.stop // chunk_rows))


def plan_parts(sizes: Iterable[int], target: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut a sequence of items into parts of about ``target`` bytes and at most ``longest`` items: (first, last + 1).

    A part is yielded as soon as the next one is full, since it may take time to determine the sizes. The last one or
    two parts are cut into up to ``LAST_PIECES`` pieces, so that workers that write them in parallel finish at about the
    same time. Items that fit into one part stay in one piece. No piece has zero bytes unless ``longest`` requires it.
    """
    last: list[int] = []  # the sizes of the items from ``begin`` on, which are not yielded yet
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
            if (start, place) == (begin, first):  # the last full part is one piece; the rest fits into one part
                piece = target
            start, filled = place, 0
