"""A compressed annotation as a dense one: detections [N, V, 3] become persons [M, T, V, 2]."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import SkippedVideoError
from converters.tracking.numbering import Numbering, recognise, timeline
from converters.tracking.poses import poses
from converters.tracking.tracks import Tracks, find_tracks
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation, video_name
from skelstore.wording import counted, kind_of, shown

MOST_BYTES = 1 << 30
"""Maximum size of the dense arrays of a video."""

DENSE = "is dense already (keypoint [M, T, V, C]): row m is one person, so there is nothing to track"
"""The end of a message about something that cannot be tracked."""

OF_DETECTIONS = ("keypoint", "frame_inds", "box_score", "track")
"""Keys whose arrays have one row per detection in every compressed annotation that has them."""


class Settings(NamedTuple):
    """How persons are tracked: at most ``max_persons`` rows, and gaps of at most ``max_gap`` frames are bridged."""

    max_persons: int
    max_gap: int
    interpolate: bool


class Form(NamedTuple):
    """What the annotations of a data set have in common: the keys with one row per detection, and the numbering."""

    keys: frozenset[str]
    numbering: Numbering


def recognise_form(annotations: Iterable[Annotation]) -> Form | None:
    """The form of compressed annotations, of which some are enough; None if all are dense.

    Annotations of other forms are passed over: ``dense`` refuses them.
    """
    is_dense: list[bool] = []
    keys: dict[Any, bool] = {}
    videos: list[tuple[NDArray[Any], Any]] = []
    for annotation in annotations:
        frame_inds, keypoint = annotation.get("frame_inds"), annotation.get("keypoint")
        is_dense.append(isinstance(keypoint, np.ndarray) and keypoint.ndim == 4)
        if not isinstance(keypoint, np.ndarray) or not isinstance(frame_inds, np.ndarray):
            continue
        if not keypoint.ndim or not _is_column(frame_inds, len(keypoint), "iu"):
            continue
        videos.append((frame_inds, annotation.get("total_frames")))
        for key, value in annotation.items():
            fits = isinstance(value, np.ndarray) and value.shape[:1] == keypoint.shape[:1]
            keys[key] = keys.get(key, True) and fits
    if is_dense and all(is_dense):
        return None
    return Form(frozenset({key for key, fits in keys.items() if fits} | set(OF_DETECTIONS)), recognise(videos))


def dense(annotation: Annotation, form: Form, settings: Settings) -> Annotation:
    """Return the dense annotation of a compressed one, with M persons, at most ``max_persons``, in T frames.

    - ``keypoint`` [M, T, V, 2] and ``keypoint_score`` [M, T, V], in the dtype of the compressed keypoint. Row m is one
      person (``find_tracks``); the detections keep every bit. Frames without a detection hold zeros.
    - ``keypoint_interpolated`` bool [M, T, V] with ``interpolate``: the joints that were filled in, in gaps of at most
      ``max_gap`` frames. A joint found before and after is interpolated linearly; its score is the lower of the two.
    - Other arrays of ``form.keys`` become [M, T, …], with zeros in frames without a detection; of a ``…_keypoint``
      [N, P, 3] the scores become ``…_keypoint_score`` [M, T, P]. ``frame_inds`` is left out; ``track`` becomes int32
      [M] (int64 for ids beyond it), the ids of the tool, -1 for a person who was matched.
    - ``total_frames`` is T: with a step between the frames (``Timeline``), only every ``step``-th frame is counted.
    - ``tracking``: dict of ints: ``detections`` (N), ``kept``, ``duplicates``, ``persons`` (how many were found),
      ``gaps`` (frames in the gaps of the M persons), ``interpolated`` (frames), ``frame_step``.

    Everything else is unchanged. The result depends on the detections of a frame, not on their order.

    Raises SourceError if the annotation is not compressed, or the dense arrays would have more than ``MOST_BYTES``;
    SkippedVideoError if it has no detection with a joint.
    """
    keypoint, frame_inds = _checked(annotation, form)
    if not len(keypoint):
        raise SkippedVideoError(_identifier(annotation), "no person was detected")
    line = timeline(form.numbering, frame_inds, annotation.get("total_frames"))
    scores = _scores(annotation, keypoint)
    order = _order(annotation, form, line.frames, scores)
    frames, ids = line.frames[order], annotation.get("track")
    tracks = find_tracks(
        poses(keypoint[order]),
        frames,
        scores[order],
        None if ids is None else ids[order].astype(np.int64),
        settings.max_gap,
    )
    persons = min(settings.max_persons, len(tracks.ids))
    if not persons:
        raise SkippedVideoError(_identifier(annotation), "no joint was found")
    rows = np.flatnonzero((tracks.person >= 0) & (tracks.person < persons))
    rows = rows[np.lexsort((frames[rows], tracks.person[rows]))]
    grid = _Grid(persons, line.length, order[rows], tracks.person[rows], frames[rows])
    return _assemble(annotation, form, settings, grid, tracks, line.step)


def _identifier(annotation: Annotation) -> str:
    """The name that splits have: ``filename`` if there is one, else ``frame_dir``."""
    name = annotation.get("filename", video_name(annotation))
    return name if isinstance(name, str) else ""


class _Grid(NamedTuple):
    """The detections in a dense annotation, ascending by person and frame.

    ``rows`` are theirs in the compressed annotation, ``person`` and ``frame`` their positions on the axes M and T.
    """

    persons: int
    length: int
    rows: NDArray[np.intp]
    person: NDArray[np.intp]
    frame: NDArray[np.int64]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values per detection [N, …] as [M, T, …]."""
        result = np.zeros((self.persons, self.length, *values.shape[1:]), values.dtype)
        result[self.person, self.frame] = values[self.rows]
        return result


