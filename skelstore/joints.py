"""Joint layouts: which joint is at which position of the axis V.

This module defines the names, edges and left-right pairs of the joint layouts used in skeleton action recognition,
converts between them where a conversion is defined, and guesses a layout from the shape of an array. Left and right
are those of the person.

Sources of the definitions:

- ``coco-17``: COCO keypoints, https://cocodataset.org/#format-data; edges are the ``skeleton`` of its annotation files.
- ``ntu-25``: Kinect v2 as in NTU RGB+D (Shahroudy et al., CVPR 2016, figure 2); edges as in PYSKL's graph
  ``nturgb+d`` (pyskl/utils/graph.py).
- ``kinect-20``: Kinect v1 as in NW-UCLA (NUI_SKELETON_POSITION_INDEX of the Kinect for Windows SDK 1.8); edges as in
  CTR-GCN's graph ``ucla`` (graph/ucla.py).
- ``openpose-18``, ``body-25``: OpenPose's models COCO and BODY_25 (doc/02_output.md, and the pairs of
  src/openpose/pose/poseParameters.cpp without those from shoulder to ear).
- ``halpe-26``: Halpe-FullBody, README of Fang-Haoshu/Halpe-FullBody; edges as in MMPose (configs/_base_/datasets/
  halpe26.py).
- ``wholebody-133``: COCO-WholeBody (Jin et al., ECCV 2020); edges as in MMPose (configs/_base_/datasets/
  coco_wholebody.py): the face has none.
- ``hand-21``: MediaPipe Hands (hand_landmark.py); edges as in PYSKL's graph ``handmp``. It has one hand and no pairs.
- ``mediapipe-33``: MediaPipe Pose (BlazePose GHUM; pose_landmark.py and pose_connections.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import JointLayoutError
from skelstore.format.values import Json
from skelstore.wording import closest, counted, shown_names

__all__ = [
    "LAYOUTS",
    "Converted",
    "JointLayout",
    "KnownJoints",
    "convert",
    "is_guess",
    "keypoint_shapes",
    "known_joints",
    "layout",
    "recognise",
    "require_alike",
    "stated",
    "with_joints",
]


@dataclass(frozen=True)
class JointLayout:
    """A joint layout: the names of the joints, in the order of the axis V, and how they are connected.

    ``edges`` are the bones, for drawing and for graphs. ``pairs`` are (left, right), as PYSKL's ``left_kp`` and
    ``right_kp``: a flip swaps them. Both contain positions on the axis V.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.joints)


class Converted(NamedTuple):
    """The result of ``convert``. ``derived`` names the joints that the source lacks; each is the mean of two joints."""

    keypoint: NDArray[Any]
    keypoint_score: NDArray[Any] | None
    derived: tuple[str, ...]


class KnownJoints(NamedTuple):
    """What is known about the joints of a data set.

    ``layout`` is None if no joint layout fits. ``stated`` is true if a person stated it. Otherwise it was recognised,
    which is a guess, and ``reason`` says what the guess is based on. ``counts`` are the numbers of joints (V) in the
    data. ``derived`` names the joints that were computed from others.
    """

    layout: JointLayout | None
    stated: bool
    reason: str
    counts: tuple[int, ...]
    derived: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _sides(text: str) -> tuple[str, ...]:
    """For each word, the name of the left joint and of the right joint."""
    return tuple(f"{side}_{word}" for word in text.split() for side in ("left", "right"))


def _one_side(side: str, text: str) -> tuple[str, ...]:
    return tuple(f"{side}_{word}" for word in text.split())


def _layout(name: str, joints: tuple[str, ...], edges: str, more_pairs: Iterable[tuple[int, int]] = ()) -> JointLayout:
    """A joint layout from edges written as chains, such as ``0-1-2 0-3``, and names that contain left or right."""
    chains = [[int(joint) for joint in chain.split("-")] for chain in edges.split()]
    pairs = [(joints.index(left), joints.index(left.replace("left", "right"))) for left in joints if "left" in left]
    return JointLayout(
        name,
        joints,
        tuple(pair for chain in chains for pair in pairwise(chain)),
        tuple(sorted([*pairs, *more_pairs])),
    )


