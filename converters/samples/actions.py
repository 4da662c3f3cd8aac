"""What synthetic persons do: walk, wave, fall, sit down, shake hands. Poses of `converters.samples.body` over time.

An action is a sequence of key poses, each reached smoothly in its own time. A walk is a gait on a path: a foot that is
on the ground stays there, and the other one swings past it. Durations are those of adults: a stride takes about a
second, falling the same, sitting down one and a half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.samples.body import REST, STATE

__all__ = ["ACTIONS", "CLASS_NAMES", "RATE", "STRIDE", "Cast", "Key", "on_path", "poses", "variants_of"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]

RATE = 30
"""Frames per second."""
STRIDE = 0.72
"""Length of two steps, in statures; a person of 1.75 m walks at 1.2 m/s."""
STANCE = 0.6
"""Fraction of a stride in which a foot is on the ground."""

COLUMNS = (*STATE, "wave", "shake", "clap", "gait")
"""The state of a body, and how far the right hand waves (in arms) or shakes (in statures), how far both hands
clap (in arms), and how much of the gait is done (0 or 1)."""


class Key(NamedTuple):
    """A pose, when it begins to be reached, and how long that takes, in seconds of a person of average pace.

    A negative start counts from the end of the clip. A duration of 0 stands for a pose from the first frame on.
    """

    start: float
    duration: float
    pose: Mapping[str, float]


_ARMS_OUT = {"left_hand_out": 0.6, "right_hand_out": 0.6, "left_hand_up": -0.5, "right_hand_up": -0.3}
_LYING = {"height": -0.475, "left_hand_out": 0.65, "right_hand_out": 0.6, "left_hand_up": -0.55, "right_hand_up": 0.45}
_SEATED = {
    f"{side}_hand_{axis}": value
    for side in ("left", "right")
    for axis, value in (("out", 0.05), ("up", -0.62), ("forward", 0.6))
}
_SEATED |= {"height": -0.262, "forward": -0.2, "left_foot_out": 0.075, "right_foot_out": 0.075}
_WAVING = {"right_hand_out": 0.42, "right_hand_up": 0.6, "right_hand_forward": 0.3, "sideways": 0.01}

_REACHING = {"reach": 1, "bend": 0.09, "forward": 0.02, "twist": 0.13, "right_foot_forward": 0.06}
_CLAPPING = {
    f"{side}_hand_{axis}": value
    for side in ("left", "right")
    for axis, value in (("out", -0.26), ("up", -0.35), ("forward", 0.62))
}
_CROUCHING = {"height": -0.1, "forward": -0.04, "pitch": 0.4, "left_hand_forward": -0.4, "right_hand_forward": -0.4}
_IN_THE_AIR = {
    "height": 0.16,
    "bend": 0.08,
    "left_foot_up": 0.15,
    "right_foot_up": 0.15,
    "left_foot_forward": -0.02,
    "right_foot_forward": -0.02,
    "left_hand_up": -0.1,
    "right_hand_up": -0.1,
    "left_hand_forward": 0.6,
    "right_hand_forward": 0.6,
}
_JUMP = (Key(0, 0.4, _CROUCHING), Key(0.4, 0.35, _IN_THE_AIR), Key(0.72, 0.3, _CROUCHING), Key(1, 0.4, {}))

_FALLING_BACK = (
    Key(0, 0.45, {"forward": -0.05, "pitch": -0.12, "bend": 0.15, "left_hand_forward": 0.5, "right_hand_forward": 0.4}),
    Key(0.3, 0.75, {"height": -0.4, "forward": -0.32, "pitch": -0.75, "bend": 0.45, "nod": 0.4, **_ARMS_OUT}),
    Key(0.8, 0.5, {
        "forward": -0.38, "pitch": -1.5, "left_foot_forward": 0.1, "right_foot_forward": 0.06, "left_foot_out": 0.1,
        "right_foot_out": 0.1, **_LYING,
    }),
)  # fmt: skip
_FALLING_FORWARD = (
    Key(0, 0.5, {"forward": 0.08, "pitch": 0.2, "bend": 0.15, "right_foot_forward": 0.12, **_ARMS_OUT}),
    Key(0.35, 0.7, {
        "height": -0.27, "forward": 0.25, "pitch": 0.75, "bend": 0.25, "right_foot_forward": 0.1, "nod": -0.5,
        "left_hand_forward": 0.85, "right_hand_forward": 0.85, "left_hand_up": 0.1, "right_hand_up": 0.1,
    }),
    Key(0.8, 0.5, {
        "forward": 0.47, "pitch": 1.5, "nod": -0.15, "turn": 0.5, "left_foot_up": 0.03, "right_foot_up": 0.03,
        **_LYING, "left_hand_up": 0.5, "left_hand_forward": 0.1, "right_hand_forward": 0.1,
    }),
)  # fmt: skip
_FALLING_ASIDE = (
    Key(0, 0.5, {"sideways": 0.07, "roll": 0.15, "bend": 0.15, "left_hand_out": 0.8, "left_hand_up": -0.4}),
    Key(0.35, 0.7, {
        "height": -0.33, "sideways": 0.24, "roll": 0.8, "bend": 0.3, "left_hand_out": 0.85, "left_hand_up": 0.2,
        "right_hand_out": 0.3, "right_hand_forward": 0.5, "right_hand_up": -0.5,
    }),
    Key(0.8, 0.5, {
        "height": -0.44, "sideways": 0.4, "roll": 1.5, "bend": 0.25, "left_hand_out": -0.1, "left_hand_up": 0.75,
        "left_hand_forward": 0.5, "right_hand_out": -0.15, "right_hand_up": -0.45, "right_hand_forward": 0.6,
        "left_foot_out": -0.03, "right_foot_out": 0.04, "left_foot_forward": 0.1, "right_foot_forward": 0.17,
        "right_foot_up": 0.06,
    }),
)  # fmt: skip

ACTIONS: dict[str, tuple[tuple[Key, ...], ...]] = {
    "walking": ((Key(0, 0, {"height": -0.014, "gait": 1, "bend": 0.06}),),),
    "waving": ((
        Key(0, 0.55, _WAVING),
        Key(0.35, 0.3, {**_WAVING, "wave": 0.24}),
        Key(-0.75, 0.3, _WAVING),
        Key(-0.55, 0.55, {}),
    ),),
    "falling": (_FALLING_BACK, _FALLING_FORWARD, _FALLING_ASIDE),
    "sitting down": ((
        Key(0, 0.8, {"height": -0.07, "forward": -0.1, "pitch": 0.45, "bend": 0.2, "left_hand_forward": 0.4,
            "right_hand_forward": 0.4, "left_hand_up": -0.85, "right_hand_up": -0.85, "nod": -0.2}),
        Key(0.5, 0.8, {**_SEATED, "pitch": 0.5, "bend": 0.1, "nod": -0.2}),
        Key(1.1, 0.7, {**_SEATED, "pitch": -0.08, "bend": 0.12}),
    ),),
    "shaking hands": ((
        Key(0, 0.6, _REACHING),
        Key(0.5, 0.3, {**_REACHING, "shake": 0.028}),
        Key(-0.8, 0.3, _REACHING),
        Key(-0.6, 0.6, {}),
    ),),
    "clapping": ((
        Key(0, 0.5, _CLAPPING),
        Key(0.35, 0.3, {**_CLAPPING, "clap": 0.2}),
        Key(-0.7, 0.3, _CLAPPING),
        Key(-0.5, 0.5, {}),
    ),),
    "jumping up": (tuple(key._replace(start=key.start + again) for again in (0, 1.5) for key in _JUMP),),
    "standing": ((),),
}  # fmt: skip
"""The variants of each action, as key poses; what a pose does not name is at rest."""
CLASS_NAMES = ("walking", "waving", "falling", "sitting down", "shaking hands")
"""The actions that are classes of the sample data."""

_VARIANTS = [(action, variant) for action, variants in ACTIONS.items() for variant in variants]
_STILL = dict.fromkeys(COLUMNS, 0.0) | REST


def _differences(variant: tuple[Key, ...]) -> Floats:
    """What each key pose adds to the one before, and the first one to the pose of rest: [keys, columns]."""
    poses_of = [_STILL, *(_STILL | dict(key.pose) for key in variant)]
    held = np.array([[pose[name] for name in COLUMNS] for pose in poses_of])
    return np.diff(held, axis=0).astype(np.float32)


_NUMBERS = {name: [i for i, (action, _) in enumerate(_VARIANTS) if action == name] for name in ACTIONS}
_MOST = max(len(variant) for _, variant in _VARIANTS)
_TIMES = np.array(
    [[(key.start, key.duration) for key in variant] + [(0, 0)] * (_MOST - len(variant)) for _, variant in _VARIANTS],
    np.float32,
)
_CHANGES = [_differences(variant) for _, variant in _VARIANTS]
_RESTING = np.array([_STILL[name] for name in COLUMNS], np.float32)[:, None]
_WALKS = np.array([action == "walking" for action, _ in _VARIANTS])
_IDLE = {"sideways": 0.004, "forward": 0.004, "bend": 0.015, "twist": 0.02, "nod": 0.04, "turn": 0.1, "roll": 0.008,
    "left_hand_forward": 0.02, "right_hand_forward": 0.02, "left_hand_out": 0.01, "right_hand_out": 0.01}  # fmt: skip
"""How much a person moves who does nothing: amplitudes of slow waves."""
_IDLE_PLACES = [COLUMNS.index(name) for name in _IDLE]
_IDLE_SIZES = np.array(list(_IDLE.values()), np.float32)[:, None]
_IDLE_SPEEDS = np.linspace(0.7, 2.2, len(_IDLE), dtype=np.float32)[:, None]
_TURN = np.float32(2 * np.pi)


class Cast(NamedTuple):
    """P persons: what they do, how and where. Arrays [P]; times in seconds, lengths in metres, angles in radians."""

    variant: NDArray[np.intp]
    """The number of the variant of an action."""
    stature: Numbers
    pace: Numbers
    """How fast the person is, against others."""
    begin: Numbers
    end: Numbers
    """When the action begins, and when the clip ends."""
    rate: Numbers
    """Waves or shakes per second, which persons who shake hands share."""
    phase: Numbers
    """[12, P]: where the gait and the slow waves begin, in turns."""
    curvature: Numbers
    """That of the path, to the left, per metre; never 0."""
    heading: Numbers
    """Where the person looks when the clip is half over: 0 is along z, a quarter turn along x."""
    place: Numbers
    """[2, P]: x and z on the ground, of the middle of the path."""
    meeting: Numbers
    """[3, P]: where the hands of two persons meet, in statures, in the person's coordinates."""
    mirrored: NDArray[np.bool_]
    """Whether left and right are exchanged."""


