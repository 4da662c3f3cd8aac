"""The recipe ``ctrgcn``: the rows that CTR-GCN's scripts make of the bodies in a file.

They are get_raw_denoised_data.py and seq_transformation.py in data/ntu and data/ntu120 of the repository. Every sum is
computed over an array of the same shape, dtype and memory order as there, since empty frames are those whose sum is
exactly 0. In a row, the 25 joints of the first person precede those of the second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from converters.dialects.ntu.bodies import SHORT, SPREAD_SHARE, Body, motion_of, upright
from converters.dialects.ntu.skeleton_file import JOINTS
from skelstore.errors import SourceError

_Rows: TypeAlias = NDArray[np.float32]
"""float32 [T, 75] for one person, [T, 150] for two."""

_VALUES = JOINTS * 3
_ORIGIN = slice(3, 6)
"""The values of joint 1, the middle of the spine, in a row."""


def choose_persons(bodies: list[Body], frames: int, *, doubled: bool) -> _Rows:
    """One or two persons, float32 [M, T, 25, 3], relative to the spine of the first in its first frame.

    ``frames`` is the number of frames that have a body. ``doubled`` makes two persons of a single one, as the script of
    NTU RGB+D 120 does. A second person who is at zero throughout is left out: the arrays cannot tell that person from
    an absent one. Raises SourceError if upstream fails: no body, none of several that is left, one that is twice in a
    frame, or no frame in which the first person is not at zero.
    """
    if not bodies:
        raise SourceError("no frame has a body; CTR-GCN's script fails on it, too")
    with np.errstate(over="ignore", invalid="ignore"):
        rows = _translate(_denoise(bodies, frames))
    persons = rows.reshape(len(rows), -1, JOINTS, 3).transpose(1, 0, 2, 3)
    if len(persons) == 1 and doubled:
        persons = np.concatenate([persons, persons])
    return persons if persons[1:].any() else persons[:1]


def _denoise(bodies: list[Body], frames: int) -> _Rows:
    """The rows of one body, or of those of several that are persons; without the frames that sum to 0 of several."""
    if len(bodies) == 1:
        return _place([bodies], frames)
    kept = [body for body in bodies if len(body.keypoint) > SHORT]
    if len(kept) > 1:
        kept = _drop_wide(kept)
    if not kept:
        raise SourceError(
            f"none of several bodies has more than {SHORT} frames and the shape of a person; CTR-GCN's script fails on "
            "it, too"
        )
    rows = _place([kept] if len(kept) == 1 else _assign(kept), frames)
    filled: _Rows = rows[rows.sum(axis=1) != 0]
    return filled


def _drop_wide(bodies: list[Body]) -> list[Body]:
    """Drop bodies that are too wide for a person in most frames, in order, as long as others are left.

    The motion of the others is at most that of their frames with the shape of a person.
    """
    kept = []
    left = len(bodies)
    for body in bodies:
        valid = upright(body.keypoint)
        wide = len(valid) - np.count_nonzero(valid)
        if left > 1 and wide / len(valid) >= SPREAD_SHARE:
            left -= 1
        elif left > 1 and wide:
            kept.append(replace(body, motion=min(body.motion, motion_of(body.keypoint[valid]))))
        else:
            kept.append(body)
    return kept


def _assign(bodies: list[Body]) -> list[list[Body]]:
    """The bodies of each of two persons, in the order in which they are placed: by motion, the largest first.

    A body belongs to the first person whose frames it does not overlap. The last frames are compared as upstream does,
    so one common frame is no overlap; the second person begins as if it had frame 0.
    """
    first, *others = sorted(bodies, key=lambda body: body.motion, reverse=True)
    persons: list[list[Body]] = [[first], []]
    taken = [(first.start, first.end - 1), (0, 0)]
    for body in others:
        for person, (start, last) in enumerate(taken):
            if min(last, body.end - 1) <= max(start, body.start):
                persons[person].append(body)
                taken[person] = min(start, body.start), max(last, body.end - 1)
                break
    return persons


def _place(persons: list[list[Body]], frames: int) -> _Rows:
    """The rows of the persons, each with several bodies; a later body overwrites an earlier one."""
    rows = np.zeros((frames, _VALUES * len(persons)), np.float32)
    for person, bodies in enumerate(persons):
        columns = slice(_VALUES * person, _VALUES * (person + 1))
        for body in bodies:
            if body.end > frames:
                raise SourceError(
                    f"a body is twice in a frame, and so has more than the {frames:,} frames of the file; CTR-GCN's "
                    "script fails on it, too"
                )
            rows[body.start : body.end, columns] = body.keypoint.reshape(-1, _VALUES)
    return rows


def _translate(rows: _Rows) -> _Rows:
    """The rows relative to the spine of the first person; frames of one of two persons that sum to 0 become zero."""
    persons = [rows[:, start : start + _VALUES] for start in range(0, rows.shape[1], _VALUES)]
    missing = [person.sum(axis=1) == 0 for person in persons] if len(persons) == 2 else []
    filled = (persons[0] != 0).any(axis=1)
    if not filled.any():
        raise SourceError("every joint of the first person is at zero; CTR-GCN's script fails on it, too")
    origin = rows[filled.argmax(), _ORIGIN].copy()
    rows -= np.tile(origin, rows.shape[1] // 3)
    for person, empty in zip(persons, missing, strict=False):
        person[empty] = 0
    return rows
