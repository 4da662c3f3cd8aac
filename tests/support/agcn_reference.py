"""A slow second implementation of 2s-AGCN's normalisation of NTU RGB+D, frame by frame and joint by joint.

Sums that decide whether something is empty are NumPy's over views in the memory order of the array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def normalized(data: Array) -> Array:
    """A clip float32 [C, T, V, M], normalised."""
    result = data.copy(order="C")
    persons = [result[..., m].transpose(1, 2, 0) for m in range(data.shape[3])]
    for person in persons:
        if person.sum() != 0:
            repeat(person)
    if total(result) != 0:
        centre = [persons[0][frame, 1].copy() for frame in range(data.shape[1])]
        for person in persons:
            if person.sum() != 0:
                subtract(person, centre)
    for first, last, axis in ((0, 1, 2), (4, 8, 0)):
        if total(result) == 0:
            continue
        matrix = rotation(persons[0][0, last] - persons[0][0, first], axis)
        for person in persons:
            if person.sum() != 0:
                turn(person, matrix)
    return result


def total(clip: Array) -> Any:
    return clip.transpose(3, 1, 2, 0).sum()


def repeat(person: Array) -> None:
    if person[0].sum() == 0:
        kept = [frame.copy() for frame in person if frame.sum(-1).sum() != 0]
        for frame in range(len(person)):
            person[frame] = kept[frame] if frame < len(kept) else person[frame] * 0
    for frame in range(len(person)):
        if person[frame].sum() == 0 and person[frame:].sum() == 0:
            for later in range(frame, len(person)):
                person[later] = person[later - frame]
            return


def subtract(person: Array, centre: list[Array]) -> None:
    for frame in range(len(person)):
        for joint in range(person.shape[1]):
            is_seen = person[frame, joint].sum() != 0
            person[frame, joint] = (person[frame, joint] - centre[frame]) * is_seen


def rotation(vector: Array, axis: int) -> Array:
    """The rotation of a vector onto an axis, as the product of a unit quaternion and its conjugate."""
    onto = np.eye(3)[axis]
    if np.abs(vector).sum() < 1e-6:
        return np.eye(3)
    cosine = float(np.clip(np.dot(vector / np.linalg.norm(vector), onto), -1, 1))
    angle = math.acos(cosine)
    normal = np.cross(vector, onto)
    if np.abs(normal).sum() < 1e-6 or angle < 1e-6:
        return np.eye(3)
    b, c, d = np.sin(angle / 2) * normal / np.linalg.norm(normal)
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    result: Array = np.eye(3) + 2 * math.cos(angle / 2) * cross + 2 * cross @ cross
    return result


def turn(person: Array, matrix: Array) -> None:
    for frame in range(len(person)):
        if person[frame].sum() != 0:
            for joint in range(person.shape[1]):
                person[frame, joint] = matrix @ person[frame, joint].astype(np.float64)
