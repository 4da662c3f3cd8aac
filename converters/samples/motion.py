"""Synthetic motion of skeletons and synthetic detections, used by `converters.samples.pickles`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quantiles", "box_scores", "detections", "draw", "joint_scores", "rows", "skeletons"]

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

REACH = 2.5
"""Maximum distance of a joint from the place of its person, in half sizes of a body, without noise."""


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
    *,
    in_image: bool = False,
) -> NDArray[np.float16]:
    """`rows` of persons who are visible in every frame, person-major: float16 [persons * frames, joints, C]."""
    person, frame = np.repeat(np.arange(persons), frames), np.tile(np.arange(frames), persons)
    return rows(random, person, frame, joints, centre, body, noise, in_image=in_image).astype(np.float16)


def rows(
    random: np.random.Generator,
    person: NDArray[np.integer[Any]],
    frame: NDArray[np.integer[Any]],
    joints: int,
    centre: tuple[float, ...],
    body: tuple[float, ...],
    noise: float,
    *,
    in_image: bool = False,
) -> NDArray[np.float32]:
    """Coordinates of person [N] in frame [N]: float32 [N, joints, C], where C is the length of `centre` and `body`.

    A person wanders around the centre and swings the joints, both in slow waves. `body` is half the size of a body and
    `noise` the standard deviation of a joint, in the unit of the coordinates. With `in_image`, the whole body stays in
    an image with its origin at 0 and its middle at `centre`.
    """
    size = np.asarray(body, np.float32)
    people = int(person.max()) + 1
    place = random.normal(centre, 1.5 * size, (people, len(body))).astype(np.float32)
    if in_image:
        margin = np.minimum(REACH * size, centre)
        place = place.clip(margin, 2 * np.asarray(centre, np.float32) - margin)
    stance = random.uniform(-1, 1, (people, joints, len(body))).astype(np.float32) * size
    swing = random.normal(0, 0.15, (people, joints, len(body))).astype(np.float32) * size
    # Waves per second at 30 frames per second: slower for the whole body than for its joints.
    wander, pace = random.uniform(0.05, 0.2, people), random.uniform(0.2, 0.8, (people, joints))
    time = frame / 30 * (2 * np.pi)
    course = np.sin(time * wander[person]).astype(np.float32)[:, None] * size
    phase = random.uniform(0, 2 * np.pi, (people, joints))
    wave = np.sin((time[:, None] * pace[person] + phase[person]).astype(np.float32))
    points = random.standard_normal((len(frame), joints, len(body)), np.float32)
    points *= np.float32(noise)
    points += (place[:, None] + stance)[person]
    points += course[:, None]
    points += swing[person] * wave[..., None]
    return points


def joint_scores(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Confidence scores of joints: mostly near 0.9, some low, a few above 1, as from HRNet."""
    return (0.97 - 0.1 * random.standard_exponential(shape, np.float32)).clip(0.02, 1.02).astype(np.float16)
