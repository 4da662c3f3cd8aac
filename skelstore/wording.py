"""Text in messages: what comes from outside cannot act on a terminal, and cannot look like a line of ours."""

from __future__ import annotations

from collections.abc import Iterable


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
