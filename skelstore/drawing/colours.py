"""The colours of drawings. Colour-blind people can distinguish left and right, and persons.

They are colours of the palette of Okabe and Ito (Color Universal Design, 2008, https://jfly.uni-koeln.de/color/);
tests/drawing/test_colours.py computes how far apart they are for people who lack one kind of cone.
"""

from __future__ import annotations

from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

LEFT: Colour = (0x00, 0x72, 0xB2)
"""Blue: joints and bones of the left side of a person."""
RIGHT: Colour = (0xD5, 0x5E, 0x00)
"""Vermilion: joints and bones of the right side of a person."""
MIDDLE: Colour = (0x5A, 0x5A, 0x5A)
"""Grey: joints and bones of neither side, on a light background."""
MIDDLE_ON_DARK: Colour = (0xC8, 0xC8, 0xC8)
"""The same on a dark background."""
LEFT_ON_DARK: Colour = (0x56, 0xB4, 0xE9)
"""Sky blue: the left side on a dark background, on which ``LEFT`` would be too dark."""
RIGHT_ON_DARK: Colour = (0xF5, 0x8A, 0x2E)
"""A lighter vermilion: the right side on a dark background."""

PERSONS: tuple[Colour, ...] = (
    (0x44, 0x44, 0x44),
    (0xE6, 0x9F, 0x00),
    (0x00, 0x9E, 0x73),
    (0xCC, 0x79, 0xA7),
    (0x56, 0xB4, 0xE9),
    (0xF0, 0xE4, 0x42),
)
"""The colours of the numbers of persons; after the last, the first follows again."""

PAPER: Colour = (0xFF, 0xFF, 0xFF)
"""The background of a drawing."""
FRAME: Colour = (0xDD, 0xDD, 0xDD)
"""The border of the image, and the ground under 3D poses."""
TEXT: Colour = (0x33, 0x33, 0x33)
QUIET_TEXT: Colour = (0x6E, 0x6E, 0x6E)


def as_hex(colour: Colour) -> str:
    """The colour as ``#0072B2``."""
    return "#{:02X}{:02X}{:02X}".format(*colour)


def text_on(colour: Colour) -> Colour:
    """Black or white, whichever can be read better on the colour."""
    red, green, blue = colour
    return (0, 0, 0) if 299 * red + 587 * green + 114 * blue > 100_000 else (255, 255, 255)
