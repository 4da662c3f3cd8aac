"""What is measured of synthetic persons, used by `converters.samples.pickles`: joints, scores, detections.

Persons and their motion are those of `converters.samples.people`. Skeletons of a depth camera are noisy (`rows`). Those
of HRNet (`estimates`) are quantised as HRNet quantises them, which decides how well they compress: a test compares them
with real ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.people import Scene, joints_3d, on_image
from converters.samples.sight import difficulty

__all__ = ["Quantiles", "box_scores", "dense", "detections", "draw", "estimates", "rows", "skeletons"]

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

HEATMAP = np.array([48, 64], np.float32)
"""Columns and rows of the heatmap that HRNet estimates for each joint."""

BOX_PADDING = 1.25
"""Side of the box that HRNet sees, against that of the detected box."""

BOX_JITTER = 0.01
"""Standard deviation of the sides of a detected box, against its size."""

CELL_NOISE = 0.82
"""Standard deviation of an estimate of a joint that is easy to see, in cells of the heatmap."""

FINE = 8
"""How much finer the bins of RTMPose are than the cells of HRNet's heatmap: half pixels of an input of 192 x 256."""

FINE_NOISE = 0.25
"""As `CELL_NOISE`, for RTMPose."""

DEPTH_NOISE = 0.004
"""Standard deviation of a coordinate that a depth camera measures, in metres."""

EVER_HIDDEN = np.float32(0.065)
"""What the score of a joint loses on average that is hard to find, beside what can be seen in the scene."""

BEYOND = np.float32(0.02)
"""How far beyond the image a joint may be found, against the size of the image."""

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


def rows(
    random: np.random.Generator,
    scene: Scene,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    layout: str = "ntu-25",
) -> NDArray[np.float32]:
    """Joints of person [N] in frame [N] as a depth camera measures them, in metres: float32 [N, V, 3]."""
    points = joints_3d(scene, person, frame, layout)
    points += np.float32(DEPTH_NOISE) * random.standard_normal(points.shape, np.float32)
    return points


def skeletons(random: np.random.Generator, scene: Scene, frames: int) -> NDArray[np.float16]:
    """`rows` of persons who are visible in every frame: float16 [M, T, 25, 3]."""
    persons = len(scene.cast.stature)
    person, frame = np.repeat(np.arange(persons), frames), np.tile(np.arange(frames), persons)
    return rows(random, scene, person, frame).astype(np.float16).reshape(persons, frames, -1, 3)


def dense(
    random: np.random.Generator, scene: Scene, frames: int, *, fine: bool = False
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """`estimates` of persons in every frame, and their scores: float16 [M, T, 17, 2] and [M, T, 17].

    A person who is lost in a frame has zeros there.
    """
    persons = len(scene.cast.stature)
    person, frame = np.repeat(np.arange(persons), frames), np.tile(np.arange(frames), persons)
    points, scores = estimates(random, scene, person, frame, fine=fine)
    keypoint = points.astype(np.float16).reshape(persons, frames, -1, 2)
    score = scores.reshape(persons, frames, -1)
    for one in np.flatnonzero(random.random(persons) < LOST):
        start = random.integers(frames)
        lost = slice(start, start + random.integers(1, LOST_FRAMES + 1))
        keypoint[one, lost] = 0
        score[one, lost] = 0
    return keypoint, score


def estimates(
    random: np.random.Generator,
    scene: Scene,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    layout: str = "coco-17",
    *,
    fine: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Joints of person [N] in frame [N] as HRNet estimates them: pixels float32 [N, V, 2], scores float16 [N, V].

    What is hard to see has a low score, and is estimated worse. If ``fine``, estimates are those of RTMPose, which are
    less noisy and hardly quantised.
    """
    points = joints_3d(scene, person, frame, layout)
    pixels = np.ascontiguousarray(on_image(scene.camera, points))
    size = np.array(scene.camera.shape[::-1], np.float32)
    hard = np.ascontiguousarray(difficulty(scene.camera, points, pixels, person, frame, layout))
    pixels.clip(-BEYOND * size, (1 + BEYOND) * size, out=pixels)
    return _quantised(random, pixels, hard, fine=fine), _scores(random, person, frame, hard)


def _quantised(
    random: np.random.Generator, points: NDArray[np.float32], hard: NDArray[np.float32], *, fine: bool
) -> NDArray[np.float32]:
    """Positions [N, V, 2] as HRNet finds them: the largest cell of a heatmap over the person's box.

    The box is that of the detector, which jitters, padded and extended to the shape of the heatmap. The estimate is the
    middle of a cell, moved by a quarter of a cell towards the larger neighbour.
    """
    low, high = points.min(axis=1), points.max(axis=1)
    jitter = BOX_JITTER * (high - low).max(axis=-1, keepdims=True)
    low += jitter * random.standard_normal(low.shape, np.float32)
    high += jitter * random.standard_normal(high.shape, np.float32)
    cell: NDArray[np.float32] = BOX_PADDING * np.max((high - low) / HEATMAP, axis=-1)[:, None, None]
    origin = ((low + high) / 2)[:, None] - cell * HEATMAP / 2
    noise = np.float32(FINE_NOISE if fine else CELL_NOISE)
    error = (noise * (1 + np.float32(1.5) * hard))[..., None] * random.standard_normal(points.shape, np.float32)
    found = (points - origin) / cell + error
    if fine:
        binned: NDArray[np.float32] = origin + cell * (np.round(FINE * found) / np.float32(FINE))
        return binned
    largest = np.round(found)
    quantised: NDArray[np.float32] = origin + cell * (largest + np.where(found < largest, -0.25, 0.25))
    return quantised


def _scores(
    random: np.random.Generator,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    hard: NDArray[np.float32],
) -> NDArray[np.float16]:
    """HRNet's scores of the joints of person [N] in frame [N], of which `hard` [N, V] says what they lose: [N, V].

    Mostly near 0.9, some low, a few above 1. A joint that is hard to find stays so, and its score changes slowly.
    """
    people, joints = int(person.max()) + 1, hard.shape[1]
    hidden = EVER_HIDDEN * random.standard_exponential((people, joints), np.float32)
    pace, phase = random.uniform(0.2, 1.2, (people, joints)), random.uniform(0, 2 * np.pi, (people, joints))
    wave = np.sin((frame[:, None] / 30 * (2 * np.pi) * pace[person] + phase[person]).astype(np.float32))
    noise = 0.02 * (1 + hard) * (random.standard_exponential(wave.shape, np.float32) - 1)
    score: NDArray[np.float32] = 0.97 - (hidden[person] + hard) * (1 + np.float32(0.3) * wave) - noise
    return score.clip(0.02, 1.02).astype(np.float16)
