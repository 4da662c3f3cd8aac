"""Synthetic motion of skeletons and synthetic detections, used by `converters.samples.pickles`.

Skeletons of a depth camera are smooth trajectories with noise (`rows`). Those of HRNet (`estimates`) are quantised as
HRNet quantises them, which decides how well they compress: a test compares them with real ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quantiles", "box_scores", "dense", "detections", "draw", "estimates", "joint_scores", "rows", "skeletons"]

Quantiles = tuple[tuple[float, ...], tuple[float, ...]]
"""Probabilities and the values at them, both ascending."""

DETECTIONS = (
    (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1),
    (9, 82, 108, 155, 260, 405, 836, 1893, 3585, 3703),
)
"""Quantiles of the number of skeletons in a Kinetics-400 video: 469 on average."""

SEEN = ((0, 0.05, 0.1, 0.25, 0.5, 1), (0.05, 0.48, 0.66, 0.92, 1, 1))
"""Quantiles of the fraction of sampled frames in which a person was detected."""

BOX_SCORES = (
    (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1),
    (0.5, 0.552, 0.608, 0.784, 0.955, 0.993, 0.998, 0.999, 0.9995, 1),
)
"""Quantiles of the detector's scores."""

MAX_PERSONS = 25

REACH = 2.6
"""Maximum distance of an estimated joint from the place of its person, in half sizes of a body."""

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

HEATMAP = np.array([48, 64], np.float32)
"""Columns and rows of the heatmap that HRNet estimates for each joint."""

BOX_PADDING = 1.25
"""Side of the box that HRNet sees, against that of the detected box."""

BOX_JITTER = 0.01
"""Standard deviation of the sides of a detected box, against its size."""

CELL_NOISE = 0.8
"""Standard deviation of an estimate, in cells of the heatmap."""

LOST = 0.06
"""Fraction of the persons of dense data who are not detected in some frames, which hold zeros."""

LOST_FRAMES = 5
"""Maximum number of frames in which such a person is lost."""


def draw(rank: float, quantiles: Quantiles) -> float:
    """The value at a rank from 0 to 1 in the distribution with these quantiles, interpolated linearly."""
    return float(np.interp(rank, *quantiles))


