"""A slow second implementation of what CTR-GCN's scripts make of NTU RGB+D, step by step from their description.

It is independent of ``converters``: bodies are dicts, frames are looked at one by one. Sums and variances are NumPy's,
over the arrays that the description names: the order of summation decides which sums are exactly 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.ntu_reference import TRAIN_60, TRAIN_120, Frame, UpstreamFails, motion

Array = np.ndarray[Any, Any]


def row(frames: list[Frame], task: str) -> Array:
    """The values of a clip in the arrays, [T, 150], without the zeros behind its end. Raises UpstreamFails."""
    return as_row(translated(denoised(frames)), task)


def denoised(frames: list[Frame]) -> Array:
    """An element of raw_denoised_joints.pkl: float32 [T, 75] or [T, 150]. Raises UpstreamFails."""
    found, length = raw_bodies(frames)
    if len(found) == 1:
        return one_person(found[0], length)
    found = [one for one in found if len(one["interval"]) > 11]
    found = without_wide(found)
    if not found:
        raise UpstreamFails("the first of no bodies")
    values = one_person(found[0], length) if len(found) == 1 else two_persons(found, length)
    sums = values.sum(axis=1)
    return values[[number for number in range(len(values)) if sums[number] != 0]]


def raw_bodies(frames: list[Frame]) -> tuple[list[dict[str, Any]], int]:
    """The bodies of raw_skes_data.pkl in their order, and the number of frames with a body. Raises UpstreamFails."""
    found: dict[int, dict[str, Any]] = {}
    counter = 0
    for frame in frames:
        for body in frame:
            one = found.setdefault(body["id"], {"id": body["id"], "interval": [], "joints": [], "colors": []})
            one["interval"].append(one["interval"][-1] + 1 if one["interval"] else counter)
            one["joints"].append([joint[:3] for joint in body["joints"]])
            one["colors"].append([joint[5:7] for joint in body["joints"]])
        counter += bool(frame)
    if not counter:
        raise UpstreamFails("the assertion that a frame has a body")
    for one in found.values():
        one["points"] = np.array(one["joints"], np.float64).astype(np.float32)
        one["motion"] = motion(one["points"])
    return list(found.values()), counter


def pickled(name: str, frames: list[Frame]) -> dict[str, Any]:
    """The element of raw_skes_data.pkl for a file. Raises UpstreamFails."""
    found, counter = raw_bodies(frames)
    data = {}
    for one in found:
        data[str(one["id"])] = {
            "joints": one["points"].reshape(-1, 3),
            "colors": np.array(one["colors"], np.float64).astype(np.float32),
            "interval": one["interval"],
        }
        if len(found) > 1:
            data[str(one["id"])]["motion"] = one["motion"]
    return {"name": np.str_(name), "data": data, "num_frames": counter}


def without_wide(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bodies that have the shape of a person often enough, as long as there are several."""
    for one in list(found):
        if len(found) == 1:
            break
        valid = []
        for points in one["points"]:
            width, height = points[:, 0].max() - points[:, 0].min(), points[:, 1].max() - points[:, 1].min()
            valid.append(bool(width <= 0.8 * height))
        if all(valid):
            continue
        if valid.count(False) / len(valid) >= 0.69754:
            found = [other for other in found if other is not one]
        else:
            one["motion"] = min(one["motion"], motion(one["points"][np.array(valid)]))
    return found


def one_person(one: dict[str, Any], length: int) -> Array:
    values = np.zeros((length, 75), np.float32)
    put(values, one)
    return values


def two_persons(found: list[dict[str, Any]], length: int) -> Array:
    values = np.zeros((length, 150), np.float32)
    halves = values[:, :75], values[:, 75:]
    waiting = sorted(found, key=lambda one: one["motion"], reverse=True)
    strongest = waiting.pop(0)
    put(halves[0], strongest)
    begins, ends = [strongest["interval"][0], 0], [strongest["interval"][-1], 0]
    for one in waiting:
        begin, end = one["interval"][0], one["interval"][-1]
        for person in (0, 1):
            if min(ends[person], end) - max(begins[person], begin) <= 0:
                put(halves[person], one)
                begins[person], ends[person] = min(begins[person], begin), max(ends[person], end)
                break
    return values


def put(values: Array, one: dict[str, Any]) -> None:
    if one["interval"][-1] >= len(values):
        raise UpstreamFails("arrays of two lengths")
    for frame, points in zip(one["interval"], one["points"], strict=True):
        values[frame] = points.reshape(75)


def translated(values: Array) -> Array:
    """The values relative to joint 1 of the first person. Raises UpstreamFails."""
    persons = [slice(0, 75), slice(75, 150)][: values.shape[1] // 75]
    sums = [values[:, person].sum(axis=1) for person in persons]
    first = 0
    while first < len(values) and not (values[first, :75] != 0).any():
        first += 1
    if first == len(values):
        raise UpstreamFails("the frame behind the last one")
    origin = values[first, 3:6].copy()
    moved = np.empty_like(values)
    for frame in range(len(values)):
        for person, total in zip(persons, sums, strict=True):
            for joint in range(25):
                place = slice(person.start + 3 * joint, person.start + 3 * joint + 3)
                moved[frame, place] = values[frame, place] - origin
            if len(persons) == 2 and total[frame] == 0:
                moved[frame, person] = 0
    return moved


def as_row(values: Array, task: str) -> Array:
    if values.shape[1] == 150:
        return values
    return np.concatenate([values, values if task == "ntu120" else np.zeros_like(values)], axis=1)


def keypoint(values: Array) -> Array:
    """``keypoint`` [M, T, 25, 3] of a row: without a second person whose values are all zero."""
    both = [values[:, :75].reshape(-1, 25, 3), values[:, 75:].reshape(-1, 25, 3)]
    return np.stack(both if both[1].any() else both[:1])


def splits(names: list[str], task: str) -> dict[str, list[str]]:
    """The splits of sorted names, in the order of the rows in the arrays."""
    subjects, last = (TRAIN_60, 40) if task == "ntu60" else (TRAIN_120, 106)
    wanted = {
        "xsub_train": (slice(9, 12), subjects),
        "xsub_val": (slice(9, 12), [number for number in range(1, last + 1) if number not in subjects]),
    }
    if task == "ntu60":
        wanted |= {"xview_train": (slice(5, 8), [2, 3]), "xview_val": (slice(5, 8), [1])}
    else:
        wanted |= {
            "xset_train": (slice(1, 4), [number for number in range(1, 33) if number % 2 == 0]),
            "xset_val": (slice(1, 4), [number for number in range(1, 33) if number % 2 == 1]),
        }
    found = {}
    for split, (place, numbers) in wanted.items():
        found[split] = [name for number in numbers for name in names if int(name[place]) == number]
    return found
