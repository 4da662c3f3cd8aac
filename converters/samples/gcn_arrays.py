"""Sample data of the GCN code bases: arrays of CTR-GCN, of ST-GCN with label pickles, and clips in a file each.

As in `converters.samples.pickles`, the data is synthetic and reproducible per seed and machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.motion import estimates, rows
from converters.samples.people import stage
from converters.samples.pickles import ntu_names, other_action, write_value

__all__ = ["ctrgcn_like", "stgcn_like", "write_gcn_arrays"]

FRAMES = 300
"""T of the published arrays."""
CLASSES = 60
SIZE = (256, 340)
"""Height and width of the images of ST-GCN, in pixels."""


def ctrgcn_like(count: int, seed: int = 0, frames: int = FRAMES) -> dict[str, NDArray[Any]]:
    """The arrays of CTR-GCN's NTU60_CS.npz, of ``count`` clips of which every fourth is in the part for tests.

    ``x_train``, ``x_test`` float32 [N, T, 150] in metres, ``y_train``, ``y_test`` float64 one-hot [N, 60]. Clips end
    before T, and most have one person.
    """
    clips = _clips(count, seed, frames, 25)
    numbers = clips.transpose(0, 2, 1, 3, 4).reshape(count, frames, 150)
    labels = np.zeros((count, CLASSES))
    labels[np.arange(count), [_label(seed, i) for i in range(count)]] = 1
    test = np.arange(count) % 4 == 3
    return {"x_train": numbers[~test], "y_train": labels[~test], "x_test": numbers[test], "y_test": labels[test]}


def stgcn_like(count: int, seed: int = 0, frames: int = FRAMES) -> tuple[NDArray[np.float32], Any]:
    """ST-GCN's array of Kinetics, float32 [N, 3, T, 18, 2], and its labels ``(names, labels)``.

    The channels are x and y as fractions of the image minus 0.5, and the score.
    """
    clips = _clips(count, seed, frames, 18)
    labels = [_label(seed, i) for i in range(count)]
    return np.ascontiguousarray(clips.transpose(0, 4, 2, 3, 1)), ([f"clip{i:03d}.json" for i in range(count)], labels)


def write_gcn_arrays(folder: Path, videos: int = 40, seed: int = 0, frames: int = FRAMES) -> None:
    """Write sample arrays of `videos` clips with `frames` frames into `folder`.

    ::

        NTU60_CS.npz  names.txt                                  CTR-GCN, and the names of its clips
        stgcn/train_data.npy  stgcn/train_label.pkl              ST-GCN, Kinetics; every fourth clip is in val
        stgcn/val_data.npy  stgcn/val_label.pkl
        clips/CLASS/clip000.npy …                                the same, each in a file, [C, T, V, M]
    """
    (folder / "stgcn").mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = ctrgcn_like(videos, seed, frames)
    np.savez(folder / "NTU60_CS.npz", **arrays)
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in ntu_names(videos)), encoding="utf-8")
    clips, (names, labels) = stgcn_like(videos, seed, frames)
    for part, chosen in (("train", np.arange(videos) % 4 != 3), ("val", np.arange(videos) % 4 == 3)):
        positions = np.flatnonzero(chosen).tolist()
        np.save(folder / "stgcn" / f"{part}_data.npy", clips[chosen])
        write_value(
            folder / "stgcn" / f"{part}_label.pkl", ([names[i] for i in positions], [labels[i] for i in positions])
        )
    for clip, name, label in zip(clips, names, labels, strict=True):
        path = folder / "clips" / f"class{label:02d}" / name.replace(".json", ".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, clip)


def _clips(count: int, seed: int, frames: int, joints: int) -> NDArray[np.float32]:
    """Clips float32 [N, 2, T, V, 3], filled up with zeros; one in three has a second person, who may leave earlier.

    25 joints are Kinect's, in metres; 18 are OpenPose's, with x, y and score.
    """
    clips = np.zeros((count, 2, frames, joints, 3), np.float32)
    for i in range(count):
        random = np.random.default_rng([seed, i, 6])
        length = int(random.integers(min(frames, frames // 5 + 1), frames + 1))
        persons = 2 if random.random() < 1 / 3 else 1
        scene = stage(random, persons, length, other_action(_label(seed, i)), SIZE)
        for number in range(persons):
            frame = np.arange(length if number == 0 else int(random.integers(1, length + 1)))
            person = np.full(len(frame), number)
            if joints == 25:
                clips[i, number, frame] = rows(random, scene, person, frame)
            else:
                pixels, score = estimates(random, scene, person, frame, "openpose-18")
                clips[i, number, frame, :, :2] = pixels / np.array(SIZE[::-1], np.float32) - np.float32(0.5)
                clips[i, number, frame, :, 2] = score.clip(0, 1)
    return clips


def _label(seed: int, index: int) -> int:
    return int(np.random.default_rng([seed, index, 7]).integers(CLASSES))
