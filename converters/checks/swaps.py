"""Persons who change rows: row m of ``keypoint`` [M, T, V, C] is one person in a frame and another in the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOUND", "LEAST_JUMP", "MOST_PERSONS", "NEARER", "find_swaps"]

MOST_PERSONS = 10
"""Maximum number of persons of a video that are compared from frame to frame."""

NEARER = 4
LEAST_JUMP = 0.1
"""A row continues in another row if the person there is ``NEARER`` times nearer, and the person in its own row is
further away than ``LEAST_JUMP`` of the skeleton's extent."""

FOUND = 3
"""Two skeletons are compared if at least one in ``FOUND`` of their joints was found in both."""


def find_swaps(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether persons [M, T, V, C] change rows between each frame and the next: bool [T - 1].

    A row continues in another row if the skeleton there is ``NEARER`` times nearer than the one in its own row, which
    is further away than ``LEAST_JUMP`` of the skeleton's extent. At least two rows must do so, since a single one may
    be a person who leaves. A skeleton is near if it is near to the one in the frame before, or to where that one would
    be if it moved on as it did: persons who run past each other have not changed rows. Joints at the origin were not
    found; two skeletons are compared by the joints found in both.
    """
    planes = np.ascontiguousarray(points.transpose(3, 2, 0, 1), np.float32)  # NumPy is fast along the last axis
    seen: NDArray[np.bool_] = np.asarray((planes != 0).any(axis=0))  # [V, M, T]
    before, seen_before = planes[..., :-1], seen[..., :-1]
    own = _distance(before, planes[..., 1:], seen_before & seen[..., 1:])
    jumps = (own < np.inf) & (own > LEAST_JUMP * _extent(before, seen_before))
    swaps: NDArray[np.bool_] = np.asarray(jumps.sum(axis=0) >= 2)
    for t in np.flatnonzero(swaps).tolist():
        apart = _from_each_to_every(planes, seen, t)
        stayed = apart.diagonal().copy()
        np.fill_diagonal(apart, np.inf)
        far = stayed > LEAST_JUMP * _extent(planes[..., t], seen[..., t])
        swaps[t] = (jumps[:, t] & far & (NEARER * apart.min(axis=1) < stayed)).sum() >= 2
    return swaps


def _from_each_to_every(planes: NDArray[Any], seen: NDArray[np.bool_], t: int) -> NDArray[Any]:
    """Distance [M, M] of each row at the frame ``t``, at rest or moving on, from every row at the next frame."""
    before, after, seen_before, seen_after = planes[..., t], planes[..., t + 1], seen[..., t], seen[..., t + 1]
    apart = _distance(before[..., None], after[..., None, :], seen_before[..., None] & seen_after[..., None, :])
    if t:
        moving, seen_moving = 2 * before - planes[..., t - 1], seen_before & seen[..., t - 1]
        moved = _distance(moving[..., None], after[..., None, :], seen_moving[..., None] & seen_after[..., None, :])
        apart = np.minimum(apart, moved)
    return apart


def _distance(before: NDArray[Any], after: NDArray[Any], both: NDArray[np.bool_]) -> NDArray[Any]:
    """Mean L1 distance of skeletons [C, V, …] over the joints found in both; infinite if those are too few."""
    count = both.sum(axis=0, dtype=np.int32)
    apart = np.abs(after - before).sum(axis=0)
    enough = (FOUND * count >= len(both)) & (count > 0)
    return np.where(enough, (apart * both).sum(axis=0) / np.maximum(count, 1), np.inf)


def _extent(points: NDArray[Any], seen: NDArray[np.bool_]) -> NDArray[Any]:
    """Sum of the side lengths of the box around the found joints of skeletons [C, V, …]."""
    if seen.all():
        high, low = points.max(axis=1), points.min(axis=1)
    else:
        high = np.where(seen, points, -np.inf).max(axis=1)
        low = np.where(seen, points, np.inf).min(axis=1)
    result: NDArray[Any] = (high - low).sum(axis=0)
    return result
