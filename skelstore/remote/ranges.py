"""Which byte ranges of a shard are requested for the chunks that are missing: arithmetic only, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GAP_BYTES = 256 << 10
"""Up to this number of bytes between two chunks are fetched with them: at 100 Mbit/s they take 20 ms, less than a
request of its own mostly does. They are kept, so an epoch that needs them later does not fetch them again."""

REQUEST_BYTES = 1 << 20
"""Maximum size of a request, unless one chunk is larger. Larger runs of chunks are fetched by several requests at once,
of which each takes this much memory while it is verified."""


def plan_requests(
    bounds: Sequence[int],
    chunks: Iterable[int],
    present: bytes | bytearray = b"",
    *,
    gap: int = GAP_BYTES,
    most: int = REQUEST_BYTES,
) -> list[tuple[int, int]]:
    """Group chunks into requests: (first, last + 1) of each, ascending. Chunk c is ``bounds[c]`` to ``bounds[c + 1]``.

    ``chunks`` ascend, each once. A chunk joins the request before it if at most ``gap`` bytes lie between them, and the
    request then has at most ``most`` bytes. Chunks that are there (a byte of 1 in ``present``) are in none.
    """
    requests: list[tuple[int, int]] = []
    first = stop = -1  # of the request that is being made
    for chunk in chunks:
        if stop >= 0:
            near = chunk == stop or (bounds[chunk] - bounds[stop] <= gap and present.find(1, stop, chunk) < 0)
            if near and bounds[chunk + 1] - bounds[first] <= most:
                stop = chunk + 1
                continue
            requests.append((first, stop))
        first, stop = chunk, chunk + 1
    return [*requests, (first, stop)] if stop >= 0 else requests


def plan_pieces(size: int, *, most: int = REQUEST_BYTES) -> list[tuple[int, int]]:
    """The byte ranges by which a file is fetched as a whole."""
    return [(start, min(start + most, size)) for start in range(0, size, most)]
