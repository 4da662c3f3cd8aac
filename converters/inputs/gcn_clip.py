"""A clip of the GCN code bases (ST-GCN, 2s-AGCN, CTR-GCN) as an annotation: padding cut off, or kept.

Their arrays give all clips the same number of frames and persons, and fill up with zeros. Zeros behind the last frame
of a clip are no frames, and a person of zeros is no person. Only values whose bytes are all zero are cut, so -0.0 and
NaN stay, and an export, which fills up with zeros again, gives the same bytes.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.choices import CHANNELS
from skelstore.errors import SourceError
from skelstore.format.schema import PERSON_ROWS, Annotation
from skelstore.wording import closest

ARRAY_SHAPE = "array_shape"
"""Key of the shape of the array in a file of its own from which a clip comes, a tuple: (C, T, V, M) or (1, C, T, V, M).
"""
ARRAY_HEADER = "array_header"
"""Key of the header of that file, as text of one character per byte, if it is not as NumPy writes it for the shape in C
order: of an array in Fortran order, or written by an old NumPy or by another program."""
KINETICS_JOINTS = 18
"""V of Kinetics-Skeleton (OpenPose), whose third channel is the score, as in ST-GCN's tools/kinetics_gendata.py."""

_DERIVED = re.compile(r"(?:^|_)(bone|motion)(?:_data)?$")
"""The end of the name of a file that is derived from the joints: ``train_data_bone``, ``train_data_joint_motion``."""


def keypoints_of(clip: NDArray[Any], *, keep_padding: bool, scored: bool = False) -> Annotation:
    """``keypoint`` and ``total_frames`` of a clip [M, T, V, C]; with ``scored``, the last channel as
    ``keypoint_score`` [M, T, V].

    Without ``keep_padding``, trailing frames and all persons whose bytes are zero are cut. If the remaining persons are
    not the first ones, ``person_rows`` says which they are.
    """
    joints = np.ascontiguousarray(clip)
    annotation: Annotation = {}
    if not keep_padding:
        bits = joints.view(f"u{joints.dtype.itemsize}").reshape(*joints.shape[:2], -1)
        is_there: NDArray[np.bool_] = np.any(bits, axis=2)  # [M, T]
        persons = np.flatnonzero(is_there.any(axis=1))
        frames = int(np.flatnonzero(is_there.any(axis=0)).max(initial=-1)) + 1
        joints = joints[: len(persons), :frames] if _are_first(persons) else joints[persons, :frames]
        if not _are_first(persons):
            annotation = {PERSON_ROWS: persons.astype(np.int64)}
    if scored:
        parts = {"keypoint": joints[..., :-1].copy(), "keypoint_score": joints[..., -1].copy()}
    else:
        parts = {"keypoint": joints.copy()}
    return parts | {"total_frames": joints.shape[1]} | annotation


def _are_first(persons: NDArray[np.intp]) -> bool:
    return len(persons) == 0 or int(persons[-1]) == len(persons) - 1


def has_scores(channels: str | None, coordinates: int, joints: int) -> bool:
    """Whether the last channel of a clip is the score: as ``channels`` states, else told by the number of joints.

    Raises SourceError if ``channels`` is unknown, or does not fit the number of ``coordinates`` (C).
    """
    if channels not in (None, *CHANNELS):
        raise SourceError(f"channels {channels!r}; expected one of {', '.join(CHANNELS)}{closest(channels, CHANNELS)}")
    if channels is not None and coordinates != len(channels):
        raise SourceError(f"the clips have {coordinates} channels; --channels {channels} says that there are 3")
    if channels is None:
        return coordinates == len("xys") and joints == KINETICS_JOINTS
    return channels == "xys"


def refuse_derived(path: PurePath) -> None:
    """Raise SourceError if the end of a file's name says that it holds bones or motion, derived from the joints."""
    if match := _DERIVED.search(path.stem):
        raise SourceError(
            f"{path} holds the {match[1]}s of the clips, by its name: they are derived from the joints, and "
            "feeders and PYSKL compute them when they read: convert the joints (train_data_joint.npy or train_data.npy)"
        )
