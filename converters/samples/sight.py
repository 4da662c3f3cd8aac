"""How well a pose estimator sees the joints of persons: joints behind a body, beside the image, or in fast motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.people import Camera
from skelstore.joints import LAYOUTS

__all__ = ["difficulty"]

Floats = NDArray[np.float32]

BROAD = 0.13
"""Radius of the trunk, in metres."""
BEHIND = 0.05
"""How much farther than the trunk or the head a joint is that they hide, in metres."""
FAST = 0.075
"""Speed of a joint that is blurred, in statures a frame."""
BORDER = 0.03
"""Width of the border of the image in which joints are hard to find, against the larger side."""
BY_BODIES, BESIDE, FAST_LOSS = 0.5, 0.6, 0.25
"""What the score of a joint loses behind a body, beside the image, and in fast motion."""
CROWD = 3
"""The most persons who are compared with each other: among more, only their own bodies hide joints."""


def difficulty(
    camera: Camera,
    points: Floats,
    pixels: Floats,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    layout: str,
) -> Floats:
    """What the score of each joint loses: float32 [N, V], from 0 to about 1.

    ``points`` [N, V, 3] are in the camera's space, ``pixels`` [N, V, 2] on the image, of person [N] in frame [N].
    """
    place = {name: i for i, name in enumerate(LAYOUTS[layout].joints)}
    joints = points.transpose(2, 1, 0)
    pairs = [[place[f"{side}_{joint}"] for side in ("left", "right")] for joint in ("shoulder", "hip")]
    top, bottom = ((joints[:, left] + joints[:, right]) * np.float32(0.5) for left, right in pairs)
    hidden = _hidden(joints, top, bottom)
    if 1 < (count := int(person.max()) + 1) <= CROWD:
        _hide_by_others(hidden, joints, top, bottom, person, frame, count)
    if face := [place[name] for name in _FACE if name in place]:
        ears = (joints[2, place["left_ear"]] + joints[2, place["right_ear"]]) / 2
        hidden[face] = np.maximum(hidden[face], joints[2, face] > ears + np.float32(0.6 * BEHIND))
    x, y = pixels.transpose(2, 1, 0)
    height, width = camera.shape
    inside = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) / np.float32(BORDER * max(height, width))
    found = np.float32(BY_BODIES) * hidden + np.float32(BESIDE) * (1 - inside).clip(0, 1)
    order = np.lexsort((frame, person))
    passed, again = np.diff(frame[order]), np.diff(person[order]) == 0
    stature = 1.7 * camera.focal / joints[2, 0, order[1:]].clip(0.3, None)
    per_step = (again / np.maximum(stature * FAST * np.maximum(passed, 1), 1)).astype(np.float32)
    speed = (np.diff(x[:, order]) * per_step) ** 2 + (np.diff(y[:, order]) * per_step) ** 2
    found[:, order[1:]] += np.float32(FAST_LOSS) * speed.clip(0, 1)
    lost: Floats = found.T
    return lost


_FACE = ("nose", *(f"{side}_{part}" for part in ("eye", "ear") for side in ("left", "right")))


def _hidden(joints: Floats, top: Floats, bottom: Floats) -> Floats:
    """How much of each joint [3, V, N] a trunk from `top` to `bottom` [3, N] hides, from 0 to 1: [V, N]."""
    axis_x, axis_y, axis_z = bottom - top
    x, y, z = (joint - origin for joint, origin in zip(joints, top, strict=True))
    along = (x * axis_x + y * axis_y) / np.maximum(axis_x**2 + axis_y**2, np.float32(1e-4))
    along = along.clip(0, 1)
    distance = np.sqrt((x - along * axis_x) ** 2 + (y - along * axis_y) ** 2)
    behind = z - along * axis_z > BEHIND
    hidden: Floats = behind * (2 - distance * np.float32(2 / BROAD)).clip(0, 1)
    return hidden


def _hide_by_others(
    hidden: Floats,
    joints: Floats,
    top: Floats,
    bottom: Floats,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    count: int,
) -> None:
    """Raise `hidden` [V, N] by what the trunks of the other persons of each frame hide."""
    row_of = np.full((int(frame.max()) + 1, count), -1)
    row_of[frame, person] = np.arange(len(frame))
    for other in range(count):
        rows = np.flatnonzero((row_of[frame, other] >= 0) & (person != other))
        if len(rows):
            at = row_of[frame[rows], other]
            here = joints[:, :, rows]
            nearer = (here[2] / top[2, at]).clip(1, 3)  # a nearer body covers more of what is behind it
            flat = np.stack([here[0] / nearer, here[1] / nearer, here[2]])
            hidden[:, rows] = np.maximum(hidden[:, rows], _hidden(flat, top[:, at], bottom[:, at]))
