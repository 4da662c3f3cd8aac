"""A slow second way from the files of MMPose, COCO, MediaPipe, YOLO pose and UAV-Human to detections."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.pose_tools import Found, load, triples


def mmpose(path: Path) -> tuple[list[Found], set[int]]:
    """The detections in a JSON file of MMPose, and its frames."""
    held = load(path)
    listed = held["instance_info"] if isinstance(held, dict) else held
    found, frames = [], set()
    for t, frame in enumerate(listed):
        number = frame["frame_id"] if isinstance(frame, dict) else t
        frames.add(number)
        for one in frame["instances"] if isinstance(frame, dict) else frame:
            joints = [[*point, score] for point, score in zip(one["keypoints"], one["keypoint_scores"], strict=True)]
            x1, y1, x2, y2 = one["bbox"][0]
            found.append(Found(number, joints, one.get("bbox_score"), None, {"box": [x1, y1, x2 - x1, y2 - y1]}))
    return found, frames


def coco(path: Path) -> dict[str, tuple[list[Found], set[int], tuple[int, int], int | None, int]]:
    """Clip -> its detections, frames, size, number of frames if it is stated, and persons without joints."""
    held = load(path)
    clips: dict[str, tuple[list[Found], set[int], tuple[int, int], int | None, int]] = {}
    place: dict[int, tuple[str, int]] = {}
    for image in held["images"]:
        if "vid_id" in image:
            clip, frame = image["vid_id"], image["frame_id"]
        else:
            clip, number = image["file_name"].removesuffix(".jpg").split("_")
            frame = int(number)
        place[image["id"]] = clip, frame
        size = image["height"], image["width"]
        clips.setdefault(clip, ([], set(), size, image.get("nframes"), 0))[1].add(frame)
    for one in held["annotations"]:
        clip, frame = place[one["image_id"]]
        joints = triples(one["keypoints"])
        if not any(map(any, joints)):
            clips[clip] = (*clips[clip][:4], clips[clip][4] + 1)
            continue
        fields = {"box": one["bbox"], "keypoint_visibility": [v for _, _, v in joints]}
        seen = [[x, y, 1 if v > 0 else 0] for x, y, v in joints]
        clips[clip][0].append(Found(frame, seen, None, one.get("track_id"), fields))
    return clips


def mediapipe(path: Path) -> tuple[list[Found], set[int]]:
    """The detections in a file of MediaPipe, and its frames."""
    held = load(path)
    frames = held["frames"] if isinstance(held, dict) else held
    found = []
    for t, frame in enumerate(frames):
        if not frame:
            continue
        joints = [frame[str(v)] for v in range(33)] if isinstance(frame, dict) else frame
        rows = [
            [joint["x"], joint["y"], joint["z"], joint["visibility"]] if isinstance(joint, dict) else joint
            for joint in joints
        ]
        fields = {"keypoint_z": [z for _, _, z, _ in rows]}
        found.append(Found(t, [[x, y, score] for x, y, _, score in rows], None, None, fields))
    return found, set(range(len(frames)))


def yolo_pose(files: list[Path], behind: tuple[str, ...]) -> list[Found]:
    """The detections of a clip of 17 joints with scores; ``behind`` are the names of the numbers behind the joints."""
    found = []
    for path in files:
        frame = int(re.findall(r"\d+", path.stem)[-1])
        for line in path.read_text().splitlines():
            numbers = [float(token) for token in line.split()]
            _, x, y, w, h = numbers[:5]
            rest = dict(zip(behind, numbers[5 + 51 :], strict=True))
            track = None if "id" not in rest else int(rest["id"])
            joints, box = triples(numbers[5 : 5 + 51]), [x - w / 2, y - h / 2, w, h]
            if any(map(any, joints)):
                found.append(Found(frame, joints, rest.get("score"), track, {"box": box}))
    return found


def uav_human(path: Path) -> tuple[list[Found], int]:
    """The detections in a file of UAV-Human whose other values are 0, and its number of frames."""
    lines = path.read_text().split("\n")
    total = int(lines.pop(0))
    bodies: list[tuple[int, str, list[list[float]]]] = []
    for frame in range(total):
        for _ in range(int(lines.pop(0))):
            body = lines.pop(0).split()[0]
            joints: list[list[float]] = []
            for _ in range(int(lines.pop(0))):
                x, y, *rest = map(float, lines.pop(0).split())
                assert not any(rest)
                joints.append([x, y, 1 if x or y else 0])
            bodies.append((frame, body, joints))
    counts = Counter((frame, body) for frame, body, _ in bodies)
    repeated = {body for (_, body), count in counts.items() if count > 1}
    numbers = {body: i for i, body in enumerate(sorted({body for _, body, _ in bodies}, key=int))}
    found: list[Any] = [
        Found(frame, joints, None, None if body in repeated else numbers[body])
        for frame, body, joints in bodies
        if any(map(any, joints))
    ]
    return found, total
