"""The normalisation of NTU RGB+D clips in the arrays of 2s-AGCN (``pre_normalization`` in data_gen/preprocess.py).

A frame or a person is empty if the sum of all coordinates is exactly 0. So every sum is computed over an array of the
same shape and memory order as upstream, which sums other strides in another order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import SourceError

_CENTRE = 1
"""The joint that becomes the origin: the middle of the spine."""
_TURNS = ((0, 1, (0, 0, 1)), (4, 8, (1, 0, 0)))
"""First and last joint of a bone, and the axis that it is turned onto: the spine onto z, the shoulders onto x."""
_TINY = 1e-6
"""Sums of absolute values below which a vector has no direction, and an angle is none."""


@np.errstate(over="ignore", invalid="ignore")
def normalize_agcn(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """A clip of NTU RGB+D, float32 [C, T, V, M] of x, y, z in metres, as 2s-AGCN normalises it; the same shape.

    If the first frame of a person is empty, all empty frames of that person are cut. The frames of each person are
    repeated until T is full. Then joint 1 of person 0 in the same frame is subtracted. The clip is turned so that in
    frame 0 of person 0 the bone from joint 0 to joint 1 is parallel to z, then that from joint 4 to joint 8 to x.
    ``data`` is not changed. Raises SourceError if the axes are not [3, T, V, M] with at least 9 joints.
    """
    if data.ndim != 4 or data.shape[0] != 3 or data.shape[2] <= max(joint for *ends, _ in _TURNS for joint in ends):
        raise SourceError(f"a clip with the shape {data.shape}; expected [3, T, V, M] with the joints of NTU RGB+D")
    clip = np.array(data, np.float32, order="C")
    persons = clip.transpose(3, 1, 2, 0)
    for person in persons:
        if person.sum() != 0:
            _fill(person)
    if persons.sum() != 0:
        centre = persons[0][:, _CENTRE : _CENTRE + 1].copy()
        for person in persons:
            if person.sum() != 0:
                person[...] = (person - centre) * (person.sum(-1) != 0)[..., None]
    for start, stop, axis in _TURNS:
        if persons.sum() != 0:
            matrix = _rotation(persons[0, 0, stop] - persons[0, 0, start], axis)
            for person in persons:
                if person.sum() != 0:
                    _turn(person, matrix)
    return clip


def _fill(person: NDArray[np.float32]) -> None:
    """Cut empty frames of a person [T, V, C] that begins with one, and repeat the frames before the last empty ones."""
    if person[0].sum() == 0:
        filled = person[person.sum(-1).sum(-1) != 0].copy()
        person *= 0
        person[: len(filled)] = filled
    used = np.flatnonzero(person.any((1, 2)))
    last = used[-1] if len(used) else -1
    for frame in np.flatnonzero(_sum_frames(person) == 0):
        if frame > last or person[frame:].sum() == 0:
            if frame > 0:
                person[frame:] = person[np.arange(len(person) - frame) % frame]
            break


def _sum_frames(person: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum of each frame [T] of a person [T, V, C], in the order of ``frame.sum()``: all x, then y, then z."""
    sums: NDArray[np.float32] = person.transpose(0, 2, 1).reshape(len(person), -1).sum(1)
    return sums


def _rotation(vector: NDArray[np.float32], axis: tuple[int, int, int]) -> NDArray[np.float64]:
    """The rotation [3, 3] of a vector onto an axis, around the axis perpendicular to both; none without a direction."""
    normal = np.cross(vector, axis)
    angle = _angle(vector, axis)
    if np.abs(normal).sum() < _TINY or abs(angle) < _TINY:
        return np.eye(3)
    unit = normal / math.sqrt(np.dot(normal, normal))
    a = math.cos(angle / 2)
    b, c, d = -unit * math.sin(angle / 2)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)],
            [2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)],
            [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _angle(vector: NDArray[np.float32], axis: tuple[int, int, int]) -> Any:
    if np.abs(vector).sum() < _TINY:
        return 0
    cosine = np.dot(vector / np.linalg.norm(vector), np.array(axis) / np.linalg.norm(axis))
    return np.arccos(np.clip(cosine, -1, 1))


def _turn(person: NDArray[np.float32], matrix: NDArray[np.float64]) -> None:
    """Turn the joints of the frames of a person [T, V, C] that are not empty. The products are computed in float64."""
    filled = _sum_frames(person) != 0
    planes = person.transpose(2, 0, 1)
    turned = (matrix @ planes.reshape(3, -1).astype(np.float64)).reshape(planes.shape)
    if filled.all():
        planes[...] = turned
    else:
        np.copyto(planes, turned, "same_kind", where=filled[:, None])
