"""Export of clips of the GCN code bases to the files that they came from: a folder of .npy, equal in every byte."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from numpy.typing import NDArray

from converters.inputs.gcn_clip import ARRAY_HEADER, ARRAY_SHAPE
from converters.outputs.array_writer import new_array, recorded_header, write_array
from converters.outputs.gcn_arrays import Form, filled_clip, refuse_large
from converters.outputs.video_files import write_video_files
from skelstore import Store
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation
from skelstore.read.store import reading_in_turn


def export_gcn_clips(
    store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None
) -> None:
    """Write the folder ``out``: each clip filled up to its `ARRAY_SHAPE`, with its `ARRAY_HEADER` if it has one.

    Raises SourceError if a video is not such a clip, or does not fit its shape any more, StoreError if the header is
    not one, and as ``write_video_files`` does.
    """

    read = reading_in_turn(store)

    def write(file: BinaryIO, position: int) -> None:
        video = read(position)
        place = f"{store.path}: the video at position {position}"
        shape, form = _stated_form(video, place)
        refuse_large(store, form)
        header = video.get(ARRAY_HEADER)
        like = recorded_header(header, str(store.path)) if isinstance(header, str) else None
        clip = filled_clip(video, form, place).transpose(3, 1, 2, 0).reshape(shape)
        write_array(file, new_array(shape, form.dtype, like), clip)

    write_video_files(store, out, write, force=force, advance=advance)


def _stated_form(video: Annotation, place: str) -> tuple[tuple[int, ...], Form]:
    """The shape of the array that a video came from, and the form of the clip in it. Raises SourceError."""
    stated, keypoint, score = (video.get(key) for key in (ARRAY_SHAPE, "keypoint", "keypoint_score"))
    shape = stated if isinstance(stated, tuple) else ()
    if len(shape) not in (4, 5) or not all(type(n) is int and n > 0 for n in shape) or math.prod(shape[:-4]) != 1:
        raise SourceError(
            f"{place} has no {ARRAY_SHAPE}, that of the array that it came from: use --format, such as stgcn"
        )
    channels, frames, joints, persons = shape[-4:]
    scored = score is not None
    if not (
        _is_array(keypoint, 4)
        and (not scored or (_is_array(score, 3) and (score.dtype, score.shape) == (keypoint.dtype, keypoint.shape[:3])))
        and keypoint.shape[0] <= persons
        and keypoint.shape[1] <= frames
        and keypoint.shape[2:] == (joints, channels - scored)
    ):
        found = f"keypoint {keypoint.shape}" if isinstance(keypoint, np.ndarray) else "no keypoint"
        scores = " and keypoint_score" if scored else ""
        raise SourceError(
            f"{place} has {found}{scores}, which does not fit its {ARRAY_SHAPE} {shape}, [C, T, V, M]: it has changed "
            "since it was converted, so use --format, such as stgcn"
        )
    return shape, Form(persons, frames, joints, channels, keypoint.dtype, scored)


def _is_array(value: Any, axes: int) -> TypeGuard[NDArray[Any]]:
    return isinstance(value, np.ndarray) and value.ndim == axes
