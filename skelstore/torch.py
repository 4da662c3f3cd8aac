"""A store as a PyTorch data set, its sampler, and heatmaps of a batch of clips.

Needs PyTorch: ``pip install 'skelstore[torch]'``.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import MissingPackageError, VideoIndexError
from skelstore.format.schema import Annotation
from skelstore.read.frames import Frames
from skelstore.read.gathering import SHORT_BYTES
from skelstore.read.store import Decompressed, Store, fetch_short, fetches_ahead, open, table_rows
from skelstore.sampling import ClassProb, EpochSampler
from skelstore.train.selection import Selection, shard_numbers
from skelstore.wording import counted, kind_of

try:
    from torch.utils.data import Dataset

    from skelstore.heatmaps.tensors import pose_target
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.torch needs PyTorch, which cannot be imported ({error}): pip install 'skelstore[torch]'"
    ) from error

if TYPE_CHECKING:
    from skelstore.read.ahead import FetchAhead

__all__ = ["EpochSampler", "SkeletonDataset", "pose_target"]

Source = str | os.PathLike[str] | Store


class SkeletonDataset(Dataset):
    """The videos of one store, or of several stores in order, as a map-style data set.

    ``source`` is a store, a view of a store, a path, a URL, or a list of these. ``split``, ``valid_ratio`` and
    ``box_thr`` select videos and boxes as PYSKL's PoseDataset does: ``box_thr`` has no effect unless ``valid_ratio`` is
    a float above 0. An item is the annotation: with ``decompress`` as ``Store.decompressed`` returns it (``squeeze``
    and ``max_person`` are its options), otherwise as it is in the store, with ``anno_inds`` if boxes are filtered.

    ``frames``, if given, is called with the video's number of frames T and returns the frames to read (integers [n], a
    slice or a range). ``keypoint`` and ``keypoint_score`` then have only these frames, ``[:, frames]``, and only the
    chunks that hold them are read (a short compressed video is read as a whole). ``transform`` is called with the
    annotation and returns the item. ``class_prob`` is for the sampler: see ``skelstore.sampling.resampled``.

    Pickling includes the paths, not the data, so workers can use any start method.

    Raises StoreNotFoundError, SplitNotFoundError and FieldNotFoundError as ``open``, ``Store.split`` and
    ``Store.decompressed`` do.
    """

    def __init__(
        self,
        source: Source | Sequence[Source],
        *,
        split: str | None = None,
        valid_ratio: float | None = None,
        box_thr: float | None = None,
        decompress: bool = False,
        squeeze: bool = True,
        max_person: int = 10,
        frames: Frames | None = None,
        transform: Callable[[Annotation], Any] | None = None,
        class_prob: ClassProb | None = None,
    ) -> None:
        self._views: list[Decompressed | Selection] = []
        for store in map(_open, [source] if isinstance(source, (str, os.PathLike, Store)) else source):
            selection = Selection(store, split=split, box_thr=box_thr, valid_ratio=valid_ratio)
            if decompress:
                options: dict[str, Any] = {"squeeze": squeeze, "max_person": max_person}
                self._views.append(Decompressed(selection.store, box_thr=selection.box_thr, **options))
            else:
                self._views.append(selection)
        self._starts = [0, *accumulate(map(len, self._views))]  # first position of each store, and the total
        self.frames = frames
        self.transform = transform
        self.class_prob = class_prob

    @property
    def stores(self) -> list[Store]:
        """The views that the videos are read from."""
        return [view.store for view in self._views]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each video [videos]. Raises FieldNotFoundError if a label is not an integer."""
        return np.concatenate([np.zeros(0, np.int64), *(store.labels for store in self.stores)])

    @property
    def shards(self) -> NDArray[np.int64]:
        """For each video, the number of the shard file in which its largest array starts [videos].

        Shards are numbered across all stores; neighbouring shards have neighbouring numbers.
        """
        numbers, after = [np.zeros(0, np.int64)], 0
        for store in self.stores:
            numbers.append(shard_numbers(store) + after)
            after = int(numbers[-1].max(initial=after - 1)) + 1
        return np.concatenate(numbers)

    def fetch_ahead(self, order: NDArray[np.int64], starts: Sequence[int]) -> FetchAhead | None:
        """Begin to fetch videos of stores at URLs into the cache, in threads; None if there is nothing to fetch.

        ``order`` [n] are the positions in the order in which they are read, and ``starts`` the places in it at which
        windows begin. ``EpochSampler`` calls it. With ``frames``, nothing is fetched of a long video.
        """
        if not any(map(fetches_ahead, self.stores)):
            return None
        from skelstore.read.ahead import FetchAhead

        largest = float("inf") if self.frames is None else SHORT_BYTES
        return FetchAhead([table_rows(store) for store in self.stores], order, starts, largest)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: SupportsIndex) -> Any:
        """The item at a position; a negative one counts from the end.

        Raises VideoIndexError if the position is out of range, and what ``Store[…]`` raises.
        """
        view, position = self._place(index)
        annotation = view[position] if self.frames is None else view.read_one(position, frames=self.frames)
        return annotation if self.transform is None else self.transform(annotation)

    def __getitems__(self, indices: Iterable[SupportsIndex]) -> list[Any]:
        """The items at several positions, in that order; DataLoader calls it. Videos are read in the store's order."""
        places = [self._place(index) for index in indices]
        if self.frames is not None:
            for view, store in zip(self._views, self.stores, strict=True):
                fetch_short(store, [position for other, position in places if other is view])
            return [self[index] for index in indices]
        annotations: list[Any] = [None] * len(places)
        for view in self._views:
            mine = [i for i, (other, _) in enumerate(places) if other is view]
            for i, annotation in zip(mine, view.read([places[i][1] for i in mine]), strict=True):
                annotations[i] = annotation
        return annotations if self.transform is None else [self.transform(annotation) for annotation in annotations]

    def _place(self, index: SupportsIndex) -> tuple[Decompressed | Selection, int]:
        position = index.__index__()
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise VideoIndexError(f"the data set has {counted(len(self), 'video')}, none at position {index}")
        view = bisect_right(self._starts, position) - 1
        return self._views[view], position - self._starts[view]


def _open(source: Source) -> Store:
    if isinstance(source, (str, os.PathLike)):
        return open(source)
    if not isinstance(source, Store):
        raise TypeError(f"a data set is made of stores, views or paths, not of {kind_of(source)}")
    return source
