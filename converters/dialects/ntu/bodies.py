"""The bodies in an NTU RGB+D file, and what the recipes of PYSKL and CTR-GCN measure of them.

PYSKL's tools/data/ntu_preproc.py follows CTR-GCN's data/ntu/get_raw_skes_data.py and get_raw_denoised_data.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT = 11
"""Of several bodies, those with at most this number of frames are dropped."""
SPREAD_SHARE = 0.69754
"""Of several bodies, those with at least this share of frames without the shape of a person are dropped."""
_SPREAD = 0.8
"""Width by height above which a body in a frame does not have the shape of a person."""
_LIMIT_DTYPE = (np.float32(1) * _SPREAD).dtype
"""Upstream multiplies a scalar by ``_SPREAD``: the product is a float64 in NumPy 1, a float32 in NumPy 2."""


@dataclass
class Body:
    """The frames with one body id: ``keypoint`` float32 [F, 25, 3], placed without gaps from the frame ``start``."""

    start: int
    keypoint: NDArray[np.float32]
    motion: Any

    @property
    def end(self) -> int:
        return self.start + len(self.keypoint)


def find_bodies(
    frames: NDArray[Any],
    ids: NDArray[Any],
    position: NDArray[np.float32],
    motions: NDArray[np.float32] | None = None,
) -> list[Body]:
    """The bodies in order of appearance, from ``frame_inds`` [N], ``body_id`` [N] and ``position`` [N, 25, 3].

    Frames without a body are not counted. If there are ``motions``, of several bodies, or none of a single one, the
    bodies come from raw_skes_data.pkl: they have no gaps, and ``frames`` counts only frames with a body.
    """
    counter = np.unique(frames, return_inverse=True)[1] if motions is None else frames
    _, first = np.unique(ids, return_index=True)
    bodies = []
    for number, index in enumerate(np.sort(first)):
        keypoint = position[ids == ids[index]]
        motion = motion_of(keypoint) if motions is None or len(motions) != len(first) else motions[number]
        bodies.append(Body(int(counter[index]), keypoint, motion))
    return bodies


def motion_of(keypoint: NDArray[np.float32]) -> Any:
    """Variance over frames and joints, summed over x, y, z: a float32 scalar."""
    return np.sum(np.var(keypoint.reshape(-1, 3), axis=0))


def upright(keypoint: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the body in each frame [F] is at most ``_SPREAD`` times as wide as it is high."""
    width, height = (np.ptp(keypoint[:, :, axis], axis=1) for axis in (0, 1))
    limit: NDArray[Any] = height.astype(_LIMIT_DTYPE) * _LIMIT_DTYPE.type(_SPREAD)
    within: NDArray[np.bool_] = width <= limit
    return within
