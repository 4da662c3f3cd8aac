"""AlphaPose's results: a JSON file per clip, a list of detections.

A detection is ``{"image_id": "0.jpg", "category_id": 1, "keypoints": [x, y, score] * V, "score", "box": [x, y, width,
height], "idx"}`` in pixels (MVIG-SJTU/AlphaPose, alphapose/utils/pPose_nms.py, write_json). V is 17 (COCO), 26 or 136
(Halpe). ``idx`` is the id of a tracker, in several forms. PoseFlow's form is an object of image -> list of detections
with ``scores`` in place of ``score``.
The file names frames by ``image_id`` and has no frame without a detection; it holds neither T nor the image's size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.detections import Detections
from converters.inputs.json_elements import begins_like_json, elements
from converters.inputs.listing import Entry
from converters.inputs.pose_clips import PoseClips
from skelstore.errors import SourceError
from skelstore.wording import shown, shown_sized

NAME = "alphapose"
SUFFIX = ".json"
JOINTS = {17: "coco-17", 26: "halpe-26", 136: "halpe-136"}
"""V -> the joint layout of AlphaPose's models with so many joints."""

_RESULTS = "alphapose-results.json"
"""The name that AlphaPose gives its results of every video, in the folder that was stated for them."""
_KEYS = frozenset({"image_id", "category_id", "keypoints", "score", "scores", "box", "idx"})
_LAST_NUMBER = re.compile(r"(\d{1,18})\D*\Z", re.ASCII)
_OF_POSEFLOW = re.compile(rb'^[^"\[]{0,20}\{\s*"[^"\\]*\d[^"\\]*\.\w{2,5}"\s*:\s*\[')
"""The name of an image, as a key, and the list of its detections."""
_NOTES = (
    "total_frames is the last frame with a person + 1: AlphaPose does not write the number of frames",
    "image_id is kept as frame_inds, and category_id, which is 1, is not kept",
)


class AlphaPoseFiles(PoseClips):
    """Source of an ``.json`` file of AlphaPose, or of all of them below a folder or in a zip file: a clip per file.

    Options and errors are those of ``PoseClips``.
    """

    dialect = NAME
    notes = _NOTES

    def _clips(self) -> list[Entry]:
        """A clip per file; one named ``alphapose-results.json`` is named by its folder instead."""
        clips = super()._clips()
        named = [(PurePosixPath(entry.file), entry) for entry in clips]
        return [
            entry._replace(file=path.parent.as_posix(), name=path.parent.as_posix())
            if path.name == _RESULTS and path.parent.name
            else entry
            for path, entry in named
        ]

    def _names(self, entry: Entry) -> list[str]:
        return [entry.file if entry.file in self._files.sizes else f"{entry.file}/{_RESULTS}"]

    def _layout(self, joints: int) -> str | None:
        return JOINTS.get(joints)

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        where = self._where(entry)
        for place, image, detection in _detections(self._files.chunks(self._names(entry)[0]), where):
            if type(detection) is not dict or "keypoints" not in detection:
                raise SourceError(
                    f"{where}: {place} is {shown(detection)}; expected an object with image_id, keypoints and score"
                )
            if not detection.keys() <= _KEYS:
                detections.not_kept(detection.keys() - _KEYS)
            keypoints = detection["keypoints"]
            if keypoints == []:
                detections.leave_out()
                continue
            if type(keypoints) is not list or len(keypoints) % 3 or len(keypoints) // 3 not in JOINTS:
                raise SourceError(
                    f"{where}: {place}.keypoints is {shown_sized(keypoints)}; expected {_numbers_of_joints()} numbers: "
                    "x, y and score of each joint"
                )
            detections.add(
                place,
                _frame(where, place, detection.get("image_id") if image is None else image),
                keypoints,
                score=detection.get("score", detection.get("scores")),
                track=_track(where, place, detection.get("idx")),
                fields={"box": _box(where, place, detection.get("box"))},
            )
        return None


def _detections(chunks: Iterator[bytes], where: str) -> Iterator[tuple[str, object, object]]:
    """Place, image (of PoseFlow's form, else None) and value of each detection."""
    for element in elements(chunks, where):
        if element.key is not None and element.position is None and element.value != []:
            raise SourceError(
                f"{where}: {element.place} is {shown(element.value)}; expected a list of AlphaPose's detections"
            )
        if element.position is not None:
            yield element.place, element.key, element.value


def _frame(where: str, place: str, image: object) -> int:
    """The last number in the name of an image, without its suffix."""
    if type(image) is int:
        return image
    stem = image.rpartition(".")[0] or image if isinstance(image, str) else ""
    match = _LAST_NUMBER.search(stem)
    if match is None:
        raise SourceError(f"{where}: {place}.image_id is {shown(image)}; expected the name of a frame with a number")
    return int(match[1])


def _track(where: str, place: str, idx: object) -> int | None:
    """The id of a tracker, None without one: ``0``, ``[0.0]``, or ``[[0.0], [0.0]]``, of which the first one counts."""
    value: Any = idx
    while type(value) is list and value:
        value = value[0]
    if value is None or value == []:
        return None
    if type(value) is not int and not (type(value) is float and value.is_integer()):
        raise SourceError(f"{where}: {place}.idx is {shown(idx)}; expected the id of a person, an integer")
    return int(value)


def _box(where: str, place: str, box: object) -> object:
    if box is not None and (type(box) is not list or len(box) != 4):
        raise SourceError(f"{where}: {place}.box is {shown(box)}; expected [x, y, width, height]")
    return box


def _numbers_of_joints() -> str:
    *others, last = (str(3 * joints) for joints in JOINTS)
    return f"{', '.join(others)} or {last}"


def recognise(candidate: Candidate) -> bool:
    """Whether it is a JSON file that begins like AlphaPose's results, or a folder or zip file with such a file."""
    return any(_begins_like_results(head) for head in candidate.heads(SUFFIX))


def _begins_like_results(head: bytes) -> bool:
    keys = b'"keypoints"' in head and (b'"idx"' in head or b'"box"' in head)
    return keys and begins_like_json(head) and (b'"image_id"' in head or _OF_POSEFLOW.search(head) is not None)


DIALECT = Dialect(
    NAME,
    "AlphaPose's results",
    "JSON of AlphaPose: a file per clip, a folder or a zip file of them",
    recognise=recognise,
    open=AlphaPoseFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_pose_options,
)
