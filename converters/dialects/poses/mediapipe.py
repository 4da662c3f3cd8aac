"""MediaPipe's landmarks: a JSON file, or an array, per clip.

MediaPipe writes no files; the JSON is that of users' scripts. A frame is a list of 33 landmarks ``{"x", "y", "z",
"visibility"}`` or ``[x, y, z, visibility]``, an object of them by number or name, a list of such persons, or an object
with ``pose_landmarks`` and those of face and hands. A clip is a list of frames, an object with such a list, or an
object of frames by number. A frame without a person is null, empty, or has zeros. Arrays (``.npy``) are [T, 33, 3] or
[T, 33, 4].

x and y are fractions of the image's width and height, and may be beyond it; z has the scale of x, and its zero is at
the hips (google-ai-edge/mediapipe, docs/solutions/pose.md, Output). ``visibility`` is the score.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.array_file import MAGIC, npy_header, parse_npy
from converters.inputs.candidate import Candidate
from converters.inputs.detections import Detections
from converters.inputs.json_elements import Element, elements
from converters.inputs.listing import Entry
from converters.inputs.pose_clips import PoseClips
from skelstore.errors import SourceError
from skelstore.joints import layout
from skelstore.wording import shown, shown_sized

NAME = "mediapipe"
SUFFIXES = (".json", ".npy")
JOINTS = 33
"""V of MediaPipe's pose."""

_NOTES = (
    "box_score is the mean of the scores of the joints: MediaPipe does not score persons",
    "the score of a joint is its visibility, or 1 if it has none",
    "keypoint_z is kept as it is: z has the scale of x before fractions are scaled to pixels",
)
_MOST_BYTES = 1 << 30
"""Bytes of one array."""
_MOST_POINTS = 2000
"""Landmarks of one kind in a frame."""
_FRAMES = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number")
_BODY = ("pose_landmarks", "landmarks", "pose", "keypoints")
"""Names under which a frame has the landmarks of its body."""
_PARTS = {
    "face_landmarks": "face_keypoint",
    "left_hand_landmarks": "hand_left_keypoint",
    "right_hand_landmarks": "hand_right_keypoint",
}
"""Name of further landmarks of a frame -> the field that they become."""
_CLIPS = ("frames", "data", "results", *_BODY)
"""Names under which an object has the frames of a clip."""
_POSITIONS = {name: i for i, name in enumerate(layout("mediapipe-33").joints)}
_LANDMARK = frozenset({"x", "y", "z", "visibility", "presence"})


class MediaPipeFiles(PoseClips):
    """Source of a JSON file or an array, or of all of them below a folder or in a zip file: a clip per file.

    Options and errors are those of ``PoseClips``.
    """

    dialect = NAME
    suffixes = SUFFIXES
    notes = _NOTES
    scores_persons = False

    def _layout(self, joints: int) -> str | None:
        return "mediapipe-33" if joints == JOINTS else None

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        where = self._where(entry)
        if entry.file.lower().endswith(".npy"):
            return _read_array(where, self._files.read(entry.file, _MOST_BYTES), detections)
        reading = _Reading(where, detections)
        for place, frame, value in _frames(elements(self._files.chunks(entry.file), where), where, detections):
            reading.add(place, frame, value)
        return None


# ------------------------------------------------------------------------------------------------- frames


def _frames(found: Iterator[Element], where: str, detections: Detections) -> Iterator[tuple[str, int, object]]:
    """Place, number and value of each frame of a file. Raises SourceError if it has no frames, or two lists of them."""
    member: str | None = None
    numbered: tuple[str, list[object]] | None = None
    for element in found:
        key = element.key
        if key is None and element.position is not None:
            yield element.place, element.position, element.value
        elif key is not None and key.isascii() and key.isdigit() and len(key) < 10:
            if element.position is None:
                yield element.place, int(key), element.value
                continue
            if numbered is None or numbered[0] != key:
                if numbered is not None:
                    yield numbered[0], int(numbered[0]), numbered[1]
                numbered = key, []
            if len(numbered[1]) > _MOST_POINTS:
                raise SourceError(
                    f"{where}: {key[:80]} has more than {_MOST_POINTS:,} landmarks; expected those of a frame"
                )
            numbered[1].append(element.value)
        elif key in _CLIPS and (element.position is not None or element.value == []):
            if member not in (None, key):
                raise SourceError(f"{where} has {member} and {key}; expected one list of frames")
            member = key
            if element.position is not None:
                yield element.place, element.position, element.value
        elif key is not None:
            detections.not_kept([key])
    if numbered is not None:
        yield numbered[0], int(numbered[0]), numbered[1]


