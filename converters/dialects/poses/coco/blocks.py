"""Annotations of COCO's form that are alike, many at once: several times as fast as one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.inputs.detections import Detections
from converters.inputs.number_rows import as_rows

KEYS = frozenset({"image_id", "keypoints", "score", "bbox", "track_id", "iscrowd", "num_keypoints"})
"""The keys of annotations and results that are kept, or follow from what is kept."""

_INTEGERS = frozenset({int})
_MOST_ID = 2**31 - 1


def add_block(
    places: Sequence[str],
    frames: Sequence[int],
    annotations: Sequence[Any],
    detections: Detections,
    *,
    is_data_set: bool,
) -> bool:
    """Add annotations or results, if all are alike: lists [V * 3] of numbers as keypoints, and for each of the other
    keys a value in all of them or in none.

    Returns False, and adds nothing, if they are not, or if there may be a fault in one of them.
    """
    if not annotations or not {dict}.issuperset(map(type, annotations)):
        return False
    rows = as_rows([annotation.get("keypoints") for annotation in annotations])
    if rows is None or rows.shape[1] % 3:
        return False
    points = rows.reshape(len(rows), -1, 3)
    fields: dict[str, NDArray[np.float64]] = {}
    if is_data_set:
        third = (annotation["keypoints"][2::3] for annotation in annotations)
        visibility = points[..., 2].copy()
        if (
            not _INTEGERS.issuperset(map(type, chain.from_iterable(third)))
            or visibility.max() > 2
            or visibility.min() < 0
        ):
            return False
        fields["keypoint_visibility"] = visibility
        points[..., 2] = visibility > 0
    kept = np.flatnonzero(rows.any(axis=1)).tolist()
    of = [annotations[i] for i in kept]
    scores, tracks, boxes = ([each.get(key) for each in of] for key in ("score", "track_id", "bbox"))
    all_scores = as_rows([scores]) if _is_given(scores) else None
    all_boxes = as_rows(boxes) if _is_given(boxes) else None
    is_tracked = _is_given(tracks)
    if (all_scores is None and _is_given(scores)) or (all_boxes is None and _is_given(boxes)) or not kept:
        return False
    if is_tracked and not (_INTEGERS.issuperset(map(type, tracks)) and min(tracks) >= 0 and max(tracks) <= _MOST_ID):
        return False
    fields = {name: values[kept] for name, values in fields.items()}
    if all_boxes is not None:
        fields["box"] = all_boxes
        if all_boxes.shape[1] != 4:
            return False
    if not detections.fits(points.shape[1], fields):
        return False
    detections.add_arrays(
        [f"{places[i]}.keypoints" for i in kept],
        [frames[i] for i in kept],
        points[kept],
        scores=None if all_scores is None else all_scores[0],
        tracks=tracks if is_tracked else None,
        fields=fields,
    )
    detections.leave_out(len(annotations) - len(kept))
    detections.not_kept(set().union(*annotations) - KEYS)
    return True


def _is_given(values: Sequence[object]) -> bool:
    return any(value is not None for value in values)
