"""Words of messages."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 video``, ``2,000 videos``; ``many`` is the plural, if it is not with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
