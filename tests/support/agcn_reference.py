"""A slow second implementation of 2s-AGCN's normalisation of NTU RGB+D, frame by frame and joint by joint.

Sums that decide whether something is empty are NumPy's over views in the memory order of the array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def normalized(data: Array) -> tuple[Array, float]:
    """A clip float32 [C, T, V, M], normalised; and the smallest sum of what is not all zero between the two turns.

    If that is close to 0, the last bit of a product decides whether a frame is turned.
    """
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
        parts = [result.transpose(3, 1, 2, 0), *persons, *(frame for person in persons for frame in person)]
        smallest = min([abs(part.sum()) for part in parts if part.any()], default=np.inf)
        if total(result) == 0:
            continue
        matrix = rotation(persons[0][0, last] - persons[0][0, first], axis)
        for person in persons:
            if person.sum() != 0:
                turn(person, matrix)
    return result, float(smallest)


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
    """The rotation of a vector onto an axis: the formula of Euler and Rodrigues with its four parameters.

    The last bit of a result can decide whether a frame sums to 0, so the terms are those of the formula, in its order.
    """
    onto = np.eye(3)[axis]
    normal = np.cross(vector, onto)
    if np.abs(vector).sum() < 1e-6 or np.abs(normal).sum() < 1e-6:
        return np.eye(3)
    angle = np.arccos(np.clip(np.dot(vector / np.linalg.norm(vector), onto), -1, 1))
    if angle < 1e-6:
        return np.eye(3)
    w = math.cos(angle / 2)
    x, y, z = -(normal / math.sqrt(np.dot(normal, normal))) * math.sin(angle / 2)
    diagonal = [w * w + x * x - y * y - z * z, w * w + y * y - x * x - z * z, w * w + z * z - x * x - y * y]
    matrix = np.diag(diagonal)
    for (row, column), value in {(0, 1): (x * y, w * z), (1, 2): (y * z, w * x), (2, 0): (x * z, w * y)}.items():
        matrix[row, column] = 2 * (value[0] + value[1])
        matrix[column, row] = 2 * (value[0] - value[1])
    return matrix


def turn(person: Array, matrix: Array) -> None:
    for frame in range(len(person)):
        if person[frame].sum() != 0:
            for joint in range(person.shape[1]):
                person[frame, joint] = np.dot(matrix, person[frame, joint].astype(np.float64))
