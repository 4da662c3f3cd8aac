"""How far apart the colours of drawings are for people with and without colour blindness, computed.

Colours are seen through the matrices of Machado, Oliveira and Fernandes (IEEE TVCG 15(6), 2009) at severity 1 and
compared by CIE 1976's colour difference; a difference of 2.3 is just noticeable.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from skelstore.drawing import colours

SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""sRGB, linear, to CIE XYZ."""
WHITE = XYZ.sum(1)


def linear(colour: colours.Colour) -> np.ndarray:
    value = np.array(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(colour: colours.Colour, sight: str) -> np.ndarray:
    relative = XYZ @ (SIGHT[sight] @ linear(colour)).clip(0, 1) / WHITE
    f = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one: colours.Colour, other: colours.Colour, sight: str) -> float:
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


def contrast(one: colours.Colour, other: colours.Colour) -> float:
    """The contrast ratio of WCAG 2."""
    lights = sorted(float(XYZ[1] @ linear(colour)) + 0.05 for colour in (one, other))
    return lights[1] / lights[0]


def test_the_difference_is_that_of_the_definition() -> None:
    assert difference((0, 0, 0), (255, 255, 255), "usual") == pytest.approx(100, abs=0.1)
    assert difference((255, 0, 0), (0, 128, 0), "deuteranopia") < 0.5 * difference((255, 0, 0), (0, 128, 0), "usual")


@pytest.mark.parametrize("sight", SIGHT)
def test_left_and_right_can_be_told_apart(sight: str) -> None:
    light = [colours.LEFT, colours.RIGHT, colours.MIDDLE]
    dark = [colours.LEFT_ON_DARK, colours.RIGHT_ON_DARK, colours.MIDDLE_ON_DARK]
    assert difference(*light[:2], sight) > 60
    assert difference(*dark[:2], sight) > 60
    assert min(difference(*pair, sight) for pair in [*combinations(light, 2), *combinations(dark, 2)]) > 20


@pytest.mark.parametrize("sight", SIGHT)
def test_persons_can_be_told_apart(sight: str) -> None:
    assert min(difference(*pair, sight) for pair in combinations(colours.PERSONS, 2)) > 15


def test_everything_can_be_seen_on_its_background() -> None:
    assert min(contrast(colour, colours.PAPER) for colour in (colours.LEFT, colours.RIGHT, colours.MIDDLE)) > 3
    on_dark = (colours.LEFT_ON_DARK, colours.RIGHT_ON_DARK, colours.MIDDLE_ON_DARK)
    assert min(contrast(colour, (0x14, 0x18, 0x1E)) for colour in on_dark) > 4.5
    assert min(contrast(text, colours.PAPER) for text in (colours.TEXT, colours.QUIET_TEXT)) > 4.5
    assert min(contrast(colours.text_on(colour), colour) for colour in colours.PERSONS) > 4.5
