"""The order of the axes of an array of joints: whether its shape fits another order better than [M, T, V, C].

An array says nothing about its axes except their lengths. [C, T, V, M] of the GCN code bases, [T, M, V, C], and
[N, T, V, C] of a whole data set have four axes like [M, T, V, C], and would silently become wrong videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_PERSONS = 10
"""A longer axis of persons is regarded as another axis, unless the file states what its axes are."""

_COORDINATES = (2, 3)
"""C."""
_LEAST_JOINTS = 5
"""A shorter axis is not regarded as joints."""
_COUNTS_OF_JOINTS = frozenset({13, 14, 15, 16, 17, 18, 20, 21, 25, 26, 27, 33, 68, 133, 136, 468, 478, 543, 553})
"""V of the layouts that pose estimators use: body, face, whole body."""


class Reading(NamedTuple):
    """Another interpretation of a shape.

    ``axes`` are their names, such as ``[C, T, V, M]``. ``transpose`` turns the array, or each of its ``clips`` if that
    is not 0, into [M, T, V, C] or [T, V, C]; None if the axes of a clip are in that order.
    """

    axes: str
    transpose: tuple[int, ...] | None = None
    clips: int = 0

    def sentence(self) -> str:
        """What the array looks like, and how to save it instead."""
        one = "x[i]" if self.clips else "x"
        ordered = f"np.transpose({one}, {self.transpose})" if self.transpose else one
        as_it_is = ", or convert the folder of such files as it is, with --from gcn-clips"
        if self.clips == 1:
            remedy = as_it_is if self.axes == "[N, C, T, V, M]" else ""
            return f"it looks like {self.axes} of one clip: save {ordered.replace('[i]', '[0]')}{remedy}"
        if self.clips:
            what = f"{self.axes}, {self.clips:,} clips in one array"
            remedy = ", or convert it with its labels, with --from stgcn" if self.axes == "[N, C, T, V, M]" else ""
            return f"it looks like {what}: save {ordered} for each clip i in a file of its own{remedy}"
        return f"it looks like {self.axes}: save {ordered}{as_it_is if self.axes == '[C, T, V, M]' else ''}"


def other_reading(shape: Sequence[int]) -> Reading | None:
    """The reading of a shape that is likelier than [M, T, V, C] and [T, V, C]; None if no other is."""
    match tuple(shape):
        case (a, b, c, d):
            return _of_four(a, b, c, d)
        case (a, b, c):
            return _of_three(a, b, c)
        case (n, a, b, c, d):
            return _of_five(n, a, b, c, d)
        case _:
            return None


def _of_five(n: int, a: int, b: int, c: int, d: int) -> Reading | None:
    one = _of_four(a, b, c, d)
    if one is None:
        return Reading("[N, M, T, V, C]", None, n) if d in _COORDINATES and c >= _LEAST_JOINTS else None
    return None if one.clips else Reading(f"[N, {one.axes[1:]}", one.transpose, n)


def _of_four(a: int, b: int, c: int, d: int) -> Reading | None:
    # Three persons in 2D are rarer than x, y, z of two persons.
    is_mtvc = d in _COORDINATES and (a, d) != (3, 2)
    if a in _COORDINATES and c >= _LEAST_JOINTS and 1 <= d <= MAX_PERSONS and not is_mtvc:
        return Reading("[C, T, V, M]", (3, 1, 2, 0))
    if d in _COORDINATES:
        if a <= MAX_PERSONS:
            return None
        return Reading("[T, M, V, C]", (1, 0, 2, 3)) if b <= MAX_PERSONS else Reading("[N, T, V, C]", None, a)
    if b in _COORDINATES and d >= _LEAST_JOINTS:
        return Reading("[M, C, T, V]", (0, 2, 3, 1)) if a <= MAX_PERSONS else Reading("[N, C, T, V]", (1, 2, 0), a)
    return None


def _of_three(a: int, b: int, c: int) -> Reading | None:
    if c in _COORDINATES:
        is_turned = a in _COUNTS_OF_JOINTS and b not in _COUNTS_OF_JOINTS and b > max(_COUNTS_OF_JOINTS)
        return Reading("[V, T, C]", (1, 0, 2)) if is_turned else None
    if a in _COORDINATES and c >= _LEAST_JOINTS:
        return Reading("[C, T, V]", (1, 2, 0))
    if b in _COORDINATES and c >= _LEAST_JOINTS:
        return Reading("[T, C, V]", (0, 2, 1))
    return None


def joints_in_row(numbers: int) -> str | None:
    """The shape of the joints in a row of ``numbers`` values, (V, C), as text: ``(25, 3)``. None if no layout fits.

    150 numbers are two persons of 25 joints, (M, V, C), as in CTR-GCN's files.
    """
    if numbers == 150:
        return "(2, 25, 3)"
    for coordinates in (3, 2):
        joints, rest = divmod(numbers, coordinates)
        if not rest and joints in _COUNTS_OF_JOINTS:
            return f"({joints}, {coordinates})"
    return None
