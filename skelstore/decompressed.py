"""A view of compressed videos whose items are decompressed when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from skelstore.decompression import decompress_pose, with_box_filter
from skelstore.errors import FieldNotFoundError
from skelstore.layouts import Annotation

if TYPE_CHECKING:
    from skelstore.store import Store


class Decompressed:
    """What ``Store.decompressed`` gives: the annotations that training sees, by position or by name.

    The definition is PYSKL's: ``PoseDataset`` with ``valid_ratio`` and ``box_thr`` (pyskl/datasets/pose_dataset.py),
    then ``DecompressPose`` (pyskl/datasets/pipelines/pose_related.py).
    """

    def __init__(
        self, store: Store, *, box_thr: float | None, squeeze: bool, max_person: int, valid_ratio: float | None
    ) -> None:
        filters = isinstance(valid_ratio, float) and valid_ratio > 0
        self._store = _valid(store, box_thr, valid_ratio) if filters else store
        self._box_thr = box_thr if filters else None
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
        """Several videos, decompressed, in the order asked for."""
        return [self._decompress(annotation) for annotation in self._store.read(indices)]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name by which PyTorch's fetcher asks for a batch."""
        return self.read(indices)

    def _decompress(self, annotation: Annotation) -> Annotation:
        filtered = with_box_filter(annotation, self._box_thr)
        return decompress_pose(filtered, squeeze=self._squeeze, max_person=self._max_person)


def _valid(store: Store, box_thr: float | None, valid_ratio: Any) -> Store:
    """The videos of which enough frames have a person above the threshold, by the table alone."""
    table = store.videos
    column = f"valid.{box_thr}"
    for name in (column, "total_frames"):
        if name not in table.column_names:
            raise FieldNotFoundError(
                f"{store.path}: the videos have no {name}, which valid_ratio={valid_ratio} with box_thr={box_thr} needs"
            )
    frames = table["total_frames"].to_numpy().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        keep = table[column].to_numpy().astype(np.float64) / frames >= valid_ratio
    return store.at(np.flatnonzero(keep))
