"""Synthetic output of more pose tools: MMPose, COCO's form, MediaPipe, YOLO pose, VideoPose3D and UAV-Human.

Frames without a person, joints that were not found, persons without joints, and every form that a tool writes. As in
`converters.samples.pickles`, the data is reproducible per seed and machine.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.motion import estimates
from converters.samples.people import joints_3d, on_image, stage
from converters.samples.pose_tools import ACTIONS, CLASSES

__all__ = [
    "POSE_CLIPS",
    "coco_like",
    "mediapipe_like",
    "mmpose_like",
    "uav_human_like",
    "write_pose_clips",
    "yolo_pose_like",
]

SIZE = (720, 1280)
"""Height and width of the images, in pixels."""
POSE_CLIPS = ("mmpose", "coco", "mediapipe", "yolo-pose", "videopose3d", "uav-human")
"""The folders that ``write_pose_clips`` writes."""

_JOINTS = 17
_MISSED = 0.1
"""Fraction of the frames in which a person is not found, and of the joints that are not."""


def mmpose_like(index: int, seed: int = 0) -> Any:
    """MMPose's predictions of a clip: the demo scripts', the Inferencer's, and lists of instances, in turn."""
    frames = []
    for found in _frames(index, seed, 21):
        instances = []
        for points in found:
            low, high = _corners(points)
            instance = {
                "keypoints": points[:, :2].tolist(),
                "keypoint_scores": points[:, 2].tolist(),
                "bbox": [[*low, *high]],
                "bbox_score": float(points[0, 2]),
            }
            if index % 2:  # a bottom-up model
                del instance["bbox_score"]
            instances.append(instance)
        frames.append(instances)
    if index % 3 == 0:
        names = {str(v): f"joint {v}" for v in range(_JOINTS)}
        meta = {"dataset_name": "coco", "num_keypoints": _JOINTS, "keypoint_id2name": names, "sigmas": [0.1] * _JOINTS}
        return {"meta_info": meta, "instance_info": [{"frame_id": t + 1, "instances": i} for t, i in enumerate(frames)]}
    return frames if index % 3 == 2 else [{"frame_id": t, "instances": i} for t, i in enumerate(frames)]


def coco_like(clips: int, seed: int = 0, *, annotated: bool = True) -> Any:
    """One file of COCO's form for all clips, which are mixed: a data set if ``annotated``, else results.

    The images of even clips have ``vid_id`` and ``frame_id``, and persons ``track_id``; the others only names.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for index in range(clips):
        for t, found in enumerate(_frames(index, seed, 22)):
            image: dict[str, Any] = {"id": 1000 * t + index, "file_name": f"{index}_{t + 1}.jpg"}
            image |= {"height": SIZE[0] - index, "width": SIZE[1]}
            if index % 2 == 0:
                image |= {"vid_id": f"{index:06d}", "frame_id": t, "nframes": 100}
            images.append(image)
            for person, points in enumerate(found):
                low, high = _corners(points)
                visible = np.where(points[:, 2] == 0, 0, 1 + (points[:, 2] > 0.5)).astype(int).tolist()
                joints = [
                    value
                    for (x, y), v in zip(np.round(points[:, :2]).astype(int).tolist(), visible, strict=True)
                    for value in (x, y, v)
                ]
                box = [*low, high[0] - low[0], high[1] - low[1]]
                annotation = {"id": len(annotations), "image_id": image["id"], "category_id": 1, "keypoints": joints}
                annotation |= {"num_keypoints": sum(v > 0 for v in visible), "iscrowd": 0, "bbox": box}
                annotations.append(annotation | ({} if index % 2 else {"track_id": person}))
                score = float(points[:, 2].max())
                results.append({"image_id": t, "category_id": 1, "keypoints": points.ravel().tolist(), "score": score})
    if not annotated:
        return results
    order = np.random.default_rng([seed, 23]).permutation(len(annotations)).tolist()
    categories = [{"id": 1, "name": "person", "keypoints": [f"joint {v}" for v in range(_JOINTS)], "skeleton": []}]
    crowd = {"id": -1, "image_id": images[0]["id"], "keypoints": [0] * 3 * _JOINTS, "iscrowd": 1, "segmentation": {}}
    mixed = [*(annotations[i] for i in order), crowd]
    return {"info": {"year": 2020}, "images": images, "annotations": mixed, "categories": categories}


def mediapipe_like(index: int, seed: int = 0) -> Any:
    """MediaPipe's landmarks of a clip: lists, objects by number, lists of numbers, in turn; some frames are empty."""
    random = np.random.default_rng([seed, index, 24])
    frames: list[Any] = []
    count = int(random.integers(8, 20))
    scene = stage(random, 1, count, ACTIONS[CLASSES[index % len(CLASSES)]], SIZE)
    still = np.zeros(count, np.intp)
    space = joints_3d(scene, still, np.arange(count), "mediapipe-33")
    places = on_image(scene.camera, space) / np.array(SIZE[::-1], np.float32)
    depths = space[..., 2] - space[:, 23:25, 2].mean(axis=1, keepdims=True)
    for t in range(count):
        if random.random() < 2 * _MISSED:
            frames.append((None, [], {})[t % 3])
            continue
        x, y = np.round(places[t].astype(np.float64) + random.normal(0, 0.002, (33, 2)), 6).T.tolist()
        z, visibility = depths[t].astype(np.float64).tolist(), random.random(33).tolist()
        if index % 3 == 2:
            frames.append([list(joint) for joint in zip(x, y, z, visibility, strict=True)])
            continue
        joints = [
            dict(zip(("x", "y", "z", "visibility"), joint, strict=True))
            for joint in zip(x, y, z, visibility, strict=True)
        ]
        frames.append(joints if index % 3 == 0 else {str(v): joint for v, joint in enumerate(joints)})
    return {"fps": 30, "frames": frames} if index % 4 == 3 else frames


