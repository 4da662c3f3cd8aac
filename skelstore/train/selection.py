"""The videos of a store as the PoseDataset of PYSKL and MMAction2 selects them; no annotation is held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError
from skelstore.format.schema import Annotation
from skelstore.read.decompressed import valid_videos
from skelstore.read.decompression import box_filter
from skelstore.read.frames import Frames
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.store import Store


class Selection:
    """Videos of a store after PoseDataset's filters: ``split``, then ``valid_ratio`` with ``box_thr``.

    Items are the annotations, with ``anno_inds`` (bool [N], the boxes above ``box_thr``) if boxes are filtered. As
    upstream, ``valid_ratio`` and ``box_thr`` do nothing unless ``valid_ratio`` is a float above 0.

    Raises SplitNotFoundError, which lists the splits there are, and FieldNotFoundError if the store lacks
    ``box_score``, ``total_frames`` or ``valid[box_thr]`` and boxes are to be filtered.
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
        self.store, self.box_thr = valid_videos(view, box_thr, valid_ratio)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, position: SupportsIndex) -> Annotation:
        return self.with_anno_inds(self.store[position])

    def read(self, positions: Iterable[SupportsIndex]) -> list[Annotation]:
        """Several annotations, in the order asked for."""
        return [self.with_anno_inds(annotation) for annotation in self.store.read(positions)]

    def read_one(self, position: SupportsIndex, *, frames: Frames) -> Annotation:
        """Some frames of one video, as ``Store.read_one``."""
        return self.with_anno_inds(self.store.read_one(position, frames=frames))

    def lazy(self, position: SupportsIndex) -> LazyAnnotation:
        """One video as it is in the store; a value is read when it is asked for."""
        return self.store.lazy(position)

    def at(self, positions: Sequence[int] | NDArray[Any]) -> Selection:
        """The videos at some positions, in that order. Raises VideoIndexError if there are none such."""
        part = object.__new__(Selection)
        part.store, part.box_thr = self.store.at(positions), self.box_thr
        return part

    def with_anno_inds(self, annotation: Annotation) -> Annotation:
        """The annotation of one of these videos with ``anno_inds``, if boxes are filtered."""
        if self.box_thr is not None:
            annotation["anno_inds"] = box_filter(annotation["box_score"], self.box_thr)
        return annotation


def integer_labels(store: Store) -> NDArray[np.int64]:
    """The label of each video [videos]. Raises FieldNotFoundError if one has no integer as its label."""
    found = store._reader.numbers("label")[store._table_rows()]
    wrong = ~(found == np.floor(found))
    if wrong.any():
        at = int(wrong.argmax())
        label = store.lazy(at).get("label")
        raise FieldNotFoundError(
            f"{store.path}: the video at position {at} has the label {label!r}; expected an integer: classes cannot be "
            "told apart"
        )
    labels: NDArray[np.int64] = found.astype(np.int64)
    return labels


def shard_numbers(store: Store) -> NDArray[np.int64]:
    """For each video the number of the file in which its largest array begins [videos]."""
    shards: NDArray[np.int64] = store._reader.shard_numbers()[store._table_rows()]
    return shards