def _assemble(
    annotation: Annotation, form: Form, settings: Settings, grid: _Grid, tracks: Tracks, step: int
) -> Annotation:
    _require_size(annotation, form, grid)
    before, after = _gaps(grid, settings.max_gap)
    missing = grid.frame[after] - grid.frame[before] - 1
    result: Annotation = {}
    for key, value in annotation.items():
        if key == "total_frames":
            result[key] = value if step == 1 else type(value)(grid.length)
        elif key == "track":
            ids = tracks.ids[: grid.persons]
            result[key] = ids.astype(np.int32) if ids.max() <= np.iinfo(np.int32).max else ids
        elif key not in form.keys:
            result[key] = value
        elif _is_points(key, value):
            result[key], result[f"{key}_score"] = grid.spread(value[..., :2]), grid.spread(value[..., 2])
            if key == "keypoint" and settings.interpolate:
                mask = np.zeros(result[key].shape[:3], np.bool_)
                _fill(result[key], result[f"{key}_score"], mask, grid, before, after)
                result["keypoint_interpolated"] = mask
        elif key != "frame_inds":
            result[key] = grid.spread(value)
    result.setdefault("total_frames", grid.length)
    result["tracking"] = {
        "detections": len(annotation["keypoint"]),
        "kept": len(grid.rows),
        "duplicates": tracks.duplicates,
        "persons": len(tracks.ids),
        "gaps": int(missing.sum()),
        "interpolated": int(result["keypoint_interpolated"].any(axis=2).sum()) if settings.interpolate else 0,
        "frame_step": step,
    }
    return result


def _checked(annotation: Annotation, form: Form) -> tuple[NDArray[Any], NDArray[Any]]:
    """``keypoint`` and ``frame_inds``. Raises SourceError if the annotation is not compressed."""
    keypoint, frame_inds = annotation.get("keypoint"), annotation.get("frame_inds")
    expected = "expected the detections of a pose tool, keypoint [N, V, 3] and frame_inds [N]"
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 3 or keypoint.shape[2] != 3 or not keypoint.shape[1]:
        what = "missing" if keypoint is None else kind_of(keypoint)
        if isinstance(keypoint, np.ndarray) and keypoint.ndim == 4:
            raise SourceError(f"the video {DENSE}")
        raise SourceError(f"keypoint is {what}; {expected}")
    if keypoint.dtype.kind not in "fiu":
        raise SourceError(f"keypoint is {kind_of(keypoint)}; expected numbers")
    if not isinstance(frame_inds, np.ndarray):
        raise SourceError(f"frame_inds is {'missing' if frame_inds is None else kind_of(frame_inds)}; {expected}")
    for key in sorted(form.keys & annotation.keys(), key=str):
        kinds = {"frame_inds": "iu", "track": "iu", "box_score": "fiu"}.get(key)
        value = annotation[key]
        fits = isinstance(value, np.ndarray) and value.shape[:1] == keypoint.shape[:1]
        if not fits or (kinds is not None and not _is_column(value, len(keypoint), kinds)):
            wanted = "a row" if kinds is None else "a number" if kinds == "fiu" else "an integer"
            count = counted(len(keypoint), "detection")
            raise SourceError(f"{shown(key)} is {kind_of(value)}, for {count}; expected {wanted} for each")
    return keypoint, frame_inds


