"""Decompression in plain loops, annotations to test it with, and annotations that must be refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

Annotation = dict[str, Any]

KEYPOINT_DTYPES = ["<f2", "<f4", "<f8", ">f2", ">f4", "int16"]
FRAME_DTYPES = ["int16", "int32", "int64", "uint8", "uint16", ">i2"]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 65504, 65520, -65520, 1e-8, 1]
LAYOUTS = ["rows", "columns", "strided", "reversed", "read-only"]


def reference(annotation: Annotation, squeeze: bool, max_person: int) -> Annotation:
    """The decompressed annotation, computed skeleton by skeleton."""
    frame_inds, keypoint = annotation["frame_inds"], annotation["keypoint"]
    if "anno_inds" in annotation:
        frame_inds, keypoint = frame_inds[annotation["anno_inds"]], keypoint[annotation["anno_inds"]]
    frames = [int(frame) for frame in frame_inds]
    if squeeze:
        places = {frame: place for place, frame in enumerate(sorted(set(frames)))}
        frames = [places[frame] for frame in frames]
        # int16 plus a Python int: numpy.int64 in NumPy 1, numpy.int16 since NumPy 2.
        total_frames = np.array([len(places) - 1], np.int16)[0] + 1
    else:
        total_frames = annotation["total_frames"]

    people: list[list[Any]] = [[] for _ in range(total_frames)]
    for frame, skeleton in zip(frames, keypoint, strict=True):
        people[frame].append(skeleton[:, :3].astype(np.float16))
    most = max(len(persons) for persons in people)
    crowded = most > max_person
    if crowded:
        for persons in people:
            persons.sort(key=lambda person: -np.array(person[:, 2]).sum())
            del persons[max_person:]
        most = max_person

    joints = keypoint.shape[1]
    points = np.zeros((most, total_frames, joints, 2), np.float16)
    scores = np.zeros((most, total_frames, joints), np.float16)
    for frame, persons in enumerate(people):
        for place, person in enumerate(persons):
            points[place, frame] = person[:, :2]
            scores[place, frame] = person[:, 2]

    result: Annotation = {}
    for key, value in annotation.items():
        if key != "frame_inds":
            result[key] = value
    result["total_frames"] = total_frames
    if crowded:
        result["num_person"] = max_person
    result["keypoint"] = points
    result["keypoint_score"] = scores
    return result


def laid_out(array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """The same values in another memory layout."""
    if layout == "columns":
        return np.asfortranarray(array)
    if layout == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "reversed":
        return np.flip(np.flip(array).copy())
    array = array.copy()
    array.flags.writeable = layout != "read-only"
    return array


def keeps_video(annotation: Annotation, box_thr: float | None, valid_ratio: float | None) -> bool:
    """Whether PoseDataset keeps the video: always, unless `valid_ratio` is a float above 0 (an int does not count)."""
    if not isinstance(valid_ratio, float) or not valid_ratio > 0:
        return True
    return bool(annotation["valid"][box_thr] / annotation["total_frames"] >= valid_ratio)


@st.composite
def keypoints(draw: st.DrawFn, rows: int) -> np.ndarray[Any, Any]:
    """Keypoints [rows, V, 3 or 4]: plausible ones, few different scores, or any bits, including NaN and infinity."""
    # NumPy's pairwise sum changes its method at 8 and at 128 joints.
    joints = draw(st.sampled_from([0, 1, 2, 5, 7, 8, 9, 16, 17, 25, 33, 133, 300]))
    shape = (rows, joints, draw(st.sampled_from([3, 3, 3, 4])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(KEYPOINT_DTYPES)))
    kind = draw(st.sampled_from(["plausible", "ties", "signs", "special", "bits"]))
    if kind == "bits":
        return np.frombuffer(random.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
    values = random.random(shape) * [500, 300, 1, 1][: shape[2]]
    if kind == "ties":
        values[:, :, 2] = random.integers(0, 2, (rows, 1))
    elif kind == "signs":
        values[:, :, 2] = random.normal(size=(rows, joints)) * random.choice([0, 1, 1000], (rows, 1))
    elif kind == "special" and dtype.kind == "f":
        special = random.choice(SPECIAL, (rows, joints))
        values[:, :, 2] = np.where(random.random((rows, joints)) < 2 / (joints + 1), special, values[:, :, 2])
    with np.errstate(over="ignore"):
        return values.astype(dtype)


@st.composite
def compressed_annotations(draw: st.DrawFn) -> Annotation:
    """Compressed annotations with at least one usable row: with gaps, 0-based and 1-based, keys in any order."""
    most = draw(st.sampled_from([1, 2, 4, 70]))
    counts = draw(st.lists(st.integers(0, most), min_size=1, max_size=4 if most == 70 else 12))
    counts[draw(st.integers(0, len(counts) - 1))] = most
    step, first = draw(st.sampled_from([1, 1, 2, 7])), draw(st.integers(0, 2))
    frames = [first + step * place for place, count in enumerate(counts) for _ in range(count)]
    total_frames = max(frames) + draw(st.integers(1, 3))
    annotation = {
        "frame_dir": draw(st.sampled_from(["video", "", "-a/b c"])),
        "label": 3,
        "frame_inds": laid_out(np.array(frames, draw(st.sampled_from(FRAME_DTYPES))), draw(st.sampled_from(LAYOUTS))),
        "total_frames": draw(st.sampled_from([int, np.int16, np.int64]))(total_frames),
        "keypoint": laid_out(draw(keypoints(len(frames))), draw(st.sampled_from(LAYOUTS))),
    }
    kind = draw(st.sampled_from(["none", "none", "mask", "positions", "list"]))
    if kind != "none":
        mask = np.array(draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames))))
        mask[draw(st.integers(0, len(frames) - 1))] = True
        annotation["anno_inds"] = {"mask": mask, "positions": mask.nonzero()[0]}.get(kind, mask.nonzero()[0].tolist())
    if draw(st.booleans()):
        annotation |= {"num_person": 99, "keypoint_score": "to be replaced"}
    return {key: annotation[key] for key in draw(st.permutations(list(annotation)))}


def video(inds: list[int], **fields: Any) -> Annotation:
    """A small annotation: row i has one joint at (i + 1, 10 * (i + 1)) with score 0.5."""
    number = np.arange(1, len(inds) + 1)
    keypoint = np.stack([number, 10 * number, np.full(len(number), 0.5)], axis=-1)[:, None].astype(np.float16)
    return {
        "frame_dir": "clip7",
        "total_frames": 10,
        "frame_inds": np.array(inds, np.int16),
        "keypoint": keypoint,
        **fields,
    }


REFUSED = {
    "going down": (video([0, 2, 1]), "decrease at row 2, from 2 to 1"),
    "unsigned going down": (video([0] * 3, frame_inds=np.array([0, 2, 1], np.uint16)), "decrease at row 2"),
    "unequal lengths": (video([0, 1], keypoint=np.zeros((3, 1, 3))), "expected \\[N, V, 3\\] and \\[N\\]"),
    "no scores": (video([0, 1], keypoint=np.zeros((2, 1, 2))), "expected \\[N, V, 3\\] and \\[N\\]"),
    "dense": (video([0, 1], keypoint=np.zeros((2, 1, 1, 3))), "expected \\[N, V, 3\\] and \\[N\\]"),
    "None": (video([0], keypoint=None), "keypoint of shape \\(\\)"),
    "text": (video([0], keypoint=np.array([[["a", "b", "c"]]])), "dtype <U1"),
    "mask of other length": (video([0, 1], anno_inds=np.array([True])), "does not fit the 2 rows"),
    "position beyond": (video([0, 1], anno_inds=[0, 2]), "does not fit the 2 rows"),
    "positions not ascending": (video([0, 1], anno_inds=[1, 0]), "decrease"),
    "one position": (video([0, 1], anno_inds=1), "expected a mask or positions"),
    "None as mask": (video([0, 1], anno_inds=None), "expected a mask or positions"),
}
REFUSED_UNSQUEEZED = {
    "1-based": (video([1, 10]), "from 1 to 10, and total_frames is 10: if they are 1-based, use squeeze=True"),
    "negative": (video([-1, 0]), "from -1 to 0"),
    "float frames": (video([0], frame_inds=np.array([0.0])), "dtype float64"),
    "float total": (video([0], total_frames=10.0), "total_frames is 10.0"),
}
