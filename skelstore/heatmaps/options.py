"""The options of heatmap volumes, their defaults and their checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import HeatmapError
from skelstore.wording import counted, shown

COCO = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10)),
    *((5, 11), (11, 13), (13, 15), (6, 12), (12, 14), (14, 16), (11, 12)),
)
"""The limbs (first joint, second joint) of the 17 joints of COCO, in the order of GeneratePoseTarget."""

LEFT_KP = (1, 3, 5, 7, 9, 11, 13, 15)
RIGHT_KP = (2, 4, 6, 8, 10, 12, 14, 16)
"""The left and the right joints of COCO, pair by pair."""

LEFT_LIMB = (0, 2, 4, 5, 6, 10, 11, 12)
RIGHT_LIMB = (1, 3, 7, 8, 9, 13, 14, 15)
"""The left and the right limbs of `COCO`, pair by pair."""

LEAST_SCORE = 1e-4
"""A joint with a lower score is not drawn by MMAction2's GeneratePoseTarget."""

PYSKL_LEAST_SCORE = 1e-3
"""A joint with a lower score is not drawn by PYSKL's GeneratePoseTarget."""

LONGEST_SIDE = 1 << 16
"""A larger height or width of the volume is refused."""

MOST_BYTES = 1 << 32
"""A larger volume of one clip is refused."""

SIGMAS = (1e-3, 1e4)
"""Smallest and largest sigma in pixels; with others the exponent is not a float32."""

Pairs = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Options:
    """The options of ``pose_target``, which describes them.

    Raises ValueError if neither keypoints nor limbs are asked for, or ``sigma`` or ``scaling`` is out of range.
    """

    sigma: float = 0.6
    use_score: bool = True
    with_kp: bool = True
    with_limb: bool = False
    skeletons: Pairs = COCO
    double: bool = False
    left_kp: Sequence[int] = LEFT_KP
    right_kp: Sequence[int] = RIGHT_KP
    left_limb: Sequence[int] = LEFT_LIMB
    right_limb: Sequence[int] = RIGHT_LIMB
    scaling: float = 1.0
    least_score: float = LEAST_SCORE

    def __post_init__(self) -> None:
        if not (self.with_kp or self.with_limb):
            raise ValueError("with_kp and with_limb are both False; expected at least one of them to be True")
        low, high = SIGMAS
        if not _is_number(self.sigma) or not low <= self.sigma <= high:
            raise ValueError(f"sigma is {shown(self.sigma)}; expected a number of pixels from {low} to {high:g}")
        if not _is_number(self.scaling) or not 0 < self.scaling < math.inf:
            raise ValueError(f"scaling is {shown(self.scaling)}; expected a number above 0, such as 1.0")
        if not _is_number(self.least_score) or not 0 < self.least_score < math.inf:
            raise ValueError(f"least_score is {shown(self.least_score)}; expected a number above 0, such as 1e-4")

    @property
    def reach(self) -> float:
        """The distance in pixels from a joint up to which it is drawn, along each axis."""
        return 3 * self.sigma

    def size(self, img_shape: Any) -> tuple[int, int]:
        """Height and width of the volume for an ``img_shape`` (height, width), scaled and rounded.

        Raises HeatmapError if it is not two numbers, or a side is not from 1 to `LONGEST_SIDE`.
        """
        if isinstance(img_shape, np.ndarray):
            img_shape = img_shape[:3].tolist() if img_shape.ndim == 1 else None
        if not isinstance(img_shape, (tuple, list)) or len(img_shape) != 2 or not all(map(_is_number, img_shape)):
            raise HeatmapError(
                f"img_shape is {shown(img_shape)}; expected (height, width) of the image in pixels, such as (56, 56)"
            )
        sides = [float(side) * self.scaling + 0.5 for side in img_shape]
        if not all(1 <= side < LONGEST_SIDE + 1 for side in sides):
            scaled = "" if self.scaling == 1 else f", times scaling {shown(self.scaling)}"
            raise HeatmapError(
                f"img_shape is {shown(img_shape)}{scaled}; expected a height and a width from 1 to {LONGEST_SIDE:,} "
                "pixels"
            )
        return int(sides[0]), int(sides[1])

    def channels(self, joints: int) -> int:
        """The number of channels C of a volume."""
        return joints * self.with_kp + len(self.skeletons) * self.with_limb

    def limbs(self, joints: int) -> NDArray[np.intp]:
        """First and second joint of each limb [L, 2], from 0; without ``with_limb`` there are none.

        Raises ValueError if ``skeletons`` are not pairs of joints.
        """
        pairs = [tuple(limb) for limb in self.skeletons] if self.with_limb else []
        for limb in pairs:
            if len(limb) != 2 or not all(_is_index(joint, joints) for joint in limb):
                raise ValueError(
                    f"skeletons has the limb {shown(limb)}; expected two joints of {joints}, counted from 0: pass the "
                    "limbs of your joint layout"
                )
        return np.array(pairs, np.intp).reshape(-1, 2) % max(joints, 1)

    def mirrored(self, joints: int) -> NDArray[np.intp]:
        """For each channel of the flipped volume, the channel that it is the mirror image of [C].

        As upstream, with keypoints the channels are swapped by ``left_kp`` and ``right_kp`` alone, those of limbs, too.
        Raises ValueError if these are not channels.
        """
        channels = np.arange(self.channels(joints))
        name = "kp" if self.with_kp else "limb"
        left, right = (self.left_kp, self.right_kp) if self.with_kp else (self.left_limb, self.right_limb)
        for one, other in zip(left, right, strict=False):  # as upstream, the rest of a longer list has no effect
            for side, channel in (("left", one), ("right", other)):
                if not _is_index(channel, len(channels)):
                    raise ValueError(
                        f"{side}_{name} has {shown(channel)}, but the volume has {counted(len(channels), 'channel')}: "
                        f"pass left_{name} and right_{name} of your joint layout"
                    )
            channels[one], channels[other] = other, one
        return channels % max(len(channels), 1)

    def check_bytes(self, frames: int, joints: int, height: int, width: int) -> None:
        """Raises HeatmapError if a volume of this size has more than `MOST_BYTES`."""
        shape = (frames * (2 if self.double else 1), self.channels(joints), height, width)
        if 4 * math.prod(shape) > MOST_BYTES:
            raise HeatmapError(
                f"the heatmaps would be {' x '.join(map(str, shape))} numbers, more than {MOST_BYTES:,} bytes: sample "
                "fewer frames and resize the skeletons before, such as to img_shape (56, 56)"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and bool(-(2**53) < value < 2**53)


def _is_index(value: object, count: int) -> bool:
    return isinstance(value, (int, np.integer)) and bool(-count <= value < count)
