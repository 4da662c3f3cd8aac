"""A store as a data set of MMAction2 1.x: ``SkelStorePoseDataset`` in its registry, for ``PoseDataset``.

Needs MMAction2: ``pip install 'skelstore[torch]' mmaction2``. In a config::

    custom_imports = dict(imports=["skelstore.mmaction2"])
    dataset_type = "SkelStorePoseDataset"
    ann_file = "data/k400.zarr"

The definition is mmaction/datasets/pose_dataset.py of MMAction2 1.2.0 on mmengine's BaseDataset.
"""

from __future__ import annotations

import operator
import os.path
from collections.abc import Callable, Sequence
from typing import Any

from skelstore.errors import FieldNotFoundError, MissingPackageError
from skelstore.format.files import absolute
from skelstore.read.store import open
from skelstore.train.pipelines import SampledPipeline, deferred
from skelstore.train.selection import Selection
from skelstore.wording import kind_of

try:
    import torch
    from mmaction.datasets import PoseDataset
    from mmaction.registry import DATASETS
    from mmengine.dataset import force_full_init
    from mmengine.logging import MMLogger
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.mmaction2 needs MMAction2 1.x, which cannot be imported ({error}): "
        "pip install 'skelstore[torch]' mmaction2"
    ) from error

__all__ = ["SkelStorePoseDataset"]


@DATASETS.register_module()
class SkelStorePoseDataset(PoseDataset):
    """MMAction2's PoseDataset on a store: the same arguments, the same items, no list of dicts in memory.

    ``ann_file`` is the path of the store. The ``skeleton`` entry of ``data_prefix`` is not used, since the store holds
    the skeletons; ``video`` is. ``serialize_data`` changes nothing: there is nothing to serialize. Where ``get_subset``
    of a PoseDataset fails on a number of all its videos, this one gives them.

    As upstream, ``box_thr`` does nothing unless ``valid_ratio`` is a float above 0 (that of ``Store.decompressed``
    filters boxes in any case).

    ``read_sampled``: read the sampled frames only. The pipeline must begin with [DecompressPose,] UniformSampleFrames
    and PoseDecode, else ValueError. Items are the same.

    Raises SplitNotFoundError, which lists the splits there are, and FieldNotFoundError if the store lacks what
    ``valid_ratio`` needs, or skeletons; when the list of videos is read.
    """

    ann_file: str
    data_list: Selection
    pipeline: Any
    _fully_initialized: bool

    def __init__(
        self,
        ann_file: str,
        pipeline: list[dict[str, Any] | Callable[..., Any]],
        split: str | None = None,
        valid_ratio: float | None = None,
        box_thr: float = 0.5,
        read_sampled: bool = False,
        **kwargs: Any,
    ) -> None:
        self.read_sampled = read_sampled
        super().__init__(ann_file, pipeline, split=split, valid_ratio=valid_ratio, box_thr=box_thr, **kwargs)
        self.ann_file = str(absolute(self.ann_file))  # with lazy_init the store is opened later, perhaps elsewhere
        if read_sampled:
            self.pipeline = SampledPipeline(self.pipeline.transforms)

    def full_init(self) -> None:
        """Open the store and select the videos, unless that has been done."""
        if self._fully_initialized:
            return
        self.data_list = self.load_data_list()
        self.data_list = self.filter_data()
        if self._indices is not None:
            self.data_list = self._part(self._indices)
        self._fully_initialized = True

    def load_data_list(self) -> Selection:
        """The videos of the split."""
        store = open(self.ann_file)
        if "skeleton" in self.data_prefix and "keypoint" not in store.fields:
            raise FieldNotFoundError(
                f"{self.ann_file} has no keypoint: convert the table of contents together with the folder of its "
                "kpfiles (skelstore convert --kpfiles)"
            )
        return Selection(store, split=self.split)

    def filter_data(self) -> Selection:
        """The videos that ``valid_ratio`` and ``box_thr`` leave."""
        kept = Selection(self.data_list.store, box_thr=self.box_thr, valid_ratio=self.valid_ratio)
        MMLogger.get_current_instance().info(f"{len(kept)} videos remain after valid thresholding")
        return kept

    @force_full_init
    def __len__(self) -> int:
        return len(self.data_list)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The annotation of a video, as PoseDataset hands it to the pipeline."""
        return self._completed(self.data_list[idx], idx)

    @force_full_init
    def prepare_data(self, idx: int) -> Any:
        """The annotation of a video after the pipeline."""
        if self.read_sampled:
            return self.pipeline(self._completed(deferred(self.data_list, idx), idx))
        return self.pipeline(self.get_data_info(idx))

    @force_full_init
    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep the first (or with a negative number, the last) so many videos, or those at some positions."""
        self.data_list = self._part(indices)

    @force_full_init
    def get_subset(self, indices: Sequence[int] | int) -> SkelStorePoseDataset:
        """As ``get_subset_``, in a new data set."""
        # A memo of its own: the default one is shared by all calls and keeps every subset alive.
        subset: SkelStorePoseDataset = self._copy_without_annotation({})
        subset.data_list = self._part(indices)
        return subset

    def _part(self, indices: Sequence[int] | int) -> Selection:
        if isinstance(indices, int):
            positions = range(len(self.data_list))
            return self.data_list.at(positions[:indices] if indices >= 0 else positions[indices:])
        if not isinstance(indices, Sequence):
            raise TypeError(f"indices are an int or a sequence of int, not {kind_of(indices)}")
        return self.data_list.at([operator.index(i) for i in indices])

    def _completed(self, info: dict[str, Any], idx: int) -> dict[str, Any]:
        """An annotation with what PoseDataset and its bases add to it."""
        if "video" in self.data_prefix:
            for name in ("filename", "frame_dir"):
                if name in info:
                    info[name] = os.path.join(self.data_prefix["video"], info[name])
        info["sample_idx"] = idx if idx >= 0 else len(self) + idx
        info["modality"] = self.modality
        info["start_index"] = self.start_index
        if self.multi_class:
            onehot = torch.zeros(self.num_classes)
            onehot[info["label"]] = 1.0
            info["label"] = onehot
        return info