_FACE_AND_BODY = ("nose", *_sides("eye ear shoulder elbow wrist hip knee ankle"))
_HAND = _words("wrist thumb_cmc thumb_mcp thumb_ip thumb_tip") + tuple(
    f"{finger}_{joint}"
    for finger in ("index_finger", "middle_finger", "ring_finger", "pinky")
    for joint in ("mcp", "pip", "dip", "tip")
)
_WHOLE_HAND = "hand_root " + " ".join(
    f"{finger}{i}" for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky") for i in range(1, 5)
)
_COCO_EDGES = "15-13-11 16-14-12 11-12 5-11 6-12 5-6 5-7-9 6-8-10 1-2 0-1-3 0-2-4 3-5 4-6"
_FACE_PAIRS = (
    *((16 - i, i) for i in range(8)),
    *((43 - i, i) for i in range(17, 22)),
    *((35, 31), (34, 32)),
    *((45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41)),
    *((54, 48), (53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67)),
)
"""(left, right) pairs of the 68 points of a face, which are numbered from the person's right (iBUG 300-W)."""


def _hand_edges(root: int) -> str:
    return " ".join("-".join(map(str, (root, *range(root + i, root + i + 4)))) for i in range(1, 21, 4))


LAYOUTS: dict[str, JointLayout] = {
    made.name: made
    for made in (
        _layout("coco-17", _FACE_AND_BODY, _COCO_EDGES),
        _layout(
            "ntu-25",
            (
                *_words("spine_base spine_mid neck head"),
                *_one_side("left", "shoulder elbow wrist hand"),
                *_one_side("right", "shoulder elbow wrist hand"),
                *_one_side("left", "hip knee ankle foot"),
                *_one_side("right", "hip knee ankle foot"),
                *_words("spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb"),
            ),
            "0-1-20-2-3 20-4-5-6-7-21 7-22 20-8-9-10-11-23 11-24 0-12-13-14-15 0-16-17-18-19",
        ),
        _layout(
            "kinect-20",
            (
                *_words("hip_center spine shoulder_center head"),
                *_one_side("left", "shoulder elbow wrist hand"),
                *_one_side("right", "shoulder elbow wrist hand"),
                *_one_side("left", "hip knee ankle foot"),
                *_one_side("right", "hip knee ankle foot"),
            ),
            "0-1-2-3 2-4-5-6-7 2-8-9-10-11 0-12-13-14-15 0-16-17-18-19",
        ),
        _layout(
            "openpose-18",
            (
                *_words("nose neck"),
                *_one_side("right", "shoulder elbow wrist"),
                *_one_side("left", "shoulder elbow wrist"),
                *_one_side("right", "hip knee ankle"),
                *_one_side("left", "hip knee ankle"),
                *_words("right_eye left_eye right_ear left_ear"),
            ),
            "1-2-3-4 1-5-6-7 1-8-9-10 1-11-12-13 1-0-14-16 0-15-17",
        ),
        _layout(
            "body-25",
            (
                *_words("nose neck"),
                *_one_side("right", "shoulder elbow wrist"),
                *_one_side("left", "shoulder elbow wrist"),
                "mid_hip",
                *_one_side("right", "hip knee ankle"),
                *_one_side("left", "hip knee ankle"),
                *_words("right_eye left_eye right_ear left_ear"),
                *_one_side("left", "big_toe small_toe heel"),
                *_one_side("right", "big_toe small_toe heel"),
            ),
            "1-8 1-2-3-4 1-5-6-7 8-9-10-11 8-12-13-14 1-0-15-17 0-16-18 14-19-20 14-21 11-22-23 11-24",
        ),
        _layout(
            "halpe-26",
            (*_FACE_AND_BODY, *_words("head neck mid_hip"), *_sides("big_toe small_toe heel")),
            "15-13-11-19 16-14-12-19 17-18-19 18-5-7-9 18-6-8-10 1-2 0-1-3-5 0-2-4-6 "
            "15-20 15-22 15-24 16-21 16-23 16-25",
        ),
        _layout(
            "wholebody-133",
            (
                *_FACE_AND_BODY,
                *_one_side("left", "big_toe small_toe heel"),
                *_one_side("right", "big_toe small_toe heel"),
                *(f"face_{i}" for i in range(68)),
                *_one_side("left", _WHOLE_HAND),
                *_one_side("right", _WHOLE_HAND),
            ),
            f"{_COCO_EDGES} 15-17 15-18 15-19 16-20 16-21 16-22 {_hand_edges(91)} {_hand_edges(112)}",
            ((23 + left, 23 + right) for left, right in _FACE_PAIRS),
        ),
        _layout("hand-21", _HAND, _hand_edges(0)),
        _layout(
            "mediapipe-33",
            (
                "nose",
                *_one_side("left", "eye_inner eye eye_outer"),
                *_one_side("right", "eye_inner eye eye_outer"),
                *_words("left_ear right_ear mouth_left mouth_right"),
                *_sides("shoulder elbow wrist pinky index thumb hip knee ankle heel foot_index"),
            ),
            "0-1-2-3-7 0-4-5-6-8 9-10 11-12 11-13-15-17 15-19 15-21 17-19 12-14-16-18 16-20 16-22 18-20 11-23 12-24 "
            "23-24 23-25-27-29-31 27-31 24-26-28-30-32 28-32",
        ),
    )
}
"""The known joint layouts by name."""

