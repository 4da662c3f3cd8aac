"""Synthetic ``.skeleton`` files in the format of NTU RGB+D, and CTR-GCN's pickles of such, with real difficulties.

A person may be lost for some frames, or reappear with another body id. An object may be detected as a body for some
time. Frames may be empty. Lines end with LF or CRLF. The files are reproducible per seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.samples.motion import rows
from converters.samples.people import stage
from converters.samples.pickles import ntu_action

FIRST_BODY_ID = 72057594037927936
"""2**56, from which Kinect counts bodies; a float64 cannot distinguish such numbers."""

JOINTS = 25

FRAMES = (60, 140)


class Body(NamedTuple):
    """What is detected as a body: its id, the number of the person (or, after the last one, an object), its frames."""

    id: int
    person: int
    seen: NDArray[np.intp]


def write_skeletons(folder: Path, names: Sequence[str], seed: int = 0, frames: tuple[int, int] = FRAMES) -> None:
    """Write one file per name into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        (folder / f"{name}.skeleton").write_bytes(skeleton_file(name, [seed, index], frames))


def skeleton_file(name: str, seed: Sequence[int] = (0,), frames_between: tuple[int, int] = FRAMES) -> bytes:
    """The content of one file; classes with two persons (49 to 59, 105 to 119) have two bodies."""
    random = np.random.default_rng([*seed, 5])
    frames = int(random.integers(*frames_between))
    bodies = list(_bodies(random, _persons(name), frames))
    joints = _joints(random, bodies, name, frames)
    ids = np.concatenate([np.full(len(body.seen), body.id) for body in bodies])
    lines = [str(frames)]
    frame_of = np.concatenate([body.seen for body in bodies])
    for frame in range(frames):
        present = np.flatnonzero(frame_of == frame)
        lines.append(str(len(present)))
        for row in present:
            lines += [_body_line(random, int(ids[row])), str(JOINTS), *_joint_lines(random, joints[row])]
    end = "\r\n" if random.random() < 0.5 else "\n"
    return (end.join(lines) + end).encode("ascii")


def raw_skes_like(names: Sequence[str], seed: int = 0, frames: tuple[int, int] = FRAMES) -> list[dict[str, Any]]:
    """The list in CTR-GCN's raw_skes_data.pkl for samples with these names; each body is placed without gaps."""
    entries = []
    for index, name in enumerate(names):
        random = np.random.default_rng([seed, index, 6])
        count = int(random.integers(*frames))
        bodies = list(_bodies(random, _persons(name), count))
        seen = np.unique(np.concatenate([body.seen for body in bodies]))
        joints = np.split(_joints(random, bodies, name, count), np.cumsum([len(body.seen) for body in bodies])[:-1])
        data: dict[str, dict[str, Any]] = {}
        for body, points in sorted(zip(bodies, joints, strict=True), key=lambda found: found[0].seen[0]):
            start = int(np.searchsorted(seen, body.seen[0]))
            data[str(body.id)] = {
                "joints": points.reshape(-1, 3),
                "colors": _on_image(points, 1064, (960, 540)).astype(np.float32),
                "interval": list(range(start, start + len(body.seen))),
            }
            if len(bodies) > 1:
                data[str(body.id)]["motion"] = np.sum(np.var(points.reshape(-1, 3), axis=0))
        entries.append({"name": np.str_(name), "data": data, "num_frames": len(seen)})
    return entries


def denoised_like(entries: Sequence[dict[str, Any]]) -> list[NDArray[np.float32]]:
    """The list in CTR-GCN's raw_denoised_joints.pkl, of the first M bodies of each entry: float32 [T, 75 M]."""
    clips = []
    for entry in entries:
        bodies = list(entry["data"].values())[:2]
        clip = np.zeros((entry["num_frames"], 3 * JOINTS * len(bodies)), np.float32)
        for person, body in enumerate(bodies):
            columns = slice(3 * JOINTS * person, 3 * JOINTS * (person + 1))
            clip[body["interval"], columns] = body["joints"].reshape(-1, 3 * JOINTS)
        clips.append(clip)
    return clips


def _persons(name: str) -> int:
    label = int(name[-3:]) - 1
    return 2 if 49 <= label < 60 or label >= 105 else 1


def _joints(random: np.random.Generator, bodies: Sequence[Body], name: str, frames: int) -> NDArray[np.float32]:
    """The joints of all bodies, one after the other [N, 25, 3]. What is no person does not move."""
    persons = _persons(name)
    scene = stage(random, persons + 1, frames, ntu_action(int(name[-3:]) - 1))
    person = np.concatenate([np.full(len(body.seen), body.person) for body in bodies])
    frame = np.concatenate([body.seen for body in bodies])
    return rows(random, scene, person, np.where(person < persons, frame, 0))


def _on_image(joints: NDArray[np.float32], focal_length: int, centre: tuple[int, int]) -> NDArray[np.float64]:
    """Image coordinates of joints, approximately as from Kinect v2."""
    flat: NDArray[np.float64] = joints[..., :2] / np.maximum(np.abs(joints[..., 2:]), 0.5) * [1, -1]
    return flat * focal_length + centre


def _bodies(random: np.random.Generator, persons: int, frames: int) -> Iterator[Body]:
    """Everything that is detected as a body."""
    everywhere = np.arange(frames)
    # In some files no body is detected in the first frames.
    late = int(random.integers(1, 12)) if random.random() < 0.2 else 0
    next_id = FIRST_BODY_ID + int(random.integers(1000, 60000))
    for person in range(persons):
        seen = everywhere[late:]
        if random.random() < 0.3:  # lost, and found again under the same id
            start = int(random.integers(late, frames))
            seen = seen[(seen < start) | (seen >= start + random.integers(1, 20))]
        cut = int(random.integers(late, frames)) if random.random() < 0.3 else frames
        for part in (seen[seen < cut], seen[seen >= cut]):
            if len(part):
                yield Body(next_id, person, part)
                next_id += -3 if random.random() < 0.3 else int(random.integers(1, 5))  # ids do not always ascend
        next_id += 10
    if random.random() < 0.3:
        start = int(random.integers(0, frames - 5))
        yield Body(next_id, persons, everywhere[start : start + int(random.integers(3, 40))])


def _body_line(random: np.random.Generator, body_id: int) -> str:
    states = " ".join(map(str, random.integers(0, 2, 6)))
    lean = " ".join(f"{value:.7g}" for value in random.normal(0, 0.2, 2).astype(np.float32))
    return f"{body_id} {states} {lean} 2"


def _joint_lines(random: np.random.Generator, joints: NDArray[np.float32]) -> list[str]:
    """The lines of the joints [25, 3] of a body."""
    orientation = random.normal(0, 0.5, (JOINTS, 4))
    orientation[[3, 15, 19, 21, 22, 23, 24]] = 0  # joints at the ends have none
    images = [_on_image(joints, 366, (256, 212)), _on_image(joints, 1064, (960, 540))]
    values = np.concatenate([joints, *images, orientation], axis=1)
    states = random.choice([0, 1, 2], JOINTS, p=[0.01, 0.09, 0.9])
    text = [f"{value:.7g}" for value in values.astype(np.float32).ravel()]
    return [f"{' '.join(text[11 * i : 11 * i + 11])} {states[i]}" for i in range(JOINTS)]
