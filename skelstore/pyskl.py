"""A store as a PYSKL data set: ``SkelStorePoseDataset`` in its registry replaces ``PoseDataset``, without memcached.

``SkelstorePoseTarget`` replaces ``GeneratePoseTarget`` in a pipeline.

Needs PYSKL's checkout on the path and its dependencies, mmcv 1.x and PyTorch. Import this module before the config is
built. The references are pyskl/datasets/pose_dataset.py, base.py and pipelines/heatmap_related.py.
"""

from __future__ import annotations

import os.path
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skelstore.errors import MissingPackageError
from skelstore.heatmaps.options import PYSKL_LEAST_SCORE, Options
from skelstore.heatmaps.volume import draw_volume
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.store import open
from skelstore.train.pipelines import SampledPipeline, without_skeletons
from skelstore.train.selection import Selection

try:
    from pyskl.datasets import PoseDataset
    from pyskl.datasets.builder import DATASETS, PIPELINES
    from pyskl.utils import get_root_logger
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.pyskl needs PYSKL, which cannot be imported ({error}): put its checkout on the path and "
        "install its dependencies (mmcv 1.x); PyTorch comes with pip install 'skelstore[torch]'"
    ) from error

__all__ = ["SkelStorePoseDataset", "SkelstorePoseTarget"]

DROPPED = ("valid", "box_score")
"""Fields that PoseDataset removes from every item."""


class VideoInfo(Mapping[str, Any]):
    """An item of ``video_infos``: reads a value, such as the label, on access, and keeps nothing.

    ``copy.deepcopy`` returns the whole annotation as a dict: PYSKL calls it before the pipeline writes into an item.
    """

    def __init__(self, infos: VideoInfos, position: int) -> None:
        self._infos = infos
        self._position = position

    def __getitem__(self, key: str) -> Any:
        if key == "anno_inds" and self._infos.selection.box_thr is not None:
            return self._infos.annotation(self._position)[key]
        if key in DROPPED:
            raise KeyError(key)
        return self._infos.prefixed(key, self._lazy()[key])

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self._lazy() if key not in DROPPED)
        if self._infos.selection.box_thr is not None:
            yield "anno_inds"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return self._infos.annotation(self._position)

    def _lazy(self) -> LazyAnnotation:
        return self._infos.selection.lazy(self._position)


class VideoInfos(Sequence[VideoInfo]):
    """PYSKL's list of videos, without annotations in memory."""

    def __init__(self, selection: Selection, prefix: str, read_sampled: bool) -> None:
        self.selection = selection
        self._prefix = prefix
        self._read_sampled = read_sampled

    def __len__(self) -> int:
        return len(self.selection)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = self.selection.at(range(len(self))[index])
            return VideoInfos(part, self._prefix, self._read_sampled)
        return VideoInfo(self, range(len(self))[index])

    def annotation(self, position: int) -> dict[str, Any]:
        """The annotation of a video, as PoseDataset passes it to the pipeline."""
        item = without_skeletons(self.selection, position) if self._read_sampled else self.selection[position]
        for name in DROPPED:
            item.pop(name, None)
        return {key: self.prefixed(key, value) for key, value in item.items()}

    def prefixed(self, key: str, value: Any) -> Any:
        """The value of a key; ``data_prefix`` is prepended to ``filename`` and ``frame_dir``."""
        return os.path.join(self._prefix, value) if key in ("filename", "frame_dir") else value


@DATASETS.register_module()
class SkelStorePoseDataset(PoseDataset):
    """PYSKL's PoseDataset on a store: the same arguments and items, without a list of dicts in memory.

    ``ann_file`` is the path of the store, or its URL. ``memcached`` and ``mc_cfg`` are accepted but ignored, with a
    warning if ``memcached`` is true.

    As upstream, ``box_thr`` has no effect unless ``valid_ratio`` is a float above 0; ``Store.decompressed`` differs.

    ``read_sampled``: decompress only the sampled frames; the items are the same. The pipeline must start with
    [DecompressPose,] UniformSampleFrames or UniformSample, and PoseDecode, else ValueError is raised.

    Raises SplitNotFoundError, which lists the existing splits, and FieldNotFoundError if the store lacks the fields
    that ``valid_ratio`` needs.
    """

    pipeline: Any

    def __init__(
        self,
        ann_file: str,
        pipeline: Sequence[Any],
        split: str | None = None,
        valid_ratio: float | None = None,
        box_thr: float | None = None,
        class_prob: Any = None,
        memcached: bool = False,
        mc_cfg: Any = ("localhost", 22077),
        read_sampled: bool = False,
        **kwargs: Any,
    ) -> None:
        if memcached:
            warnings.warn("a store needs no memcached: memcached and mc_cfg are not used", UserWarning, stacklevel=2)
        if box_thr not in (None, 0.5, 0.6, 0.7, 0.8, 0.9):
            raise ValueError(f"box_thr is {box_thr}: give None, 0.5, 0.6, 0.7, 0.8 or 0.9")
        self.split = split
        self.box_thr = box_thr
        self.valid_ratio = valid_ratio
        self.class_prob = class_prob
        self.read_sampled = read_sampled
        # Skips PoseDataset.__init__, which iterates over the list of videos and changes each.
        super(PoseDataset, self).__init__(ann_file, pipeline, start_index=0, modality="Pose", mc_cfg=mc_cfg, **kwargs)
        if read_sampled:
            self.pipeline = SampledPipeline(self.pipeline.transforms)
        get_root_logger().info(f"{len(self)} videos remain after valid thresholding")

    def load_annotations(self) -> VideoInfos:
        """The videos that remain after filtering by ``split``, ``valid_ratio`` and ``box_thr``."""
        filters = {"box_thr": self.box_thr, "valid_ratio": self.valid_ratio}
        selection = Selection(open(self.ann_file), split=self.split or None, **filters)
        return VideoInfos(selection, self.data_prefix, self.read_sampled)


@PIPELINES.register_module()
class SkelstorePoseTarget:
    """PYSKL's GeneratePoseTarget: the same arguments and the same ``imgs`` in bits, many times as fast.

    The arguments are those of ``skelstore.heatmaps.pose_target``, with PYSKL's ``least_score`` of 1e-3. As upstream,
    exactly one of ``with_kp`` and ``with_limb`` is True, else ValueError is raised; the volume goes to
    ``heatmap_imgs`` if there are ``imgs`` already; and ``scaling`` changes ``keypoint``, too. Joints are drawn in
    their own dtype, which is float64 after PYSKL's RandomResizedCrop. Raises what ``pose_target`` raises.
    """

    def __init__(self, least_score: float = PYSKL_LEAST_SCORE, **options: Any) -> None:
        self.options = Options(least_score=least_score, **options)
        if self.options.with_kp and self.options.with_limb:
            raise ValueError(
                "with_kp and with_limb are both True; PYSKL expects exactly one of them: set the other False"
            )

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        key = "heatmap_imgs" if "imgs" in results else "imgs"
        results[key] = draw_volume(results, self.options, keep_dtype=True)
        if self.options.scaling != 1:
            results["keypoint"][..., :2] *= self.options.scaling
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options})"
