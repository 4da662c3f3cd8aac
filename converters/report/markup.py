"""HTML and SVG from text that nobody vouches for: all of it is escaped, and what is not printable is made visible."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from skelstore.wording import escape

__all__ = ["Markup", "details", "joined", "table", "tag"]

_VOID = frozenset({"meta", "link", "br", "hr", "img"})
_LONGEST = 600
"""Maximum number of characters of one text from the data."""


class Markup(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element. ``content`` is escaped unless it is ``Markup``; None is left out.

    An attribute that is None is left out; underscores in names become hyphens, and one at the end is dropped:
    ``tag("p", "a < b", class_="note")``.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{_text(value)}"' for key, value in given.items())
    inner = "".join(_text(part) for part in content if part is not None)
    return Markup(f"<{name}{written}/>" if name in _VOID else f"<{name}{written}>{inner}</{name}>")


def _text(value: object) -> str:
    if isinstance(value, Markup):
        return value
    if isinstance(value, float):
        value = f"{value:.6g}"
    text = str(value)
    return html.escape(escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"))


def joined(parts: Iterable[str]) -> Markup:
    """Several pieces of markup, one after the other."""
    return Markup("".join(parts))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str | None = None) -> Markup:
    """A table. Columns whose heading begins with ``#`` are numbers, aligned to the right."""
    kinds = ["number" if heading.startswith("#") else None for heading in headings]
    head = joined(
        tag("th", heading.removeprefix("#"), class_=kind, scope="col")
        for heading, kind in zip(headings, kinds, strict=True)
    )
    body = joined(
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows
    )
    title = None if caption is None else tag("caption", caption)
    return tag("div", tag("table", title, tag("thead", tag("tr", head)), tag("tbody", body)), class_="scroll")


def details(summary: str, *content: str) -> Markup:
    """Content that is folded until it is asked for."""
    return tag("details", tag("summary", summary), *content)
