"""A store as an MMAction2 1.x data set: ``SkelStorePoseDataset`` in its registry replaces ``PoseDataset``.

``SkelstorePoseTarget`` replaces ``GeneratePoseTarget`` in a pipeline.

Needs MMAction2: ``pip install 'skelstore[torch]' mmaction2``. In a config::

    custom_imports = dict(imports=["skelstore.mmaction2"])
    dataset_type = "SkelStorePoseDataset"
    ann_file = "data/k400.zarr"

The references are mmaction/datasets/pose_dataset.py of MMAction2 1.2.0, on mmengine's BaseDataset, and
mmaction/datasets/transforms/pose_transforms.py.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from typing import Any

from skelstore.errors import FieldNotFoundError, MissingPackageError
from skelstore.heatmaps.options import Options
from skelstore.heatmaps.volume import draw_volume
from skelstore.read.location import locate
from skelstore.read.store import open
from skelstore.remote.url import Url, is_url, parse_url
from skelstore.train.pipelines import SampledPipeline, without_skeletons
from skelstore.train.selection import Selection
from skelstore.wording import kind_of

try:
    import torch
    from mmaction.datasets import PoseDataset
    from mmaction.registry import DATASETS, TRANSFORMS
    from mmcv.transforms import BaseTransform
    from mmengine.dataset import force_full_init
    from mmengine.logging import MMLogger
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.mmaction2 needs MMAction2 1.x, which cannot be imported ({error}): "
        "pip install 'skelstore[torch]' mmaction2"
    ) from error

__all__ = ["SkelStorePoseDataset", "SkelstorePoseTarget"]


@DATASETS.register_module()
class SkelStorePoseDataset(PoseDataset):
    """MMAction2's PoseDataset on a store: the same arguments and items, without a list of dicts in memory.

    ``ann_file`` is the path of the store, or its URL. ``data_root`` is prepended if ``ann_file`` is relative; it may be
    a URL, too. The ``video`` entry of ``data_prefix`` is used; ``skeleton`` is not, since the store holds the
    skeletons. ``serialize_data`` has no effect, since there is nothing to serialize. If ``get_subset`` is called with
    the number of all videos, it returns all of them, while PoseDataset's fails.

    As upstream, ``box_thr`` has no effect unless ``valid_ratio`` is a float above 0; ``Store.decompressed`` differs.

    ``read_sampled``: decompress only the sampled frames; the items are the same. The pipeline must start with
    [DecompressPose,] UniformSampleFrames or UniformSample, and PoseDecode, else ValueError is raised.

    When the list of videos is loaded, raises SplitNotFoundError, which lists the existing splits, and
    FieldNotFoundError if the store lacks skeletons or the fields that ``valid_ratio`` needs.
    """

    ann_file: str
    data_root: str | None
    data_prefix: dict[str, str]
    data_list: Selection
    pipeline: Any
    _fully_initialized: bool

    def __init__(
        self,
        ann_file: str | os.PathLike[str],
        pipeline: list[dict[str, Any] | Callable[..., Any]],
        split: str | None = None,
        valid_ratio: float | None = None,
        box_thr: float = 0.5,
        read_sampled: bool = False,
        **kwargs: Any,
    ) -> None:
        self.read_sampled = read_sampled
        text = ann_file.secret if isinstance(ann_file, Url) else os.fspath(ann_file)
        super().__init__(text, pipeline, split=split, valid_ratio=valid_ratio, box_thr=box_thr, **kwargs)
        place = locate(self.ann_file)  # with lazy_init, the working directory may change before opening
        self.ann_file = place.secret if isinstance(place, Url) else str(place)
        if read_sampled:
            self.pipeline = SampledPipeline(self.pipeline.transforms)

    def _join_prefix(self) -> None:
        """Prepend ``data_root``; mmengine does not know all schemes, and needs clients of its own for URLs."""
        if self.data_root and is_url(self.data_root):
            root = parse_url(self.data_root)
            if not _is_absolute(self.ann_file):
                self.ann_file = (root / self.ann_file).secret
            prefixes = self.data_prefix.items()
            self.data_prefix = {key: text if _is_absolute(text) else str(root / text) for key, text in prefixes}
            return
        stated = self.ann_file
        super()._join_prefix()
        if is_url(stated):
            self.ann_file = stated

    def full_init(self) -> None:
        """Open the store and select the videos, unless this was done already."""
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
                f"{store.path} has no keypoint: convert the table of contents together with the folder of its "
                "kpfiles (skelstore convert --kpfiles)"
            )
        return Selection(store, split=self.split)

    def filter_data(self) -> Selection:
        """The videos that remain after filtering by ``valid_ratio`` and ``box_thr``."""
        kept = Selection(self.data_list.store, box_thr=self.box_thr, valid_ratio=self.valid_ratio)
        MMLogger.get_current_instance().info(f"{len(kept)} videos remain after valid thresholding")
        return kept

    @force_full_init
    def __len__(self) -> int:
        return len(self.data_list)

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The annotation of a video, as PoseDataset passes it to the pipeline."""
        return self._complete(self.data_list[idx], idx)

    @force_full_init
    def prepare_data(self, idx: int) -> Any:
        """The annotation of a video after the pipeline."""
        if self.read_sampled:
            return self.pipeline(self._complete(without_skeletons(self.data_list, idx), idx))
        return self.pipeline(self.get_data_info(idx))

    @force_full_init
    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep the first ``indices`` videos (the last ones if negative), or the videos at a sequence of positions."""
        self.data_list = self._part(indices)

    @force_full_init
    def get_subset(self, indices: Sequence[int] | int) -> SkelStorePoseDataset:
        """Like ``get_subset_``, but return a new data set."""
        # A new memo, since the default one is shared by all calls and keeps every subset alive.
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

    def _complete(self, info: dict[str, Any], idx: int) -> dict[str, Any]:
        """Add to an annotation what PoseDataset and its base classes add, and return it."""
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


def _is_absolute(path: str) -> bool:
    return os.path.isabs(path) or is_url(path)


@TRANSFORMS.register_module()
class SkelstorePoseTarget(BaseTransform):
    """MMAction2's GeneratePoseTarget: the same arguments and the same ``imgs`` in bits, many times as fast.

    The arguments are those of ``skelstore.heatmaps.pose_target``. The volume goes to ``heatmap_imgs`` if there are
    ``imgs`` already. Raises what ``pose_target`` raises, such as an error that names a joint that is NaN.
    """

    def __init__(self, **options: Any) -> None:
        self.options = Options(**options)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the heatmap volume to the results."""
        results["heatmap_imgs" if "imgs" in results else "imgs"] = draw_volume(results, self.options)
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options})"
