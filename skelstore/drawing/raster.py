"""Figures drawn on an image of Pillow, with smooth edges.

Bones and joints are drawn four times as large on a transparent layer around the figures, which is then reduced: faster
than drawing smooth lines one by one, and exact to an eighth of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing import colours
from skelstore.drawing.colours import Colour
from skelstore.drawing.figure import Figure, Line, Pen, Place
from skelstore.drawing.packages import pillow

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_ENLARGED = 4
"""Bones and joints are drawn this many times as large."""


def paint(canvas: Image, figures: Sequence[Figure], pen: Pen, size: tuple[int, int]) -> None:
    """Draw figures on the part of ``canvas`` (RGB) that begins at (0, 0) and has this width and height."""
    box = _box_of(figures, pen, size)
    if box is None:
        return
    images = pillow()
    layer = images.Image.new("RGBA", ((box[2] - box[0]) * _ENLARGED, (box[3] - box[1]) * _ENLARGED), (255, 255, 255, 0))
    draw = images.ImageDraw.Draw(layer)
    for figure in figures:
        _paint_person(draw, figure, pen, box[:2])
    layer = layer.reduce(_ENLARGED)
    canvas.paste(layer, box[:2], layer)
    for figure in figures:
        if figure.number_at is not None:
            _paint_number(canvas, figure.person, figure.number_at, pen)


def paint_ground(canvas: Image, lines: NDArray[np.float64]) -> None:
    """Draw the lines [lines, 2, 2] of the ground under 3D poses."""
    images = pillow()
    if not len(lines):
        return
    layer = images.Image.new("L", (canvas.width * 2, canvas.height * 2), 0)
    draw = images.ImageDraw.Draw(layer)
    for start, end in (lines * 2).tolist():
        draw.line([tuple(start), tuple(end)], fill=255, width=2)
    canvas.paste(colours.FRAME, (0, 0), layer.reduce(2))


def paint_border(canvas: Image, size: tuple[int, int]) -> None:
    """Draw the border of the image, which has this width and height and begins at (0, 0)."""
    pillow().ImageDraw.Draw(canvas).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=colours.FRAME)


@cache
def font(size: float) -> Any:
    """The font that Pillow has built in, in this size; nothing is fetched."""
    return pillow().ImageFont.load_default(size)


def paint_text(
    canvas: Image, place: Place, text: str, *, size: float, colour: Colour = colours.TEXT, anchor: str = "ls"
) -> None:
    """Write text; ``anchor`` as Pillow defines it: ``ls`` is the left end of the baseline, ``rs`` the right one."""
    pillow().ImageDraw.Draw(canvas).text(place, text, fill=colour, font=font(size), anchor=anchor)


def text_width(text: str, size: float) -> float:
    """The width of text in pixels."""
    width: float = font(size).getlength(text)
    return width


def fitting_text(text: str, width: float, size: float) -> str:
    """The text, with its end replaced by an ellipsis if it is wider than ``width`` pixels."""
    if font(size).getlength(text) <= width:
        return text
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if font(size).getlength(f"{text[:middle]}…") <= width else (least, middle - 1)
    return f"{text[:least]}…" if least else ""


def _box_of(figures: Sequence[Figure], pen: Pen, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
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


def _paint_person(draw: ImageDraw, figure: Figure, pen: Pen, origin: tuple[int, int]) -> None:
    def enlarged(place: Place) -> Place:
        return (place[0] - origin[0]) * _ENLARGED, (place[1] - origin[1]) * _ENLARGED

    width = max(round(pen.width * _ENLARGED), 1)
    dash = [length * pen.width * _ENLARGED for length in figure.dash]
    for line in figure.lines:
        colour = (*line.colour, round(255 * line.opacity))
        whole = line._replace(start=enlarged(line.start), end=enlarged(line.end))
        for start, end in _dashes(whole, dash) if dash else [(whole.start, whole.end)]:
            draw.line((start, end), fill=colour, width=width)
    radius = pen.joint * _ENLARGED
    for dot in figure.dots:
        strength = round(255 * dot.opacity)
        place = enlarged(dot.place)
        _disc(draw, place, radius, (*dot.colour, strength))
        if figure.is_hollow:
            _disc(draw, place, radius - 0.6 * width, (*colours.PAPER, strength))
    if figure.number_at is not None:
        colour_of = colours.PERSONS[figure.person % len(colours.PERSONS)]
        _disc(draw, enlarged(figure.number_at), pen.number * _ENLARGED, (*colour_of, 255))


def _disc(draw: ImageDraw, place: Place, radius: float, colour: tuple[int, int, int, int]) -> None:
    x, y = place
    # Pixel i covers i to i + 1, and Pillow's boxes include their last pixel.
    left, top = round(x - radius), round(y - radius)
    right, bottom = max(round(x + radius) - 1, left), max(round(y + radius) - 1, top)
    draw.ellipse((left, top, right, bottom), fill=colour)


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
