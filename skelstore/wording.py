"""Text in messages: what comes from outside cannot act on a terminal, and cannot look like a line of ours."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from itertools import islice

_COMPARED_NAMES = 20_000
_CLOSE_NAMES = 50
_LONGEST_NAME = 200
"""Bounds of ``closest``: names that are looked at, names that are compared in full, and characters of a name."""


class Lines(str):
    """A text of several lines that we made: its newlines are ours, and each line is escaped."""

    __slots__ = ()


def escape(text: str) -> str:
    """The text on one line, with every character that ``repr`` escapes escaped in the same way.

    These are control characters, newlines and tabs among them, marks that turn the direction of text, invisible
    characters and lone surrogates. A text of ``Lines`` stays as it is.
    """
    if isinstance(text, Lines) or text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def join_lines(lines: Iterable[str]) -> Lines:
    """Several lines as one text; what is not printable in them is escaped."""
    return Lines("\n".join(map(escape, lines)))


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 video``, ``2,000 videos``; ``many`` is the plural, if it is not with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def closest(name: object, names: Iterable[object]) -> str:
    """The end of a message about a name that was not found: ``; did you mean 'a', 'b' or 'c'?``, or an empty text.

    At most 3 of ``names``, the closest first, upper and lower case being equal. What is not a str is passed over, so
    is a name of more than 200 characters, and so are all names after the first 20,000: the time is bounded (0.2 s).

    >>> closest("keypoints", ["keypoint", "label"])
    "; did you mean 'keypoint'?"
    """
    import heapq  # here, since whoever imports an error imports this module
    from difflib import get_close_matches

    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return ""
    wanted = name.casefold()
    known = {
        other.casefold(): str(other)
        for other in islice(names, _COMPARED_NAMES)
        if isinstance(other, str) and len(other) <= _LONGEST_NAME
    }
    likely = heapq.nlargest(_CLOSE_NAMES, known, key=lambda other: _shared_ends(wanted, other))
    found = [repr(known[other]) for other in get_close_matches(wanted, likely)]
    return f"; did you mean {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}?" if found else ""


def _shared_ends(one: str, other: str) -> int:
    """How alike two names look at their ends: characters in which those agree, less what ``other`` has besides."""
    ends = os.path.commonprefix((one, other)), os.path.commonprefix((one[::-1], other[::-1]))  # noqa: RUF071
    return 2 * sum(map(len, ends)) - len(other)
