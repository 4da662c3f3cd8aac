"""Figures drawn on an image of Pillow, with smooth edges.

The part of the image around the figures is enlarged, drawn on, and reduced again: faster than drawing smooth lines one
by one, and exact to an eighth of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing import colours
from skelstore.drawing.colours import Colour
from skelstore.drawing.figure import Figure, Line, Pen, Place
from skelstore.drawing.packages import pillow

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

_ENLARGED = 4
"""Bones and joints are drawn this many times as large."""
_LARGE = 60_000
"""Pixels of a part of the image that is enlarged once less: it takes half the time."""
_CASING = 1.2
_CASING_INK: Colour = (0x14, 0x18, 0x1E)
"""Width in pixels and colour of the dark edge of bones and joints."""
FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Hiragino Sans GB.ttc", "malgun.ttf", "meiryo.ttc"),
)
"""Files of fonts of Linux, macOS and Windows, which have the letters of more languages than the font of Pillow."""


def paint(
    canvas: Image,
    figures: Sequence[Figure],
    pen: Pen,
    size: tuple[int, int],
    *,
    ground: NDArray[np.float64],
    cased: bool = False,
) -> None:
    """Draw figures on the part of ``canvas`` (RGB) that begins at (0, 0) and has this width and height.

    The lines [lines, 2, 2] of ``ground`` are drawn first. With ``cased`` bones and joints have a dark edge, so that
    they can be seen on any picture.
    """
    if len(ground):
        _paint_ground(canvas, ground)
    box = _box_of(figures, pen, size)
    if box is None:
        return
    part = canvas.crop(box)
    times = _ENLARGED if part.width * part.height < _LARGE else _ENLARGED - 1
    layer = part.resize((part.width * times, part.height * times), pillow().Image.Resampling.NEAREST)
    brush = _Brush(pillow().ImageDraw.Draw(layer), box, times)
    for figure in figures:
        if cased:
            _paint_casing(brush, figure, pen)
        _paint_person(brush, figure, pen, _CASING_INK if cased else colours.PAPER)
    canvas.paste(layer.reduce(times), box[:2])
    for figure in figures:
        if figure.number_at is not None:
            _paint_number(canvas, figure.person, figure.number_at, pen)


def paint_border(canvas: Image, size: tuple[int, int]) -> None:
    """Draw the border of the image, which has this width and height and begins at (0, 0)."""
    pillow().ImageDraw.Draw(canvas).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=colours.FRAME)


def paint_text(
    canvas: Image, place: Place, text: str, *, size: float, colour: Colour = colours.TEXT, anchor: str = "ls"
) -> None:
    """Write text; ``anchor`` as Pillow defines it: ``ls`` is the left end of the baseline, ``rs`` the right one."""
    font, text = _font_for(text, size)
    pillow().ImageDraw.Draw(canvas).text(place, text, fill=colour, font=font, anchor=anchor)


def text_width(text: str, size: float) -> float:
    """The width of text in pixels."""
    font, text = _font_for(text, size)
    width: float = font.getlength(text)
    return width


def fitting_text(text: str, width: float, size: float) -> str:
    """The text, with its end replaced by an ellipsis if it is wider than ``width`` pixels."""
    font, text = _font_for(text, size)
    if font.getlength(text) <= width:
        return text
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if font.getlength(f"{text[:middle]}…") <= width else (least, middle - 1)
    return f"{text[:least]}…" if least else ""


def _font_for(text: str, size: float) -> tuple[Any, str]:
    """The font that lacks the fewest characters of the text, and the text, with escapes for those.

    It is the one that Pillow has built in, which has little more than ASCII, or one of ``FONTS`` that is installed;
    nothing is fetched.
    """
    if text.isascii():
        return _font(None, size), text
    fonts = [font for font in (_font(name, size) for name in (None, *FONTS)) if font is not None]
    lacking = [_lacking(font, text) for font in fonts]
    best = min(range(len(fonts)), key=lambda i: len(lacking[i]))
    shown = (c.encode("unicode_escape").decode() if c in lacking[best] else c for c in text)
    return fonts[best], "".join(shown)


@cache
def _font(name: str | None, size: float) -> Any:
    """A font by the name of its file, or the one that Pillow has built in; None if it is not installed."""
    fonts = pillow().ImageFont
    if name is None:
        return fonts.load_default(size)
    try:
        return fonts.truetype(name, size)
    except OSError:
        return None


def _lacking(font: Any, text: str) -> set[str]:
    """The characters that a font does not have: it draws them as it draws one that is none."""
    none = bytes(font.getmask("\uffff"))
    return {c for c in set(text) if not c.isascii() and bytes(font.getmask(c)) == none}


def _box_of(figures: Sequence[Figure], pen: Pen, size: tuple[int, int]) -> Box | None:
    """Left, top, right and bottom of what figures cover within the drawing; None if that is nothing."""
    places = [dot.place for figure in figures for dot in figure.dots]
    places += [figure.number_at for figure in figures if figure.number_at is not None]
    if not places:
        return None
    margin = max(pen.joint, pen.number) + 2
    xs, ys = zip(*places, strict=True)
    left, top = max(math.floor(min(xs) - margin), 0), max(math.floor(min(ys) - margin), 0)
    right, bottom = min(math.ceil(max(xs) + margin), size[0]), min(math.ceil(max(ys) + margin), size[1])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _paint_ground(canvas: Image, lines: NDArray[np.float64]) -> None:
    layer = pillow().Image.new("L", (canvas.width * 2, canvas.height * 2), 0)
    brush = _Brush(pillow().ImageDraw.Draw(layer), (0, 0), 2)
    for (x0, y0), (x1, y1) in lines.tolist():
        brush.stroke((x0, y0), (x1, y1), 255, 1)
    canvas.paste(colours.FRAME, (0, 0), layer.reduce(2))


class _Brush:
    """Draws on an enlarged part of an image; places and sizes are in pixels of the image."""

    def __init__(self, draw: ImageDraw, box: Sequence[int], times: int) -> None:
        self._draw = draw
        self._left, self._top = box[:2]
        self._times = times

    def stroke(self, start: Place, end: Place, colour: Colour | int, width: float) -> None:
        """A line with straight ends."""
        # Pillow would cut the fractions off.
        places = [round(x) for place in (start, end) for x in self._enlarged(place)]
        self._draw.line(places, fill=colour, width=max(round(width * self._times), 1))

    def disc(self, place: Place, radius: float, colour: Colour) -> None:
        """A disc."""
        (x, y), radius = self._enlarged(place), radius * self._times
        # Pixel i covers i to i + 1, and Pillow's boxes include their last pixel.
        left, top = round(x - radius), round(y - radius)
        right, bottom = max(round(x + radius) - 1, left), max(round(y + radius) - 1, top)
        self._draw.ellipse((left, top, right, bottom), fill=colour)

    def _enlarged(self, place: Place) -> Place:
        return (place[0] - self._left) * self._times, (place[1] - self._top) * self._times


def _paint_casing(brush: _Brush, figure: Figure, pen: Pen) -> None:
    """The edges of bones and joints, each ``_CASING`` pixels wide."""
    for line in figure.lines:
        brush.stroke(line.start, line.end, _CASING_INK, pen.width + 2 * _CASING)
    for dot in figure.dots:
        brush.disc(dot.place, pen.joint + _CASING, _CASING_INK)


def _paint_person(brush: _Brush, figure: Figure, pen: Pen, behind: Colour) -> None:
    """Bones, joints and the disc of the number; what is not opaque is mixed with the colour ``behind`` it."""
    dash = [length * pen.width for length in figure.dash]
    for line in figure.lines:
        colour = _mixed(line.colour, behind, line.opacity)
        for start, end in _dashes(line, dash) if dash else [(line.start, line.end)]:
            brush.stroke(start, end, colour, pen.width)
    for dot in figure.dots:
        brush.disc(dot.place, pen.joint, _mixed(dot.colour, behind, dot.opacity))
        if figure.is_hollow:
            brush.disc(dot.place, pen.joint - 0.6 * pen.width, _mixed(colours.PAPER, behind, dot.opacity))
    if figure.number_at is not None:
        brush.disc(figure.number_at, pen.number, colours.PERSONS[figure.person % len(colours.PERSONS)])


def _mixed(colour: Colour, behind: Colour, opacity: float) -> Colour:
    red, green, blue = (round(b + (c - b) * opacity) for c, b in zip(colour, behind, strict=True))
    return red, green, blue


def _dashes(line: Line, dash: Sequence[float]) -> Iterator[tuple[Place, Place]]:
    (x0, y0), (x1, y1) = line.start, line.end
    length = math.hypot(x1 - x0, y1 - y0)
    at, part = 0.0, 0
    while at < length:
        end = min(at + dash[part % len(dash)], length)
        if part % 2 == 0:
            first, last = at / length, end / length
            yield (x0 + (x1 - x0) * first, y0 + (y1 - y0) * first), (x0 + (x1 - x0) * last, y0 + (y1 - y0) * last)
        at, part = end, part + 1


def _paint_number(canvas: Image, person: int, place: Place, pen: Pen) -> None:
    colour = colours.text_on(colours.PERSONS[person % len(colours.PERSONS)])
    paint_text(canvas, place, str(person), size=round(pen.number * 1.4), colour=colour, anchor="mm")
