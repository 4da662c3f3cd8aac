"""The content of the golden stores, and the command that makes those of the current format version.

    python -m tests.skelstore.golden.make

They are committed, and every later version must read them. Make the stores of a version once, when it is released.
The content is computed: nothing is random or read from files.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import skelstore
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES
from skelstore.format.schema import FORMAT_VERSION

FOLDER = Path(__file__).resolve().parent
Array = np.ndarray[Any, Any]


def wave(shape: tuple[int, ...], dtype: str, start: int = 0) -> Array:
    """Numbers that go up and down, exact in any dtype."""
    count = int(np.prod(shape, dtype=np.int64))
    steps = (np.arange(start, start + count, dtype=np.int64) * 7919) % 1009
    return (steps / 4 if np.dtype(dtype).kind == "f" else steps % 100).astype(dtype).reshape(shape)


def nan(payload: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", 0x7FF8 << 48 | payload))[0]
    return value


def dense(number: int) -> dict[str, Any]:
    """As in ntu60_hrnet.pkl."""
    persons, frames = 1 + number % 2, 6 + number
    return {
        "frame_dir": f"S001C001P001R001A{number:03}",
        "label": number,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": frames,
        "keypoint": wave((persons, frames, 17, 2), "<f2", number),
        "keypoint_score": wave((persons, frames, 17), "<f2", number + 1),
    }


def compressed(number: int) -> dict[str, Any]:
    """As in the kpfiles of Kinetics-400."""
    rows = 9 + number
    return {
        "frame_dir": f"jf7RDuUTrsQ{number}",
        "label": 300 + number,
        "img_shape": (240, 320),
        "total_frames": 300,
        "raw_file": "kpfiles/0.pkl",
        "keypoint": wave((rows, 17, 3), "<f2", number),
        "frame_inds": np.arange(1, 2 * rows, 2, dtype="<i2"),
        "box_score": wave((rows,), "<f2", number),
        "valid": dict.fromkeys((0.5, 0.9), number),
    }


def odd() -> list[dict[Any, Any]]:
    """Other values of annotations."""
    return [
        {},
        {"frame_dir": "twice", "label": np.int64(3), "keypoint": wave((1, 4, 5, 3), ">f4")},
        {"frame_dir": "twice", "label": [1, 2], "keypoint": wave((2, 3, 5, 3), ">f4")},
        {
            "filename": np.str_("by filename\0"),
            "label": {"action": [1], 0.5: "x"},
            "keypoint": wave((0, 0, 17, 2), "<f2"),
        },
        {"frame_dir": None, "label": "drink", "b": True, "n": None, "i": -1, "f": -0.0, "y": b"\0\xff", "s": "\0é\n😀"},
        {"frame_dir": "\ud800", "i": 2**70, "f": nan(0x123), "inf": [float("inf"), -float("inf")]},
        {"frame_dir": "keys", 1: wave((2,), "<i4"), b"k": {(-1): (), "": [[]]}, 2**64: 0, "a.b": 1},
        {"frame_dir": "keys", 1.0: wave((3,), "<i4"), "a": {"b": 2}, "Label": 1, "label": 2, "keypoint.row": 3},
        {"frame_dir": "scalars", "all": [np.dtype(n).type(1) for n in SCALARS], "h": np.float16(2)},
        {"frame_dir": "arrays", "all": [wave((2,), code, i) for i, code in enumerate(DTYPES)]},
        {
            "frame_dir": "shapes",
            "0-d": wave((), "<f4"),
            "empty": wave((3, 0, 2), "<u1"),
        },
        {
            "frame_dir": "nested",
            "t": (1, (2, [3, {"x": wave((2, 2), ">u2")}])),
            "long": tuple(range(9)),
            "n": {"m": {}},
        },
        {"label": 5, "frame_dir": "other order", "total_frames": 1},
    ]


SCALARS = ["bool", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32", "float64"]
WIDE = ["i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8"]
DTYPES = ["|b1", "|i1", "|u1", *(f"{order}{code}" for order in "<>" for code in WIDE)]


def description() -> tuple[list[dict[Any, Any]], dict[Any, Any]]:
    """Annotations and splits of every golden store of format version 1."""
    annotations: list[dict[Any, Any]] = [*map(dense, range(4)), *map(compressed, range(2)), *odd()]
    names = [annotation["frame_dir"] for annotation in annotations[:6]]
    splits: dict[Any, Any] = {
        "xsub_train": names[3::-1],
        "xsub_val": [names[5], names[5], "no such video"],
        "empty": [],
        3: ("twice", None, np.int64(4), b"x"),
        "array": np.arange(3, dtype="<i8"),
        "\ud800": ["\ud800"],
    }
    return annotations, splits


def make(folder: Path) -> list[Path]:
    """Write the golden stores into a folder; return their paths. Chunks and parts are small, so that there are many."""
    sizes = {"PART_BYTES": 4000, "CHUNK_BYTES_MIN": 256, "CHUNK_BYTES_MAX": 512, "CHUNK_BYTES_PLAIN": 512}
    annotations, splits = description()
    made = []
    with contextlib.ExitStack() as stack:
        for name, size in sizes.items():
            stack.enter_context(mock.patch.object(chunking, name, size))
        for profile in PROFILES:
            path = folder / f"v{FORMAT_VERSION}-{profile}"
            if path.exists():
                shutil.rmtree(path)
            source = {"dialect": "golden", "version": FORMAT_VERSION}
            with skelstore.Writer(path, profile=profile, source=source) as writer:
                for annotation in annotations:
                    writer.add(annotation)
                writer.splits.update(splits)
            made.append(path)
    return made


if __name__ == "__main__":
    for path in make(FOLDER):
        print(path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()), "bytes")
