"""A slow second implementation of NTU RGB+D files and both recipes, step by step from the description of the format.

It is independent of ``converters``: lines are read one by one with ``float`` and ``int``, bodies are dicts and lists.
Sums and variances are NumPy's, over the arrays that the recipes name: the order of summation matters in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Frame = list[dict[str, Any]]
TRAIN_60 = [1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38]
TRAIN_120 = [
    *TRAIN_60,
    *[45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94],
    *[95, 97, 98, 100, 103],
]


class UpstreamFails(Exception):
    """The upstream script fails with this file."""


def read(data: bytes) -> list[Frame]:
    """Frames, each a list of bodies: ``id`` int, ``body`` 9 floats, ``joints`` 25 lists of 12 floats."""
    lines = data.decode("ascii").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    lines.reverse()
    frames = []
    for _ in range(int(lines.pop())):
        frame = []
        for _ in range(int(lines.pop())):
            fields = lines.pop().split()
            assert int(lines.pop()) == 25
            joints = [[float(value) for value in lines.pop().split()] for _ in range(25)]
            assert {len(joint) for joint in joints} == {12}
            body = [float(value) for value in fields[1:]]
            assert len(body) == 9
            frame.append({"id": int(fields[0]), "body": body, "joints": joints})
        frames.append(frame)
    assert not lines
    return frames


def raw(frames: list[Frame]) -> dict[str, Any]:
    """The arrays of the raw recipe."""
    bodies = [(number, body) for number, frame in enumerate(frames) for body in frame]
    joints = np.array([body["joints"] for _, body in bodies]).reshape(-1, 25, 12)
    return {
        "total_frames": len(frames),
        "frame_inds": np.array([number for number, _ in bodies], np.int32),
        "body_id": np.array([body["id"] for _, body in bodies], np.int64),
        "body": np.array([body["body"] for _, body in bodies]).reshape(-1, 9),
        "position": joints[:, :, 0:3],
        "depth": joints[:, :, 3:5],
        "color": joints[:, :, 5:7],
        "orientation": joints[:, :, 7:11],
        "tracking_state": joints[:, :, 11].astype(np.uint8),
    }


def pyskl(frames: list[Frame]) -> np.ndarray[Any, Any] | None:
    """``keypoint`` of the recipe pyskl; None for a file without a body. Raises UpstreamFails."""
    bodies: dict[int, dict[str, Any]] = {}
    counter = 0
    for frame in frames:
        if not frame:
            continue
        for body in frame:
            if body["id"] not in bodies:
                bodies[body["id"]] = {"start": counter, "frames": []}
            bodies[body["id"]]["frames"].append([joint[:3] for joint in body["joints"]])
        counter += 1
    if not bodies:
        return None
    found = list(bodies.values())
    for one in found:
        one["points"] = np.array(one["frames"], np.float64).astype(np.float32)
        one["motion"] = motion(one["points"])
    found.sort(key=lambda one: -one["motion"])
    if len(found) == 1:
        return half(found[0]["points"][None])
    found = [one for one in found if len(one["points"]) > 11]
    if len(found) == 1:
        return half(found[0]["points"][None])
    found = spread(found)
    if len(found) == 1:
        return half(found[0]["points"][None])
    return half(two_tracks(found))


def motion(points: np.ndarray[Any, Any]) -> np.float32:
    """Sum of the variances of the coordinates over all frames and joints."""
    total: np.float32 = np.sum(np.var(points.reshape(-1, 3), axis=0))
    return total


def spread(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bodies that pass the spread test, sorted by motion."""
    kept = []
    for one in found:
        points = one["points"]
        valid = []
        for number in range(len(points)):
            x, y = points[number, :, 0], points[number, :, 1]
            if x.max() - x.min() <= 0.8 * (y.max() - y.min()):
                valid.append(number)
        if len(valid) < len(points):
            if 1 - len(valid) / len(points) >= 0.69754:
                continue
            one["motion"] = min(one["motion"], motion(points[valid]))
        kept.append(one)
    if not kept:
        raise UpstreamFails("the assertion that one body is left")
    kept.sort(key=lambda one: -one["motion"])
    return kept


def two_tracks(found: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """Bodies put into two tracks, cut at both ends, swapped if the first track begins without a body."""
    length = max(one["start"] + len(one["points"]) for one in found)
    tracks = np.zeros((2, length, 25, 3), np.float32)
    taken: list[list[int]] = []
    for one in found:
        start, stop = one["start"], one["start"] + len(one["points"])
        if not taken:
            tracks[0, start:stop] = one["points"]
            taken = [[start, stop], [0, 0]]
            continue
        for track in (0, 1):
            if not max(taken[track][0], start) < min(taken[track][1], stop):
                tracks[track, start:stop] = one["points"]
                taken[track] = [min(taken[track][0], start), max(taken[track][1], stop)]
                break
    while len(tracks[0]) and np.sum(np.abs(tracks[:, 0])) < 1e-3:
        tracks = tracks[:, 1:]
    while len(tracks[0]) and np.sum(np.abs(tracks[:, -1])) < 1e-3:
        tracks = tracks[:, :-1]
    if not len(tracks[0]):
        raise UpstreamFails("the index beyond the last frame")
    if np.sum(np.abs(tracks[0, 0, 1])) < 1e-3 and np.sum(np.abs(tracks[1, 0, 1])) > 1e-3:
        tracks = np.stack([tracks[1], tracks[0]])
    return tracks


def mmaction2(frames: list[Frame]) -> np.ndarray[Any, Any]:
    """``keypoint`` of the recipe mmaction2."""
    data = np.zeros((4, len(frames), 25, 3))
    for number, frame in enumerate(frames):
        for slot, body in enumerate(frame[:4]):
            for joint in range(25):
                data[slot, number, joint] = body["joints"][joint][:3]
    energies = []
    for slot in data:
        seen = np.array([points for points in slot if points.sum(-1).sum() != 0]).reshape(-1, 25, 3)
        energies.append(sum(seen[:, :, axis].std() for axis in range(3)) if len(seen) else 0)
    # NumPy's default sort decides the order of equal values, here as in the script.
    best = np.array(energies, np.float64).argsort()[::-1][:2]
    chosen = data[best]
    return half(chosen[chosen.sum((1, 2, 3)) != 0])


def half(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As float16, in C order."""
    return np.ascontiguousarray(points.astype(np.float16))


def splits(names: list[str], recipe: str, task: str) -> dict[str, list[str]]:
    """The splits of sorted names."""
    subjects = TRAIN_60 if recipe == "mmaction2" and task == "ntu60" else TRAIN_120
    train = {"xsub": [name for name in names if int(name[9:12]) in subjects]}
    if task == "ntu60":
        train["xview"] = [name for name in names if int(name[5:8]) in (2, 3)]
    else:
        train["xset"] = [name for name in names if int(name[1:4]) % 2 == 0]
    found = {}
    for benchmark, chosen in train.items():
        found[f"{benchmark}_train"] = chosen
        found[f"{benchmark}_val"] = [name for name in names if name not in chosen]
    return found
