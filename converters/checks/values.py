"""Values that videos have in common: the numbers of the classes, and the numbers of joints and coordinates."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.checks.poses import Poses, as_int, poses
from converters.checks.problems import Report, Tally
from skelstore.joints import JointLayout
from skelstore.wording import counted, shown

__all__ = ["Labels", "Shapes"]

MOST_SHAPES = 64
"""Maximum number of different shapes that are counted."""


class Labels:
    """The labels of the videos."""

    def __init__(self, class_names: Sequence[str] | None) -> None:
        self._limit = None if class_names is None else len(class_names)
        self._labels = array("q")
        self._missing = Tally()
        self._seen = 0

    def add(self, annotation: Mapping[Any, Any], name: str | None, place: str, report: Report) -> None:
        self._seen += 1
        label = annotation.get("label")
        if label is None:
            self._missing.add(name, place, "label is missing" if "label" not in annotation else "label is None")
            return
        for element in label if isinstance(label, (list, tuple)) else [label]:
            number = as_int(element)
            if number is None:
                continue  # another type, which is reported by ``video_problems``
            if number < 0 or number >= (1 << 63 if self._limit is None else self._limit):
                known = "" if self._limit is None else f", but there are {counted(self._limit, 'class name')}"
                report.add("label-range", name, place, f"label is {shown(number)}{known}")
            else:
                self._labels.append(number)

    def merge(self, later: Labels) -> None:
        self._labels.extend(later._labels)
        self._missing.merge(later._missing)
        self._seen += later._seen

    def finish(self, report: Report) -> None:
        """Report missing labels, and gaps in their numbers."""
        if self._seen and self._missing.count == self._seen:
            report.add("labels-none", None, "", counted(self._seen, "video"))
        else:
            report.add_all("label-missing", self._missing)
        there = np.unique(np.array(self._labels, np.int64))
        if not len(there):
            return
        missing = int(there[-1]) + 1 - len(there)
        if missing:
            # Without a gap, the i-th label is i: the first one that is not shows the first gap.
            first = int(np.argmax(there != np.arange(len(there))))
            different = counted(len(there), "different label")
            detail = f"{different} up to {there[-1]}: {missing} below it missing, first {first}"
            report.add("label-gap", None, "", detail)


class Shapes:
    """The number of joints (V) and coordinates (C) of the videos' keypoints."""

    def __init__(self, layout: JointLayout | None) -> None:
        self._layout = layout
        self._tallies: dict[tuple[int, int], Tally] = {}

    def add(self, annotation: Mapping[Any, Any], name: str | None, place: str, report: Report) -> None:
        skeletons = poses(annotation)
        if not isinstance(skeletons, Poses):
            return
        shape: tuple[int, int] = skeletons.points.shape[-2:]
        if self._layout is not None and shape[0] != len(self._layout):
            report.add("joints-layout", name, place, f"V is {shape[0]}, but {self._layout.name} was stated")
        if shape in self._tallies or len(self._tallies) < MOST_SHAPES:
            tally = self._tallies.setdefault(shape, Tally())
            tally.add(name, place, f"{counted(shape[0], 'joint')} in {shape[1]}D")

    def merge(self, later: Shapes) -> None:
        for shape, tally in later._tallies.items():
            if shape in self._tallies or len(self._tallies) < MOST_SHAPES:
                self._tallies.setdefault(shape, Tally()).merge(tally)

    def finish(self, report: Report) -> None:
        """Report videos whose shape differs from that of most videos."""
        if len(self._tallies) < 2:
            return
        usual = max(self._tallies.items(), key=lambda entry: entry[1].count)[0]
        for shape, tally in self._tallies.items():
            if shape != usual:
                for name, place, detail in tally.examples:
                    report.add("joints-mixed", name, place, f"{detail}; most videos have {usual[0]} in {usual[1]}D")
                report.problems["joints-mixed"].count += tally.count - len(tally.examples)
