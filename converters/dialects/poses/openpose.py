"""OpenPose's output: a JSON file per frame, in a folder per clip, as ``--write_json`` writes them.

A file holds ``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, score] * V,
"face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", …}]}`` (CMU-Perceptual-Computing-Lab/openpose,
doc/02_output.md); version 1.0 has ``pose_keypoints`` …. V is 25 (BODY_25 or BODY_25B), 18 (COCO) or 15 (MPI), the face
has 70 points and each hand 21. A joint that was not found is 0, 0, 0. The files have neither the size of the image nor
the name of the model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.clip_files import FrameFile
from converters.inputs.detections import Detections, Size
from converters.inputs.json_elements import MOST_ELEMENT, begins_like_json, parse
from converters.inputs.pose_clips import FrameClips
from skelstore.errors import SourceError
from skelstore.joints import LAYOUTS
from skelstore.wording import kind_of, shown

NAME = "openpose"
SUFFIX = ".json"
JOINTS = {25: ("body-25", "body-25b"), 18: ("openpose-18",), 15: ("openpose-15",)}
"""V -> the joint layouts of OpenPose's models with so many joints."""
_CLIPS, _PERSONS = 10, 50
"""Numbers of clips, and of persons in each, that tell models with as many joints apart."""

_FIELDS = {
    "face_keypoints": "face_keypoint",
    "hand_left_keypoints": "hand_left_keypoint",
    "hand_right_keypoints": "hand_right_keypoint",
}
"""Key of a person, without ``_2d`` -> the field of the annotation."""
_FIELDS_3D = {"pose_keypoints_3d": "keypoint_3d"} | {f"{key}_3d": f"{field}_3d" for key, field in _FIELDS.items()}
_KEYS = {"person_id", "pose_keypoints", "pose_keypoints_2d", *_FIELDS, *(f"{key}_2d" for key in _FIELDS), *_FIELDS_3D}
_NOTES = (
    "box_score is the mean of the scores of the joints: OpenPose does not score persons",
    "total_frames is the last frame + 1, by the numbers in the names of files",
)


class OpenPoseFiles(FrameClips):
    """Source of the ``.json`` files of OpenPose below a folder or in a zip file: a folder per clip, a file per frame.

    Options and errors are those of ``PoseClips``. ``person_id`` is the track, unless it occurs twice in a frame.
    """

    dialect = NAME
    notes = _NOTES
    scores_persons = False
    ending = "_keypoints"

    def _layout(self, joints: int) -> str | None:
        names = JOINTS.get(joints, ())
        if len(names) < 2:
            return next(iter(names), None)
        return min(names, key=self._bone_lengths(joints, names).__getitem__)

    def _bone_lengths(self, joints: int, names: Iterable[str]) -> dict[str, float]:
        """The mean length of the bones of the first persons if they have each layout: that of a wrong one is longer."""
        points = self._first_persons(joints)
        found = np.asarray(points.any(axis=-1))
        lengths = {}
        for name in names:
            first, second = np.array(LAYOUTS[name].edges).T
            apart = np.hypot(*(points[:, first] - points[:, second]).T).T
            there = apart[found[:, first] & found[:, second]]
            lengths[name] = float(there.mean()) if len(there) else math.inf
        return lengths

    def _first_persons(self, joints: int) -> NDArray[np.float64]:
        """Joints [N, V, 2] of the first persons of the first clips; what is wrong with them is reported later."""
        found = [np.zeros((0, joints, 2))]
        for video in self._listing.videos[:_CLIPS]:
            persons = _FirstPersons(self._where(video.entry), joints=joints, size=Size(1, 1))
            with suppress(SourceError):
                with suppress(_EnoughError):
                    self._read(video.entry, persons)
                found.append(persons.annotation()["keypoint"][..., :2].astype(np.float64))
        return np.concatenate(found)

    def _read_frame(self, frame: FrameFile, detections: Detections) -> None:
        where = self._files.where(frame.name)
        value = parse(self._files.read(frame.name, MOST_ELEMENT), where)
        if type(value) is not dict or type(value.get("people")) is not list:
            raise SourceError(f"{where} holds {kind_of(value)} without a list 'people'; expected a frame of OpenPose")
        detections.not_kept(key for key in value.keys() - {"version", "people"} if value[key])
        ids = [_id(where, i, person) for i, person in enumerate(value["people"])]
        counts = Counter(ids)
        for i, (person, track) in enumerate(zip(value["people"], ids, strict=True)):
            place = f"{frame.name}: people[{i}]"
            detections.not_kept(key for key in person.keys() - _KEYS if person[key])
            pose = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
            fields = {field: person.get(f"{key}_2d", person.get(key)) for key, field in _FIELDS.items()}
            fields |= {field: person.get(key) for key, field in _FIELDS_3D.items()}
            if not pose:
                detections.leave_out()
                detections.not_kept(f"{field} without body" for field, points in fields.items() if points)
                continue
            detections.add(place, frame.number, pose, track=track if counts[track] == 1 else None, fields=fields)


class _EnoughError(Exception):
    """Enough persons were found."""


class _FirstPersons(Detections):
    """Stops at the last person that is needed."""

    def add(self, *arguments: Any, **further: Any) -> None:
        super().add(*arguments, **further)
        if len(self) == _PERSONS:
            raise _EnoughError


def _id(where: str, index: int, person: object) -> int | None:
    """The ``person_id`` of a person, ``[7]`` or ``7``; None if it is -1 or missing."""
    if type(person) is not dict:
        raise SourceError(f"{where}: people[{index}] is {shown(person)}; expected an object with pose_keypoints_2d")
    value = person.get("person_id")
    if type(value) is list and len(value) == 1:
        value = value[0]
    if value is None or value == [] or value == -1:
        return None
    if type(value) is not int:
        raise SourceError(f"{where}: people[{index}].person_id is {shown(value)}; expected an integer or [integer]")
    return value


def recognise(candidate: Candidate) -> bool:
    """Whether it is a JSON file that begins like a frame of OpenPose, or a folder or zip file with such a file."""
    return any(
        b'"people"' in head and (b'"pose_keypoints' in head or b'"version"' in head) and begins_like_json(head)
        for head in candidate.heads(SUFFIX)
    )


DIALECT = Dialect(
    NAME,
    "OpenPose's frames",
    "JSON of OpenPose: a folder per clip with a file per frame, or a zip file of them",
    recognise=recognise,
    open=OpenPoseFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_pose_options,
)
