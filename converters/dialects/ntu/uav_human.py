"""UAV-Human's skeletons: text files in the form of NTU RGB+D with 17 joints, in a folder or a zip file.

A name is ``P000S00G10B10H10UC022000LC021000A000R0_08241716.txt``: subject, setup, gender, backpack, hat, upper and
lower clothing, action from 0, replication, and the time. The joints are those of COCO, in pixels. The splits are
Cross-Subject-v1 and -v2 of Li et al., UAV-Human (CVPR 2021), whose subjects are those of the README of
sutdcv/UAV-Human; the order of the joints is that of its uavhumanposetools/pose_data_tools/graph.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.dialects.dialect import DTYPE, SIZE, Dialect
from converters.dialects.ntu.skeleton_file import Skeleton, parse
from converters.inputs.candidate import Candidate
from converters.inputs.detections import NO_TRACK, Detections
from converters.inputs.listing import Entry, Listing, Video
from converters.inputs.pose_clips import PoseClips
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.values import Json

NAME = "uav-human"
SUFFIX = ".txt"
JOINTS = 17
"""V, the joints of COCO."""

_NOTES = (
    "box_score is the mean of the scores of the joints",
    "the score of a joint is 1, or 0 where x and y are 0: the files have none",
    "a body id that occurs twice in a frame of a clip is no track",
    "z and the other values of joints and bodies are kept where they are not all 0",
)
_PATTERN = re.compile(r"P(\d{3})S\d+G\d+B\d+H\d+UC\d+LC\d+A(\d{3})R\d+_\d+", re.ASCII)
_MOST_BYTES = 32 << 20
"""Bytes of one file."""


def _numbers(text: str) -> frozenset[int]:
    """The numbers of a text such as ``0 5-8``."""
    ranges = [part.partition("-") for part in text.split()]
    return frozenset(n for first, _, last in ranges for n in range(int(first), int(last or first) + 1))


SUBJECTS = {
    "xsub1": _numbers(
        "0 2 5-8 10-21 25-30 32-40 42-53 55-57 59 61-65 67-71 73 76-90 98 100 102-103 105-106 110-112 114-118"
    ),
    "xsub2": _numbers(
        "0 3-6 8 10-12 14 16 18-22 24 26 29-32 35-40 43-47 49 52 54 56-57 59-64 66-67 69-75 77-81 83-84 86-89 91-97 "
        "99-104 106-115 117-118"
    ),
}
"""Evaluation protocol, Cross-Subject-v1 or -v2 -> its subjects for training; the others are for validation."""


class UavHumanFiles(PoseClips):
    """Source of all files of UAV-Human below a folder or in a zip file, or of one.

    ``size`` (such as ``1080x1920``) is that of the image, ``dtype`` that of coordinates. Raises SourceError that
    reports all files with other names, and repeated names.
    """

    dialect = NAME
    suffixes = (SUFFIX,)
    notes = _NOTES
    scores_persons = False
    fractions = False

    def __init__(self, path: str | os.PathLike[str], *, size: str | None = None, dtype: Any = "float32") -> None:
        super().__init__(path, size=size, dtype=dtype)

    def _clips(self) -> list[Entry]:
        entries = [
            Entry(name, None, PurePosixPath(name).stem, max(size, 1)) for name, size in self._files.sizes.items()
        ]
        refuse(
            str(self.path),
            [
                f"{entry.file}: the name is not one of UAV-Human; expected one such as "
                "P000S00G10B10H10UC022000LC021000A000R0_08241716.txt"
                for entry in entries
                if not _PATTERN.fullmatch(entry.name or "")
            ],
        )
        return entries

    def _label(self, listing: Listing) -> Listing:
        """The listing, with labels and splits from the names."""
        return replace(listing, videos=[_labelled(video) for video in listing.videos])

    def _layout(self, joints: int) -> str | None:
        return "coco-17"

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        where = self._where(entry)
        try:
            skeleton = parse(self._files.read(entry.file, _MOST_BYTES), JOINTS)
        except SourceError as error:
            raise SourceError(str(error) if where in str(error) else f"{where}: {error}") from None
        if skeleton.total_frames:
            detections.see_frame(0)
        _add(skeleton, detections)
        return skeleton.total_frames


def _labelled(video: Video) -> Video:
    match = _PATTERN.fullmatch(video.name or "")
    assert match is not None  # ``_clips`` has refused others
    subject, action = int(match[1]), int(match[2])
    splits = tuple(f"{name}_{'train' if subject in train else 'val'}" for name, train in SUBJECTS.items())
    return video._replace(row=replace(video.row, label=action, splits=splits))


def _add(skeleton: Skeleton, detections: Detections) -> None:
    """Add the bodies of a file."""
    given: NDArray[np.bool_] = np.any(skeleton.position[..., :2], axis=2)
    points = np.concatenate([skeleton.position[..., :2], given[..., None]], axis=2)
    others: dict[str, NDArray[Any]] = {
        "keypoint_z": skeleton.position[..., 2],
        "depth": skeleton.depth,
        "color": skeleton.color,
        "orientation": skeleton.orientation,
        "tracking_state": skeleton.tracking_state,
        "body": skeleton.body,
    }
    kept = {name: values.reshape(len(values), -1).tolist() for name, values in others.items() if values.any()}
    rows = points.reshape(len(points), -1).tolist()
    for i, (frame, track) in enumerate(zip(skeleton.frame_inds.tolist(), _tracks(skeleton), strict=True)):
        place = f"frame {frame}: body {i}"
        if not given[i].any():
            detections.leave_out()
            continue
        fields = {name: values[i] for name, values in kept.items()}
        detections.add(place, frame, rows[i], track=None if track == NO_TRACK else track, fields=fields)


def _tracks(skeleton: Skeleton) -> list[int]:
    """A number from 0 for each body id, in the order of the ids; -1 if the id occurs twice in a frame."""
    ids, numbers = np.unique(skeleton.body_id, return_inverse=True)
    pairs, counts = np.unique(np.stack([skeleton.frame_inds, numbers.reshape(-1)]), axis=1, return_counts=True)
    repeated: NDArray[np.bool_] = np.zeros(len(ids), bool)
    repeated[pairs[1][counts > 1]] = True
    return [NO_TRACK if repeated[number] else number for number in numbers.reshape(-1).tolist()]


def recognise(candidate: Candidate) -> bool:
    """Whether it is a text file with a name of UAV-Human, or a folder or zip file with such a file."""
    path = candidate.path
    if candidate.is_folder:
        return candidate.has(SUFFIX) and any(_PATTERN.fullmatch(file.stem) for file in candidate.files(SUFFIX))
    if path.suffix.lower() == SUFFIX:
        return _PATTERN.fullmatch(path.stem) is not None
    return any(
        _PATTERN.fullmatch(PurePosixPath(name).stem) for name in candidate.members if name.lower().endswith(SUFFIX)
    )


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    options = source.get("options")
    return dict(options) if isinstance(options, dict) else {}


DIALECT = Dialect(
    NAME,
    "UAV-Human's skeletons",
    "UAV-Human's `P000…_08241716.txt`, in a folder or a zip file, or one of them",
    recognise=recognise,
    open=UavHumanFiles,
    options=(SIZE, DTYPE),
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded,
)