def detections(random: np.random.Generator, total_frames: int) -> tuple[NDArray[np.int16], NDArray[np.intp]]:
    """The frame (1-based, usually every second one, ascending) and person (from 0 per frame) of a video's N rows."""
    rank = random.random()
    count = int(draw(rank, DETECTIONS))
    sampled = np.arange(1, total_frames + 1, 2 if random.random() < 0.98 else 10, dtype=np.int16)
    # Few detections usually come from few frames. Every seen frame has a row, and on average at most MAX_PERSONS.
    seen = round(len(sampled) * draw(abs(rank + random.normal(0, 0.05)), SEEN))
    seen = min(max(seen, -(-count // MAX_PERSONS), 1), len(sampled), count)
    frames = np.sort(random.choice(sampled, seen, replace=False))
    persons = 1 + np.bincount(random.integers(seen, size=count - seen), minlength=seen)
    first = np.repeat(np.cumsum(persons) - persons, persons)
    return np.repeat(frames, persons), np.arange(count) - first


def box_scores(random: np.random.Generator, frame: NDArray[np.int16]) -> NDArray[np.float16]:
    """The detector's score of each row, descending within a frame: float16 [N]."""
    scores = np.interp(random.random(len(frame)), *BOX_SCORES)
    return scores[np.lexsort((-scores, frame))].astype(np.float16)


def skeletons(
    random: np.random.Generator,
    persons: int,
    frames: int,
    joints: int,
    centre: tuple[float, ...],
    body: tuple[float, ...],
    noise: float,
) -> NDArray[np.float16]:
    """`rows` of persons who are visible in every frame, person-major: float16 [persons * frames, joints, C]."""
    person, frame = np.repeat(np.arange(persons), frames), np.tile(np.arange(frames), persons)
    return rows(random, person, frame, joints, centre, body, noise).astype(np.float16)


def rows(
    random: np.random.Generator,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    joints: int,
    centre: tuple[float, ...],
    body: tuple[float, ...],
    noise: float,
) -> NDArray[np.float32]:
    """Coordinates of person [N] in frame [N]: float32 [N, joints, C], where C is the length of `centre` and `body`.

    `body` is half the size of a body and `noise` the standard deviation of a joint, in the unit of the coordinates.
    """
    people = int(person.max()) + 1
    size = np.tile(np.asarray(body, np.float32), (people, 1))
    place = random.normal(centre, 1.5 * size).astype(np.float32)
    stance = random.uniform(-1, 1, (people, joints, len(body))).astype(np.float32)
    swing = random.normal(0, 0.15, (people, joints, len(body))).astype(np.float32)
    points = _moving(random, person, frame, place, size, stance, swing)
    points += np.float32(noise) * random.standard_normal(points.shape, np.float32)
    return points


def dense(
    random: np.random.Generator, persons: int, frames: int, centre: tuple[float, float], body: tuple[float, float]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """`estimates` and `joint_scores` of persons in every frame: float16 [M, T, 17, 2] and [M, T, 17].

    A person who is lost in a frame has zeros there.
    """
    person, frame = np.repeat(np.arange(persons), frames), np.tile(np.arange(frames), persons)
    keypoint = estimates(random, person, frame, centre, body).astype(np.float16).reshape(persons, frames, 17, 2)
    score = joint_scores(random, person, frame).reshape(persons, frames, 17)
    for one in np.flatnonzero(random.random(persons) < LOST):
        start = random.integers(frames)
        lost = slice(start, start + random.integers(1, LOST_FRAMES + 1))
        keypoint[one, lost] = 0
        score[one, lost] = 0
    return keypoint, score


def estimates(
    random: np.random.Generator,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    centre: tuple[float, float],
    body: tuple[float, float],
    scales: tuple[float, float] = (1, 1),
) -> NDArray[np.float32]:
    """Pixels of the joints of person [N] in frame [N], as HRNet estimates them: float32 [N, 17, 2].

    `body` is half the size of the largest body, in pixels, and a person is between the two `scales` as large. The whole
    body stays in an image with its origin at 0 and its middle at `centre`, apart from the error of the estimate.
    """
    people = int(person.max()) + 1
    size = np.asarray(body, np.float32) * random.uniform(*scales, (people, 1)).astype(np.float32)
    margin = np.minimum(REACH * size, centre)
    place = random.normal(centre, 1.5 * size).clip(margin, 2 * np.asarray(centre) - margin).astype(np.float32)
    freedom = COCO_FREEDOM.astype(np.float32)[:, None]
    stance, swing = freedom * random.standard_normal((2, people, *COCO_STANCE.shape), np.float32).clip(-1.5, 1.5)
    return _quantised(random, _moving(random, person, frame, place, size, COCO_STANCE + stance, swing))


def _moving(
    random: np.random.Generator,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    place: NDArray[np.float32],
    size: NDArray[np.float32],
    stance: NDArray[np.float32],
    swing: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Positions of person [N] in frame [N] without error: float32 [N, joints, C].

    A person wanders around a place [people, C] and swings the joints, both in slow waves. `stance` and `swing` [people,
    joints, C] are in units of the half `size` [people, C] of the body.
    """
    people, joints = len(stance), len(stance[0])
    # Waves per second at 30 frames per second: slower for the whole body than for its joints.
    wander, pace = random.uniform(0.05, 0.2, people), random.uniform(0.2, 0.8, (people, joints))
    time = frame / 30 * (2 * np.pi)
    course = np.sin((time * wander[person])[:, None]).astype(np.float32) * size[person]
    phase = random.uniform(0, 2 * np.pi, (people, joints))
    wave = np.sin((time[:, None] * pace[person] + phase[person]).astype(np.float32))
    points: NDArray[np.float32] = (place[:, None] + stance * size[:, None])[person]
    points += course[:, None]
    points += (swing * size[:, None])[person] * wave[..., None]
    return points


def _quantised(random: np.random.Generator, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions [N, joints, 2] as HRNet finds them: the largest cell of a heatmap over the person's box.

    The box is that of the detector, which jitters, padded and extended to the shape of the heatmap. The estimate is the
    middle of a cell, moved by a quarter of a cell towards the larger neighbour.
    """
    low, high = points.min(axis=1), points.max(axis=1)
    jitter = BOX_JITTER * (high - low).max(axis=-1, keepdims=True)
    low += jitter * random.standard_normal(low.shape, np.float32)
    high += jitter * random.standard_normal(high.shape, np.float32)
    cell: NDArray[np.float32] = BOX_PADDING * np.max((high - low) / HEATMAP, axis=-1)[:, None, None]
    origin = ((low + high) / 2)[:, None] - cell * HEATMAP / 2
    found = (points - origin) / cell + np.float32(CELL_NOISE) * random.standard_normal(points.shape, np.float32)
    largest = np.round(found)
    quantised: NDArray[np.float32] = origin + cell * (largest + np.where(found < largest, -0.25, 0.25))
    return quantised


def joint_scores(
    random: np.random.Generator, person: NDArray[np.integer[Any]], frame: NDArray[np.integer[Any]]
) -> NDArray[np.float16]:
    """HRNet's scores of the 17 joints of person [N] in frame [N]: float16 [N, 17].

    Mostly near 0.9, some low, a few above 1; a joint that is hard to see stays so, and its score changes slowly.
    """
    people, joints = int(person.max()) + 1, len(COCO_STANCE)
    hidden = 0.15 * random.standard_exponential((people, joints), np.float32)
    pace, phase = random.uniform(0.2, 1.2, (people, joints)), random.uniform(0, 2 * np.pi, (people, joints))
    wave = np.sin((frame[:, None] / 30 * (2 * np.pi) * pace[person] + phase[person]).astype(np.float32))
    noise = 0.024 * (random.standard_exponential(wave.shape, np.float32) - 1)
    score: NDArray[np.float32] = 0.97 - hidden[person] * (1 + 0.3 * wave) - noise
    return score.clip(0.02, 1.02).astype(np.float16)
