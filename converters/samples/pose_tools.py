"""Synthetic output of pose tools, with the difficulties of real files: AlphaPose, Kinetics-Skeleton, OpenPose.

Frames without a person, persons without joints, joints that were not found, ids of trackers in all their forms, scores
and fractions of the image above 1. As in `converters.samples.pickles`, the data is reproducible per seed and machine.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.samples.motion import estimates
from converters.samples.people import stage

__all__ = ["POSE_TOOLS", "SIZE", "alphapose_like", "kinetics_skeleton_like", "openpose_like", "write_pose_tools"]

SIZE = (1080, 1920)
"""Height and width of the images, in pixels."""
ACTIONS = {"clap": "clapping", "jump": "jumping up", "wave": "waving"}
"""The classes, and what persons do in them."""
CLASSES = tuple(ACTIONS)

POSE_TOOLS = ("alphapose", "kinetics-skeleton", "openpose")
"""The folders that ``write_pose_tools`` writes."""

_MISSED = 0.05
"""Fraction of the joints that are not found, and of the frames in which a person is not."""


class _Persons(NamedTuple):
    """Detections in the order of frames: frame [N] from 0, person [N], points [N, V, 3] of x, y in pixels and score."""

    frames: int
    frame: NDArray[np.intp]
    person: NDArray[np.intp]
    points: NDArray[np.float64]


def alphapose_like(index: int, seed: int = 0) -> list[dict[str, Any]]:
    """AlphaPose's results of a clip. Images count from 0 or 1; every third clip has no ids."""
    random = np.random.default_rng([seed, index, 11])
    found = _persons(random, index, "coco-17")
    results = []
    for i, (frame, person) in enumerate(zip(found.frame.tolist(), found.person.tolist(), strict=True)):
        points = found.points[i]
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        result = {
            "image_id": f"{frame + index % 2}.jpg" if index % 4 < 2 else f"out{frame + index % 2:07d}.png",
            "category_id": 1,
            "keypoints": points.ravel().tolist(),
            "score": float(3.2 * random.random()),
            "box": [*low.tolist(), *(high - low).tolist()],
        }
        forms: tuple[Any, ...] = ([float(person)], [[float(person)], [float(person)]], person)
        results.append(result if index % 3 == 2 else result | {"idx": forms[index % 3]})
    return results


def kinetics_skeleton_like(index: int, seed: int = 0) -> dict[str, Any]:
    """A clip of Kinetics-Skeleton: fractions of the image with three digits, some a little above 1; empty frames."""
    found = _persons(np.random.default_rng([seed, index, 12]), index, "openpose-18")
    data: list[dict[str, Any]] = [{"frame_index": frame + 1, "skeleton": []} for frame in range(found.frames)]
    for frame, points in zip(found.frame.tolist(), found.points, strict=True):
        fractions = np.round(points[:, :2] / (SIZE[1], SIZE[0]), 3)
        person = {"pose": fractions.ravel().tolist(), "score": np.round(points[:, 2], 3).tolist()}
        data[frame]["skeleton"].append(person)
    label = index % len(CLASSES)
    return {"data": data, "label": CLASSES[label], "label_index": label}


def openpose_like(index: int, seed: int = 0) -> list[dict[str, Any]]:
    """OpenPose's files of a clip, one per frame: every second clip has hands, every third has ids."""
    random = np.random.default_rng([seed, index, 13])
    found = _persons(random, index, "body-25")
    files: list[dict[str, Any]] = [{"version": 1.3, "people": []} for _ in range(found.frames)]
    for frame, person, points in zip(found.frame.tolist(), found.person.tolist(), found.points, strict=True):
        hand = np.round(points[4] + random.normal(0, 5, (21, 3)) * (1, 1, 0), 3).ravel().tolist() if index % 2 else []
        people = files[frame]["people"]
        people.append(
            {
                "person_id": [person if index % 3 == 2 else -1],
                "pose_keypoints_2d": np.round(points, 4).ravel().tolist(),
                "face_keypoints_2d": [],
                "hand_left_keypoints_2d": [],
                "hand_right_keypoints_2d": hand,
                "pose_keypoints_3d": [],
            }
        )
        if random.random() < _MISSED:
            people.append({"person_id": [-1], "pose_keypoints_2d": [], "face_keypoints_2d": []})
    return files


def write_pose_tools(folder: Path, videos: int = 12, seed: int = 0) -> None:
    """Write the output of each tool for `videos` clips into `folder`.

    ::

        alphapose/clip000.json …  alphapose.csv     a clip per file; labels, splits and size in a table
        kinetics-skeleton/kinetics_train/-clip000.json …  kinetics-skeleton/kinetics_train_label.json
        openpose/train/clap/clip000/clip000_000000000000_keypoints.json …     a clip per folder, by split and class
    """
    table: list[list[Any]] = [["path", "label", "split", "height", "width"]]
    labels: dict[str, dict[str, Any]] = {"train": {}, "val": {}}
    for index in range(videos):
        name, action = f"clip{index:03d}", CLASSES[index % len(CLASSES)]
        split = "val" if index % 4 == 3 else "train"
        _write_json(folder / "alphapose" / f"{name}.json", alphapose_like(index, seed))
        table.append([f"{name}.json", action, split, *SIZE])
        clip = kinetics_skeleton_like(index, seed)
        _write_json(folder / "kinetics-skeleton" / f"kinetics_{split}" / f"-{name}.json", clip)
        labels[split][f"-{name}"] = {"has_skeleton": True, **{key: clip[key] for key in ("label", "label_index")}}
        for frame, content in enumerate(openpose_like(index, seed)):
            file = f"{name}_{frame:012d}_keypoints.json"
            _write_json(folder / "openpose" / split / action / name / file, content)
    for split, of_split in labels.items():
        _write_json(folder / "kinetics-skeleton" / f"kinetics_{split}_label.json", of_split)
    with open(folder / "alphapose.csv", "w", newline="", encoding="utf-8") as file_of_table:
        csv.writer(file_of_table).writerows(table)


def _persons(random: np.random.Generator, index: int, layout: str) -> _Persons:
    """The detections in a clip, whose class follows from its position.

    There are one to three persons in 20 to 60 frames, whom the tool does not find in all of them.
    """
    frames, persons = int(random.integers(20, 60)), int(random.integers(1, 4))
    frame, person = np.repeat(np.arange(frames), persons), np.tile(np.arange(persons), frames)
    seen = random.random(frames * persons) > _MISSED
    seen[0] = True
    frame, person = frame[seen], person[seen]
    scene = stage(random, persons, frames, ACTIONS[CLASSES[index % len(CLASSES)]], SIZE, (1.8, 4))
    points, scores = estimates(random, scene, person, frame, layout)
    points = points.clip(0, 1.01 * np.array(SIZE[::-1])).astype(np.float64)
    result = np.concatenate([points, scores.astype(np.float64)[..., None]], axis=2)
    result[random.random(result.shape[:2]) < _MISSED] = 0
    return _Persons(frames, frame, person, result)


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
