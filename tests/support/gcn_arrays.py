"""Arrays of the GCN code bases for tests: drawn by Hypothesis, and what they mean, by an independent slow reference."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]

VALUES = (1.5, -2.25, 0.0, -0.0, float("nan"), float("inf"), 1e-40, 0.25)
"""Among them -0.0, NaN and a number that is subnormal in float32: none of these is padding, 0.0 is."""


@st.composite
def padded(draw: st.DrawFn, count: int, persons: int, frames: int, joints: int, channels: int, dtype: str) -> Array:
    """Clips [N, M, T, V, C] with padding of every kind: at the end, in the middle, absent persons, whole clips."""
    clips = np.zeros((count, persons, frames, joints, channels), dtype)
    for clip in clips:
        for person in clip:
            for frame in draw(st.lists(st.integers(0, frames - 1), max_size=3)):
                place = draw(st.integers(0, joints - 1)), draw(st.integers(0, channels - 1))
                person[frame][place] = draw(st.sampled_from(VALUES if np.dtype(dtype).kind == "f" else (1, -3, 0)))
    return clips


def kept(clip: Array) -> tuple[list[int], int]:
    """The persons of a clip [M, T, V, C] that are there, and its number of frames: value by value, by their bytes."""
    persons: set[int] = set()
    frames = 0
    zero = bytes(clip.dtype.itemsize)
    for m, t, v, c in np.ndindex(clip.shape):
        if clip[m, t, v, c].tobytes() != zero:
            persons.add(m)
            frames = max(frames, t + 1)
    return sorted(persons), frames


def annotation(
    name: str, label: int, clip: Array, *, keep_padding: bool = False, scored: bool = False
) -> dict[str, Any]:
    """The annotation of a clip [M, T, V, C]."""
    persons, frames = (list(range(len(clip))), clip.shape[1]) if keep_padding else kept(clip)
    joints = np.zeros((len(persons), frames, *clip.shape[2:]), clip.dtype)
    for row, person in enumerate(persons):
        joints[row] = clip[person, :frames]
    points: dict[str, Any] = {"keypoint": joints}
    if scored:
        points = {"keypoint": np.array(joints[..., :2]), "keypoint_score": np.array(joints[..., 2])}
    expected = {"frame_dir": name, "label": label, **points, "total_frames": frames}
    if persons != list(range(len(persons))):
        expected["person_rows"] = np.array(persons, np.int64)
    return expected


def members(path: Path) -> dict[str, bytes]:
    """The content of each member of a zip file by its name, in its order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def one_hot(labels: list[int], classes: int, dtype: str = "<f8") -> Array:
    """Labels as CTR-GCN writes them, [N, classes]."""
    rows = np.zeros((len(labels), classes), dtype)
    for row, label in enumerate(labels):
        rows[row, label] = 1
    return rows