class _Landmark(NamedTuple):
    x: float
    y: float
    z: float | None
    score: float


_FLOATS = {float}


def _usual(landmark: dict[str, object]) -> Sequence[Any]:
    """x, y, z and visibility; Nones where a landmark lacks one of them."""
    return [landmark.get("x"), landmark.get("y"), landmark.get("z"), landmark.get("visibility")]


class _Reading:
    """Reads the frames of one clip."""

    def __init__(self, where: str, detections: Detections) -> None:
        self._where = where
        self._detections = detections

    def add(self, place: str, frame: int, value: object) -> None:
        """Add the persons of a frame. ``value`` may state another number of the frame."""
        parts: dict[str, Any] = {}
        body: object = value
        if type(value) is dict and not _is_landmarks(value):
            number = next((value[key] for key in _FRAMES if type(value.get(key)) is int), None)
            frame = frame if number is None else number
            names = [key for key in _BODY if key in value]
            parts = {field: value[key] for key, field in _PARTS.items() if key in value}
            if not names and not parts and value:
                raise self._error(place, value)
            body = value[names[0]] if names else None
            self._detections.not_kept(value.keys() - {*_FRAMES, *names[:1], *_PARTS})
        self._detections.see_frame(frame)
        persons = self._persons(place, body)
        if not persons and any(parts.values()):
            self._detections.not_kept(f"{field} of frames without a pose" for field, points in parts.items() if points)
        for i, person in enumerate(persons):
            self._add_person(place if len(persons) == 1 else f"{place}[{i}]", frame, person, parts if i == 0 else {})

    def _add_person(self, place: str, frame: int, person: object, parts: dict[str, Any]) -> None:
        points = self._landmarks(place, person)
        if not any(point.x or point.y for point in points):
            self._detections.leave_out()
            return
        fields = _depth("keypoint", points)
        for name, value in parts.items():
            if value:
                of_part = self._landmarks(f"{place}.{name}", value)
                fields |= {name: _row(of_part)} | _depth(name, of_part)
        self._detections.add(place, frame, _row(points), fields=fields)

    def _persons(self, place: str, value: object) -> list[object]:
        """The landmarks of each person of a frame."""
        if value is None or value == [] or value == {}:
            return []
        if type(value) is dict:
            return [value]
        if type(value) is not list:
            raise self._error(place, value)
        first = next((item for item in value if item), None)
        is_several = (type(first) is list and type(first[0]) in (list, dict)) or (
            type(first) is dict and _is_landmarks(first)
        )
        return [item for item in value if item] if is_several else [value]

    def _landmarks(self, place: str, value: object) -> list[_Landmark]:
        if type(value) is dict:
            value = self._in_order(place, value)
        if type(value) is not list or len(value) > _MOST_POINTS:
            raise self._error(place, value)
        usual = [_usual(landmark) for landmark in value if type(landmark) is dict and len(landmark) == 4]
        if len(usual) == len(value) and _FLOATS.issuperset(map(type, chain.from_iterable(usual))):
            return list(map(_Landmark._make, usual))
        return [self._landmark(f"{place}[{v}]", landmark) for v, landmark in enumerate(value)]

    def _in_order(self, place: str, of_key: dict[str, object]) -> list[object]:
        """The landmarks of an object, by number or by name."""
        numbers = {_number(key): landmark for key, landmark in of_key.items()}
        if sorted(number for number in numbers if number is not None) != list(range(len(of_key))):
            raise SourceError(
                f"{self._where}: {place} has landmarks with the keys {', '.join(map(shown, list(of_key)[:4]))} …; "
                f"expected all from 0 to {JOINTS - 1}, or all names of MediaPipe"
            )
        return [numbers[i] for i in range(len(of_key))]

    def _landmark(self, place: str, value: object) -> _Landmark:
        if type(value) is dict and {"x", "y"} <= value.keys():
            if not value.keys() <= _LANDMARK:
                self._detections.not_kept(value.keys() - _LANDMARK)
            if "presence" in value and "visibility" in value:
                self._detections.not_kept(["presence"])
            score = value.get("visibility", value.get("presence"))
            numbers = [value["x"], value["y"], value.get("z"), score]
        elif type(value) is list and 2 <= len(value) <= 4:
            numbers = [*value, None, None][:4]
        else:
            raise self._error(place, value)
        if any(type(number) not in (int, float) for number in numbers if number is not None) or None in numbers[:2]:
            raise SourceError(f"{self._where}: {place} is {shown(value)}; expected numbers x, y, z and visibility")
        x, y, z, score = numbers
        return _Landmark(x, y, z, float(bool(x or y)) if score is None else score)

    def _error(self, place: str, value: object) -> SourceError:
        return SourceError(
            f"{self._where}: {place} is {shown_sized(value)}; expected MediaPipe's landmarks "
            "{x, y, z, visibility}, a list or object of them, or null"
        )


