"""Decompressing some frames of a compressed video: of a long one, only the rows of these frames are read."""

from __future__ import annotations

from functools import partial

from skelstore.errors import FrameIndexError
from skelstore.format.schema import Annotation
from skelstore.read.decompression import decompress_frames, decompress_pose, with_box_filter
from skelstore.read.frames import Frames, positions
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.location import placed_at_video
from skelstore.read.reader import Reader

SHORT_BYTES = 96 << 10
"""A ``keypoint`` of up to this size is read as a whole: finding and gathering the rows of 48 frames takes longer."""


def decompressed_frames(
    reader: Reader, row: int, frames: Frames, *, box_thr: float | None, squeeze: bool, max_person: int
) -> Annotation:
    """`Decompressed.read_one` for the video at a row of the table."""
    try:
        return _some_frames(reader, row, frames, box_thr=box_thr, squeeze=squeeze, max_person=max_person)
    except FrameIndexError as error:
        raise placed_at_video(error, reader.path, row) from error


def _some_frames(
    reader: Reader, row: int, frames: Frames, *, box_thr: float | None, squeeze: bool, max_person: int
) -> Annotation:
    rows = reader.excerpts.row_count(row, "keypoint")
    if rows is not None and rows * _row_bytes(reader) > SHORT_BYTES:
        lazy = LazyAnnotation(reader, row)
        reader.gatherer.fetch_fields(row, lazy.keys() - {"keypoint"})
        # A video without this form is decompressed as a whole, which refuses it.
        if {"frame_inds", "total_frames"} <= lazy.keys() and getattr(lazy["frame_inds"], "shape", None) == (rows,):
            small = {name: None if name == "keypoint" else lazy[name] for name in lazy}
            read_rows = partial(reader.excerpts.rows, row, "keypoint")
            few = decompress_frames(
                with_box_filter(small, box_thr), read_rows, frames, squeeze=squeeze, max_person=max_person
            )
            if few is not None:
                return few
    filtered = with_box_filter(reader.annotation(row), box_thr)
    whole = decompress_pose(filtered, squeeze=squeeze, max_person=max_person)
    chosen = positions(frames, whole["keypoint"].shape[1])
    return whole | {name: whole[name][:, chosen] for name in ("keypoint", "keypoint_score")}


def _row_bytes(reader: Reader) -> int:
    """Bytes of a row of ``keypoint``, of the largest kind that the store has."""
    fields = reader.metadata.fields.items()
    return max(reader.arrays[name].metadata.row_bytes for name, field in fields if field.path == ("keypoint",))
