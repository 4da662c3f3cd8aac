"""Heatmap volumes of clips, drawn by skelstore and by MMAction2's GeneratePoseTarget, if it is installed.

A clip is 48 frames of two persons with 17 joints on an image of 56 x 56, as in the configs of PoseC3D. Run it on one
core: ``taskset -c 0``, OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.bench.data import Annotation
from converters.bench.results import Result, Wanted
from converters.bench.timing import interleave, shuffles
from converters.samples.pickles import ntu_like
from skelstore.heatmaps import pose_target

FRAMES, SIDE = 48, 56
CLIPS = 10
KINDS: dict[str, tuple[dict[str, Any], Wanted]] = {
    "keypoints": ({}, Wanted(10)),
    "limbs": ({"with_kp": False, "with_limb": True}, Wanted(5)),
    "keypoints, double": ({"double": True}, Wanted(4)),
    "limbs, double": ({"with_kp": False, "with_limb": True, "double": True}, Wanted(4)),
}


def clips(count: int) -> list[Annotation]:
    """Clips of two persons side by side, who fill the image; every joint has a score above 0."""
    return [_clip(annotation) for annotation in ntu_like(count)["annotations"]]


def _clip(annotation: Annotation) -> Annotation:
    frames = np.linspace(0, annotation["keypoint"].shape[1] - 1, FRAMES).astype(int)
    one = annotation["keypoint"][0, frames].astype(np.float32)
    one = (one - one.min((0, 1))) / max(np.ptp(one, axis=(0, 1)).max(), 1) * (SIDE - 16)
    score = np.maximum(annotation["keypoint_score"][0, frames].astype(np.float32), 0.1)
    return {
        "keypoint": np.stack([one, one + 15]),
        "keypoint_score": np.stack([score, score]),
        "img_shape": (SIDE, SIDE),
    }


def measure(calls: int, rounds: int) -> Result:
    """Draw the same clips by each side in turn, for each kind of volume."""
    result = Result("heatmaps", "heatmap volumes of clips")
    result.conditions["clips"] = f"[2, {FRAMES}, 17] on {SIDE} x {SIDE}, every joint drawn"
    upstream = None
    if importlib.util.find_spec("mmaction"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mmaction.datasets.transforms import GeneratePoseTarget as upstream
    else:
        result.skipped["MMAction2"] = "mmaction2 is not installed: see `make mmaction-test`"
    data = clips(min(CLIPS, calls))
    for kind, (options, wanted) in KINDS.items():
        sides: dict[str, Callable[[int], object]] = {f"skelstore, {kind}": _ours(data, options)}
        if upstream is not None:
            sides[f"MMAction2, {kind}"] = _theirs(data, upstream(**options))
        times = interleave(sides, shuffles(range(len(data)), rounds))
        result.measurements |= {name: found.values() for name, found in times.items()}
        if upstream is not None:
            ours, theirs = (found.median for found in times.values())
            result.claim(f"{kind}: skelstore against MMAction2", theirs / ours, "x as fast", wanted)
    return result


def _ours(data: list[Annotation], options: dict[str, Any]) -> Callable[[int], object]:
    return lambda i: pose_target(data[i], **options)


def _theirs(data: list[Annotation], transform: Callable[[Annotation], Annotation]) -> Callable[[int], object]:
    return lambda i: transform(dict(data[i]))["imgs"]