_MEANS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""Joints that are derived as the mean of two others if a layout lacks them. MMPose derives the neck in this way to draw
in OpenPose's style (mmpose/visualization/local_visualizer.py), and shows it only if both shoulders are visible."""

_GUESSES: dict[tuple[int, int], tuple[str, str]] = {
    (17, 2): ("coco-17", "Human3.6M has 17 joints, too"),
    (18, 2): ("openpose-18", "other layouts of 18 joints exist"),
    (20, 3): ("kinect-20", "MSR Action3D has 20 joints in another order"),
    (21, 2): ("hand-21", "other orders of 21 hand joints exist"),
    (21, 3): ("hand-21", "other orders of 21 hand joints exist"),
    (25, 2): ("body-25", "NTU RGB+D projected onto the image has 25 joints, too"),
    (25, 3): ("ntu-25", "BODY_25 with the score as a third coordinate looks alike"),
    (26, 2): ("halpe-26", "other layouts of 26 joints exist"),
    (33, 2): ("mediapipe-33", "other layouts of 33 joints exist"),
    (33, 3): ("mediapipe-33", "other layouts of 33 joints exist"),
    (133, 2): ("wholebody-133", "other layouts of 133 joints exist"),
}
"""The guessed joint layout for each (V, number of coordinates), and the reason for doubt."""


def layout(name: str) -> JointLayout:
    """The joint layout with this name. Raises JointLayoutError, which lists the known names."""
    known = LAYOUTS.get(name)
    if known is None:
        expected = f"expected one of {', '.join(LAYOUTS)}{closest(name, LAYOUTS)}"
        raise JointLayoutError(f"joint layout {name!r} is not known; {expected}")
    return known


def convert(
    keypoint: NDArray[Any], keypoint_score: NDArray[Any] | None, source: JointLayout, target: JointLayout
) -> Converted:
    """Convert keypoints from one joint layout to another. Joints are matched by name; a neck or a middle of the hips
    that the source lacks is derived.

    ``keypoint`` [..., V, C] and ``keypoint_score`` [..., V] (or None) may have any float dtype, which the result keeps.
    Each coordinate of a derived joint is the mean of its two joints, and its score is the lower of their scores, so
    that it is visible only if both are. In a compressed ``keypoint`` [N, V, 3] the third channel is a score: pass it
    separately as ``keypoint_score``.

    Raises JointLayoutError if the target has a joint that neither is in the source nor can be derived, or the arrays
    do not have the source's V.
    """
    _require_axis(keypoint, -2, source, "keypoint")
    if keypoint_score is not None:
        _require_axis(keypoint_score, -1, source, "keypoint_score")
    place = {name: i for i, name in enumerate(source.joints)}
    parents = [(name,) if name in place else _MEANS.get(name, (name,)) for name in target.joints]
    missing = [joint for joints in parents for joint in joints if joint not in place]
    if missing:
        raise JointLayoutError(
            f"{source.name} cannot be converted to {target.name}: it has no {shown_names(missing)}, "
            "and no rule to derive them"
        )
    first = np.array([place[joints[0]] for joints in parents])
    second = np.array([place[joints[-1]] for joints in parents])
    points = keypoint[..., first, :]
    scores = None
    if keypoint_score is not None:
        lesser = np.minimum(keypoint_score[..., first], keypoint_score[..., second])
        scores = lesser.astype(keypoint_score.dtype, copy=False)  # restores the byte order
    derived = np.flatnonzero(first != second)
    if len(derived):  # in float64: the sum of two float16 is exact, and sums of float32 do not overflow
        sums = points[..., derived, :].astype(np.float64) + keypoint[..., second[derived], :]
        points[..., derived, :] = sums / 2
    return Converted(points, scores, tuple(target.joints[i] for i in derived.tolist()))


def _require_axis(array: NDArray[Any], axis: int, source: JointLayout, what: str) -> None:
    if array.dtype.kind != "f" or array.ndim < -axis or array.shape[axis] != len(source):
        raise JointLayoutError(
            f"{what} has dtype {array.dtype} and shape {array.shape}; {source.name} needs floats with {len(source)} "
            f"joints on axis {axis}"
        )


