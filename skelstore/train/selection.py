"""Selecting videos of a store like the PoseDataset of PYSKL and MMAction2, without annotations in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from skelstore.format.schema import Annotation
from skelstore.read import videos
from skelstore.read.decompression import box_filter
from skelstore.read.frames import Frames
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.store import Store, table_rows


class Selection:
    """Videos of a store after PoseDataset's filters: ``split``, then ``valid_ratio`` with ``box_thr``.

    Items are the annotations, with ``anno_inds`` (bool [N], the boxes above ``box_thr``) if boxes are filtered. As
    upstream, ``valid_ratio`` and ``box_thr`` have no effect unless ``valid_ratio`` is a float above 0.

    Raises SplitNotFoundError, which lists the existing splits. Raises FieldNotFoundError if boxes are filtered and the
    store lacks ``box_score``, ``total_frames`` or ``valid[box_thr]``.
    """

    def __init__(
        self,
        store: Store,
        *,
        split: str | None = None,
        box_thr: float | None = None,
        valid_ratio: float | None = None,
    ) -> None:
        view = store if split is None else store.split(split)
        self.box_thr: float | None = None
        if videos.filters_videos(valid_ratio):
            view = view.at(videos.valid_positions(*table_rows(view), box_thr, valid_ratio))
            self.box_thr = box_thr
        self.store = view

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, position: SupportsIndex) -> Annotation:
        return self.with_anno_inds(self.store[position])

    def read(self, positions: Iterable[SupportsIndex]) -> list[Annotation]:
        """The annotations at several positions, in the order of the positions."""
        return [self.with_anno_inds(annotation) for annotation in self.store.read(positions)]

    def read_one(self, position: SupportsIndex, *, frames: Frames) -> Annotation:
        """Some frames of one video, as ``Store.read_one`` reads them."""
        return self.with_anno_inds(self.store.read_one(position, frames=frames))

    def lazy(self, position: SupportsIndex) -> LazyAnnotation:
        """One video as it is in the store; each value is read on access."""
        return self.store.lazy(position)

    def at(self, positions: Sequence[int] | NDArray[Any]) -> Selection:
        """The videos at some positions, in that order. Raises VideoIndexError if a position is out of range."""
        part = object.__new__(Selection)
        part.store, part.box_thr = self.store.at(positions), self.box_thr
        return part

    def with_anno_inds(self, annotation: Annotation) -> Annotation:
        """Add ``anno_inds`` to the annotation of one of these videos, if boxes are filtered, and return it."""
        if self.box_thr is not None:
            annotation["anno_inds"] = box_filter(annotation["box_score"], self.box_thr)
        return annotation


def shard_numbers(store: Store) -> NDArray[np.int64]:
    """For each video, the number of the shard file in which the rows of its largest array start [videos]."""
    reader, rows = table_rows(store)
    numbers: NDArray[np.int64] = videos.shard_numbers(reader)[rows]
    return numbers
