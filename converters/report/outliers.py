"""The videos that differ most from the others, drawn, so that a person can judge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.checks.poses import Poses, poses
from converters.report.charts import number, percent
from converters.report.classes import Classes
from converters.report.gathering import Gathered
from converters.report.joints import unit_of
from converters.report.markup import Markup, joined, tag
from converters.report.origin import Origin
from skelstore.drawing import strip_svg
from skelstore.drawing.captions import caption_of
from skelstore.errors import SkelstoreError
from skelstore.format.schema import video_name
from skelstore.wording import counted

__all__ = ["outliers_section"]

_HEIGHT = 130
_FRAMES = 8
_MOST_JOINTS = 3000
"""Joints that are drawn in a strip, about: it has fewer frames if there are many."""
_MOST_TEXT = 400_000
"""Characters of a drawing; a longer one is left out."""
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'
"""An attribute that SVG within HTML does not need."""

_TITLES = {
    "longest": "Longest",
    "shortest": "Shortest",
    "fastest": "Fastest",
    "emptiest": "Emptiest",
    "least certain": "Lowest scores",
    "most persons": "Most persons",
    "most swaps": "Persons who change rows",
    "longest gap": "Longest gaps",
}
_MEANINGS = {
    "fastest": "mean distance that a joint moves from one frame to the next",
    "emptiest": "share of joints that are missing in the best skeleton of each frame",
    "least certain": "mean score of the joints of all skeletons",
    "most persons": "in one frame",
    "longest gap": "frames in which a person is missing between others",
}


def outliers_section(gathered: Gathered, origin: Origin, classes: Classes) -> Markup:
    """The videos that rank first in each respect."""
    parts = []
    drawn: dict[int, Markup] = {}
    for kind, tops in gathered.statistics.outliers.items():
        if not tops.entries:
            continue
        meaning = _MEANINGS.get(kind)
        parts.append(tag("h3", _TITLES[kind], tag("small", f" {meaning}") if meaning else None))
        for value, position in tops.entries:
            if position not in drawn:
                drawn[position] = _video(gathered, origin, classes, position)
                picture = drawn[position]
            else:
                picture = tag("p", "Drawn above.", class_="quiet")
            parts.append(
                tag(
                    "figure",
                    tag("figcaption", tag("strong", _value(kind, value, gathered)), " ", _caption(gathered, position)),
                    picture,
                    class_="strip",
                )
            )
    return joined(parts) or tag("p", "There is no video with skeletons.")


def _value(kind: str, value: float, gathered: Gathered) -> str:
    if kind in ("longest", "shortest", "longest gap"):
        return counted(int(abs(value)), "frame")
    if kind == "fastest":
        units = {unit_of(joints) for joints in gathered.statistics.joints.values() if joints.skeletons}
        return f"{number(value)} {units.pop() if len(units) == 1 else 'units'} per frame"
    if kind == "emptiest":
        return percent(value, 1)
    if kind == "least certain":
        return f"{-value:.2f}"
    return counted(int(value), "person" if kind == "most persons" else "time")


def _caption(gathered: Gathered, position: int) -> str:
    place = gathered.videos.place(position)
    try:
        name = video_name(dict(_header(gathered, position)))
    except SkelstoreError:
        return place
    return place if name is None else f"{name}, {place}"


def _header(gathered: Gathered, position: int) -> Mapping[Any, Any]:
    return gathered.videos.header(position) or gathered.videos.annotation(position)


def _video(gathered: Gathered, origin: Origin, classes: Classes, position: int) -> Markup:
    """A strip of frames of a video, and its label."""
    try:
        annotation = gathered.videos.annotation(position)
        with np.errstate(all="ignore"):
            drawing = strip_svg(annotation, origin.layout, frames=_frames(annotation), height=_HEIGHT, crop=True)
    except SkelstoreError as error:
        return tag("p", f"It cannot be drawn: {error}", class_="quiet")
    if len(drawing) > _MOST_TEXT:
        return tag("p", "Its drawing is too large for a report.", class_="quiet")
    text = caption_of(annotation, classes.names, 0).title
    return joined(
        [
            tag("div", Markup(drawing.replace(_NAMESPACE, "", 1)), class_="scroll"),
            tag("p", text, class_="quiet") if text else "",
        ]
    )


def _frames(annotation: Mapping[Any, Any]) -> int:
    """The number of frames to draw: fewer if there are many joints in a frame."""
    skeletons = poses(annotation)
    if not isinstance(skeletons, Poses):
        return _FRAMES
    persons, joints = len(skeletons.points), skeletons.points.shape[-2]
    if skeletons.compressed:
        persons = int(np.unique(annotation["frame_inds"], return_counts=True)[1].max(initial=1))
    return max(1, min(_FRAMES, int(_MOST_JOINTS // max(joints * min(persons, 20), 1))))
