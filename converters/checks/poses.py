"""The skeletons of an annotation, and its values that describe them, as far as they can be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.wording import kind_of

__all__ = ["Poses", "Problem", "as_int", "image_size", "is_rows", "poses"]

Problem: TypeAlias = tuple[str, str]
"""The kind of a problem, and what was found."""


class Poses(NamedTuple):
    """The skeletons of a video: ``points`` [M, T, V, C], or compressed [N, V, 2]; ``scores`` have no axis C."""

    points: NDArray[Any]
    scores: NDArray[Any] | None
    compressed: bool


def poses(annotation: Mapping[Any, Any]) -> Poses | Problem:
    """The skeletons of an annotation, or the problem if it has none that can be checked."""
    keypoint = annotation.get("keypoint")
    if keypoint is None:
        return "keypoint-missing", "keypoint is missing" if "keypoint" not in annotation else "keypoint is None"
    if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind not in "fiu":
        return "keypoint-shape", f"keypoint is {kind_of(keypoint)}"
    if keypoint.ndim == 4 and keypoint.shape[3] in (2, 3) and keypoint.shape[2]:
        score = annotation.get("keypoint_score")
        usable = isinstance(score, np.ndarray) and score.dtype.kind in "fiu" and score.shape == keypoint.shape[:3]
        return Poses(keypoint, score if usable else None, False)
    if keypoint.ndim == 3 and keypoint.shape[2] == 3 and keypoint.shape[1] and "frame_inds" in annotation:
        return Poses(keypoint[..., :2], keypoint[..., 2], True)
    return "keypoint-shape", f"keypoint has shape {keypoint.shape}"


def as_int(value: object) -> int | None:
    """The value of an int or a NumPy integer; None for anything else, bool included."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    return None


def image_size(annotation: Mapping[Any, Any]) -> tuple[int, int] | None:
    """Height and width of the image; None if they are unknown, or not from 1 to 2**31 - 1."""
    shape = annotation.get("img_shape")
    if isinstance(shape, np.ndarray) and shape.shape == (2,):
        shape = list(shape)
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        return None
    height, width = as_int(shape[0]), as_int(shape[1])
    if height is None or width is None or not (0 < height < 1 << 31 and 0 < width < 1 << 31):
        return None
    return height, width


def is_rows(value: object, count: int, kinds: str) -> bool:
    """Whether a value is an array of ``count`` numbers whose dtype is of one of these kinds."""
    return isinstance(value, np.ndarray) and value.dtype.kind in kinds and value.shape == (count,)
