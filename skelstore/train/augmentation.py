"""What the feeders of the GCN code bases do with a clip [C, T, V, M] by NumPy, and what they draw at random.

The definitions are feeders/feeder_ntu.py and feeders/tools.py in CTR-GCN, and feeders/feeder.py and feeders/tools.py in
2s-AGCN. Numbers are drawn from the same generators, in the same order: those of NumPy and of Python's ``random``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_FRAMES = 64
"""A random crop of CTR-GCN has at least this number of frames, or all."""

NTU_BONES = (
    *((0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8), (10, 9), (11, 10)),
    *((12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18)),
    *((20, 20), (21, 22), (22, 7), (23, 24), (24, 11)),
)
"""(joint, joint towards the centre) of the 25 joints of NTU RGB+D, from 0: feeders/bone_pairs.py in CTR-GCN."""

ANGLES = (-10.0, -5.0, 0.0, 5.0, 10.0)
SCALES = (0.9, 1.0, 1.1)
SHIFTS = (-0.2, -0.1, 0.0, 0.1, 0.2)
"""What ``random_move`` chooses from: degrees, factors, and units of the coordinates."""


def valid_frames(clip: NDArray[np.float32]) -> int:
    """The number of frames whose coordinates do not sum to exactly 0."""
    return int(np.count_nonzero(clip.sum(0).sum(-1).sum(-1) != 0))


def crop(frames: int, interval: Sequence[float]) -> slice:
    """The frames of a crop among the first ``frames`` frames.

    ``interval`` is one share, for a crop from the middle, or the least and the largest share of a random crop at a
    random place. Raises ValueError if it is neither.
    """
    try:
        shares = [float(share) for share in interval]
    except (TypeError, ValueError):
        shares = []
    if not shares or (len(shares) == 1 and not 0 <= shares[0] <= 1):
        raise ValueError(
            f"p_interval is {interval!r}; expected a list of one share from 0 to 1, such as [0.95], or of two, such "
            "as [0.5, 1]"
        )
    if len(shares) == 1:
        margin = int((1 - shares[0]) * frames / 2)
        return slice(margin, frames - margin)
    share = float(np.random.rand(1)[0]) * (shares[1] - shares[0]) + shares[0]
    length = min(max(int(np.floor(frames * share)), FEWEST_FRAMES), frames)
    start = int(np.random.randint(0, frames - length + 1))
    return slice(start, start + length)


def bones(clip: NDArray[Any]) -> NDArray[Any]:
    """For each joint of NTU RGB+D, its difference to the joint towards the centre."""
    joints, towards = np.array(NTU_BONES).T
    vectors = np.zeros_like(clip)
    vectors[:, :, joints] = clip[:, :, joints] - clip[:, :, towards]
    return vectors


def velocities(clip: Any) -> Any:
    """Replace each frame of an array or a tensor by its difference to the next one, the last by zeros; return it."""
    clip[:, :-1] = clip[:, 1:] - clip[:, :-1]
    clip[:, -1] = 0
    return clip


def random_shift(clip: NDArray[Any]) -> NDArray[np.float64]:
    """Move the frames from the first to the last that is not empty to a random place; zeros elsewhere."""
    total = clip.shape[1]
    filled = (clip != 0).any(axis=(0, 2, 3))
    begin, end = int(filled.argmax()), total - int(filled[::-1].argmax())
    place = random.randint(0, total - (end - begin))
    shifted = np.zeros(clip.shape)
    shifted[:, place : place + end - begin] = clip[:, begin:end]
    return shifted


def random_choice(clip: NDArray[Any], window: int) -> NDArray[Any]:
    """A run of ``window`` frames at a random place; a shorter clip at a random place among zeros."""
    total = clip.shape[1]
    if total == window:
        return clip
    if total < window:
        return pad(clip, window, random.randint(0, window - total))
    begin = random.randint(0, total - window)
    return clip[:, begin : begin + window]


def pad(clip: NDArray[Any], window: int, begin: int = 0) -> NDArray[Any]:
    """Zeros around a clip that begins at the frame ``begin`` of ``window``, float64; a longer clip is unchanged."""
    channels, total, joints, persons = clip.shape
    if total >= window:
        return clip
    padded = np.zeros((channels, window, joints, persons))
    padded[:, begin : begin + total] = clip
    return padded


def random_move(clip: NDArray[Any]) -> NDArray[Any]:
    """Turn, scale and shift x and y, each from one random value to another over the clip; the clip is changed.

    Computed in float64, stored as the clip's dtype.
    """
    _, total, joints, persons = clip.shape
    random.choice([1])  # upstream's number of pieces, of which there is one candidate; it draws
    ends = [np.random.choice(candidates, 2).tolist() for candidates in (ANGLES, SCALES, SHIFTS, SHIFTS)]
    turn, scale, shift_x, shift_y = (np.linspace(first, last, total) for first, last in ends)
    turn = turn * np.pi / 180
    matrices = np.array([[np.cos(turn) * scale, -np.sin(turn) * scale], [np.sin(turn) * scale, np.cos(turn) * scale]])
    points = clip[:2].transpose(1, 0, 2, 3).reshape(total, 2, joints * persons)
    moved = np.ascontiguousarray(matrices.transpose(2, 0, 1)) @ points.astype(np.float64)
    moved += np.stack([shift_x, shift_y], axis=1)[:, :, None]
    clip[:2] = moved.reshape(total, 2, joints, persons).transpose(1, 0, 2, 3)
    return clip