def _is_column(value: object, count: int, kinds: str) -> bool:
    return isinstance(value, np.ndarray) and value.shape == (count,) and value.dtype.kind in kinds


def _is_points(key: object, value: NDArray[Any]) -> bool:
    """Whether an array per detection holds points with their scores: ``keypoint``, ``face_keypoint`` …"""
    return key == "keypoint" or (
        isinstance(key, str) and key.endswith("_keypoint") and value.ndim == 3 and value.shape[2] == 3
    )


def _scores(annotation: Annotation, keypoint: NDArray[Any]) -> NDArray[np.float64]:
    """The score of each detection, at least 0: ``box_score``, else the mean of the scores of its joints."""
    given = annotation.get("box_score")
    with np.errstate(invalid="ignore", over="ignore"):
        scores = keypoint[..., 2].astype(np.float64).mean(axis=1) if given is None else given.astype(np.float64)
    clipped: NDArray[np.float64] = np.clip(np.nan_to_num(scores, nan=0.0), 0, 1e6)
    return clipped


def _order(
    annotation: Annotation, form: Form, frames: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.intp]:
    """The detections by frame, then descending score, then their bytes: the same in whichever order they are given."""
    order = np.lexsort((-scores, frames))
    if not ((np.diff(frames[order]) == 0) & (np.diff(scores[order]) == 0)).any():
        return order
    arrays = (annotation[key] for key in sorted(form.keys & annotation.keys()) if key != "frame_inds")
    columns = [np.ascontiguousarray(array).reshape(len(frames), -1).view(np.uint8) for array in arrays if array.size]
    bytes_of = np.ascontiguousarray(np.concatenate(columns, axis=1))
    _, rank = np.unique(bytes_of.view(f"V{bytes_of.shape[1]}").ravel(), return_inverse=True)
    return np.lexsort((rank, -scores, frames))


def _require_size(annotation: Annotation, form: Form, grid: _Grid) -> None:
    arrays = [annotation[key] for key in form.keys & annotation.keys() if key != "frame_inds"]
    row = sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in arrays)
    if (size := row * grid.persons * grid.length) > MOST_BYTES:
        raise SourceError(
            f"{counted(grid.persons, 'person')} in {counted(grid.length, 'frame')} would take {size:,} bytes, more "
            f"than {MOST_BYTES:,}; expected a clip: check total_frames, or cut the video"
        )


def _gaps(grid: _Grid, max_gap: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The detections before and after each gap of at most ``max_gap`` frames, as positions in the grid."""
    elapsed = np.diff(grid.frame)
    before = np.flatnonzero((np.diff(grid.person) == 0) & (elapsed > 1) & (elapsed <= max_gap + 1))
    return before, before + 1


def _fill(
    keypoint: NDArray[Any],
    score: NDArray[Any],
    mask: NDArray[np.bool_],
    grid: _Grid,
    before: NDArray[np.intp],
    after: NDArray[np.intp],
) -> None:
    """Interpolate keypoint [M, T, V, 2] and score [M, T, V] in gaps; set the mask [M, T, V] there."""
    missing = grid.frame[after] - grid.frame[before] - 1
    one, other = np.repeat(before, missing), np.repeat(after, missing)
    nth = np.arange(len(one)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    person, frame = grid.person[one], grid.frame[one] + nth
    share = (nth / np.repeat(missing + 1, missing))[:, None, None]
    start, end = (keypoint[person, grid.frame[at]].astype(np.float64) for at in (one, other))
    scores = np.fmin(score[person, grid.frame[one]], score[person, grid.frame[other]])
    found = np.ones(start.shape[:2], np.bool_)
    for side in (start, end):
        found &= np.isfinite(side).all(axis=-1) & side.any(axis=-1)
    with np.errstate(invalid="ignore"):
        between = start * (1 - share) + end * share
    if keypoint.dtype.kind != "f":
        between = np.rint(between)
    keypoint[person, frame] = np.where(found[..., None], between, 0).astype(keypoint.dtype)
    score[person, frame] = np.where(found, scores, 0)
    mask[person, frame] = found
