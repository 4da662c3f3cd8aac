"""MMPose 1.x's predictions: a JSON file, or a pickle, per clip.

An instance is ``{"keypoints": [V][2], "keypoint_scores": [V], "bbox": [[x1, y1, x2, y2]], "bbox_score"}`` in pixels
(open-mmlab/mmpose, mmpose/structures/utils.py, split_instances). Bottom-up models write no ``bbox_score``; 3D models
write a third coordinate. The forms of a file, all of one clip:

- demo scripts (``--save-predictions``): ``{"meta_info": {…}, "instance_info": [{"frame_id": 1, "instances": […]}]}``;
- MMPoseInferencer (``pred_out_dir``): of a video ``[{"frame_id": 0, "instances": […]}]``, of an image its instances;
- users' own: ``[T][instances]``, and pickles of ``list[person][frame]`` of instances as arrays.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.detections import Detections
from converters.inputs.json_elements import Element, elements
from converters.inputs.listing import Entry
from converters.inputs.number_rows import has_only_lists
from converters.inputs.pose_clips import PoseClips
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.values import Json
from skelstore.wording import kind_of, shown, shown_sized

NAME = "mmpose"
SUFFIXES = (".json", ".pkl")
_NOTES = (
    "box is x, y, width, height; bbox in the file is x1, y1, x2, y2",
    "of meta_info, dataset_name and the names of the joints are kept",
)
_KEYS = frozenset({"keypoints", "keypoint_scores", "bbox", "bbox_score", "track_id"})
_NUMBERS = frozenset({int, float})
_MEMBERS = ("meta_info", "instance_info")
_MOST_PERSONS = 1000
"""Persons of a pickle of list[person][frame]."""
LAYOUTS = {
    ("coco", 17): "coco-17",
    ("halpe", 26): "halpe-26",
    ("halpe26", 26): "halpe-26",
    ("halpe", 136): "halpe-136",
    ("coco_wholebody", 133): "wholebody-133",
    ("h36m", 17): "h36m-17",
    ("mpii", 16): "mpii-16",
}
"""``dataset_name`` of MMPose and V -> the joint layout."""
_EXPECTED = "expected an instance of MMPose with keypoints and keypoint_scores"


class MMPoseFiles(PoseClips):
    """Source of a file of MMPose's predictions, or of all of them below a folder or in a zip file: a clip per file.

    Pickles are read from disk only. Options and errors are those of ``PoseClips``.
    """

    dialect = NAME
    lists_frames = True
    suffixes = SUFFIXES
    notes = _NOTES

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._meta: dict[str, Json] = {}
        super().__init__(path, **options)

    def description(self) -> dict[str, Json]:
        """As for all tools; and ``meta_info``, what the first file with one says about the joints."""
        description = super().description()
        return description | {"meta_info": self._meta} if self._meta else description

    def _layout(self, joints: int) -> str | None:
        return LAYOUTS.get((str(self._meta.get("dataset_name")), joints))

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        where = self._where(entry)
        if entry.file.lower().endswith(".pkl"):
            return _read_pickle(where, detections)
        frames = _Frames(where, detections)
        for element in elements(self._files.chunks(entry.file), where):
            if element.key == "meta_info" and type(element.value) is dict:
                self._meta = self._meta or _about_joints(element.value)
            elif element.key not in (None, "instance_info"):
                detections.not_kept([element.key])
            elif element.position is not None:
                frames.add(element)
            elif element.value != []:
                raise SourceError(f"{where}: {element.place} is {shown(element.value)}; expected a list of frames")
        return None


class _Frames:
    """The frames of a file. All of them have one form, that of the first."""

    def __init__(self, where: str, detections: Detections) -> None:
        self._where = where
        self._detections = detections
        self._form = ""

    def add(self, element: Element) -> None:
        place, value = element.place, element.value
        form = _form(value)
        self._form = self._form or form
        if not form or form != self._form:
            expected = f"{self._form}, as before" if self._form else "a frame with frame_id and instances"
            raise SourceError(f"{self._where}: {place} is {shown_sized(value)}; expected {expected}")
        index = element.position or 0
        if form == "an instance":
            self._detections.see_frame(0)
            _add(self._where, place, 0, value, self._detections)
            return
        frame = index
        instances = value
        if form == "a frame":
            frame, instances = value["frame_id"], value["instances"]
            if len(value) > 2:
                self._detections.not_kept(value.keys() - {"frame_id", "instances"})
            if type(frame) is not int or type(instances) is not list:
                raise SourceError(
                    f"{self._where}: {place} has frame_id {shown(frame)} and instances {shown_sized(instances)}; "
                    "expected a number and a list"
                )
            place = f"{place}.instances"
        self._detections.see_frame(frame)
        for i, instance in enumerate(instances):
            _add(self._where, f"{place}[{i}]", frame, instance, self._detections)


def _form(value: object) -> str:
    """The form of an element of the list; empty if it is none."""
    if type(value) is list and {dict}.issuperset(map(type, value)):
        return "a list of instances"
    if type(value) is not dict:
        return ""
    if {"frame_id", "instances"} <= value.keys():
        return "a frame"
    return "an instance" if "keypoints" in value else ""


def _add(where: str, place: str, frame: int, instance: object, detections: Detections) -> None:
    """Add one instance. A list or array of one person around its values is taken off."""
    if type(instance) is not dict or "keypoints" not in instance:
        raise SourceError(f"{where}: {place} is {shown_sized(instance)}; {_EXPECTED}")
    points = instance["keypoints"]
    scores = instance.get("keypoint_scores")
    if (
        type(points) is list
        and len(points) == 1
        and type(points[0]) is list
        and points[0]
        and type(points[0][0]) is list
    ):
        points = points[0]  # [1][V][2]
        scores = scores[0] if type(scores) is list and len(scores) == 1 and type(scores[0]) is list else scores
    if points == []:
        detections.leave_out()
        return
    if type(scores) is not list or type(points) is not list or len(points) != len(scores):
        raise SourceError(
            f"{where}: {place} has keypoints {shown_sized(points)} and keypoint_scores {shown_sized(scores)}; expected "
            "two lists of the same length"
        )
    width = len(points[0]) if type(points[0]) is list else 0
    if width not in (2, 3) or not has_only_lists(points) or set(map(len, points)) != {width}:
        raise SourceError(f"{where}: {place}.keypoints is not a list of joints [x, y] or [x, y, z] of one length")
    row = list(chain.from_iterable(points))
    fields: dict[str, object] = {"box": _box(where, place, instance.get("bbox"))}
    if width == 3:
        fields["keypoint_z"] = row[2::3]
        del row[2::3]
    if not instance.keys() <= _KEYS:
        detections.not_kept(instance.keys() - _KEYS)
    track = instance.get("track_id")
    if track is not None and type(track) is not int:
        raise SourceError(f"{where}: {place}.track_id is {shown(track)}; expected an integer")
    detections.add(
        place,
        frame,
        row,
        joint_scores=scores,
        score=instance.get("bbox_score"),
        track=track if track is None or track >= 0 else None,
        fields=fields,
    )


def _box(where: str, place: str, box: object) -> object:
    """x, y, width, height of ``[[x1, y1, x2, y2]]`` or ``[x1, y1, x2, y2]``; [] if there is none."""
    if box is None or box == []:
        return []
    values = box[0] if type(box) is list and len(box) == 1 else box
    if type(values) is not list or len(values) != 4 or not _NUMBERS.issuperset(map(type, values)):
        raise SourceError(f"{where}: {place}.bbox is {shown(box)}; expected [[x1, y1, x2, y2]]")
    return [values[0], values[1], values[2] - values[0], values[3] - values[1]]


def _about_joints(meta: Mapping[str, Any]) -> dict[str, Json]:
    """The name of the data set and the names of the joints, of ``meta_info``."""
    names = meta.get("keypoint_id2name")
    about: dict[str, Json] = {}
    if isinstance(meta.get("dataset_name"), str):
        about["dataset_name"] = meta["dataset_name"][:200]
    if isinstance(names, dict) and len(names) <= 1000 and all(type(name) is str for name in names.values()):
        about["joint_names"] = [name[:80] for name in names.values()]
    return about


# ------------------------------------------------------------------------------------------------ pickles


def _read_pickle(where: str, detections: Detections) -> int | None:
    """Add the instances of a pickle, a list per person of an instance per frame. The person is the ``track``."""
    total = 0
    with PickleFile(where) as pickle:
        persons = pickle.elements() if pickle.root_kind == "list" else None
        if not persons or persons > _MOST_PERSONS:
            raise SourceError(
                f"{where} is not a list of at most {_MOST_PERSONS:,} persons; expected list[person][frame]"
            )
        for person in range(persons):
            frames = pickle.element(person)
            if type(frames) is not list:
                raise SourceError(
                    f"{where}: [{person}] is {kind_of(frames)}; expected a list of instances, one a frame"
                )
            total = max(total, len(frames))
            for frame, instance in enumerate(frames):
                place = f"[{person}][{frame}]"
                if instance is None or instance == {}:
                    continue
                made = _as_lists(where, place, instance)
                if not any(map(any, made["keypoints"])) and not any(made["keypoint_scores"]):
                    detections.leave_out()
                    continue
                _add(where, place, frame, made | {"track_id": person}, detections)
    return total


_OF_PICKLES = {"keypoints": 3, "keypoint_scores": 2, "bboxes": 2, "bbox_scores": 1}
"""Key of an instance in a pickle -> the axes of its array, of which the first is 1."""


def _as_lists(where: str, place: str, instance: object) -> dict[str, Any]:
    """An instance of a pickle as JSON has it."""
    if type(instance) is not dict or not {"keypoints", "keypoint_scores"} <= instance.keys():
        raise SourceError(f"{where}: {place} is {kind_of(instance)}; {_EXPECTED}")
    lists: dict[str, Any] = {key: value for key, value in instance.items() if key not in _OF_PICKLES}
    for key, axes in _OF_PICKLES.items():
        if key not in instance:
            continue
        array = instance[key]
        if isinstance(array, np.ndarray) and array.ndim == axes - 1:
            array = array[None]
        if not isinstance(array, np.ndarray) or array.ndim != axes or len(array) != 1 or array.dtype.kind not in "iuf":
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else kind_of(array)
            raise SourceError(f"{where}: {place}.{key} is {found}; expected an array of one person")
        lists[key] = array[0].tolist()
    if "bboxes" in lists:
        lists["bbox"] = lists.pop("bboxes")
    if "bbox_scores" in lists:
        lists["bbox_score"] = lists.pop("bbox_scores")
    return lists


def recognise(candidate: Candidate) -> bool:
    """Whether it is a file that begins like MMPose's predictions, or a folder or zip file with such a file.

    A pickle is recognised by its first instance.
    """
    if any(map(_begins_like_predictions, candidate.heads(".json"))):
        return True
    pickle = candidate.pickle
    if pickle is None or pickle.root_kind != "list" or not pickle.elements():
        return False
    first = pickle.element(0)
    found = next((item for item in first if item is not None), None) if type(first) is list else None
    return type(found) is dict and {"keypoints", "keypoint_scores"} <= found.keys()


def _begins_like_predictions(head: bytes) -> bool:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"{"):
        return b'"meta_info"' in text and (b'"instance_info"' in text or b'"keypoint_id2name"' in text)
    is_frame = b'"frame_id"' in text and b'"instances"' in text
    return text.startswith(b"[") and (is_frame or b'"keypoint_scores"' in text)


DIALECT = Dialect(
    NAME,
    "MMPose's predictions",
    "JSON or pickles of MMPose: a file per clip, a folder or a zip file of them",
    recognise=recognise,
    open=MMPoseFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=SUFFIXES,
    recorded=recorded_pose_options,
)
