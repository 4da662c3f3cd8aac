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
from converters.inputs.detections import Detections
from converters.inputs.json_elements import begins_like_json
from converters.inputs.json_values import MOST_ELEMENT, parse_all
from converters.inputs.listing import Entry
from converters.inputs.pixels import Size
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
_FIELD_OF = _FIELDS | {f"{key}_2d": field for key, field in _FIELDS.items()} | _FIELDS_3D
_KEYS = {"person_id", "pose_keypoints", "pose_keypoints_2d", *_FIELD_OF}
_BLOCK_BYTES = 128 << 10
"""Bytes of files that are parsed at once."""
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

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        """Add the frames of a clip, which are parsed several at once."""
        texts: list[bytes] = []
        frames: list[FrameFile] = []
        size = 0
        for frame in self._frames[entry.file]:
            text = self._files.read(frame.name, MOST_ELEMENT)
            if texts and size + len(text) > _BLOCK_BYTES:
                self._add_frames(frames, texts, detections)
                frames, texts, size = [], [], 0
            frames.append(frame)
            texts.append(text)
            size += len(text)
        self._add_frames(frames, texts, detections)
        return None

    def _add_frames(self, frames: list[FrameFile], texts: list[bytes], detections: Detections) -> None:
        values = parse_all(texts, (self._files.where(frame.name) for frame in frames))
        for frame, value in zip(frames, values, strict=True):
            detections.see_frame(frame.number)
            self._add_frame(frame, value, detections)

    def _add_frame(self, frame: FrameFile, value: Any, detections: Detections) -> None:
        where = self._files.where(frame.name)
        if type(value) is not dict or type(value.get("people")) is not list:
            raise SourceError(f"{where} holds {kind_of(value)} without a list 'people'; expected a frame of OpenPose")
        if len(value) > 2:
            detections.not_kept(key for key in value.keys() - {"version", "people"} if value[key])
        ids = [_id(where, i, person) for i, person in enumerate(value["people"])]
        counts = Counter(ids) if any(track is not None for track in ids) else {}
        for i, (person, track) in enumerate(zip(value["people"], ids, strict=True)):
            place = f"{frame.name}: people[{i}]"
            if not person.keys() <= _KEYS:
                detections.not_kept(key for key in person.keys() - _KEYS if person[key])
            pose = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
            fields = {_FIELD_OF[key]: points for key, points in person.items() if key in _FIELD_OF and points != []}
            if not pose:
                detections.leave_out()
                detections.not_kept(f"{field} without body" for field, points in fields.items() if points)
                continue
            detections.add(place, frame.number, pose, track=track if counts.get(track) == 1 else None, fields=fields)


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
