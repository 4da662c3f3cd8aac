"""Frames as SVG: self-contained, without ids, scripts and style elements; text of the data set is escaped.

Coordinates have one decimal. The drawing needs no package.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np

from skelstore.drawing import colours
from skelstore.drawing.colours import as_hex
from skelstore.drawing.figure import Figure, Line, Pen, Skeleton, figures, ground, pen_for
from skelstore.drawing.poses import Poses, poses
from skelstore.drawing.view import RESTING_ANGLE, Plane, View, view_of
from skelstore.errors import FrameIndexError
from skelstore.joints import JointLayout
from skelstore.wording import counted
from skelstore.wording import escape as printable

_GAP = 6
"""Pixels between the frames of a strip."""
_LETTER = 0.66
"""Width of a letter of a sans-serif font, against its size: an upper bound for names of digits and capitals."""
_OPACITY_STEPS = 10
"""Bones of one colour whose opacity rounds to the same step are one path."""


def frame_svg(
    annotation: Mapping[Any, Any],
    joints: JointLayout | None,
    frame: int,
    *,
    width: int = 480,
    height: int | None = None,
    caption: Sequence[str] = (),
    persons: Sequence[int] | None = None,
    angle: float = RESTING_ANGLE,
    crop: bool = False,
) -> str:
    """One frame of an annotation as an <svg> element, as large as fits in ``width`` x ``height`` pixels.

    ``frame`` is a position, and counts from the end if it is negative; the frames of a compressed annotation are those
    with detections, of which all are drawn. ``joints`` has the bones and sides; if it is None or has another number of
    joints than the annotation, points are drawn. Lines of ``caption`` are below the drawing. ``persons`` draws only
    these; ``angle`` is how far 3D poses are turned, in radians. ``crop`` draws the box of the persons, with a margin,
    instead of the whole image; the drawing then has exactly this width and height.

    Raises DrawingError if the annotation has no poses, FrameIndexError if it has no such frame.
    """
    found = _poses(annotation, joints, crop)
    position = frame + len(found) if frame < 0 else frame
    if not 0 <= position < len(found):
        raise FrameIndexError(f"there is no frame {frame} to draw: the video has {counted(len(found), 'frame')}")
    box = (width, width if height is None else height)
    view = view_of(found, np.array([position]), box)
    if crop and isinstance(view, Plane):
        view = view.widened(*box)
    return picture_svg(found, view, position, caption=caption, persons=persons, angle=angle)


def picture_svg(
    found: Poses,
    view: View,
    position: int,
    *,
    caption: Sequence[str] = (),
    persons: Sequence[int] | None = None,
    angle: float = RESTING_ANGLE,
    behind: str | None = None,
    figures_too: bool = True,
) -> str:
    """Poses that were looked up already, in a view that was chosen already: see ``frame_svg``.

    ``behind`` is the address of an image behind the poses; without ``figures_too`` there is nothing else.
    """
    size = 12
    most = max(int(view.width / (_LETTER * size)), 8)
    lines = [cut_text(line, most) for line in caption]
    height = view.height + (round(1.45 * size * len(lines)) + 5 if lines else 0)
    texts = [
        f'<text x="1" y="{view.height + 1.45 * size * (i + 1) - 1:.1f}" font-family="sans-serif" font-size="{size}" '
        f'fill="{as_hex(colours.TEXT if i == 0 else colours.QUIET_TEXT)}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    skeleton = Skeleton(found, dark=behind is not None)
    panel: Iterable[str] = _panel(found, skeleton, view, position, persons if figures_too else (), angle)
    if behind is not None:
        image = f'<image width="{view.width}" height="{view.height}" href="{escape(behind)}"/>'
        panel = [image, *panel]
    title = f"frame {found.numbers[position]}" if not lines else lines[0]
    return _document(view.width, height, title, [*panel, *texts])


def strip_svg(
    annotation: Mapping[Any, Any],
    joints: JointLayout | None,
    *,
    frames: int = 8,
    height: int = 120,
    crop: bool = False,
) -> str:
    """Up to ``frames`` frames of an annotation, spread evenly, side by side in one <svg> element.

    Each is ``height`` pixels high, or less if it would be more than 2.5 times as wide. Its number is in its corner.
    ``crop`` draws the box of the persons in these frames, with a margin, instead of the whole image. Raises
    DrawingError if the annotation has no poses.
    """
    found = _poses(annotation, joints, crop)
    positions = spread(len(found), frames)
    view = view_of(found, positions, (round(2.5 * height) if found.dimensions == 2 else height, height))
    skeleton = Skeleton(found)
    size = max(round(height / 12), 8)
    parts: list[str] = []
    for place, position in enumerate(positions.tolist()):
        parts += [f'<svg x="{place * (view.width + _GAP)}" width="{view.width}" height="{view.height}">']
        parts += _panel(found, skeleton, view, position, None, RESTING_ANGLE)
        parts += [
            f'<text x="4" y="{view.height - 4}" font-family="sans-serif" font-size="{size}" '
            f'fill="{as_hex(colours.QUIET_TEXT)}">{found.numbers[position]}</text></svg>'
        ]
    width = max(len(positions) * (view.width + _GAP) - _GAP, 1)
    return _document(width, view.height, f"{counted(len(positions), 'frame')} of {len(found):,}", parts)


def _poses(annotation: Mapping[Any, Any], joints: JointLayout | None, crop: bool) -> Poses:
    found = poses(annotation, joints)
    return replace(found, image=None) if crop else found


def spread(count: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most ``most`` of ``count`` positions, spread evenly, the first and the last among them; int64."""
    return np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.int64)


