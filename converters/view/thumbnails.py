"""Small moving pictures of many videos: few frames, few persons, 16-bit coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checks.poses import image_size
from converters.view.catalogue import Catalogue
from converters.view.columns import RAW
from converters.view.requests import RequestError
from converters.view.skeletons import MOST_READ, WHOLE_BYTES, frame_numbers, points_key
from skelstore.drawing.poses import found_joints
from skelstore.errors import SkelstoreError, StoreReplacedError

MOST_VIDEOS = 120
"""Maximum number of thumbnails in an answer."""

FRAMES, PERSONS, JOINTS = 12, 4, 150
"""Maximum numbers of frames, persons and joints of a thumbnail."""

LARGEST = 32_767
"""The larger side of a thumbnail's frame."""

_FRACTIONS = 2.0
"""Coordinates up to this value are fractions of the image, or metres: they are not drawn in an image in pixels."""

_FARTHEST = 1e30
"""Coordinates beyond this value are not drawn."""

_CROWD = 1_000
"""Of a long video with more persons, one frame is read."""


def thumbnail(catalogue: Catalogue, row: int) -> tuple[dict[str, Any], NDArray[np.int16]]:
    """A thumbnail: its frame for JSON, and int16 [K, P, V, 2].

    Coordinates are 0 to ``LARGEST`` over the larger side of the frame; both are -1 where a joint was not found. The
    frame is the image, or else the box of the joints. A video that cannot be drawn has K = 0, and the reason as
    ``note``. Raises StoreReplacedError.
    """
    try:
        points, image = _sample(catalogue, row)
    except StoreReplacedError:
        raise
    except SkelstoreError as error:
        empty = np.zeros((0, 0, 0, 2), np.int16)
        return {"row": row, "width": 1.0, "height": 1.0, "frames": 0, "note": str(error)}, empty
    except MemoryError:
        empty = np.zeros((0, 0, 0, 2), np.int16)
        return {"row": row, "width": 1.0, "height": 1.0, "frames": 0, "note": "it does not fit in memory"}, empty
    places, width, height = _scale(points, image)
    return {"row": row, "width": width, "height": height, "frames": len(places)}, places


def _sample(catalogue: Catalogue, row: int) -> tuple[NDArray[np.float64], tuple[int, int] | None]:
    """Points [K, P, V, 2] of some frames, NaN where a joint was not found, and the size of the image."""
    store, size = catalogue.store, int(catalogue.shapes.sizes[row])
    annotation: Mapping[Any, Any] = store[row] if size <= WHOLE_BYTES else _read_some(catalogue, row)
    key = points_key(annotation)
    keypoint, scores = annotation.get(key), annotation.get("keypoint_score")
    if not isinstance(keypoint, np.ndarray) or keypoint.dtype.kind not in "fiu":
        raise RequestError("the video has no keypoint", status=422)
    image = image_size(annotation)
    if keypoint.ndim == 4 and keypoint.shape[3] in (2, 3):
        chosen = _spread(keypoint.shape[1])
        some = keypoint[:PERSONS, chosen, :JOINTS].swapaxes(0, 1)
        if isinstance(scores, np.ndarray) and scores.shape == keypoint.shape[:3] and scores.dtype.kind in "fiu":
            return _as_points(some, scores[:PERSONS, chosen, :JOINTS].swapaxes(0, 1)), image
        return _as_points(some, None), None if keypoint.shape[3] == 3 else image
    if keypoint.ndim != 3 or keypoint.shape[2] not in (2, 3):
        raise RequestError(f"keypoint has shape {list(keypoint.shape)}", status=422)
    numbers = frame_numbers(annotation, len(keypoint))
    return _gather(keypoint, numbers, scored=key != RAW and keypoint.shape[2] == 3), image


