"""Charts as inline SVG: columns, bars and ranges, with readable axes, direct labels and a text alternative.

Colours are classes of the page's style, so that charts follow its light and dark form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from converters.report.markup import Markup, joined, tag

__all__ = ["Bar", "Range", "bars", "columns", "figure", "number", "percent", "ranges", "ticks"]

_WIDTH = 440
_LETTER = 6.3
"""Width of a letter of the charts' font, in units of a chart."""
_ROW = 19
_LONGEST_LABEL = 22
_SHOWN_LABELS = 8


class Bar(NamedTuple):
    """One column or bar: its label, its value, the text at its end, and a short label for an axis."""

    label: str
    value: float
    text: str = ""
    tick: str = ""


class Range(NamedTuple):
    """One row of a chart of ranges: the values below which 5, 25, 50, 75 and 95 percent are."""

    label: str
    values: tuple[float, float, float, float, float]


def number(value: float) -> str:
    """A number with up to three significant digits, and thousands apart: ``12``, ``0.034``, ``1,200``."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2e}"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(value: float) -> str:
    """A number for an axis: ``20 k``, ``1.5 M``."""
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= scale:
            return f"{number(value / min(scale, 1e3 if unit == 'k' else scale))} {unit}"
    return number(value)


def percent(part: float, whole: float) -> str:
    """A share as text: ``12 %``, ``0.3 %``, ``< 0.1 %``."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    return f"{share:.1f} %" if 0 < share < 10 or 99 < share < 100 else f"{share:.0f} %"


def ticks(top: float, most: int = 5) -> list[float]:
    """At most ``most`` + 1 round numbers from 0, of which the last is ``top`` or just above."""
    if not 0 < top < math.inf:
        return [0.0, 1.0]
    raw = top / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def columns(title: str, entries: Sequence[Bar], axis: str, *, labels: str = "some") -> Markup:
    """Columns side by side. ``labels``: ``some`` labels below them, spread evenly, or only those of the ``ends``."""
    top, height = 10, 150
    scale = ticks(max((entry.value for entry in entries), default=0), 4)
    left = max(max(len(_short(tick)) for tick in scale) * _LETTER + 12, 30)
    plot = _WIDTH - left - 8
    step = plot / max(len(entries), 1)
    parts = []
    for tick in scale:
        y = top + height * (1 - tick / scale[-1])
        parts += [_line(left, y, left + plot, y, "grid"), _words(left - 6, y + 4, _short(tick), "end", "axis")]
    gap = min(step * 0.15, 3)
    for i, entry in enumerate(entries):
        tall = height * entry.value / scale[-1]
        tall = max(tall, 1.0) if entry.value else 0.0
        shape = tag(
            "rect",
            tag("title", f"{entry.label}: {entry.text or number(entry.value)}"),
            x=_at(left + i * step + gap / 2),
            y=_at(top + height - tall),
            width=_at(max(step - gap, 0.5)),
            height=_at(tall),
            class_="bar",
        )
        parts.append(shape)
    parts += _labels_below(entries, left, step, top + height + 16, labels)
    parts.append(_line(left, top + height, left + plot, top + height, "base"))
    parts.append(_words(left + plot / 2, top + height + 34, axis, "middle", "axis"))
    return _chart(title, top + height + 40, parts)


def _labels_below(entries: Sequence[Bar], left: float, step: float, y: float, labels: str) -> list[Markup]:
    if labels == "ends":
        if len(entries) < 2:
            return [_words(left, y, _cut(entry.label, 40), "start", "label") for entry in entries]
        right = left + len(entries) * step
        return [
            _words(left, y, _cut(entries[0].label, 28), "start", "label"),
            _words(right, y, _cut(entries[-1].label, 28), "end", "label"),
        ]
    every = max(math.ceil(len(entries) / _SHOWN_LABELS), 1)
    return [
        _words(left + (i + 0.5) * step, y, _cut(entry.tick or entry.label, 12), "middle", "axis")
        for i, entry in enumerate(entries)
        if i % every == 0
    ]


