"""The kinds of problems that ``skelstore check`` knows, and the report of those that it finds.

An error makes training fail or silently go wrong; a warning may be intended. docs/checking.md has the details.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from skelstore.wording import counted

__all__ = ["KINDS", "SHOWN", "Example", "Kind", "Report", "Tally"]

SHOWN = 5
"""Number of examples per kind in a report."""


class Kind(NamedTuple):
    """A kind of problem: its severity, what is wrong, and what to do."""

    severity: Literal["error", "warning"]
    title: str
    remedy: str


KINDS: dict[str, Kind] = {
    "no-video": Kind("error", "there is no video", "give the file that has the annotations, or make it again"),
    "unreadable": Kind("error", "the video cannot be read", "fetch or make the file again"),
    "skeletons-missing": Kind(
        "error", "no kpfile has the video", "fetch the kpfiles that are missing, or convert with --skip-missing"
    ),
    "left-out": Kind("warning", "the recipe skips the video", "nothing: a conversion skips it, too"),
    "keypoint-missing": Kind(
        "error", "there is no keypoint", "leave the video out; for a Kinetics table of contents give --kpfiles"
    ),
    "keypoint-shape": Kind(
        "error",
        "keypoint is not an array that a pipeline accepts",
        "make it a NumPy array of floats [M, T, V, C], or [N, V, 3] with frame_inds",
    ),
    "joints-mixed": Kind(
        "error",
        "the number of joints or coordinates differs from that of most videos",
        "convert all videos to one joint layout (skelstore.joints.convert), or leave these out",
    ),
    "joints-layout": Kind(
        "error", "the number of joints differs from that of the stated layout", "state the layout that the data has"
    ),
    "total-frames": Kind(
        "error", "total_frames differs from the number of frames", "set total_frames to T, keypoint.shape[1]"
    ),
    "score-shape": Kind(
        "error", "keypoint_score does not fit keypoint", "make it an array [M, T, V], keypoint.shape[:3]"
    ),
    "score-coordinate": Kind(
        "error",
        "the third coordinate looks like a score",
        "put it into keypoint_score: keypoint_score = keypoint[..., 2], keypoint = keypoint[..., :2]",
    ),
    "not-finite": Kind(
        "error", "a coordinate or score is NaN or infinite", "set joints that were not found to 0, with score 0"
    ),
    "no-person": Kind("error", "there is no person (M or N is 0)", "leave the video out"),
    "no-frame": Kind("error", "there is no frame (T is 0)", "leave the video out"),
    "empty-video": Kind("error", "every coordinate is zero", "leave the video out, or extract its skeletons again"),
    "empty-frame": Kind(
        "warning", "frames are all zero", "drop these frames, or fill them in (`skelstore track --interpolate`)"
    ),
    "empty-person": Kind("warning", "persons are all zero", "drop these persons"),
    "persons-swapped": Kind(
        "warning",
        "persons change rows from one frame to the next",
        "make rows of persons from the detections (`skelstore track`), so that each keeps its row in all frames",
    ),
    "frame-inds": Kind("error", "frame_inds is not one integer for each skeleton", "make it an integer array [N]"),
    "frame-inds-order": Kind(
        "error", "frame_inds go down", "sort keypoint, frame_inds and box_score by frame (a stable argsort)"
    ),
    "frame-inds-range": Kind(
        "error", "frame_inds are below 0 or above total_frames", "number the frames from 0 or 1, and set total_frames"
    ),
    "box-score": Kind("error", "box_score is not one number for each skeleton", "make it a float array [N]"),
    "valid": Kind(
        "error",
        "valid does not match box_score",
        "set valid[t] to the number of frames with a box_score of at least t",
    ),
    "img-shape": Kind("error", "img_shape is not (height, width)", "make it a tuple of two positive ints"),
    "img-shape-swapped": Kind(
        "error", "height and width are swapped", "swap img_shape (and original_shape): it is (height, width)"
    ),
    "fractions": Kind(
        "error",
        "the coordinates are fractions of the image, but img_shape is in pixels",
        "multiply x by the width and y by the height",
    ),
    "outside": Kind(
        "warning",
        "joints are outside the image",
        "nothing, if they are few and close to it; else scale the coordinates to img_shape",
    ),
    "label-missing": Kind(
        "error", "there is no label, though other videos have one", "add labels, or leave the video out"
    ),
    "labels-none": Kind("warning", "no video has a label", "add labels before training"),
    "label-type": Kind(
        "error",
        "the label is neither an integer nor a list of integers",
        "number the classes; in a converted store, `skelstore relabel --compact` does so",
    ),
    "label-range": Kind(
        "error",
        "the label is negative, or beyond the class names",
        "correct it, or give the names of all classes (`skelstore relabel --map`, `--labels`)",
    ),
    "label-gap": Kind(
        "warning",
        "some labels below the largest one do not occur",
        "nothing, if the data is part of a larger set; else `skelstore relabel --compact`",
    ),
    "name-missing": Kind(
        "error", "the name (frame_dir or filename) is missing or not a str", "give each video a unique name, a str"
    ),
    "duplicate-name": Kind("error", "an earlier video has the same name", "rename or leave out all but one"),
    "split-form": Kind("error", "the split is not a list of ids", "make it a list of the names of its videos"),
    "split-unknown": Kind(
        "error",
        "no video has the id",
        "remove it from the split, correct the id, or add the video, which training would skip",
    ),
    "split-none": Kind(
        "warning",
        "no split names the video, though there are splits",
        "name it in a split (`skelstore split` assigns all videos, `skelstore merge --as-split` those of each store)",
    ),
    "split-overlap": Kind(
        "error", "the id is in both training and evaluation", "remove it from one of the two (`skelstore split`)"
    ),
    "split-shared": Kind(
        "warning", "the id is in two splits for evaluation", "nothing, if they are meant to be the same"
    ),
    "split-repeated": Kind("warning", "the id occurs more than once", "list it once: repetitions do not count"),
    "posec3d-3d": Kind("error", "PoseC3D draws pixels, but the coordinates are 3D", "use 2D skeletons, or ST-GCN"),
    "posec3d-img-shape": Kind("error", "PoseC3D needs img_shape", "add img_shape, (height, width)"),
    "posec3d-score": Kind(
        "warning",
        "without keypoint_score, PoseC3D treats all joints as certain, even those at (0, 0)",
        "add keypoint_score, 0 for joints that were not found",
    ),
    "posec3d-joints": Kind(
        "warning",
        "the published configs of PoseC3D are for 17 joints",
        "set in_channels, left_kp and right_kp (skelstore.joints has the pairs)",
    ),
    "stgcn-joints": Kind(
        "error",
        "ST-GCN has no graph for this number of joints",
        "convert the joints to COCO-17 (skelstore.joints.convert), or add a graph upstream",
    ),
    "stgcn-graph": Kind(
        "warning",
        "25 joints in 2D are mostly those of OpenPose, and ST-GCN's graph of 25 joints is that of Kinect",
        "convert OpenPose's joints to COCO-17 (skelstore.joints.convert); if they are Kinect's, do nothing",
    ),
    "stgcn-persons": Kind(
        "error", "PreNormalize3D accepts one or two persons", "keep the two persons that move most, and drop the others"
    ),
    "stgcn-cut": Kind(
        "warning",
        "ST-GCN keeps only the first two persons",
        "put the relevant persons first, or drop the others",
    ),
    "stgcn-untracked": Kind(
        "warning",
        "ST-GCN follows rows, and those of detections are of another person in each frame",
        "make rows of persons (`skelstore track`)",
    ),
    "stgcn-score": Kind(
        "error", "keypoint_score: ST-GCN needs it with 2D, and refuses it with 3D", "add it to 2D, drop it from 3D"
    ),
    "stgcn-img-shape": Kind(
        "warning", "without img_shape, ST-GCN assumes 1080 x 1920", "add img_shape, (height, width), if it differs"
    ),
}


class Example(NamedTuple):
    """One case of a problem: the name of the video (or split), its place, and what was found."""

    name: str | None
    place: str
    found: str


@dataclass
class Tally:
    """The number of cases of a kind, and the first of them as examples."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, name: str | None, place: str, found: str, count: int = 1) -> None:
        self.count += count
        if len(self.examples) < SHOWN:
            self.examples.append(Example(name, place, found))

    def merge(self, later: Tally) -> None:
        """Add the cases of later videos."""
        self.count += later.count
        self.examples += later.examples[: SHOWN - len(self.examples)]