def variants_of(action: str) -> list[int]:
    """The numbers of the variants of an action, as `Cast` has them."""
    return _NUMBERS[action]


def poses(cast: Cast, person: NDArray[np.integer[Any]], time: Floats) -> tuple[Floats, Floats]:
    """The state [K, N] of the body of person [N] at a time [N] in seconds, and where its hand meets another [3, N]."""
    columns = _keyed(cast, person, time)
    column = dict(zip(COLUMNS, columns, strict=True))
    columns[_IDLE_PLACES] += _IDLE_SIZES * np.sin(_IDLE_SPEEDS * time + (_TURN * cast.phase)[1:, person])
    swing = np.sin(_TURN * cast.rate[person] * (time - cast.begin[person]))
    column["right_hand_out"] += column["wave"] * swing
    for side in ("left", "right"):
        column[f"{side}_hand_out"] += column["clap"] * (1 + swing)
    meeting = cast.meeting[:, person]
    meeting[1] += column["shake"] * swing
    if _WALKS[cast.variant].any():
        _walk(column, cast.pace[person] * time + cast.phase[0, person])
    return columns[: len(STATE)], meeting


def on_path(cast: Cast, person: NDArray[np.integer[Any]], time: Floats) -> tuple[Floats, Floats]:
    """Where person [N] is at a time [N]: x and z in metres [2, N], and the heading [N]."""
    speed = (STRIDE * cast.stature * cast.pace * _WALKS[cast.variant]).astype(np.float32)
    curvature, heading = cast.curvature[person], cast.heading[person]
    now = heading + curvature * speed[person] * (time - cast.end[person] / 2)
    x = (np.cos(heading) - np.cos(now)) / curvature
    z = (np.sin(now) - np.sin(heading)) / curvature
    return cast.place[:, person] + np.stack([x, z]), now


