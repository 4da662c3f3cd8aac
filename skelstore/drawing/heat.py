"""Heatmap volumes as pictures: the channels of each side in its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing.colours import Colour
from skelstore.drawing.figure import Skeleton
from skelstore.drawing.packages import pillow
from skelstore.drawing.poses import Poses
from skelstore.drawing.view import Plane
from skelstore.errors import DrawingError
from skelstore.heatmaps import pose_target

if TYPE_CHECKING:
    from PIL.Image import Image

SHORT_SIDE = 64
"""Cells of the shorter side of a heatmap, as in PoseC3D's pipelines (``Resize(scale=(-1, 64))``)."""
_MOST_CELLS = 512
"""Maximum number of cells of the longer side."""
_FAR = 8.0
"""Joints this many sides of the heatmap away are left out."""
_GROUND = np.array([0x10, 0x14, 0x1A], np.float32)
"""The colour where nothing is."""


def heat_image(poses: Poses, position: int, kind: str, view: Plane, persons: Sequence[int] | None) -> Image:
    """The heatmap of a frame as an image of mode RGB with the size of the view.

    ``kind`` is ``keypoint`` or ``limb``. The volume is that of ``skelstore.heatmaps.pose_target`` for an image whose
    shorter side has 64 pixels; of the channels of a side the highest value counts.
    """
    skeleton = Skeleton(poses, dark=True)
    if kind == "limb" and not skeleton.edges:
        raise DrawingError("a heatmap of limbs needs a joint layout; state it with skelstore relabel --joints LAYOUT")
    factor = min(SHORT_SIDE / min(view.width, view.height), _MOST_CELLS / max(view.width, view.height))
    shape = max(round(view.height * factor), 1), max(round(view.width * factor), 1)
    cells = view.width / shape[1]
    volume = _volume(poses, position, kind, view, cells, shape, persons, skeleton)
    light = np.zeros((*shape, 3), np.float32) + _GROUND
    sides: dict[Colour, list[int]] = {}
    for channel, colour in enumerate(skeleton.edge_colours if kind == "limb" else skeleton.joint_colours):
        sides.setdefault(colour, []).append(channel)
    for colour, channels in sides.items():
        strength = volume[channels].max(0)[..., None].clip(0, 1)
        light = np.maximum(light, _GROUND + (np.array(colour, np.float32) - _GROUND) * strength)
    images = pillow().Image
    small = images.fromarray(light.round().astype(np.uint8))
    # Cell i is at i cells, not half a cell later.
    affine = (1 / cells, 0, 0.5, 0, 1 / cells, 0.5)
    ground = tuple(_GROUND.astype(int).tolist())
    image: Image = small.transform(
        (view.width, view.height), images.Transform.AFFINE, affine, images.Resampling.BILINEAR, fillcolor=ground
    )
    return image


def _volume(
    poses: Poses,
    position: int,
    kind: str,
    view: Plane,
    cells: float,
    shape: tuple[int, int],
    persons: Sequence[int] | None,
    skeleton: Skeleton,
) -> NDArray[np.float32]:
    """The heatmaps [channels, H, W] of one frame."""
    found = poses.frame(position, persons)
    keypoint = np.zeros((len(found), 1, poses.joints, 2), np.float32)
    score = np.zeros((len(found), 1, poses.joints), np.float32)
    for row, pose in enumerate(found):
        with np.errstate(all="ignore"):
            places = view.project(pose.points) / cells
            there = (pose.score > 0) & (np.abs(places).max(-1) <= _FAR * max(shape))
        keypoint[row, 0, there] = places[there]
        score[row, 0, there] = pose.score[there]
    annotation: dict[str, Any] = {"keypoint": keypoint, "keypoint_score": score, "img_shape": shape}
    limbs = kind == "limb"
    volume: NDArray[np.float32] = pose_target(annotation, with_kp=not limbs, with_limb=limbs, skeletons=skeleton.edges)[
        0
    ]
    return volume
