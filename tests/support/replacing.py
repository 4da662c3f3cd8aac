"""A store of many shards that replaces another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelstore.format import chunking
from tests.support.contracts import write


def videos(first: int, count: int = 12) -> list[dict[str, Any]]:
    """Compressed videos, so that all views accept them. Those of another ``first`` have nothing in common with them."""
    return [
        {
            "frame_dir": f"v{i}",
            "label": i,
            "total_frames": 4,
            "keypoint": np.full((4, 17, 3), i, np.float16),
            "frame_inds": np.arange(4),
        }
        for i in range(first, first + count)
    ]


def put(path: Path, first: int, count: int = 12) -> Path:
    """Write a store of many shards, replacing an existing one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 2000)
        split = {"even": [f"v{i}" for i in range(first, first + count, 2)]}
        return write(path, videos(first, count), split, profile="default", force=True)
