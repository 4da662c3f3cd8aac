"""A slow second way from the detections of a clip to its annotation, and from files of tools to detections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

Annotation = dict[str, Any]


class Found(NamedTuple):
    """A detection: frame as in the file, rows [x, y, score] of the joints, and what else there is."""

    frame: int
    joints: list[list[float]]
    score: float | None = None
    track: int | None = None
    fields: Mapping[str, list[float] | None] = MappingProxyType({})


def triples(values: list[float]) -> list[list[float]]:
    return [values[i : i + 3] for i in range(0, len(values), 3)]


def annotation_of(
    found: list[Found],
    *,
    frames: set[int] = frozenset(),  # type: ignore[assignment]
    total_frames: int | None = None,
    size: tuple[int, int] | None = None,
    dtype: str = "float32",
    scaled: bool = False,
    joints: int | None = None,
    first: int | None = None,
) -> Annotation:
    """The keys that a clip has in addition to its name, labels and notes, one value after the other."""
    rows = sorted(range(len(found)), key=lambda i: found[i].frame)
    numbers = [*(one.frame for one in found), *frames]
    if first is None:
        first = 1 if numbers and min(numbers) == 1 else 0
    height, width = size if size is not None and scaled else (1, 1)

    def in_pixels(points: list[list[float]]) -> list[list[float]]:
        return [[x * width, y * height, score] for x, y, score in points]

    made: Annotation = {}
    if size is not None:
        made |= {"img_shape": size, "original_shape": size}
    made["total_frames"] = max([0, *(number - first + 1 for number in numbers), total_frames or 0])
    known = joints if joints is not None else len(found[0].joints)
    keypoint = np.zeros((len(found), known, 3), dtype)
    for i, row in enumerate(rows):
        keypoint[i] = in_pixels(found[row].joints)
    made["keypoint"] = keypoint
    made["frame_inds"] = np.array([found[row].frame - first for row in rows], np.int32)
    means = [float(np.mean(np.array([joint[2] for joint in one.joints]))) for one in found]
    scores = [mean if one.score is None else one.score for one, mean in zip(found, means, strict=True)]
    made["box_score"] = np.array([scores[row] for row in rows], np.float32)
    if any(one.track is not None for one in found):
        made["track"] = np.array([-1 if (t := found[row].track) is None else t for row in rows], np.int32)
    for name in sorted({name for one in found for name, values in one.fields.items() if values}):
        some = next(values for one in found if (values := one.fields.get(name)))
        if name.endswith("box"):
            scale = [width, height, width, height]
            shape: tuple[int, ...] = (4,)
        elif name.endswith("3d"):
            scale, shape = [1] * len(some), (len(some) // 4, 4)
        elif name.endswith("keypoint"):
            scale, shape = [width, height, 1] * (len(some) // 3), (len(some) // 3, 3)
        else:
            scale, shape = [1] * len(some), (len(some),)
        made[name] = np.array(
            [
                [s * v for s, v in zip(scale, found[row].fields.get(name) or [0] * len(some), strict=True)]
                for row in rows
            ]
        ).reshape(-1, *shape)
        made[name] = made[name].astype(dtype)
    made["first_frame"] = first
    return made


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def alphapose(path: Path) -> list[Found]:
    """The detections in a file of AlphaPose, or of PoseFlow."""
    held = load(path)
    if isinstance(held, dict):
        held = [{**one, "image_id": image} for image, ones in held.items() for one in ones]
    found = []
    for one in held:
        track = one.get("idx")
        while isinstance(track, list):
            track = track[0] if track else None
        digits = "".join(c if c.isdigit() else " " for c in one["image_id"].rpartition(".")[0]).split()
        found.append(
            Found(
                int(digits[-1]),
                triples(one["keypoints"]),
                one.get("score"),
                None if track is None else int(track),
                {"box": one.get("box")},
            )
        )
    return found


def kinetics_skeleton(path: Path) -> tuple[list[Found], dict[str, Any]]:
    """The detections in a clip of Kinetics-Skeleton, and the whole content."""
    held = load(path)
    found = [
        Found(
            frame["frame_index"],
            [
                [person["pose"][2 * v], person["pose"][2 * v + 1], person["score"][v]]
                for v in range(len(person["score"]))
            ],
        )
        for frame in held["data"]
        for person in frame["skeleton"]
    ]
    return found, held


def openpose(folder: Path) -> tuple[list[Found], set[int], int]:
    """The detections in a folder of frames of OpenPose, its frames, and the number of persons without joints."""
    found, frames, empty = [], set(), 0
    for path in folder.iterdir():
        number = int("".join(c if c.isdigit() else " " for c in path.stem.removesuffix("_keypoints")).split()[-1])
        frames.add(number)
        people = load(path)["people"]
        ids = [person.get("person_id", [-1])[0] for person in people]
        for person, track in zip(people, ids, strict=True):
            pose = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
            if not pose:
                empty += 1
                continue
            fields = {
                f"{part}_keypoint": person.get(f"{part}_keypoints_2d", person.get(f"{part}_keypoints"))
                for part in ("face", "hand_left", "hand_right")
            }
            fields["keypoint_3d"] = person.get("pose_keypoints_3d")
            is_id = track != -1 and ids.count(track) == 1
            found.append(Found(number, triples(pose), None, track if is_id else None, fields))
    return found, frames, empty
