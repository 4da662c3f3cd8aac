"""A store as a data set of PYSKL: ``SkelStorePoseDataset`` in its registry, for ``PoseDataset``; no memcached.

Needs PYSKL's checkout on the path, and what it needs: mmcv 1.x and PyTorch. Import this module before the config is
built. The definition is pyskl/datasets/pose_dataset.py and base.py.
"""

from __future__ import annotations

import os.path
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skelstore.errors import MissingPackageError
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.store import open
from skelstore.train.pipelines import SampledPipeline, deferred
from skelstore.train.selection import Selection

try:
    from pyskl.datasets import PoseDataset
    from pyskl.datasets.builder import DATASETS
    from pyskl.utils import get_root_logger
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.pyskl needs PYSKL, which cannot be imported ({error}): put its checkout on the path and "
        "install what it needs (mmcv 1.x); PyTorch comes with pip install 'skelstore[torch]'"
    ) from error

__all__ = ["SkelStorePoseDataset"]

DROPPED = ("valid", "box_score")
"""What PoseDataset takes out of every item."""


class VideoInfo(Mapping[str, Any]):
    """An item of ``video_infos``: reads what it is asked for, such as the label, and keeps nothing.

    ``copy.deepcopy`` gives the whole as a dict: that is how PYSKL takes an item before the pipeline writes into it.
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
    """PYSKL's list of videos, which holds none."""

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
        """The annotation of a video as PoseDataset hands it to the pipeline."""
        found = deferred(self.selection, position) if self._read_sampled else self.selection[position]
        for name in DROPPED:
            found.pop(name, None)
        return {key: self.prefixed(key, value) for key, value in found.items()}

    def prefixed(self, key: str, value: Any) -> Any:
        """The value of a key, a name of a video with ``data_prefix`` before it."""
        return os.path.join(self._prefix, value) if key in ("filename", "frame_dir") else value


@DATASETS.register_module()
class SkelStorePoseDataset(PoseDataset):
    """PYSKL's PoseDataset on a store: the same arguments, the same items, no list of dicts in memory.

    ``ann_file`` is the path of the store. ``memcached`` and ``mc_cfg`` are accepted and not used, with one warning.

    As upstream, ``box_thr`` does nothing unless ``valid_ratio`` is a float above 0 (that of ``Store.decompressed``
    filters boxes in any case).

    ``read_sampled``: read the sampled frames only. The pipeline must begin with [DecompressPose,] UniformSampleFrames
    and PoseDecode, else ValueError. Items are the same.

    Raises SplitNotFoundError, which lists the splits there are, and FieldNotFoundError if the store lacks what
    ``valid_ratio`` needs.
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
        # Not PoseDataset's own, which goes over the list of videos and changes each.
        super(PoseDataset, self).__init__(ann_file, pipeline, start_index=0, modality="Pose", mc_cfg=mc_cfg, **kwargs)
        if read_sampled:
            self.pipeline = SampledPipeline(self.pipeline.transforms)
        get_root_logger().info(f"{len(self)} videos remain after valid thresholding")

    def load_annotations(self) -> VideoInfos:
        """The videos that ``split``, ``valid_ratio`` and ``box_thr`` leave."""
        filters = {"box_thr": self.box_thr, "valid_ratio": self.valid_ratio}
        selection = Selection(open(self.ann_file), split=self.split or None, **filters)
        return VideoInfos(selection, self.data_prefix, self.read_sampled)
