"""Sample data of sources that are not a single pickle: BABEL, FineGYM with boxes, extraction output, arrays.

As in `converters.samples.pickles`, the data is synthetic and reproducible per seed and machine.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.gcn_arrays import write_gcn_arrays
from converters.samples.motion import skeletons
from converters.samples.people import stage
from converters.samples.pickles import (
    Annotation,
    iter_compressed_like,
    iter_ntu_like,
    ntu_names,
    ntu_split,
    other_action,
    write_dataset,
    write_value,
)
from converters.samples.skeletons import denoised_like, raw_skes_like

__all__ = ["babel_like", "boxes_like", "extraction_like", "write_sources"]

BABEL_CLASSES = 120
GCN_FRAMES = 60
"""T of the arrays of the GCN code bases; 300 in the published ones."""


def babel_like(count: int, seed: int = 0) -> tuple[NDArray[np.float64], Any]:
    """BABEL's clips float64 [N, 3, 150, 25, 1] in metres, and its labels ``(seg_id, (label, sid, chunk_n, anntr_id))``.

    A clip with several classes occurs once per class, with the same ids; here every fourth clip repeats the one before.
    """
    clips = np.empty((count, 3, 150, 25, 1))
    ids: list[tuple[np.str_, int, np.int64, np.int64, np.str_]] = []
    for i in range(count):
        random = np.random.default_rng([seed, i, 5])
        label = int(random.integers(BABEL_CLASSES))
        if i % 4 == 3:
            clips[i] = clips[i - 1]
            ids.append((ids[-1][0], label, *ids[-1][2:]))
            continue
        points = skeletons(random, stage(random, 1, 150, other_action(label)), 150)
        clips[i, ..., 0] = points[0].transpose(2, 0, 1)
        segment, annotator = (np.str_(random.bytes(16).hex()) for _ in range(2))
        ids.append((segment, label, np.int64(random.integers(14000)), np.int64(i % 3), annotator))
    segments, labels, sids, chunks, annotators = ([entry[column] for entry in ids] for column in range(5))
    return clips, (segments, (labels, sids, chunks, annotators))


def boxes_like(annotations: Iterable[Annotation]) -> dict[str, NDArray[np.float32]]:
    """FineGYM's boxes by video name: float32 [T, 4] with x1, y1, x2, y2 around the first person, in pixels.

    Every fifth video has no boxes, and one name belongs to no video.
    """
    boxes = {"of_no_video": np.zeros((3, 4), np.float32)}
    for i, annotation in enumerate(annotations):
        if i % 5 != 4:
            points = annotation["keypoint"][0].astype(np.float32)
            boxes[annotation["frame_dir"]] = np.concatenate([points.min(axis=1) - 8, points.max(axis=1) + 8], axis=1)
    return boxes


def extraction_like(count: int, seed: int = 0) -> list[Annotation]:
    """Annotations as PYSKL's custom_2d_skeleton.py writes them for a list of videos without labels.

    Every second annotation is dense, the others are compressed.
    """
    annotations = []
    pairs = zip(iter_ntu_like(count, seed), iter_compressed_like(count, seed), strict=True)
    for i, (dense, compressed) in enumerate(pairs):
        annotation = dict(compressed if i % 2 else dense, frame_dir=f"clip{i:03d}")
        del annotation["label"]
        annotation.pop("original_shape", None)
        annotations.append(annotation | {"num_person_raw": 1 + i % 3})
    return annotations


def write_sources(folder: Path, videos: int = 40, seed: int = 0) -> None:
    """Write sample sources with `videos` videos each into `folder`.

    ::

        babel/train_ntu_sk_120.npy  babel/train_label_120.pkl
        gym/gym_hrnet.pkl  gym/gym_gt_bboxes.pkl
        extracted/S001C001P001R001A001.pkl …        one annotation per file, as ntu_pose_extraction.py writes
        parts/part_0.pkl  parts/part_1.pkl  parts.csv     one list per process (two), labels in a table
        clips/clip000.npy  clips/clip001.npz …  clips.csv      custom arrays, labels in a table
        classes/train/clap/clip000.npy …             the same arrays in folders by split and class
        gcn/NTU60_CS.npz  gcn/stgcn/train_data.npy …     arrays of the GCN code bases, as ``write_gcn_arrays`` lists
        CTR-GCN/data/ntu/raw_data/raw_skes_data.pkl  …/denoised_data/raw_denoised_joints.pkl  …/statistics/…
    """
    clips, labels = babel_like(videos, seed)
    (folder / "babel").mkdir(parents=True, exist_ok=True)
    np.save(folder / "babel" / "train_ntu_sk_120.npy", clips)
    write_value(folder / "babel" / "train_label_120.pkl", labels)

    split = ntu_split(ntu_names(videos))
    write_dataset(folder / "gym" / "gym_hrnet.pkl", split, iter_ntu_like(videos, seed))
    write_value(folder / "gym" / "gym_gt_bboxes.pkl", boxes_like(iter_ntu_like(videos, seed)))

    for annotation in iter_ntu_like(videos, seed):
        arrays = {key: annotation[key].astype(np.float32) for key in ("keypoint", "keypoint_score")}
        write_value(folder / "extracted" / f"{annotation['frame_dir']}.pkl", annotation | arrays)

    extracted = extraction_like(videos, seed)
    for process in range(2):
        write_dataset(folder / "parts" / f"part_{process}.pkl", None, extracted[process::2])
    rows = [[a["frame_dir"], i % 3, "val" if i % 4 == 0 else "train"] for i, a in enumerate(extracted)]
    _write_csv(folder / "parts.csv", ["frame_dir", "label", "split"], rows)
    _write_arrays(folder, list(iter_ntu_like(videos, seed)))
    write_gcn_arrays(folder / "gcn", videos, seed, GCN_FRAMES)
    _write_ctrgcn(folder / "CTR-GCN" / "data" / "ntu", videos, seed)


def _write_ctrgcn(folder: Path, videos: int, seed: int) -> None:
    """Write the two pickles of CTR-GCN, and the names of their clips, where its scripts have them."""
    names = sorted(ntu_names(videos))
    entries = raw_skes_like(names, seed)
    write_value(folder / "raw_data" / "raw_skes_data.pkl", entries)
    write_value(folder / "denoised_data" / "raw_denoised_joints.pkl", denoised_like(entries))
    (folder / "statistics").mkdir(exist_ok=True)
    (folder / "statistics" / "skes_available_name.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")


def _write_arrays(folder: Path, annotations: list[Annotation]) -> None:
    """Write ``clips`` with its table, and ``classes``, with alternating .npy and .npz files."""
    rows: list[list[Any]] = []
    for i, annotation in enumerate(annotations):
        keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
        split, action = "val" if i % 4 == 0 else "train", ("clap", "jump", "wave")[i % 3]
        name = f"clip{i:03d}.{('npy', 'npz')[i % 2]}"
        for path in (folder / "clips" / name, folder / "classes" / split / action / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            if i % 2:
                np.savez_compressed(path, keypoint=keypoint, keypoint_score=score, img_shape=(1080, 1920))
            else:
                np.save(path, keypoint[0])
        rows.append([name, f"person{i % 5}_{i}", i % 3, split, 1080, 1920, f"P{i % 5:02d}"])
    header = ["path", "frame_dir", "label", "split", "height", "width", "subject"]
    _write_csv(folder / "clips.csv", header, rows)


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