def yolo_pose_like(index: int, seed: int = 0) -> dict[int, str]:
    """The lines of each frame of a clip, by its number from 1: without and with a score of the box and an id."""
    texts = {}
    for t, found in enumerate(_frames(index, seed, 25)):
        lines = []
        for person, points in enumerate(found):
            fractions = points / (SIZE[1], SIZE[0], 1)
            low, high = fractions[:, :2].min(axis=0), fractions[:, :2].max(axis=0)
            numbers = [0, *((low + high) / 2).tolist(), *(high - low).tolist(), *fractions.ravel().tolist()]
            numbers += [float(points[0, 2])] if index % 2 else []
            numbers += [person + 1] if index % 4 > 1 else []
            lines.append(" ".join(f"{number:g}" for number in numbers))
        if lines:
            texts[t + 1] = "\n".join(lines) + "\n"
    return texts


def uav_human_like(index: int, seed: int = 0) -> str:
    """The text of a file of UAV-Human: joints in pixels, all other values 0; ids are not unique in every third file."""
    frames = _frames(index, seed, 26)
    lines = [str(len(frames))]
    for found in frames:
        lines.append(str(len(found)))
        for person, points in enumerate(found):
            body = 0 if index % 3 == 0 else person
            lines += [f"{body:03d} 0 0 0 0 0 0 0 0 0", str(_JOINTS)]
            lines += [f"{x:.6g} {y:.6g} 0 0 0 0 0 0 0 0 0 0" for x, y, _ in points.tolist()]
    return "\n".join(lines) + "\n"


def write_pose_clips(folder: Path, videos: int = 12, seed: int = 0) -> None:
    """Write the output of each tool for `videos` clips into `folder`.

    ::

        mmpose/clap/clip000.json …                        a clip per file, by class
        coco/person_keypoints_default.json                all clips in a file
        mediapipe/clip000.json …  mediapipe.csv           a clip per file; labels and size in a table
        yolo-pose/labels/clip000_1.txt …                  a file per frame, all clips in a folder
        videopose3d/data_2d_custom_clips.npz              all clips in a file
        uav-human/P000S00G10B10H10UC022000LC021000A000R0_08241716.txt …
    """
    table: list[list[Any]] = [["path", "label", "split", "height", "width"]]
    positions = {}
    for index in range(videos):
        name, action = f"clip{index:03d}", CLASSES[index % len(CLASSES)]
        _write(folder / "mmpose" / action / f"{name}.json", json.dumps(mmpose_like(index, seed)))
        _write(folder / "mediapipe" / f"{name}.json", json.dumps(mediapipe_like(index, seed)))
        table.append([f"{name}.json", action, "val" if index % 4 == 3 else "train", *SIZE])
        for frame, text in yolo_pose_like(index, seed).items():
            _write(folder / "yolo-pose" / "labels" / f"{name}_{frame}.txt", text)
        sample = (
            f"P{index % 119:03d}S00G10B10H10UC022000LC021000A{index % 155:03d}R0_0824{index // 60:02d}{index % 60:02d}"
        )
        _write(folder / "uav-human" / f"{sample}.txt", uav_human_like(index, seed))
        points = [found[0] if found else np.zeros((_JOINTS, 3)) for found in _frames(index, seed, 27)]
        positions[f"{name}.mp4"] = {"custom": [np.stack(points)[..., :2].astype(np.float32)]}
    _write(folder / "coco" / "person_keypoints_default.json", json.dumps(coco_like(videos, seed)))
    with open(folder / "mediapipe.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
    metadata = {
        "layout_name": "coco",
        "num_joints": _JOINTS,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
        "video_metadata": {video: {"w": SIZE[1], "h": SIZE[0]} for video in positions},
    }
    (folder / "videopose3d").mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"positions_2d": positions, "metadata": metadata}
    np.savez_compressed(folder / "videopose3d" / "data_2d_custom_clips.npz", **arrays)


def _frames(index: int, seed: int, stream: int) -> list[list[NDArray[np.float64]]]:
    """The persons of each frame [17, 3]: x, y in pixels and score, one or two of them, who are not always found."""
    random = np.random.default_rng([seed, index, stream])
    count, persons = int(random.integers(6, 16)), int(random.integers(1, 3))
    frame, person = np.repeat(np.arange(count), persons), np.tile(np.arange(persons), count)
    scene = stage(random, persons, count, ACTIONS[CLASSES[index % len(CLASSES)]], SIZE)
    pixels, scores = estimates(random, scene, person, frame)
    points = pixels.astype(np.float64).clip(1, np.array(SIZE[::-1]) - 1)
    joints = np.concatenate([points, scores.astype(np.float64).clip(0.02, 1)[..., None]], axis=2)
    joints[random.random(joints.shape[:2]) < _MISSED] = 0
    found: list[list[NDArray[np.float64]]] = [[] for _ in range(count)]
    for i in np.flatnonzero(random.random(len(frame)) > _MISSED).tolist():
        found[frame[i]].append(joints[i])
    return found


def _corners(points: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """The upper left and the lower right corner of a person's joints."""
    seen = points[points[:, 2] > 0, :2] if points[:, 2].any() else points[:, :2]
    low: list[float] = seen.min(axis=0).tolist()
    high: list[float] = seen.max(axis=0).tolist()
    return low, high


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