def _is_landmarks(value: dict[str, object]) -> bool:
    """Whether the keys of an object are the numbers or names of landmarks."""
    return bool(value) and all(_number(key) is not None for key in value)


_WRITTEN = {str(number): number for number in range(JOINTS)}
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)


def _number(key: str) -> int | None:
    number = _WRITTEN.get(key)
    if number is not None:
        return number
    return int(key) if _NUMBER.fullmatch(key) else _POSITIONS.get(key.lower())


def _row(points: list[_Landmark]) -> list[float]:
    return [value for x, y, _, score in points for value in (x, y, score)]


def _depth(name: str, points: list[_Landmark]) -> dict[str, object]:
    """The field of z, if the landmarks have it."""
    return {f"{name}_z": [point.z or 0 for point in points]} if any(point.z is not None for point in points) else {}


def _read_array(where: str, data: bytes, detections: Detections) -> int:
    """Add the frames of an array [T, 33, 3 or 4] of x, y, z, visibility; return T."""
    array = parse_npy(data, where)
    if array.ndim != 3 or array.shape[1] != JOINTS or array.shape[2] not in (3, 4) or array.dtype.kind not in "iuf":
        raise SourceError(
            f"{where} is {array.dtype} {array.shape}; expected [T, {JOINTS}, 3 or 4] of x, y, z, visibility"
        )
    for t, frame in enumerate(array):
        if not frame[:, :2].any() or np.isnan(frame[:, :2]).all():
            continue
        if np.isnan(frame).any():
            raise SourceError(
                f"{where}: [{t}] has NaN for some landmarks; expected zeros for those that were not found"
            )
        score = frame[:, 3] if array.shape[2] == 4 else frame[:, :2].any(axis=1)
        points = np.stack([frame[:, 0], frame[:, 1], score], axis=1).astype(np.float64)
        fields = {"keypoint_z": frame[:, 2].astype(np.float64).tolist()}
        detections.add(f"[{t}]", t, points.reshape(-1).tolist(), fields=fields)
    return len(array)


def recognise(candidate: Candidate) -> bool:
    """Whether it is JSON that begins like landmarks, or an array of them, or a folder or zip file with such JSON.

    An array [T, 33, 3] in a folder may be of another tool, and is not recognised.
    """
    if any(map(_begins_like_landmarks, candidate.heads(".json"))):
        return True
    if not candidate.is_folder:
        header = candidate.header if candidate.head.startswith(MAGIC) else None
        return header is not None and _is_of_landmarks(header.shape, (3, 4))
    if not candidate.has(".npy"):
        return False
    try:
        return _is_of_landmarks(npy_header(candidate.files(".npy")[0]).shape, (4,))
    except SourceError:
        return False


def _is_of_landmarks(shape: tuple[int, ...], coordinates: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[1] == JOINTS and shape[2] in coordinates


_BEGINNING = re.compile(rb'"x"\s*:[^"]{1,60}"y"\s*:[^"]{1,60}("z"\s*:[^"]{1,60})?"(visibility|presence)"\s*:')


def _begins_like_landmarks(head: bytes) -> bool:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    named = b'"pose_landmarks"' in text and b'"x"' in text
    return text[:1] in (b"[", b"{") and (named or _BEGINNING.search(text) is not None)


DIALECT = Dialect(
    NAME,
    "MediaPipe's landmarks",
    "JSON or `.npy` of MediaPipe: a file per clip, a folder or a zip file of them",
    recognise=recognise,
    open=MediaPipeFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=SUFFIXES,
    recorded=recorded_pose_options,
)
