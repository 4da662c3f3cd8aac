"""A view of compressed videos whose items are decompressed when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError, FrameIndexError
from skelstore.format.schema import Annotation
from skelstore.read.decompression import check_max_person, decompress_frames, decompress_pose, with_box_filter
from skelstore.read.frames import Frames, positions
from skelstore.wording import counted

if TYPE_CHECKING:
    from skelstore.read.lazy import LazyAnnotation
    from skelstore.read.store import Store


class Decompressed:
    """What ``Store.decompressed`` gives: the annotations that training sees, by position or by name.

    The definition is PYSKL's: ``PoseDataset`` with ``valid_ratio`` and ``box_thr`` (pyskl/datasets/pose_dataset.py),
    then ``DecompressPose`` (pyskl/datasets/pipelines/pose_related.py).
    """

    def __init__(
        self, store: Store, *, box_thr: float | None, squeeze: bool, max_person: int, valid_ratio: float | None
    ) -> None:
        check_max_person(max_person)
        self._store, self._box_thr = valid_videos(store, box_thr, valid_ratio)
        self._squeeze = squeeze
        self._max_person = max_person

    @property
    def store(self) -> Store:
        """The compressed videos that are left."""
        return self._store

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[Annotation]:
        return map(self._decompress, self._store)

    def __contains__(self, name: object) -> bool:
        return name in self._store

    def __getitem__(self, key: str | SupportsIndex) -> Annotation:
        """One video, decompressed. Raises as ``Store`` does, and as ``decompress_pose``."""
        return self._decompress(self._store[key])

    def read(self, indices: Iterable[str | SupportsIndex]) -> list[Annotation]:
        """Several videos, decompressed, in the order asked for. Raises as ``[]``."""
        return [self._decompress(annotation) for annotation in self._store.read(indices)]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name by which PyTorch's fetcher asks for a batch."""
        return self.read(indices)

    def read_one(self, key: str | SupportsIndex, *, frames: Frames) -> Annotation:
        """One video with some of its frames, of which alone the rows are read.

        ``keypoint`` is ``keypoint[:, frames]`` of ``self[key]``, and so is ``keypoint_score``; everything else,
        ``total_frames`` included, is the same. ``frames`` are a slice, a range, integers, or a function that is given
        the number of frames of the decompressed video and returns one of these.
        Raises FrameIndexError for a frame that the video does not have, and as ``self[key]``.
        """
        return decompressed_frames(
            self._store, key, frames, box_thr=self._box_thr, squeeze=self._squeeze, max_person=self._max_person
        )

    def _decompress(self, annotation: Annotation) -> Annotation:
        filtered = with_box_filter(annotation, self._box_thr)
        return decompress_pose(filtered, squeeze=self._squeeze, max_person=self._max_person)


def decompressed_frames(
    store: Store, key: str | SupportsIndex, frames: Frames, *, box_thr: float | None, squeeze: bool, max_person: int
) -> Annotation:
    """`Decompressed.read_one` of a store whose videos are filtered already."""
    lazy = store.lazy(key)
    try:
        return _some_frames(store, lazy, frames, box_thr=box_thr, squeeze=squeeze, max_person=max_person)
    except FrameIndexError as error:
        raise store._reader.placed(error, lazy._row) from error


def _some_frames(
    store: Store, lazy: LazyAnnotation, frames: Frames, *, box_thr: float | None, squeeze: bool, max_person: int
) -> Annotation:
    rows = store._reader.rows_of(lazy._row, "keypoint")
    # A video that is not of this form goes the whole way, where it is refused.
    if {"frame_inds", "total_frames"} <= lazy.keys() and getattr(lazy["frame_inds"], "shape", None) == (rows,):
        small = {name: None if name == "keypoint" else lazy[name] for name in lazy}
        read_rows = partial(store._reader.some_rows, lazy._row, "keypoint")
        found = decompress_frames(
            with_box_filter(small, box_thr), read_rows, frames, squeeze=squeeze, max_person=max_person
        )
        if found is not None:
            return found
    whole = decompress_pose(with_box_filter(dict(lazy), box_thr), squeeze=squeeze, max_person=max_person)
    chosen = positions(frames, whole["keypoint"].shape[1])
    return whole | {name: whole[name][:, chosen] for name in ("keypoint", "keypoint_score")}


def valid_videos(store: Store, box_thr: float | None, valid_ratio: Any) -> tuple[Store, float | None]:
    """The videos that PoseDataset keeps, by the table alone, and the threshold to filter their boxes by, or None.

    As upstream, both happen only if ``valid_ratio`` is a float above 0: a video is kept if enough of its frames have a
    person above the threshold. Raises FieldNotFoundError if the table lacks what that needs.
    """
    if not isinstance(valid_ratio, float) or not valid_ratio > 0:
        return store, None
    needs = f"which valid_ratio={valid_ratio} with box_thr={box_thr} needs"
    reader, rows = store._reader, store._table_rows()
    valid, frames = reader.numbers("valid", box_thr)[rows], reader.numbers("total_frames")[rows]
    for name, column in ((f"valid[{box_thr}]", valid), ("total_frames", frames)):
        if len(column) and np.isnan(column).any():
            raise FieldNotFoundError(f"{store.path}: {_how_many(np.isnan(column))} no {name}, {needs}")
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = store.at(np.flatnonzero(valid / frames >= valid_ratio))
    missing = np.ones(len(kept), bool)
    for name, field in reader.metadata.fields.items():
        if field.path == ("box_score",):
            missing &= np.asarray(reader.table[f"{name}.row"].is_null())[kept._table_rows()]
    if missing.any():
        raise FieldNotFoundError(f"{store.path}: {_how_many(missing)} no box_score, {needs}")
    return kept, box_thr


def _how_many(which: NDArray[np.bool_]) -> str:
    return (
        "the videos have"
        if which.all()
        else f"{which.sum():,} of {counted(len(which), 'video')} {'has' if which.sum() == 1 else 'have'}"
    )
