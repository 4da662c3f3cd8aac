"""The wording of messages: values, kinds of values, counts, lists of names, text from untrusted sources.

Untrusted text can neither control a terminal nor imitate a line of a message.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

_LONGEST = 120
"""Maximum number of characters of one value in a message."""
_MOST_ITEMS = 8
"""Maximum number of items of one list or tuple in a message."""
_LARGE = 1 << 64
_BRACKETS: dict[type, str] = {list: "[…]", tuple: "(…)"}

COMPARED_NAMES = 20_000
"""Maximum number of names that ``closest`` considers."""

_CLOSE_NAMES = 50
_LONGEST_NAME = 200
"""Bounds of ``closest``: number of names that are compared in full, and number of characters of a name."""


class Lines(str):
    """A text of several lines from ``join_lines``: its newlines are intended, and each line is already escaped."""

    __slots__ = ()


def escape(text: str) -> str:
    """The text on one line, with every character that ``repr`` escapes escaped in the same way.

    These are control characters (newlines and tabs included), marks that change the direction of text, invisible
    characters and lone surrogates. A text of ``Lines`` is returned unchanged.
    """
    if isinstance(text, Lines) or text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def join_lines(lines: Iterable[str]) -> Lines:
    """Join lines into one text; characters that are not printable are escaped."""
    return Lines("\n".join(map(escape, lines)))


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 video``, ``2,000 videos``; ``many`` is the plural, if it is irregular."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def kind_of(value: object) -> str:
    """The kind of a value: ``a str``, ``an array of float32 [2, 3]``, ``a numpy.int64``, ``None``.

    A placeholder for another value, as in the pickle reader, names the kind of that value in ``kind_in_messages``.
    """
    if value is None:
        return "None"
    kind = type(value)
    if hasattr(kind, "kind_in_messages"):
        return str(getattr(value, "kind_in_messages"))  # noqa: B009  # any object may have it
    name = class_name(kind)
    if name == "numpy.ndarray":
        array: Any = value
        return f"an array of {_cut(str(array.dtype))} {list(array.shape)}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def class_name(kind: type) -> str:
    """The full name of a class, without ``builtins``: ``torch.Tensor``, ``int``."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shown(value: object) -> str:
    """A value, or the beginning of a long one: ``'S001'``, ``(1080, 1920)``; its kind if it is of another type.

    This is fast for every value: no number is written with thousands of digits, and nested containers are not
    traversed.
    """
    kind = type(value)
    if kind is list or kind is tuple:
        items: Any = value
        texts = [_BRACKETS.get(type(item)) or shown(item) for item in items[:_MOST_ITEMS]]
        text = ", ".join([*texts, "…"] if len(items) > _MOST_ITEMS else texts)
        return _cut(f"[{text}]" if kind is list else f"({text}{',' if len(items) == 1 else ''})")
    if isinstance(value, int) and not -_LARGE < value < _LARGE:
        return "more than 2**64" if value > 0 else "less than -2**64"
    if isinstance(value, (str, bytes)):
        text = repr(value[: _LONGEST + 1])
        return text if len(value) <= _LONGEST and len(text) <= _LONGEST + 2 else f"{text[:_LONGEST]}…"
    if value is None or isinstance(value, (int, float)) or _is_numpy_scalar(kind):
        return _cut(repr(value))
    return kind_of(value)


def shown_sized(value: object) -> str:
    """The length of a list; any other value as ``shown`` does."""
    return f"a list of length {len(value)}" if isinstance(value, list) else shown(value)


def _is_numpy_scalar(kind: type) -> bool:
    return kind.__module__ == "numpy" and any(base.__name__ == "generic" for base in kind.__mro__)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def full_repr(value: object) -> str:
    """``repr`` of a value, or ``shown`` if that fails: Python refuses to write numbers of more than 4,300 digits."""
    try:
        return repr(value)
    except ValueError:
        return shown(value)


def shown_title(name: object) -> str:
    """The name of a split as text; it may be any value, but is usually a str."""
    return str(name) if isinstance(name, str) else shown(name)


def shown_names(names: Collection[object], most: int = 5) -> str:
    """Names as a list, at most the first ``most``: ``'a', 'b', …``; ``(none)`` if there are none."""
    texts = [shown(name) for name in islice(names, most)]
    return ", ".join([*texts, "…"] if len(names) > most else texts) or "(none)"


def file_name(path: Path) -> str:
    """The last part of a path, with ``?`` for bytes that are not UTF-8."""
    return path.name.encode("utf-8", "replace").decode()


def closest(name: object, names: Iterable[object]) -> str:
    """The end of a message about a name that was not found: ``; did you mean 'a', 'b' or 'c'?``, or an empty text.

    At most 3 of ``names``, the closest first, ignoring case. Values that are not a str, names of more than 200
    characters and all names after the first 20,000 are skipped, so the time is bounded (0.2 s).

    >>> closest("keypoints", ["keypoint", "label"])
    "; did you mean 'keypoint'?"
    """
    import heapq  # here, since importing an error imports this module
    from difflib import get_close_matches

    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return ""
    wanted = name.casefold()
    known = {
        other.casefold(): str(other)
        for other in islice(names, COMPARED_NAMES)
        if isinstance(other, str) and len(other) <= _LONGEST_NAME
    }
    likely = heapq.nlargest(_CLOSE_NAMES, known, key=lambda other: _shared_ends(wanted, other))
    close = [repr(known[other]) for other in get_close_matches(wanted, likely)]
    return f"; did you mean {' or '.join(filter(None, (', '.join(close[:-1]), close[-1])))}?" if close else ""


def _shared_ends(one: str, other: str) -> int:
    """Similarity of the ends of two names: twice the shared characters at both ends, minus the length of ``other``."""
    ends = os.path.commonprefix((one, other)), os.path.commonprefix((one[::-1], other[::-1]))  # noqa: RUF071
    return 2 * sum(map(len, ends)) - len(other)
