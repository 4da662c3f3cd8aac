"""A kinematic body: bones of constant length, posed by trunk, hands and feet, as joints of any known layout.

Proportions are those of adults, as fractions of the stature (R. Drillis and R. Contini, Body Segment Parameters, 1966,
as D. Winter prints them in Biomechanics and Motor Control of Human Movement). The trunk is two segments and a head,
each turned by angles. Arms and legs have two bones: hand and foot are placed, and elbow and knee follow from the length
of the bones. What is out of reach is approached with a stretched limb.

Coordinates are those of the person: x to the left, y up, z forward; the origin is on the ground between the feet of the
person who stands. Many poses are computed at once: arrays are [k, 3, N] of k points in N poses.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from skelstore.joints import LAYOUTS

__all__ = ["ARM", "HIPS", "JOINTS", "REST", "STATE", "WITHOUT_TIPS", "body_joints", "joint_places"]

Floats = NDArray[np.float32]

UPPER_ARM, FOREARM, THIGH, SHANK, ANKLE = 0.186, 0.146, 0.245, 0.246, 0.039
"""Lengths of bones, and the height of the ankle above the ground, as fractions of the stature."""
ARM, LEG = UPPER_ARM + FOREARM, THIGH + SHANK
HIPS = ANKLE + LEG + 0.005
"""Height of the middle of the hips of a person who stands with nearly stretched legs."""
NECK = 0.31
"""From the middle of the hips to the neck, of which the chest moves the part above `WAIST`."""
WAIST = 0.13

_PELVIS = {"mid_hip": (0, 0, 0), "spine_low": (0, 0.065, 0), "spine_mid": (0, WAIST, 0)}
_CHEST = {
    "spine_high": (0, 0.07, 0),
    "chest": (0, 0.145, 0),
    "neck": (0, NECK - WAIST, 0),
    "left_collar": (0.03, 0.14, 0),
    "right_collar": (-0.03, 0.14, 0),
}
_HEAD = {
    "head": (0, 0.08, 0.01),
    "head_top": (0, 0.145, 0),
    "nose": (0, 0.06, 0.06),
    "left_eye": (0.018, 0.08, 0.05),
    "right_eye": (-0.018, 0.08, 0.05),
    "left_eye_inner": (0.01, 0.08, 0.052),
    "right_eye_inner": (-0.01, 0.08, 0.052),
    "left_eye_outer": (0.026, 0.08, 0.046),
    "right_eye_outer": (-0.026, 0.08, 0.046),
    "left_ear": (0.043, 0.07, 0),
    "right_ear": (-0.043, 0.07, 0),
    "mouth_left": (0.014, 0.035, 0.048),
    "mouth_right": (-0.014, 0.035, 0.048),
}
_SHOULDERS = {"left_shoulder": (0.1, 0.14, 0), "right_shoulder": (-0.1, 0.14, 0)}
_HIPS = {"left_hip": (0.05, -0.005, 0), "right_hip": (-0.05, -0.005, 0)}
_SIDES = ("left", "right")
_LIMBS = tuple(f"{side}_{joint}" for joint in ("elbow", "knee", "wrist", "ankle") for side in _SIDES)
_HAND = {
    "hand": (0.045, 0, 0),
    "hand_tip": (0.09, 0, 0),
    "index": (0.085, 0.012, 0),
    "pinky": (0.075, -0.02, 0),
    "thumb": (0.045, 0.03, 0),
}
_FOOT = {
    "heel": (0.03, -0.035, 0),
    "foot": (0.03, 0.06, 0),
    "big_toe": (0.035, 0.11, -0.01),
    "small_toe": (0.035, 0.09, 0.025),
}
"""Points of a hand and of a foot, from the wrist and the ankle: along the limb, forward, and to the outer side."""

JOINTS = (
    *_PELVIS,
    *_CHEST,
    *_HEAD,
    *_SHOULDERS,
    *_HIPS,
    *_LIMBS,
    *(f"{side}_{point}" for points in (_HAND, _FOOT) for point in points for side in _SIDES),
)
"""All points of the body that are computed."""

WITHOUT_TIPS = JOINTS.index("left_hand")
"""How many of them are no points of hands and feet."""

_ALIASES = {
    "spine_base": "mid_hip",
    "hip_center": "mid_hip",
    "pelvis": "mid_hip",
    "spine": "spine_mid",
    "spine1": "spine_low",
    "spine2": "spine_mid",
    "spine3": "spine_high",
    "spine_shoulder": "chest",
    "shoulder_center": "chest",
    "thorax": "chest",
    "upper_neck": "neck",
    "left_foot_index": "left_big_toe",
    "right_foot_index": "right_big_toe",
}
"""Names that layouts have for these points."""
_OF_LAYOUT = {
    "h36m-17": {"neck": "chest", "head": "head_top"},
    "openpose-15": {"head": "head_top", "neck": "chest", "chest": "spine_mid"},
    "openpose-18": {"neck": "chest"},
    "body-25": {"neck": "chest"},
    "halpe-26": {"head": "head_top", "neck": "chest"},
    "smpl-22": {"head": "head"},
}
"""Names that stand for another point in one layout: the neck of 2D layouts lies between the shoulders."""

STATE = (
    *("height", "sideways", "forward", "pitch", "roll", "bend", "twist", "nod", "turn"),
    *(f"{side}_{end}_{axis}" for end in ("hand", "foot") for side in _SIDES for axis in ("out", "up", "forward")),
    "reach",
)
"""What a pose is made of, in this order, lengths as fractions of the stature and angles in radians: the middle of the
hips against standing, in the person's coordinates; the trunk's pitch (forward) and roll (to the left); the chest's bend
and twist against it; the head's nod and turn; where the wrists are from the shoulders, in arms, in the directions of
the chest; where the ankles are on the ground, and how far above it; and whether the right hand is in its own place (0)
or in that of another hand (1)."""
REST = dict.fromkeys(STATE, 0.0)
REST |= {
    f"{side}_{name}": value
    for side in _SIDES
    for name, value in (("hand_out", 0.16), ("hand_up", -0.94), ("hand_forward", 0.12), ("foot_out", 0.06))
}
"""A person who stands."""


_ENDS = slice(STATE.index("left_hand_out"), STATE.index("right_foot_forward") + 1)
_FIRST_BONES = np.array([UPPER_ARM, UPPER_ARM, THIGH, THIGH], np.float32)[:, None, None]
_SECOND_BONES = np.array([FOREARM, FOREARM, SHANK, SHANK], np.float32)[:, None, None]
_NOWHERE = np.array([[0.9e-5], [-1.7e-5], [1.3e-5]], np.float32)
"""Added to directions, so that none is of length 0, or parallel to another."""
_ELBOWS = ((0.5, -0.6, -0.6), (-0.5, -0.6, -0.6))
_KNEES = ((0.15, 0, 1), (-0.15, 0, 1))
"""Directions to which elbows and knees point: in the frames of the chest and of the hips."""


@cache
def joint_places(layout: str) -> NDArray[np.intp]:
    """The position in `JOINTS` of each joint of a layout of bodies: [V]. Raises KeyError for faces and hands."""
    own = _ALIASES | _OF_LAYOUT.get(layout, {})
    return np.array([JOINTS.index(own.get(name, name)) for name in LAYOUTS[layout].joints])


def body_joints(state: Floats, meeting: Floats, *, tips: bool = True) -> Floats:
    """The joints of bodies in N poses: float32 [J, 3, N], J the number of `JOINTS`, in statures.

    ``state`` is [K, N], K the number of `STATE`. ``meeting`` [3, N] is where the right hand would take another hand.
    Without ``tips`` the points of hands and feet beyond wrists and ankles, which are last, are left out.
    """
    column = dict(zip(STATE, state, strict=True))
    hips_frame, chest_frame, head_frame = _frames(column)
    middle = np.stack([column["sideways"], np.float32(HIPS) + column["height"], column["forward"]])
    lower = middle + _turned(hips_frame, (*_PELVIS.values(), *_HIPS.values()))
    upper = lower[len(_PELVIS) - 1] + _turned(chest_frame, (*_CHEST.values(), *_SHOULDERS.values()))
    head = upper[list(_CHEST).index("neck")] + _turned(head_frame, tuple(_HEAD.values()))
    roots = np.concatenate([upper[-2:], lower[-2:]])
    ends = state[_ENDS].reshape(4, 3, -1).copy()
    ends[1::2, 0] *= -1
    for arm in (0, 1):
        ends[arm] = roots[arm] + np.float32(ARM) * sum(ends[arm, axis] * chest_frame[axis] for axis in range(3))
    ends[1] += column["reach"] * (meeting - ends[1])
    ends[2:, 1] += np.float32(ANKLE)
    poles = np.concatenate([_turned(chest_frame, _ELBOWS), _turned(hips_frame, _KNEES)])
    middles, ends, along = _bent(roots, ends, poles)
    ordered = [lower[:-2], upper[:-2], head, upper[-2:], lower[-2:], middles, ends]
    if not tips:
        return np.concatenate(ordered)
    poles[:2] *= -1  # the thumb is on the other side of the arm than the elbow points to
    forward = _perpendicular(poles, along)
    outer = np.cross(forward, along, axis=1)
    outer[1::2] *= -1
    ordered += [
        ends[places] + one * along[places] + two * forward[places] + three * outer[places]
        for places, points in ((slice(2), _HAND), (slice(2, 4), _FOOT))
        for one, two, three in np.array(list(points.values()), np.float32)
    ]
    return np.concatenate(ordered)


def _frames(column: dict[str, Floats]) -> Floats:
    """The left, upper and forward directions of the hips, the chest and the head: [3, 3, 3, N]."""
    bent = column["pitch"] + column["bend"]
    pitch = np.stack([column["pitch"], bent, bent + column["nod"]])
    roll = np.broadcast_to(column["roll"], pitch.shape)
    yaw = np.stack([np.float32(-0.5) * column["twist"], column["twist"], column["turn"]])
    (sp, sr, sy), (cp, cr, cy) = np.sin([pitch, roll, yaw]), np.cos([pitch, roll, yaw])
    frames = np.empty((3, 3, *pitch.shape[:1], pitch.shape[1]), np.float32)
    rolled, level = (-sr * cy, cr, -sr * sy), (-sy, 0, cy)
    for axis in range(3):
        frames[axis, 0] = (cr * cy, sr, cr * sy)[axis]
        frames[axis, 1] = cp * rolled[axis] - sp * level[axis]
        frames[axis, 2] = sp * rolled[axis] + cp * level[axis]
    return np.ascontiguousarray(frames.transpose(2, 0, 1, 3))


def _turned(frame: Floats, offsets: tuple[tuple[float, ...], ...]) -> Floats:
    """Offsets [k, 3] in the directions of frames [3, 3, N]: [k, 3, N]."""
    turned: Floats = np.array(offsets, np.float32) @ frame.reshape(3, -1)
    return turned.reshape(len(offsets), 3, -1)


def _bent(roots: Floats, ends: Floats, poles: Floats) -> tuple[Floats, Floats, Floats]:
    """Elbows and knees, wrists and ankles, and the directions of forearms and shanks, each [4, 3, N]."""
    one, two = _FIRST_BONES, _SECOND_BONES
    straight = ends - roots + _NOWHERE
    distance = np.sqrt((straight * straight).sum(axis=1, keepdims=True))
    straight /= np.maximum(distance, np.float32(1e-6))
    distance = distance.clip(np.abs(one - two) + np.float32(0.02), np.float32(0.9995) * (one + two))
    first = (one**2 - two**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(one**2 - first**2, 0))
    middles = roots + first * straight + aside * _perpendicular(poles, straight)
    ends = roots + distance * straight
    return middles, ends, (ends - middles) / two


def _perpendicular(directions: Floats, to: Floats) -> Floats:
    """The part of directions that is perpendicular to others of length 1, with length 1: [k, 3, N]."""
    part: Floats = directions + _NOWHERE
    for _ in range(2):  # the second time removes what rounding has left
        part = part - (part * to).sum(axis=1, keepdims=True) * to
        part /= np.sqrt(np.maximum((part * part).sum(axis=1, keepdims=True), np.float32(1e-12)))
    return part
