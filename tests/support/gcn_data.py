"""Helpers of the tests of the GCN feeders: generated clips, as the arrays of the GCN code bases and as a store."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.pickles import ntu_names
from tests.support.contracts import write

Annotation = dict[str, Any]

CLASSES = 60
PERSONS = 2


def generated_clips(
    count: int, seed: int, *, longest: int = 90, joints: int = 25, channels: int = 3
) -> list[Annotation]:
    """Clips of 0 to 2 persons with the oddities of real ones; each has a frame whose sum is not 0, but every eighth.

    There are clips of one frame, empty frames at the beginning and in the middle, persons that come late, frames whose
    numbers cancel out, and persons that are copies of the first.
    """
    noise = np.random.default_rng(seed)
    clips = []
    for number in range(count):
        frames = [1, 2, longest, int(noise.integers(3, longest))][number % 4 if number % 3 else 3]
        persons = 0 if number % 8 == 7 else int(noise.integers(1, PERSONS + 1))
        keypoint = noise.normal(0, 0.7, (persons, frames, joints, channels)).astype(np.float32)
        keypoint += noise.normal(0, 2, channels).astype(np.float32)
        if persons == 2 and number % 3 == 0:
            keypoint[1] = keypoint[0]
        if persons == 2 and number % 5 == 0:
            keypoint[1, : frames // 2] = 0
        if persons and frames > 4:
            if number % 4 == 1:
                keypoint[:, :2] = 0
            if number % 4 in (1, 2):
                keypoint[:, frames // 2] = 0
            if number % 6 == 3:  # its sum is 0, but it is not empty
                keypoint[:, frames // 3] = 0
                keypoint[0, frames // 3, 0, :2] = (1.5, -1.5)
        label = int(noise.integers(0, CLASSES))
        clips.append({"frame_dir": f"clip{number:03}", "label": label, "keypoint": keypoint, "total_frames": frames})
    return clips


def padded(clips: Sequence[Annotation], frames: int) -> NDArray[np.float32]:
    """The array of all clips with zeros for what they lack, [N, C, frames, V, 2]."""
    _, _, joints, channels = clips[0]["keypoint"].shape
    whole = np.zeros((len(clips), channels, frames, joints, PERSONS), np.float32)
    for number, clip in enumerate(clips):
        persons, own, _, _ = clip["keypoint"].shape
        whole[number, :, :own, :, :persons] = clip["keypoint"].transpose(3, 1, 2, 0)
    return whole


def write_npz(path: Path, train: Sequence[Annotation], test: Sequence[Annotation], frames: int) -> Path:
    """The file that CTR-GCN trains on: rows [T, 2 * 25 * 3], labels one-hot."""
    parts: dict[str, NDArray[Any]] = {}
    for part, clips in (("train", train), ("test", test)):
        rows = padded(clips, frames).transpose(0, 2, 4, 3, 1)
        parts[f"x_{part}"] = np.ascontiguousarray(rows).reshape(len(clips), frames, -1)
        parts[f"y_{part}"] = np.eye(CLASSES)[[clip["label"] for clip in clips]]
    np.savez(path, **parts)
    return path


def write_npy(path: Path, clips: Sequence[Annotation], frames: int) -> tuple[Path, Path]:
    """The two files that 2s-AGCN trains on: the array [N, C, T, V, M], and the pickle of names and labels."""
    np.save(path, padded(clips, frames))
    labels = path.with_suffix(".pkl")
    labels.write_bytes(pickle.dumps(([c["frame_dir"] for c in clips], [c["label"] for c in clips])))
    return path, labels


def write_guide_files(folder: Path) -> None:
    """The arrays that docs/gcn.md converts, by the names that they have there, of clips with names of NTU RGB+D."""
    parts = guide_clips()
    write_npz(folder / "NTU60_CS.npz", parts["train"], parts["val"], 60)
    (folder / "names.txt").write_text("".join(f"{name}\n" for part in parts.values() for name in names(part)))
    (folder / "data/ntu/xsub").mkdir(parents=True)
    for part, some in parts.items():
        _, labels = write_npy(folder / f"data/ntu/xsub/{part}_data_joint.npy", some, 60)
        labels.rename(labels.with_name(f"{part}_label.pkl"))


def guide_clips() -> dict[str, list[Annotation]]:
    clips = generated_clips(24, seed=9, longest=60)
    for clip, name in zip(clips, ntu_names(24), strict=True):
        clip["frame_dir"] = name
    return {"train": [clip for clip in clips[:18] if len(clip["keypoint"])], "val": clips[18:23]}


def names(clips: Sequence[Annotation]) -> list[str]:
    return [clip["frame_dir"] for clip in clips]


def write_store(path: Path, train: Sequence[Annotation], test: Sequence[Annotation], seed: int = 0) -> Path:
    """A store of both parts in another order than that of its splits."""
    clips = [*train, *test]
    order = np.random.default_rng(seed).permutation(len(clips))
    return write(path, [clips[i] for i in order], {"train": names(train), "test": names(test)})