def bars(title: str, entries: Sequence[Bar], *, top: float | None = None) -> Markup:
    """Bars below each other, with labels before them and texts behind them.

    ``top`` is the value of a full bar, which is then drawn behind each; by default, the largest value.
    """
    longest = max((len(_cut(entry.label)) for entry in entries), default=0)
    left = min(longest, _LONGEST_LABEL) * _LETTER + 10
    behind = max((len(entry.text or number(entry.value)) for entry in entries), default=0) * _LETTER + 18
    plot = _WIDTH - left - behind
    most = top or max((entry.value for entry in entries), default=0) or 1
    parts = []
    for i, entry in enumerate(entries):
        y = i * _ROW + 2
        text = entry.text or number(entry.value)
        wide = max(plot * min(entry.value / most, 1), 1.0 if entry.value else 0.0)
        parts += [
            _words(left - 6, y + 13, _cut(entry.label), "end", "label"),
            tag("rect", x=_at(left), y=_at(y), width=_at(plot), height=_ROW - 5, class_="track") if top else Markup(),
            tag(
                "rect",
                tag("title", f"{entry.label}: {text}"),
                x=_at(left),
                y=_at(y),
                width=_at(wide),
                height=_ROW - 5,
                class_="bar",
            ),
            _words(left + plot + 6, y + 12, text, "start", "value"),
        ]
    return _chart(title, len(entries) * _ROW + 2, parts)


def ranges(title: str, entries: Sequence[Range], axis: str, *, top: float | None = None) -> Markup:
    """Ranges below each other: a line from 5 to 95 percent, a bar from 25 to 75, and a dot at the median."""
    longest = max((len(_cut(entry.label)) for entry in entries), default=0)
    left = min(longest, _LONGEST_LABEL) * _LETTER + 10
    plot = _WIDTH - left - 16
    scale = ticks(top or max((entry.values[-1] for entry in entries), default=0), 5)
    height = len(entries) * _ROW
    parts = []
    for tick in scale:
        x = left + plot * tick / scale[-1]
        parts += [_line(x, 2, x, height + 2, "grid"), _words(x, height + 18, number(tick), "middle", "axis")]
    for i, entry in enumerate(entries):
        y = i * _ROW + 11
        low, first, middle, third, high = (left + plot * min(value / scale[-1], 1) for value in entry.values)
        spread = ", ".join(number(value) for value in entry.values)
        parts += [
            _words(left - 6, y + 4, _cut(entry.label), "end", "label"),
            _line(low, y, high, y, "whisker"),
            tag(
                "rect",
                tag("title", f"{entry.label}: {spread}"),
                x=_at(first),
                y=_at(y - 5),
                width=_at(max(third - first, 1.5)),
                height=10,
                rx=2,
                class_="box",
            ),
            tag("circle", cx=_at(middle), cy=_at(y), r=3.5, class_="median"),
        ]
    parts.append(_words(left + plot / 2, height + 34, axis, "middle", "axis"))
    return _chart(title, height + 40, parts)


def figure(heading: str, chart: Markup) -> Markup:
    """A chart with its heading."""
    return tag("figure", tag("figcaption", heading), chart)


def _chart(title: str, height: float, parts: Sequence[Markup]) -> Markup:
    content = joined([tag("title", title), *parts])
    return tag("svg", content, viewBox=f"0 0 {_WIDTH} {height:.0f}", role="img", aria_label=title, class_="chart")


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> Markup:
    return tag("line", x1=_at(x0), y1=_at(y0), x2=_at(x1), y2=_at(y1), class_=kind)


def _words(x: float, y: float, text: str, anchor: str, kind: str) -> Markup:
    return tag("text", text, x=_at(x), y=_at(y), text_anchor=anchor, class_=kind)


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _cut(text: str, most: int = _LONGEST_LABEL) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
