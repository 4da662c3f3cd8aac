"""Where the detections of a video are in the image, and how far two of them are apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FARTHEST = 1e12
"""Joints beyond this coordinate were not found: no image is as large, and squares of larger ones overflow."""

LEAST_WEIGHT = 0.05
"""Weight of a joint that has a position but a lower score: some tools write no scores."""

SMALLEST = 0.2
"""Least size of a person, as a fraction of the median: a person of whom two joints are seen is not as small."""


class Poses(NamedTuple):
    """Detections: ``points`` float64 [N, V, 2] and ``weights`` [N, V], both 0 where a joint was not found.

    ``low`` and ``high`` [N, 2] are the corners of the box around the joints that were found. ``size`` [N] is the length
    of its diagonal, but at least a fraction of the median. ``found`` [N] is False if no joint was found.
    """

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    size: NDArray[np.float64]
    found: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Poses:
        return Poses(
            self.points[rows], self.weights[rows], self.low[rows], self.high[rows], self.size[rows], self.found[rows]
        )


def poses(keypoint: NDArray[Any]) -> Poses:
    """The detections of ``keypoint`` [N, V, 3] (x, y, score).

    A joint was not found if a coordinate is not finite or both are 0.
    """
    xy = keypoint[..., :2].astype(np.float64)
    score = keypoint[..., 2].astype(np.float64)
    with np.errstate(invalid="ignore"):
        x, y = xy[..., 0], xy[..., 1]
        found = (np.abs(x) <= FARTHEST) & (np.abs(y) <= FARTHEST) & ((x != 0) | (y != 0))
    points = np.where(found[..., None], xy, 0)
    weights = np.where(found, np.clip(np.nan_to_num(score, nan=0.0), LEAST_WEIGHT, 1), 0)
    some: NDArray[np.bool_] = np.any(found, axis=1)
    low = np.where(found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    low[~some] = high[~some] = 0
    size = np.hypot(*(high - low).T)
    least = SMALLEST * float(np.median(size[some])) if some.any() else 0.0
    return Poses(points, weights, low, high, np.maximum(size, max(least, 1e-9)), some)


def joint_distance(
    poses: Poses, i: NDArray[np.intp], j: NDArray[np.intp], shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Mean distance [P] of the joints that were found in both of each pair, in sizes of the persons.

    The joints are weighted by their scores. ``shift`` [P, 2] is added to the joints of the first. NaN if the two have
    no joint in common.
    """
    apart = poses.points[i] - poses.points[j]
    if shift is not None:
        apart += shift[:, None]
    weights = poses.weights[i] * poses.weights[j]
    total = weights.sum(axis=1)
    np.multiply(apart, apart, out=apart)
    distance: NDArray[np.float64] = np.einsum("pv,pv->p", np.sqrt(apart[..., 0] + apart[..., 1]), weights)
    distance /= np.where(total > 0, total, np.nan)
    distance /= (poses.size[i] + poses.size[j]) / 2
    return distance


def overlap(
    poses: Poses, i: NDArray[np.intp], j: NDArray[np.intp], shift: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Intersection over union [P] of the boxes of each pair; ``shift`` [P, 2] is added to the first box.

    Two boxes without an area have 1 if they touch.
    """
    low, high = poses.low[i], poses.high[i]
    if shift is not None:
        low, high = low + shift, high + shift
    sides = np.minimum(high, poses.high[j]) - np.maximum(low, poses.low[j])
    common = np.maximum(sides, 0).prod(axis=1)
    union = (high - low).prod(axis=1) + (poses.high[j] - poses.low[j]).prod(axis=1) - common
    return np.where(union > 0, common / np.where(union > 0, union, 1), (sides >= 0).all(axis=1))


def displacement(poses: Poses, i: NDArray[np.intp], j: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far [P, 2] the joints that were found in both of each pair are moved from the first to the second; else 0."""
    weights = poses.weights[i] * poses.weights[j]
    total = weights.sum(axis=1)
    moved = np.einsum("pvc,pv->pc", poses.points[j] - poses.points[i], weights)
    mean: NDArray[np.float64] = moved / np.where(total > 0, total, 1)[:, None]
    return mean
