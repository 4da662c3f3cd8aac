"""Frames as text: each character is a cell of 2 x 4 dots of Braille, so no package is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing import colours
from skelstore.drawing.colours import Colour
from skelstore.drawing.figure import Figure, Pen, Place, Skeleton, figures
from skelstore.drawing.poses import Poses
from skelstore.drawing.view import RESTING_ANGLE, view_of

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot of a cell in Unicode's block Braille Patterns, from U+2800."""
_BLANK = 0x2800
_NO_PEN = Pen(1.0, 1.0, 2.0)
_MOST_STEPS = 4_000
"""Maximum number of dots of one bone."""


def frame_text(
    poses: Poses,
    position: int,
    columns: int,
    lines: int,
    *,
    coloured: bool,
    braille: bool = True,
    persons: Sequence[int] | None = None,
) -> list[str]:
    """The frame at a position in at most ``lines`` lines of ``columns`` characters.

    It shows the box of the poses: in the whole image, persons would be too small. With ``coloured`` lines have the
    escape sequences of ANSI terminals for colours. Without ``braille`` cells with dots are ``#``, for terminals that
    have no Unicode.
    """
    poses = replace(poses, image=None)
    view = view_of(poses, np.array([position]), (2 * columns, 4 * lines))
    rows, across = -(-view.height // 4), -(-view.width // 2)
    dots = np.zeros((rows, 4, across, 2), bool)
    inks = np.zeros((rows, across), np.int64)
    palette: list[Colour] = []
    skeleton = Skeleton(poses, dark=True)
    for figure in figures(poses, position, skeleton, view, _NO_PEN, angle=RESTING_ANGLE, persons=persons):
        for colour, places in _strokes(figure):
            if colour not in palette:
                palette.append(colour)
            x, y = places.round().astype(np.int64).T
            inside = (x >= 0) & (y >= 0) & (x < 2 * across) & (y < 4 * rows)
            x, y = x[inside], y[inside]
            dots[y // 4, y % 4, x // 2, x % 2] = True
            inks[y // 4, x // 2] = palette.index(colour) + 1
    cells = (dots * _BITS[None, :, None, :]).sum((1, 3))
    text = [[chr(_BLANK + cell) if braille else " #"[cell > 0] for cell in row] for row in cells.tolist()]
    if not coloured:
        return ["".join(row).rstrip(f" {chr(_BLANK)}") for row in text]
    return [_coloured(row, ink, palette) for row, ink in zip(text, inks.tolist(), strict=True)]


def _strokes(figure: Figure) -> Iterable[tuple[Colour, NDArray[np.float64]]]:
    """The dots [n, 2] of bones and joints, with their colours, before they are rounded."""
    for line in figure.lines:
        yield line.colour, _along(line.start, line.end)
    for dot in figure.dots:
        yield dot.colour, np.array([dot.place])


def _along(start: Place, end: Place) -> NDArray[np.float64]:
    steps = int(min(max(abs(end[0] - start[0]), abs(end[1] - start[1])), _MOST_STEPS)) + 2
    return np.linspace(start, end, steps)


def _coloured(row: Sequence[str], inks: Sequence[int], palette: Sequence[Colour]) -> str:
    """The cells of a line, with the colour of each; grey is the terminal's own colour."""
    parts, now = [], 0
    for cell, ink in zip(row, inks, strict=True):
        own = 0 if ink and palette[ink - 1] == colours.MIDDLE_ON_DARK else ink
        if own != now:
            parts.append("\x1b[0m" if not own else "\x1b[38;2;{};{};{}m".format(*palette[own - 1]))
            now = own
        parts.append(cell)
    return "".join([*parts, "\x1b[0m"]) if now else "".join(parts)
