"""Heatmap volumes of skeletons, the input of PoseC3D: a Gaussian per joint, or along each limb.

``pose_target`` returns what ``GeneratePoseTarget`` of MMAction2 and PYSKL returns, many times as fast. It is registered
for both as ``SkelstorePoseTarget`` by ``skelstore.mmaction2`` and ``skelstore.pyskl``. ``skelstore.torch.pose_target``
draws a batch, on the CPU or a GPU.
"""

from skelstore.heatmaps.options import COCO, Options
from skelstore.heatmaps.volume import draw_volume, pose_target

__all__ = ["COCO", "Options", "draw_volume", "pose_target"]
