"""A small pickle with all kinds of values, to damage and to use as a seed."""

from __future__ import annotations

import pickle

import numpy as np


def small_sample(protocol: int) -> bytes:
    """A small pickle with all kinds of values."""
    shape = (1080, 1920)
    annotation = {
        "frame_dir": "S001",
        "label": np.int64(3),
        "img_shape": shape,
        "original_shape": shape,
        "keypoint": np.arange(12, dtype="f2").reshape(1, 3, 2, 2),
        "score": np.asfortranarray(np.ones((2, 3), ">f4")),
        "name": np.str_("é\0x"),
        "valid": {0.5: 1.0, None: b"\xff", True: [-1, 70000, 1 << 70]},
    }
    return pickle.dumps(
        {"split": {"train": ["S001", "é"]}, "annotations": [annotation, annotation, {"x": ()}]}, protocol
    )
