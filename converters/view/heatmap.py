"""The heatmap of one frame of a video, as PoseC3D's input has it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view.requests import RequestError
from converters.view.skeletons import Skeletons
from skelstore.heatmaps import pose_target
from skelstore.wording import counted, shown

SHORT_SIDE = 64
"""The shorter side of a heatmap, as after the first ``Resize`` in the published configs of PoseC3D; sigma is 0.6."""

LONGEST_SIDE = 256
"""The longer side of a heatmap is at most this long."""

_MOST_VALUES = 16_000_000
"""Maximum number of values of the volume that is drawn."""


def draw_heatmap(
    skeletons: Skeletons, image: tuple[int, int] | None, edges: list[list[int]] | None, kind: str
) -> NDArray[np.uint8]:
    """The maximum over the channels of the heatmap of the first frame, uint8 [H, W]; 255 is 1.

    ``kind`` is ``keypoint`` or ``limb``; limbs are the ``edges`` of the joint layout. A joint that is not finite is not
    drawn. Raises RequestError if the skeletons cannot be drawn, SkelstoreError as ``pose_target`` does.
    """
    if kind not in ("keypoint", "limb"):
        raise RequestError(f"the parameter kind is {shown(kind)}; expected keypoint or limb")
    points, scores = skeletons.points[:, :1], skeletons.scores
    if not points.shape[1]:
        raise RequestError(f"the video has {counted(skeletons.total, 'frame')}, not this one", status=404)
    if points.shape[-1] != 2:
        raise RequestError("the skeletons are 3D, and heatmaps are drawn of pixels", status=422)
    if image is None:
        raise RequestError("the video has no img_shape, so the size of the heatmap is unknown", status=422)
    if kind == "limb" and edges is None:
        raise RequestError("the joint layout of the video is unknown, so there are no limbs to draw", status=422)
    scaling = min(SHORT_SIDE / min(image), LONGEST_SIDE / max(image))
    height, width = (int(side * scaling + 0.5) for side in image)
    channels = max(points.shape[2], len(edges or []))
    if not height or not width or channels * height * width > _MOST_VALUES:
        raise RequestError(
            f"a heatmap of {counted(channels, 'channel')} with {height} x {width} pixels cannot be drawn", status=422
        )
    usable = np.asarray(np.isfinite(points).all(axis=-1))
    given = np.ones(usable.shape, np.float32) if scores is None else scores[:, :1]
    annotation: dict[str, Any] = {
        "keypoint": np.where(usable[..., None], points, 0),
        "keypoint_score": np.where(usable & np.isfinite(given), given, 0),
        "img_shape": image,
    }
    is_limb = kind == "limb"
    pairs = [(first, second) for first, second in edges or []]
    volume = pose_target(annotation, with_kp=not is_limb, with_limb=is_limb, skeletons=pairs, scaling=scaling)
    values = volume[0].max(axis=0)
    drawn: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return drawn