def cut_text(text: str, most: int) -> str:
    """The text on one line, with its end replaced by an ellipsis if it has more than ``most`` characters."""
    text = printable(text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _document(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{escape(printable(title))}</title>'
        f'<rect width="{width}" height="{height}" fill="{as_hex(colours.PAPER)}"/>{"".join(parts)}</svg>'
    )


def _panel(
    found: Poses, skeleton: Skeleton, view: View, position: int, persons: Sequence[int] | None, angle: float
) -> Iterator[str]:
    pen = pen_for(view, found.joints)
    lines = ground(view, angle)
    if len(lines):
        path = "".join(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" for (x0, y0), (x1, y1) in lines.tolist())
        yield f'<path d="{path}" stroke="{as_hex(colours.FRAME)}" fill="none"/>'
    else:
        yield (
            f'<rect x=".5" y=".5" width="{view.width - 1}" height="{view.height - 1}" fill="none" '
            f'stroke="{as_hex(colours.FRAME)}"/>'
        )
    for figure in figures(found, position, skeleton, view, pen, angle=angle, persons=persons):
        yield from _person(figure, pen)


def _person(figure: Figure, pen: Pen) -> Iterator[str]:
    dash = " ".join(f"{length * pen.width:.2g}" for length in figure.dash)
    ends = f' stroke-dasharray="{dash}"' if dash else ' stroke-linecap="round"'
    yield f'<g fill="none" stroke-width="{pen.width:.2g}"{ends}>'
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in figure.lines:
        groups.setdefault((as_hex(line.colour), round(line.opacity * _OPACITY_STEPS)), []).append(line)
    for (colour, step), lines in groups.items():
        path = "".join(f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" for (x0, y0), (x1, y1), *_ in lines)
        yield f'<path d="{path}" stroke="{colour}"{_faint("stroke-opacity", step / _OPACITY_STEPS)}/>'
    yield "</g>"
    ring = f' stroke-width="{pen.width * 0.6:.2g}"'
    for dot in figure.dots:
        x, y = dot.place
        colour = as_hex(dot.colour)
        paint = f'fill="{as_hex(colours.PAPER)}" stroke="{colour}"{ring}' if figure.is_hollow else f'fill="{colour}"'
        radius = pen.joint - (0.3 * pen.width if figure.is_hollow else 0)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2g}" {paint}{_faint("opacity", dot.opacity)}/>'
    if figure.number_at is not None:
        x, y = figure.number_at
        colour_of = colours.PERSONS[figure.person % len(colours.PERSONS)]
        size = pen.number * 1.4
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{pen.number:.2g}" fill="{as_hex(colour_of)}"/>'
            f'<text x="{x:.1f}" y="{y + 0.36 * size:.1f}" font-family="sans-serif" font-size="{size:.2g}" '
            f'text-anchor="middle" fill="{as_hex(colours.text_on(colour_of))}">{figure.person}</text>'
        )


def _faint(attribute: str, opacity: float) -> str:
    return "" if opacity >= 0.995 else f' {attribute}="{opacity:.2g}"'
