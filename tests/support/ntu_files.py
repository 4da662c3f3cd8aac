"""Strategies for valid ``.skeleton`` files with every oddity of real data, and their lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

REAL = ["S001C001P001R001A001", "S001C001P001R001A011", "S001C003P008R002A058"]
"""Real files whose names tests know; see the fixture ``real_file``."""
KINDS = ("person", "coarse", "wide", "still", "zero", "tiny", "now and then wide", "cancelling")
NUMBERS = ("{:.7g}", "{!r}", "{:.6e}", "{:.3e}")


@st.composite
def tracks(draw: st.DrawFn) -> tuple[int, list[int], str]:
    """Body id, its frames (a frame may occur twice), and how it moves."""
    body_id = 72057594037927936 + draw(st.integers(0, 6))
    start = draw(st.integers(0, 30))
    frames = [start + i for i in range(draw(st.integers(1, 30)))]
    gap = draw(st.integers(0, 40))
    frames = [frame for frame in frames if not gap <= frame < gap + 5] or frames
    return body_id, frames + frames[:1] * draw(st.sampled_from([0, 0, 0, 1])), draw(st.sampled_from(KINDS))


@st.composite
def skeleton_files(draw: st.DrawFn) -> bytes:
    """A valid file: several bodies come and go, some with the same id, and some frames have no body."""
    found = draw(st.lists(tracks(), max_size=5))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    number = draw(st.sampled_from(NUMBERS))
    shuffled = draw(st.booleans())
    total = max((max(frames) + 1 for _, frames, _ in found), default=0) + draw(st.integers(0, 3))
    lines = [str(total)]
    for frame in range(total):
        present = [(body_id, kind) for body_id, frames, kind in found for one in frames if one == frame]
        if shuffled:
            present = [present[i] for i in random.permutation(len(present))]
        lines.append(str(len(present)))
        for body_id, kind in present:
            lines += body_lines(random, body_id, points_of(random, kind), number)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return (end.join(lines) + draw(st.sampled_from(["", end, end + end]))).encode()


def crowd_file(seed: int) -> bytes:
    """A valid file of up to eight bodies: short and long ones, some that follow each other within one frame."""
    random = np.random.default_rng(seed)
    total = int(random.integers(20, 60))
    bodies: list[tuple[int, set[int], str, np.ndarray[Any, Any]]] = []
    for i in range(random.integers(1, 9)):
        ends: list[int] = [max(frames) for _, frames, _, _ in bodies]
        begins = [0, int(random.integers(0, total)), *ends, *[min(end + 1, total - 1) for end in ends]]
        start = begins[random.integers(len(begins))]
        length = [int(random.integers(1, 14)), int(random.integers(12, total)), total][random.integers(3)]
        frames = set(range(start, min(start + length, total)))
        if random.random() < 0.3:
            lost = int(random.integers(start, total))
            frames = frames - set(range(lost, lost + int(random.integers(1, 12)))) or frames
        kind = str(random.choice(KINDS, p=[0.5, 0.1, 0.1, 0.05, 0.05, 0.05, 0.1, 0.05]))
        bodies.append((72057594037936128 + 3 * i, frames, kind, random.normal(0, 1, 3)))
    if random.random() < 0.3:  # frames without a body
        empty = set(random.integers(0, total, 3).tolist())
        bodies = [(body_id, frames - empty or frames, kind, at) for body_id, frames, kind, at in bodies]
    number = str(random.choice(NUMBERS))
    lines = [str(total)]
    for frame in range(total):
        present = [one for one in bodies if frame in one[1]]
        lines.append(str(len(present)))
        for index in random.permutation(len(present)):
            body_id, _, kind, at = present[index]
            points = points_of(random, kind)
            moved = points if kind in ("zero", "cancelling", "coarse") else points + at
            lines += body_lines(random, body_id, moved, number)
    return "\n".join(lines).encode()


def points_of(random: np.random.Generator, kind: str) -> np.ndarray[Any, Any]:
    """Positions of 25 joints."""
    points = random.normal([0, 0, 3], [0.1, 0.6, 0.1], (25, 3))
    if kind == "coarse":  # so that some widths are exactly 0.8 of the heights
        return np.round(points * [10, 5, 1]) / [10, 5, 1]
    if kind == "wide" or (kind == "now and then wide" and random.random() < 0.5):
        return points[:, [1, 0, 2]]
    if kind == "still":
        return np.ones((25, 3))
    if kind == "zero":
        return np.zeros((25, 3))
    if kind == "tiny":
        return points * 1e-5
    if kind == "cancelling":
        return np.concatenate([points[:12], -points[:12], points[:1] * 0])
    return points


def body_lines(random: np.random.Generator, body_id: int, points: np.ndarray[Any, Any], number: str) -> list[str]:
    """The lines of one body."""
    rest = random.normal(0, 100, (25, 8))
    joints = np.concatenate([points, rest], axis=1).tolist()
    states = random.integers(0, 3, 25).tolist()
    shown = [
        f"{' '.join(number.format(value) for value in joint)} {s}" for joint, s in zip(joints, states, strict=True)
    ]
    return [f"{body_id} 0 1 1 1 0 0 {random.normal():.7g} {random.normal():.7g} 2", "25", *shown]


def one_body(frames: int = 2, body_id: int = 72057594037944738) -> list[str]:
    """Lines of a small valid file with one body in every frame, 28 lines per frame."""
    random = np.random.default_rng(0)
    lines = [str(frames)]
    for _ in range(frames):
        lines += ["1", *body_lines(random, body_id, points_of(random, "person"), "{:.7g}")]
    return lines