def _keyed(cast: Cast, person: NDArray[np.integer[Any]], time: Floats) -> Floats:
    """The key poses of each person's variant, blended: [columns, N]."""
    start, duration = _TIMES[cast.variant].transpose(2, 1, 0) / cast.pace
    start += np.where(start < 0, cast.end, cast.begin)
    done = (time - start[:, person]) / np.maximum(duration, np.float32(1e-3))[:, person]
    done[duration[:, person] == 0] = 1
    done = done.clip(0, 1)
    done *= done * (3 - 2 * done)
    columns = np.repeat(_RESTING, len(person), axis=1)
    of_row = cast.variant[person]
    for variant in np.unique(cast.variant).tolist():
        rows = of_row == variant
        changes = _CHANGES[variant]
        columns[:, rows] += changes.T @ done[: len(changes), rows]
    return columns


def _walk(column: dict[str, Floats], strides: Floats) -> None:
    """Add the gait, where `strides` [N] counts from a moment at which the left heel meets the ground."""
    gait = column["gait"]
    for side, half in (("left", 0), ("right", 0.5)):
        place = (strides + np.float32(half)) % 1
        swing = ((place - STANCE) / (1 - STANCE)).clip(0, 1)
        forward = 0.27 - place + swing - np.sin(_TURN * swing) / _TURN
        rise, fall = ((place - 0.38) / 0.3).clip(0, 1), ((0.97 - place) / 0.29).clip(0, 1)
        column[f"{side}_foot_forward"] += gait * np.float32(STRIDE) * forward
        column[f"{side}_foot_up"] += gait * np.float32(0.075) * (rise * fall) ** 2 * (3 - 2 * rise) * (3 - 2 * fall)
        arm = np.cos(_TURN * place)
        column[f"{side}_hand_forward"] += gait * (np.float32(0.06) - np.float32(0.36) * arm)
        column[f"{side}_hand_up"] += gait * np.float32(0.07) * arm * arm
    column["height"] -= gait * np.float32(0.012) * np.cos(2 * _TURN * (strides - np.float32(0.05)))
    column["sideways"] += gait * np.float32(0.012) * np.cos(_TURN * (strides - np.float32(0.3)))
    column["twist"] += gait * np.float32(0.12) * np.cos(_TURN * strides)