def keypoint_shapes(fields: Iterable[tuple[int, tuple[int, ...]]]) -> list[tuple[int, int]]:
    """(V, number of coordinates) of the fields of ``keypoint``, given the number of ragged axes and the fixed axes.

    A compressed keypoint, [N, V, 3] with x, y and score, has two coordinates. Arrays of other forms are skipped.
    """
    known = [(ragged, fixed) for ragged, fixed in fields if ragged in (1, 2) and len(fixed) == 2]
    return [(fixed[0], fixed[1] if ragged == 2 else 2) for ragged, fixed in known]


def recognise(shapes: Iterable[tuple[int, int]]) -> KnownJoints:
    """The layout that keypoint arrays are taken for, from V and the number of coordinates of each: always a guess."""
    distinct = sorted(set(shapes))
    counts = tuple(sorted({joints for joints, _ in distinct}))
    if len(distinct) != 1:
        what = (
            "several shapes: " + ", ".join(f"{counted(v, 'joint')} in {c}D" for v, c in distinct)
            if distinct
            else "no keypoint"
        )
        return KnownJoints(None, False, what, counts, ())
    ((joints, dimensions),) = distinct
    what = f"{counted(joints, 'joint')} in {dimensions}D"
    if (joints, dimensions) not in _GUESSES:
        return KnownJoints(None, False, f"{what}, which is not a known layout", counts, ())
    name, doubt = _GUESSES[joints, dimensions]
    return KnownJoints(LAYOUTS[name], False, f"{what}; {doubt}", counts, ())


def stated(name: str, shapes: Iterable[tuple[int, int]], derived: Iterable[str] = ()) -> dict[str, Json]:
    """The value of ``joints`` in a store's source for a joint layout that a person stated.

    Raises JointLayoutError if the layout is unknown, or if keypoint arrays (``shapes`` as for ``recognise``) have
    another number of joints.
    """
    of = layout(name)
    if unlike := sorted({v for v, _ in shapes} - {len(of)}):
        raise JointLayoutError(
            f"the layout {name} has {len(of)} joints, but there are keypoints with {', '.join(map(str, unlike))}: "
            "state the layout that the keypoints have"
        )
    return {"layout": name, "derived": list(derived)}


def with_joints(source: dict[str, Json], shapes: Iterable[tuple[int, int]]) -> dict[str, Json]:
    """The source for a store: unchanged if it states a joint layout, else with the recognised layout, as a guess.

    ``shapes`` as for ``recognise``. A guess that is already in ``source``, perhaps from other data, is replaced.
    """
    if "joints" in source and not is_guess(source["joints"]):
        return source
    guess = recognise(shapes)
    kept = {key: value for key, value in source.items() if key != "joints"}
    if guess.layout is not None:
        kept["joints"] = {"layout": guess.layout.name, "derived": [], "guess": guess.reason}
    return kept


def is_guess(node: Json) -> bool:
    """Whether a store's ``joints`` were recognised rather than stated."""
    return isinstance(node, dict) and isinstance(node.get("guess"), str)


def known_joints(node: Json, shapes: Iterable[tuple[int, int]]) -> KnownJoints:
    """What is known about the joints: from ``node``, which is the ``joints`` of a store, or recognised if that is None.

    ``node`` is ignored if this version does not know its layout or cannot read it, or if it is a guess that does not
    fit the arrays.
    """
    guess = recognise(shapes)
    name = node.get("layout") if isinstance(node, dict) else None
    of = LAYOUTS.get(name) if isinstance(name, str) else None
    if of is None:
        return guess
    if is_guess(node):
        return KnownJoints(of, False, node["guess"], guess.counts, ()) if guess.counts == (len(of),) else guess
    derived = node.get("derived")
    marked = tuple(joint for joint in derived if joint in of.joints) if isinstance(derived, list) else ()
    return KnownJoints(of, True, "stated", guess.counts, marked)


def require_alike(first: KnownJoints, first_place: str, second: KnownJoints, second_place: str) -> None:
    """Raise JointLayoutError, naming both places, if two data sets cannot be combined.

    They cannot if their numbers of joints or their joint layouts differ. Data without keypoints can be combined with
    any data.
    """
    if not first.counts or not second.counts:
        return
    if first.counts == second.counts and first.layout == second.layout:
        return
    named = [f"{place} has {_describe(known)}" for known, place in ((first, first_place), (second, second_place))]
    raise JointLayoutError(
        f"{' and '.join(named)}: convert one of them to the joints of the other, or state the layout if it was "
        "recognised wrongly"
    )


def _describe(known: KnownJoints) -> str:
    if known.layout is None:
        return (
            f"{' and '.join(map(str, known.counts))} {'joint' if known.counts == (1,) else 'joints'} of no known layout"
        )
    return f"{known.layout.name} ({known.reason})"