@dataclass
class Report:
    """The result of a check. ``problems`` has a tally for each kind that was found."""

    path: str
    videos: int
    problems: dict[str, Tally] = field(default_factory=dict)

    def add(self, kind: str, name: str | None, place: str, found: str, count: int = 1) -> None:
        self.problems.setdefault(kind, Tally()).add(name, place, found, count)

    def add_all(self, kind: str, tally: Tally) -> None:
        """Add cases that were counted separately."""
        if tally.count:
            self.problems[kind] = tally

    def merge(self, later: Report) -> None:
        """Add the problems of later videos of the same data set."""
        for kind, tally in later.problems.items():
            self.problems.setdefault(kind, Tally()).merge(tally)

    @property
    def errors(self) -> int:
        return self._count("error")

    @property
    def warnings(self) -> int:
        return self._count("warning")

    def _count(self, severity: str) -> int:
        return sum(tally.count for kind, tally in self.problems.items() if KINDS[kind].severity == severity)

    def ordered(self) -> list[tuple[str, Kind, Tally]]:
        """The problems, errors first, and within each severity in the order of ``KINDS``."""
        entries = [(kind, about, self.problems[kind]) for kind, about in KINDS.items() if kind in self.problems]
        return sorted(entries, key=lambda entry: entry[1].severity)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "videos": self.videos,
            "errors": self.errors,
            "warnings": self.warnings,
            "problems": [
                {
                    "kind": kind,
                    "severity": about.severity,
                    "count": tally.count,
                    "title": about.title,
                    "remedy": about.remedy,
                    "examples": [example._asdict() for example in tally.examples],
                }
                for kind, about, tally in self.ordered()
            ],
        }

    def lines(self) -> list[str]:
        """The report as text."""
        lines = []
        for kind, about, tally in self.ordered():
            lines.append(f"{about.severity} {kind}, {counted(tally.count, 'time')}: {about.title}")
            for name, place, found in tally.examples:
                where = " ".join(part for part in (repr(name) if name is not None else "", f"({place})" * bool(place)))
                lines.append(f"    {where.strip()}: {found}" if where.strip() else f"    {found}")
            if tally.count > len(tally.examples):
                lines.append("    …")
            lines.append(f"    remedy: {about.remedy}")
        summary = (
            f"{counted(self.errors, 'error')}, {counted(self.warnings, 'warning')}" if self.problems else "no problem"
        )
        return [*lines, f"{self.path}: {counted(self.videos, 'video')}, {summary}"]
