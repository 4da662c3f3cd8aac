"""Generated detections of persons who walk about, with the truth about who is who."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 320, 568
"""Size of the image, as in Kinetics-400."""
COCO_STANCE = np.array(
    [
        *((0, -0.86), (0.06, -0.9), (-0.06, -0.9), (0.13, -0.87), (-0.13, -0.87)),
        *((0.42, -0.62), (-0.42, -0.62), (0.55, -0.28), (-0.55, -0.28), (0.6, 0.02), (-0.6, 0.02)),
        *((0.26, 0), (-0.26, 0), (0.28, 0.46), (-0.28, 0.46), (0.3, 0.92), (-0.3, 0.92)),
    ],
    np.float32,
)
"""x and y of the 17 joints of COCO of a standing person who faces the camera, in half sizes of a body: [17, 2]."""
COCO_FREEDOM = np.array([0.02] * 5 + [0.05] * 2 + [0.15] * 2 + [0.3] * 2 + [0.05] * 2 + [0.15] * 2 + [0.2] * 2)
"""How far each of these joints moves, in half sizes of a body: the face hardly, the wrists most."""


class Walk(NamedTuple):
    """One person: where the middle of the body is in each frame [T, 2], in pixels, and whether it is seen [T]."""

    middle: NDArray[np.float64]
    size: float
    seen: NDArray[np.bool_]
    score: float


class Scene(NamedTuple):
    """A compressed annotation, and the number of the person in each detection [N]; -1 is a second box on a person."""

    annotation: dict[str, Any]
    truth: NDArray[np.int64]


def path(random: np.random.Generator, start: float, stop: float, frames: int, line: float) -> NDArray[np.float64]:
    """A walk along x from start to stop, around the line y, with some sway."""
    t = np.arange(frames)
    x = np.linspace(start, stop, frames) + 3 * np.sin(t / random.uniform(5, 9) + random.uniform(0, 6))
    y = line + 2 * np.sin(t / random.uniform(4, 8) + random.uniform(0, 6))
    return np.stack([x, y], axis=1)


def crossing(random: np.random.Generator, frames: int = 120, persons: int = 2) -> Scene:
    """Persons who walk past each other. Who is behind another is mostly not found meanwhile."""
    walks = []
    for number in range(persons):
        ends = sorted((random.uniform(30, 180), random.uniform(380, 540)), reverse=bool(number % 2))
        line = HEIGHT / 2 + random.uniform(-15, 15)
        size = random.uniform(60, 90)
        walks.append(Walk(path(random, *ends, frames, line), size, np.ones(frames, np.bool_), 0.9))
    behind = np.argsort([walk.size for walk in walks])
    for at, number in enumerate(behind):
        walk = walks[number]
        for other in behind[at + 1 :]:
            near = np.abs(walk.middle[:, 0] - walks[other].middle[:, 0]) < 0.25 * (walk.size + walks[other].size) / 2
            walk.seen[near & (random.random(frames) < 0.8)] = False
    return detect(random, walks)


def gaps(random: np.random.Generator, frames: int = 120, longest: int = 12) -> Scene:
    """Two persons who each stay on their side, and are not found in some runs of frames."""
    walks = []
    for side in (0, 300):
        ends = random.uniform(side + 60, side + 200, 2)
        seen = np.ones(frames, np.bool_)
        for _ in range(4):
            first = int(random.integers(frames))
            seen[first : first + int(random.integers(1, longest + 1))] = False
        seen[[0, -1]] = True
        walks.append(Walk(path(random, *ends, frames, HEIGHT / 2), random.uniform(60, 90), seen, 0.9))
    return detect(random, walks)


def passers_by(random: np.random.Generator, frames: int = 120, count: int = 4) -> Scene:
    """Two persons who stay, and others who walk through the image behind them."""
    walks = []
    for side in (0, 284):
        ends = random.uniform(side + 60, side + 220, 2)
        walks.append(Walk(path(random, *ends, frames, HEIGHT / 2), 85, np.ones(frames, np.bool_), 0.95))
    for _ in range(count):
        first, length = int(random.integers(frames - 40)), int(random.integers(25, 40))
        seen = np.zeros(frames, np.bool_)
        seen[first : first + length] = random.random(length) < 0.9
        middle = np.zeros((frames, 2))
        ends = (0, WIDTH) if random.random() < 0.5 else (WIDTH, 0)
        middle[first : first + length] = path(random, *ends, length, HEIGHT / 2 - 20)
        walks.append(Walk(middle, random.uniform(35, 55), seen, 0.7))
    return detect(random, walks)


def duplicates(random: np.random.Generator, frames: int = 120, share: float = 0.6) -> Scene:
    """Two persons, of whom one often has a second box."""
    return detect(random, _walks_apart(random, frames), second=share)


def leaving(random: np.random.Generator, frames: int = 120) -> Scene:
    """A person leaves the image on the right; another comes from the left after it. A third one stays."""
    middle = frames // 2
    seen = np.arange(frames) < middle
    out = path(random, 400, 700, frames, HEIGHT / 2)
    into = path(random, -120, 250, frames, HEIGHT / 2)
    stays = path(random, 250, 300, frames, HEIGHT / 2 + 10)
    walks = [
        Walk(out, 80, seen, 0.9),
        Walk(into, 75, ~seen, 0.9),
        Walk(stays, 85, np.ones(frames, np.bool_), 0.95),
    ]
    return detect(random, walks)


SCENES = {"crossing": crossing, "gaps": gaps, "passers-by": passers_by, "duplicates": duplicates, "leaving": leaving}


def _walks_apart(random: np.random.Generator, frames: int) -> list[Walk]:
    ends = [random.uniform(side + 60, side + 200, 2) for side in (0, 300)]
    seen = np.ones(frames, np.bool_)
    return [Walk(path(random, *two, frames, HEIGHT / 2), random.uniform(60, 90), seen, 0.9) for two in ends]


def detect(random: np.random.Generator, walks: list[Walk], second: float = 0.0) -> Scene:
    """What a pose estimator finds of the persons, in random order within a frame; float32 [N, 17, 3].

    ``second`` is the share of the frames in which the first person is found twice.
    """
    points, frames, truth, boxes = [], [], [], []
    stride = [random.uniform(3, 6) for _ in walks]
    phases = random.uniform(0, 6, (len(walks), 17, 2))
    for frame in range(len(walks[0].middle)):
        here = [(n, n) for n, walk in enumerate(walks) if walk.seen[frame]]
        if (0, 0) in here and random.random() < second:
            here.append((0, -1))
        for at in random.permutation(len(here)).tolist():
            n, name = here[at]
            walk = walks[n]
            swing = COCO_FREEDOM[:, None] * np.sin(frame / stride[n] + phases[n])
            body = COCO_STANCE + swing + random.normal(0, 0.02, (17, 2))
            joints = np.empty((17, 3))
            joints[:, :2] = walk.middle[frame] + walk.size * body
            joints[:, 2] = np.clip(random.normal(walk.score, 0.08, 17), 0.05, 1)
            points.append(joints)
            frames.append(frame)
            truth.append(name)
            boxes.append(np.clip(random.normal(walk.score, 0.05), 0.05, 1))
    annotation = {
        "frame_dir": "scene",
        "label": 0,
        "img_shape": (HEIGHT, WIDTH),
        "original_shape": (HEIGHT, WIDTH),
        "total_frames": len(walks[0].middle),
        "keypoint": np.array(points, np.float32),
        "frame_inds": np.array(frames, np.int32),
        "box_score": np.array(boxes, np.float32),
    }
    return Scene(annotation, np.array(truth, np.int64))


def rows_of_truth(scene: Scene, keypoint: NDArray[Any]) -> NDArray[np.int64]:
    """The person in each row and frame of a dense keypoint [M, T, V, 2], -2 where there is none: int64 [M, T]."""
    dtype = keypoint.dtype
    compressed = scene.annotation["keypoint"][..., :2].astype(dtype)
    known = {
        (int(frame), points.tobytes()): int(person)
        for frame, points, person in zip(scene.annotation["frame_inds"], compressed, scene.truth, strict=True)
    }
    rows, length = keypoint.shape[:2]
    found = [[known.get((t, keypoint[m, t].tobytes()), -2) for t in range(length)] for m in range(rows)]
    return np.array(found, np.int64).reshape(rows, length)


def identity_switches(rows: NDArray[np.int64]) -> int:
    """How often a row [M, T] goes on with another person; second boxes (-1) are passed over, absence (-2) as well."""
    return sum(int((np.diff(row[row >= 0]) != 0).sum()) for row in rows)
