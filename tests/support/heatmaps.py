"""Heatmap volumes from their definition, pixel by pixel, and random clips and options to compare with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

COCO_LIMBS = [
    *((0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10), (5, 11)),
    *((11, 13), (13, 15), (6, 12), (12, 14), (14, 16), (11, 12)),
]
Clip = dict[str, Any]


def reference(
    clip: Clip,
    *,
    sigma: float = 0.6,
    use_score: bool = True,
    with_kp: bool = True,
    with_limb: bool = False,
    skeletons: Any = COCO_LIMBS,
    double: bool = False,
    left_kp: Any = (),
    right_kp: Any = (),
    left_limb: Any = (),
    right_limb: Any = (),
    scaling: float = 1.0,
    least_score: float = 1e-4,
) -> Any:
    """The volume, float64 [T or 2 T, C, H, W]: the maximum of the Gaussians of distances, in windows of 3 sigma."""
    points = clip["keypoint"].astype(np.float32) * np.float32(scaling)
    persons, frames, joints, _ = points.shape
    scores = clip.get("keypoint_score", np.ones((persons, frames, joints), np.float32))
    height, width = (int(side * scaling + 0.5) for side in clip["img_shape"])
    volume = np.zeros((frames, joints * with_kp + len(skeletons) * with_limb, height, width))

    def window(low: Any, high: Any, size: int) -> range:
        return range(max(int(low - 3 * sigma), 0), min(int(high + 3 * sigma) + 1, size))

    def draw(image: Any, one: Any, other: Any, value: Any) -> None:
        (x0, y0), (x1, y1) = one, other
        for y in window(min(y0, y1), max(y0, y1), height):
            for x in window(min(x0, x1), max(x0, x1), width):
                square = squared_distance((x, y), tuple(map(float, one)), tuple(map(float, other)))
                image[y, x] = max(image[y, x], float(value) * math.exp(-square / (2 * sigma**2)))

    for person, frame in np.ndindex(persons, frames):
        own = points[person, frame]
        heights = scores[person, frame] if use_score else np.ones_like(scores[person, frame])
        for joint in range(joints if with_kp else 0):
            if not heights[joint] < least_score:
                draw(volume[frame, joint], own[joint], own[joint], heights[joint])
        for channel, (first, second) in enumerate(skeletons if with_limb else ()):
            value = min(heights[first], heights[second])
            if not value < least_score:
                across, down = own[first] - own[second]
                if across**2 + down**2 < 1:
                    draw(volume[frame, channel], own[first], own[first], heights[first])
                else:
                    draw(volume[frame, channel], own[first], own[second], value)
    if not double:
        return volume
    order = list(range(volume.shape[1]))
    for left, right in zip(left_kp if with_kp else left_limb, right_kp if with_kp else right_limb, strict=False):
        order[left], order[right] = right, left
    return np.concatenate([volume, volume[:, order, :, ::-1]])


def squared_distance(point: tuple[float, float], one: tuple[float, float], other: tuple[float, float]) -> float:
    """The squared distance of a point to the line between two points."""
    (x, y), (x0, y0), (x1, y1) = point, one, other
    square = (x1 - x0) ** 2 + (y1 - y0) ** 2
    share = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / square if square else 0.0
    share = min(max(share, 0.0), 1.0)
    return (x - x0 - share * (x1 - x0)) ** 2 + (y - y0 - share * (y1 - y0)) ** 2


def random_clip(
    random: np.random.Generator,
    persons: int = 2,
    frames: int = 2,
    joints: int = 5,
    size: tuple[int, int] = (12, 9),
    outside: float = 4.0,
    dtype: Any = np.float32,
    score_dtype: Any = np.float32,
) -> Clip:
    """Joints in the image and up to ``outside`` pixels around it, some on whole pixels, some at the same place.

    Scores are between 0 and 1, some 0, some exactly at the thresholds of the frameworks or just below them.
    """
    height, width = size
    shape = (persons, frames, joints)
    points = random.uniform(-outside, np.array([width, height]) + outside, (*shape, 2))
    rounded = random.random(shape) < 0.3
    points[rounded] = np.round(points[rounded] * 2) / 2
    alike = random.random(shape) < 0.2
    points[alike] = np.round(random.uniform(0, 1, (alike.sum(), 2)) * 3) / 4 + np.array([width, height]) // 2
    scores = random.random(shape)
    edges = np.array([0, 1e-4, np.nextafter(np.float32(1e-4), 0), 1e-3, np.nextafter(np.float32(1e-3), 0), 1, 1.5, -1])
    special = random.random(shape) < 0.4
    scores[special] = random.choice(edges, special.sum())
    return {
        "frame_dir": "clip",
        "keypoint": points.astype(dtype),
        "keypoint_score": scores.astype(score_dtype),
        "img_shape": size,
    }


@st.composite
def clips(draw: st.DrawFn, outside: float = 4.0, joints: int | None = None, dtypes: Any = (np.float32,)) -> Clip:
    """Clips of 0 to 4 persons, of 0 to 2 frames, and of any dtypes of ``dtypes``."""
    clip = random_clip(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        persons=draw(st.integers(0, 4)),
        frames=draw(st.integers(0, 2)),
        joints=draw(st.integers(1, 6)) if joints is None else joints,
        size=(draw(st.integers(1, 14)), draw(st.integers(1, 14))),
        outside=outside,
        dtype=draw(st.sampled_from(dtypes)),
        score_dtype=draw(st.sampled_from(dtypes)),
    )
    if draw(st.integers(0, 9)) == 0:
        del clip["keypoint_score"]
    return clip


@st.composite
def options(draw: st.DrawFn, joints: int) -> dict[str, Any]:
    """Options for clips with this number of joints, all of them."""
    joint = st.integers(0, joints - 1)
    skeletons = draw(st.lists(st.tuples(joint, joint), min_size=1, max_size=6))
    with_kp, with_limb = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    channels = joints * with_kp + len(skeletons) * with_limb
    pairs = draw(st.lists(st.tuples(*[st.integers(0, channels - 1)] * 2), max_size=4))
    if draw(st.booleans()):  # no channel twice, as real pairs are
        order = draw(st.permutations(range(channels)))
        pairs = list(zip(order[::2], order[1::2], strict=False))
    left, right = [one for one, _ in pairs], [other for _, other in pairs]
    return {
        "sigma": draw(st.sampled_from([0.6, 0.6, 0.3, 1, 2.5])),
        "use_score": draw(st.booleans()),
        "with_kp": with_kp,
        "with_limb": with_limb,
        "skeletons": skeletons,
        "double": draw(st.booleans()),
        "left_kp": left if with_kp else [],
        "right_kp": right if with_kp else [],
        "left_limb": [] if with_kp else left,
        "right_limb": [] if with_kp else right,
        "scaling": draw(st.sampled_from([1.0, 1.0, 0.5, 1.3])),
    }


def scaled_size(clip: Clip, scaling: float) -> tuple[int, int]:
    """Height and width of the volume; a side of 0 is refused by skelstore."""
    height, width = (int(side * scaling + 0.5) for side in clip["img_shape"])
    return height, width