def _read_some(catalogue: Catalogue, row: int) -> Mapping[Any, Any]:
    """The keypoints of some frames of a long video, and the size of its image."""
    store, shape = catalogue.store, catalogue.shapes.of(row)
    lazy = store.lazy(row)
    if shape is None:
        raise RequestError("the video has no keypoint", status=422)
    keys = [key for key in ("keypoint", "keypoint_score", "frame_inds", "img_shape") if key in lazy]
    if len(shape) == 4:
        if shape[0] * shape[2] * shape[3] * FRAMES > MOST_READ:
            raise RequestError(f"keypoint has shape {list(shape)}, which is too large for a thumbnail", status=422)
        frames = _spread(shape[1])
        return store.read_one(row, fields=keys, frames=frames if shape[0] <= _CROWD else frames[:1])
    if points_key(lazy) == RAW:  # only keypoints can be read by frame
        return {key: lazy[key] for key in (RAW, "frame_inds")}
    numbers, counts = np.unique(frame_numbers(lazy, shape[0]), return_counts=True)
    if counts.max(initial=0) * shape[1] * shape[2] * FRAMES > MOST_READ:
        raise RequestError(f"keypoint has shape {list(shape)}, which is too large for a thumbnail", status=422)
    return store.read_one(row, fields=keys, frames=numbers[_spread(len(numbers))])


def _spread(total: int) -> NDArray[np.int64]:
    """At most ``FRAMES`` positions, spread evenly over 0 to ``total`` - 1."""
    return np.unique(np.linspace(0, total - 1, min(FRAMES, total)).round().astype(np.int64))


def _gather(keypoint: NDArray[Any], numbers: NDArray[np.int64], *, scored: bool) -> NDArray[np.float64]:
    """The first detections of some frames as points [K, P, V, 2]."""
    there = np.unique(numbers)
    chosen = there[_spread(len(there))]
    rows = np.flatnonzero(np.isin(numbers, chosen))
    rows = rows[np.argsort(numbers[rows], kind="stable")]
    frame = np.searchsorted(chosen, numbers[rows])
    place = np.arange(len(rows)) - np.searchsorted(frame, frame, "left")
    rows, frame, place = (array[place < PERSONS] for array in (rows, frame, place))
    some = np.zeros((len(chosen), int(place.max(initial=-1)) + 1, *keypoint[:0, :JOINTS].shape[1:]), keypoint.dtype)
    some[frame, place] = keypoint[rows, :JOINTS]
    return _as_points(some[..., :-1], some[..., -1]) if scored else _as_points(some, None)


def _as_points(points: NDArray[Any], scores: NDArray[Any] | None) -> NDArray[np.float64]:
    """Points [K, P, V, C] from the front, [K, P, V, 2], NaN where a joint was not found."""
    with np.errstate(all="ignore"):
        found = found_joints(points, scores)
        flat: NDArray[np.float64] = points[..., :2].astype(np.float64)
    if points.shape[-1] == 3:
        flat[..., 1] *= -1
    flat[~found | (np.abs(flat) > _FARTHEST).any(axis=-1)] = np.nan
    return flat


def _scale(points: NDArray[np.float64], image: tuple[int, int] | None) -> tuple[NDArray[np.int16], float, float]:
    """Points as int16 in a frame, and the frame's width and height in the units of the points."""
    found = ~np.isnan(points[..., 0])
    if not found.any():
        sides = image or (1, 1)
        return np.full(points.shape, -1, np.int16), float(sides[1]), float(sides[0])
    seen = points[found]
    low, high = seen.min(axis=0), seen.max(axis=0)
    if image is not None and (min(image) <= _FRACTIONS or max(high.max(), -low.min()) > _FRACTIONS):
        low, height, width = np.zeros(2), float(image[0]), float(image[1])
    else:
        width, height = (max(float(side), 1e-6) for side in high - low)
    with np.errstate(all="ignore"):
        scaled = np.nan_to_num((points - low) * (LARGEST / max(width, height)), nan=0.0, posinf=LARGEST)
    places = np.clip(np.rint(scaled), 0, LARGEST).astype(np.int16)
    places[~found] = -1
    return places, width, height
