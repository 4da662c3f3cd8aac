"""What a drawing of one frame consists of: lines, dots and numbers of persons, whatever it is drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing import colours
from skelstore.drawing.colours import Colour
from skelstore.drawing.poses import Pose, Poses
from skelstore.drawing.view import Orbit, View

Place = tuple[float, float]
"""x and y in pixels of the drawing."""

DASHES: tuple[tuple[float, ...], ...] = ((), (2.6, 1.5), (1.0, 1.2), (4.0, 1.2, 1.0, 1.2))
"""The dashes of the first, second, … person's bones, in widths of the line: drawn, left out, drawn, …."""

_FAR = 8.0
"""Joints this many sides of the drawing away are left out."""
_ABOVE = 1.7
"""How far a person's number is above the highest joint, in radii of its disc."""


class Line(NamedTuple):
    """A bone."""

    start: Place
    end: Place
    colour: Colour
    opacity: float


class Dot(NamedTuple):
    """A joint."""

    place: Place
    colour: Colour
    opacity: float


class Figure(NamedTuple):
    """One person. ``number_at`` is the place of the person's number, if there are several."""

    person: int
    lines: list[Line]
    dots: list[Dot]
    number_at: Place | None

    @property
    def dash(self) -> tuple[float, ...]:
        """The dash of the bones, in widths of the line."""
        return DASHES[self.person % len(DASHES)]

    @property
    def is_hollow(self) -> bool:
        """Whether joints are rings: those of every second person."""
        return self.person % 2 == 1


class Pen(NamedTuple):
    """Sizes in pixels: the width of bones, the radius of joints, the radius of the disc of a person's number."""

    width: float
    joint: float
    number: float


def pen_for(view: View, joints: int) -> Pen:
    """The pen that suits a drawing of this size, with this number of joints per person."""
    width = min(max(min(view.width, view.height) / 105, 1.3), 8.0) * (1.0 if joints <= 40 else 0.6)
    return Pen(width, width * (1.25 if joints <= 40 else 1.0), max(3.2 * width, 6.0))


class Skeleton:
    """The bones of poses, and the colours of bones and joints; without a joint layout, joints without sides."""

    def __init__(self, poses: Poses, *, dark: bool = False) -> None:
        layout = poses.layout
        self.edges = () if layout is None else layout.edges
        left, right = (colours.LEFT_ON_DARK, colours.RIGHT_ON_DARK) if dark else (colours.LEFT, colours.RIGHT)
        middle = colours.MIDDLE_ON_DARK if dark else colours.MIDDLE
        self.joint_colours = [middle] * poses.joints
        for pair in () if layout is None else layout.pairs:
            self.joint_colours[pair[0]], self.joint_colours[pair[1]] = left, right
        self.edge_colours = [self._edge_colour(*edge, middle) for edge in self.edges]

    def _edge_colour(self, first: int, second: int, middle: Colour) -> Colour:
        """That of a side if one end is of it and the other is not of the other side."""
        ends = {self.joint_colours[first], self.joint_colours[second]} - {middle}
        return ends.pop() if len(ends) == 1 else middle


def figures(
    poses: Poses,
    position: int,
    skeleton: Skeleton,
    view: View,
    pen: Pen,
    *,
    angle: float = 0.0,
    persons: Sequence[int] | None = None,
) -> list[Figure]:
    """The persons of the frame at a position, as they are drawn."""
    numbered = poses.persons > 1
    return [_figure(pose, skeleton, view, pen, angle, numbered) for pose in poses.frame(position, persons)]


def ground(view: View, angle: float) -> NDArray[np.float64]:
    """The lines of the ground as places [lines, 2, 2]; none under 2D poses."""
    return view.ground(angle) if isinstance(view, Orbit) else np.empty((0, 2, 2))


def _figure(pose: Pose, skeleton: Skeleton, view: View, pen: Pen, angle: float, numbered: bool) -> Figure:
    with np.errstate(all="ignore"):
        places = view.project(pose.points, angle)
        near = np.abs(places - (view.width / 2, view.height / 2)).max(-1) <= _FAR * max(view.width, view.height)
    opacity = np.where(near, pose.opacity, 0.0).tolist()
    at: list[Place] = [(x, y) for x, y in places.tolist()]
    lines = [
        Line(at[first], at[second], colour, min(opacity[first], opacity[second]))
        for (first, second), colour in zip(skeleton.edges, skeleton.edge_colours, strict=True)
        if opacity[first] and opacity[second]
    ]
    dots = [
        Dot(place, colour, strength)
        for place, colour, strength in zip(at, skeleton.joint_colours, opacity, strict=True)
        if strength
    ]
    return Figure(pose.person, lines, dots, _number_at(dots, view, pen) if numbered and dots else None)


def _number_at(dots: list[Dot], view: View, pen: Pen) -> Place:
    """Above the highest joint, and within the drawing."""
    x, y = min((dot.place for dot in dots), key=lambda place: place[1])
    radius = pen.number + 1
    x, y = x, y - _ABOVE * pen.number - pen.joint
    return min(max(x, radius), view.width - radius), min(max(y, radius), view.height - radius)
