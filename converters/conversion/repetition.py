"""Reporting a repeated problem of a file in one message, however often it occurs."""

from __future__ import annotations

import re
from collections.abc import Iterable

_POSITION = re.compile(r"\[\d+\]|\b(?:line|row|byte|element) \d+")
_SHOWN = 3


def merge_repeats(problems: Iterable[str]) -> list[str]:
    """Merge problems that differ only in positions, lines, rows or bytes into the first of them, with a count.

    ``a.pkl[0]: no label (and 29 more like it: [1], [2], [3], …)``
    """
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(_POSITION.sub("#", problem), []).append(problem)
    return [first + _others(first, others) for first, *others in alike.values()]


def _others(first: str, others: list[str]) -> str:
    if not others:
        return ""
    places = ", ".join(_differing(first, other) for other in others[:_SHOWN])
    return f" (and {len(others):,} more like it: {places}{', …' if len(others) > _SHOWN else ''})"


def _differing(first: str, other: str) -> str:
    """The position in which a problem first differs from another."""
    pairs = zip(_POSITION.findall(first), _POSITION.findall(other), strict=True)
    return next((there for here, there in pairs if here != there), "the same")
