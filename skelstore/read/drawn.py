"""What a drawing needs of a video: the frames that are drawn, of a long video without the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.choices import Heatmap
from skelstore.drawing.captions import caption_of
from skelstore.drawing.packages import pillow
from skelstore.drawing.picture import BOXES, Animation, Selection, animation
from skelstore.drawing.poses import KEYS, Frames, check_frame_numbers, counted_frames
from skelstore.drawing.scene import Options, scene_of
from skelstore.drawing.svg import frame_svg
from skelstore.errors import FieldNotFoundError, SkelstoreError
from skelstore.format.schema import Annotation
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.reader import Reader

THUMBNAILS = 6
"""Number of videos that a notebook shows of a store."""
_THUMBNAIL = 176
"""Width and height in pixels in which a thumbnail has to fit."""


def drawn_frames(reader: Reader, row: int, choose: Callable[[int], Sequence[int]]) -> tuple[Annotation, Frames]:
    """An annotation with the frames that ``choose`` selects, and with the keys that a drawing uses.

    ``choose`` is called with the number of frames, and returns positions, ascending. Of a compressed annotation only
    frames with detections count. Raw annotations of NTU RGB+D, which are short, are read as a whole.
    """
    lazy = LazyAnnotation(reader, row)
    keys = [key for key in lazy if isinstance(key, str) and key in KEYS]
    inds = lazy.get("frame_inds")
    if isinstance(inds, np.ndarray) and inds.ndim == 1 and inds.dtype.kind in "iu" and len(inds):
        check_frame_numbers(inds)
        frames = counted_frames(np.unique(inds).astype(np.int64), lazy.get("total_frames"))
        chosen = frames.numbers[np.asarray(choose(len(frames.numbers)), np.int64)]
        if reader.excerpts.row_count(row, "keypoint") == len(inds):
            return reader.excerpts.frames(row, keys, chosen.tolist()), frames._replace(numbers=chosen)
        there = np.isin(inds, chosen)
        return {key: _rows(lazy[key], there) for key in keys}, frames._replace(numbers=chosen)
    counts: list[int] = []

    def positions(total: int) -> Sequence[int]:
        counts.append(total)
        return choose(total)

    try:
        annotation = reader.excerpts.frames(row, keys, positions)
    except FieldNotFoundError:
        return _without_frames({key: lazy[key] for key in keys}, choose)
    total = counts[0]
    return annotation, Frames(np.array(choose(total), np.int64), total)


def _without_frames(annotation: Annotation, choose: Callable[[int], Sequence[int]]) -> tuple[Annotation, Frames]:
    """The frames of one person [T, V, C], which are read as a whole; drawing refuses any other annotation."""
    keypoint, score = annotation.get("keypoint"), annotation.get("keypoint_score")
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 3:
        return annotation, Frames(np.empty(0, np.int64), 0)
    chosen = np.array(choose(len(keypoint)), np.int64)
    some = {"keypoint": keypoint[chosen]}
    if isinstance(score, np.ndarray) and score.shape[:1] == keypoint.shape[:1]:
        some["keypoint_score"] = score[chosen]
    return annotation | some, Frames(chosen, len(keypoint))


def _rows(value: Any, there: NDArray[np.bool_]) -> Any:
    """The rows of an array that has one for each person and frame; any other value as it is."""
    return value[there] if isinstance(value, np.ndarray) and value.shape[:1] == there.shape else value


def thumbnails(reader: Reader, rows: Iterable[int]) -> str:
    """The middle frames of the first videos at some rows of the table as HTML, with their names.

    Videos that cannot be drawn are left out; the text is empty if there is no other. Never raises an error: a damaged
    store may be shown in a notebook, too.
    """
    try:
        drawn = "".join(filter(None, (_thumbnail(reader, row) for row in islice(rows, THUMBNAILS))))
    except Exception:
        return ""
    return f"<div>{drawn}</div>" if drawn else ""


def _thumbnail(reader: Reader, row: int) -> str | None:
    try:
        annotation, frames = drawn_frames(reader, row, lambda total: range(total)[total // 2 :][:1])
        caption = caption_of(annotation, reader.class_names, frames.total)
        texts = [text for text in (caption.title, caption.name) if text]
        size = _THUMBNAIL
        return frame_svg(annotation, reader.joints.layout, 0, width=size, height=size, caption=texts, crop=True)
    except (SkelstoreError, MemoryError, ArithmeticError):
        return None


def animated(
    reader: Reader,
    row: int,
    frames: slice | None,
    persons: Sequence[int] | None,
    *,
    scale: float | None,
    rate: float | None,
    heatmap: Heatmap | None,
    video: str | os.PathLike[str] | None,
) -> Animation:
    """The video at a row of the table as an ``Animation``, for ``Store.show``, which describes the options."""
    pillow()
    selection = Selection(frames, None)
    annotation, chosen = drawn_frames(reader, row, selection.positions)
    only = None if persons is None else tuple(persons)
    film = None if video is None else Path(video)
    scene = scene_of(
        annotation,
        reader.joints.layout,
        BOXES["gif"],
        class_names=reader.class_names,
        frames=chosen,
        options=Options(persons=only, scale=scale, rate=rate, heatmap=heatmap, video=film),
    )
    return animation(scene, selection.notes)
