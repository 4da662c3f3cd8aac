"""The items of the GCN feeders, number by number in Python: slow, and written from the description of the feeders.

Numbers are Python floats. What a feeder draws is drawn here from the same generators, in the same order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Clip = list[list[list[list[float]]]]
"""[C][T][V][M]."""

PARENTS = (1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 20, 22, 7, 24, 11)
"""The joint of NTU RGB+D towards which the bone of each joint leads."""


def make(channels: int, frames: int, joints: int, persons: int, value: Callable[..., float]) -> Clip:
    return [
        [[[value(c, t, v, m) for m in range(persons)] for v in range(joints)] for t in range(frames)]
        for c in range(channels)
    ]


def shape_of(clip: Clip) -> tuple[int, int, int, int]:
    """(C, T, V, M) of a clip that has a frame."""
    return len(clip), len(clip[0]), len(clip[0][0]), len(clip[0][0][0])


def padded_clip(annotation: dict[str, Any], frames: int, persons: int = 2) -> Clip:
    """An annotation as a row of an array whose longest clip has so many frames."""
    keypoint, score = annotation["keypoint"].tolist(), annotation.get("keypoint_score")
    _, _, joints, channels = annotation["keypoint"].shape
    places = annotation.get("person_rows", range(len(keypoint)))
    person_at = {int(place): m for m, place in enumerate(places)}
    scored = channels == 2 and score is not None

    def value(c: int, t: int, v: int, m: int) -> float:
        if m not in person_at or t >= len(keypoint[person_at[m]]):
            return 0.0
        if c == channels:
            return float(score[person_at[m]][t][v])
        return float(keypoint[person_at[m]][t][v][c])

    return make(channels + scored, frames, joints, persons, value)


def ctrgcn_item(
    clip: Clip,
    *,
    p_interval: Sequence[float],
    window_size: int,
    bone: bool = False,
    vel: bool = False,
    angles: Callable[[], Sequence[float]] | None = None,
) -> Clip:
    """CTR-GCN's item of a padded clip. ``angles``, if given, draws the three angles of random_rot."""
    channels, total, joints, persons = shape_of(clip)
    sums = [
        math.fsum(clip[c][t][v][m] for c in range(channels) for v in range(joints) for m in range(persons))
        for t in range(total)
    ]
    valid = sum(1 for one in sums if one != 0)
    if len(p_interval) == 1:
        start = int((1 - p_interval[0]) * valid / 2)
        length = valid - 2 * start
    else:
        share = np.random.rand(1)[0] * (p_interval[1] - p_interval[0]) + p_interval[0]
        length = min(max(math.floor(valid * share), 64), valid)
        start = np.random.randint(0, valid - length + 1)

    def resized(c: int, t: int, v: int, m: int) -> float:
        place = max((t + 0.5) * length / window_size - 0.5, 0)
        low = min(int(place), length - 1)
        high = min(low + 1, length - 1)
        part = place - low
        return clip[c][start + low][v][m] * (1 - part) + clip[c][start + high][v][m] * part

    item = make(channels, window_size, joints, persons, resized)
    if angles is not None:
        item = turned(item, angles())
    if bone:
        before = item
        item = make(*shape_of(item), lambda c, t, v, m: before[c][t][v][m] - before[c][t][PARENTS[v]][m])
    if vel:
        still = item
        last = window_size - 1
        item = make(
            *shape_of(item),
            lambda c, t, v, m: still[c][t + 1][v][m] - still[c][t][v][m] if t < last else 0.0,
        )
    return item


def turned(clip: Clip, angles: Sequence[float]) -> Clip:
    """Turned around x, then y, then z."""

    def turn(point: list[float]) -> list[float]:
        x, y, z = point
        a, b, c = angles
        y, z = math.cos(a) * y + math.sin(a) * z, -math.sin(a) * y + math.cos(a) * z
        x, z = math.cos(b) * x - math.sin(b) * z, math.sin(b) * x + math.cos(b) * z
        x, y = math.cos(c) * x + math.sin(c) * y, -math.sin(c) * x + math.cos(c) * y
        return [x, y, z]

    return make(*shape_of(clip), lambda c, t, v, m: turn([clip[i][t][v][m] for i in range(3)])[c])


def agcn_item(
    clip: Clip,
    *,
    statistics: tuple[list[list[float]], list[list[float]]] | None = None,
    random_shift: bool = False,
    random_choose: bool = False,
    random_move: bool = False,
    window_size: int = -1,
) -> Clip:
    """2s-AGCN's item of a padded clip; ``statistics`` are mean and deviation, [C][V] each, for normalization."""
    channels, total, joints, persons = shape_of(clip)
    if statistics is not None:
        mean, std = statistics
        raw = clip
        clip = make(channels, total, joints, persons, lambda c, t, v, m: (raw[c][t][v][m] - mean[c][v]) / std[c][v])
    if random_shift:
        there = [t for t in range(total) if any(any(any(p) for p in channel[t]) for channel in clip)]
        begin, end = (there[0], there[-1] + 1) if there else (0, total)
        clip = moved_frames(clip, begin, end, random.randint(0, total - (end - begin)), total)
    if random_choose:
        if total < window_size:
            clip = moved_frames(clip, 0, total, random.randint(0, window_size - total), window_size)
        elif total > window_size:
            begin = random.randint(0, total - window_size)
            clip = [channel[begin : begin + window_size] for channel in clip]
    elif window_size > 0 and total < window_size:
        clip = moved_frames(clip, 0, total, 0, window_size)
    return moved(clip) if random_move else clip


def moved_frames(clip: Clip, begin: int, end: int, place: int, total: int) -> Clip:
    """The frames from ``begin`` to ``end`` at a place among ``total`` frames of zeros."""
    channels, _, joints, persons = shape_of(clip)

    def value(c: int, t: int, v: int, m: int) -> float:
        return clip[c][t - place + begin][v][m] if place <= t < place + end - begin else 0.0

    return make(channels, total, joints, persons, value)


def moved(clip: Clip) -> Clip:
    """x and y turned, scaled and shifted by values that change evenly from the first frame to the last."""
    _, total, _, _ = shape_of(clip)
    random.choice([1])
    ends = [
        np.random.choice(values, 2)
        for values in ([-10.0, -5.0, 0.0, 5.0, 10.0], [0.9, 1.0, 1.1], *[[-0.2, -0.1, 0.0, 0.1, 0.2]] * 2)
    ]

    def value(c: int, t: int, v: int, m: int) -> float:
        if c > 1:
            return clip[c][t][v][m]
        share = t / (total - 1) if total > 1 else 0.0
        angle, scale, x_shift, y_shift = (float(first + (last - first) * share) for first, last in ends)
        x, y = clip[0][t][v][m], clip[1][t][v][m]
        sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        return scale * (cosine * x - sine * y) + x_shift if c == 0 else scale * (sine * x + cosine * y) + y_shift

    return make(*shape_of(clip), value)


def statistics_of(clips: Sequence[Clip]) -> tuple[list[list[float]], list[list[float]]]:
    """Mean and standard deviation of each channel and joint over all clips, frames and persons, [C][V] each."""
    channels, _, joints, _ = shape_of(clips[0])
    means, deviations = [], []
    for c in range(channels):
        columns = [[x for clip in clips for frame in clip[c] for x in frame[v]] for v in range(joints)]
        mean = [math.fsum(column) / len(column) for column in columns]
        means.append(mean)
        deviations.append(
            [
                math.sqrt(math.fsum((x - one) ** 2 for x in column) / len(column))
                for column, one in zip(columns, mean, strict=True)
            ]
        )
    return means, deviations
