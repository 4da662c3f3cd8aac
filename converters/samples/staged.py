"""Small data sets of five actions with class names: what the pictures of the documents show.

Persons walk, wave, fall, sit down and shake hands, each class in turn. They are seen by RTMPose (2D), by Kinect (3D),
or detected frame by frame, with what detectors miss and what they take for a person. As in
`converters.samples.pickles`, an annotation depends only on the seed and its position.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.samples.actions import CLASS_NAMES
from converters.samples.motion import dense, estimates, skeletons
from converters.samples.people import Scene, stage
from converters.samples.pickles import Annotation, write_dataset

__all__ = ["detected_people_like", "people_3d_like", "people_like", "people_names", "write_people"]

SHAPE = (720, 1080)
"""Height and width of the images, in pixels."""
DEPTHS = (2.7, 3.2)
"""How far persons are from the camera, in metres."""
FRAMES = (64, 84)
"""Bounds of the number of frames: 2.1 to 2.8 seconds."""
MISSED_RUNS = 1.5
"""Mean number of runs of frames in which a detector misses a person, of 2 to 7 frames each."""
FALSE_SHARE = 0.15
"""Share of the frames of every second video in which something that does not move is taken for a person."""


def people_names(count: int) -> list[str]:
    """The names of videos: the class, and a number per class."""
    classes = len(CLASS_NAMES)
    return [f"{CLASS_NAMES[i % classes].replace(' ', '_')}_{i // classes:03d}" for i in range(count)]


def people_like(count: int, seed: int = 0) -> dict[str, Any]:
    """2D skeletons in PYSKL's form, with ``keypoint`` float16 [M, T, 17, 2] and ``keypoint_score`` [M, T, 17]."""
    annotations = []
    for name, label, frames, random, scene in _scenes(count, seed):
        keypoint, score = dense(random, scene, frames, fine=True)
        annotations.append(_described(name, label, frames) | {"keypoint": keypoint, "keypoint_score": score})
    return {"split": _split(count), "annotations": annotations}


def people_3d_like(count: int, seed: int = 0) -> dict[str, Any]:
    """The same persons in 3D: ``keypoint`` is float16 [M, T, 25, 3], in metres, of Kinect's joints.

    The camera is level, as after a rotation by Kinect's plane of the floor.
    """
    annotations = []
    for name, label, frames, random, scene in _scenes(count, seed):
        level = scene._replace(camera=scene.camera._replace(pitch=0.0))
        keypoint = skeletons(random, level, frames)
        annotations.append({"frame_dir": name, "label": label, "keypoint": keypoint, "total_frames": frames})
    return {"split": _split(count), "annotations": annotations}


def detected_people_like(count: int, seed: int = 0) -> dict[str, Any]:
    """The same persons as detections: ``keypoint`` is float16 [N, 17, 3], with ``frame_inds`` and ``box_score`` [N].

    Persons are missed in runs of frames. In every second video something else is taken for a person now and then.
    """
    annotations = []
    for index, (name, label, frames, random, scene) in enumerate(_scenes(count, seed)):
        keypoint, frame_inds, box_score = _detections(random, scene, frames, mistaken=index % 2 == 1)
        found = {"keypoint": keypoint, "frame_inds": frame_inds, "box_score": box_score}
        annotations.append(_described(name, label, frames) | found)
    return {"split": _split(count), "annotations": annotations}


def write_people(folder: Path, videos: int = 25, seed: int = 0) -> list[Path]:
    """Write the data sets with `videos` videos each into `folder`, and return the paths.

    ::

        people.pkl  people_3d.pkl  people_detections.pkl  people_classes.txt     a class name per line
    """
    folder.mkdir(parents=True, exist_ok=True)
    makers = {"people": people_like, "people_3d": people_3d_like, "people_detections": detected_people_like}
    paths = [folder / f"{name}.pkl" for name in makers]
    for path, make in zip(paths, makers.values(), strict=True):
        content = make(videos, seed)
        write_dataset(path, content["split"], content["annotations"])
    names = folder / "people_classes.txt"
    names.write_text("".join(f"{name}\n" for name in CLASS_NAMES), encoding="utf-8")
    return [*paths, names]


def _scenes(count: int, seed: int) -> Iterator[tuple[str, int, int, np.random.Generator, Scene]]:
    """Name, label, number of frames, generator and scene of each video: the same in all data sets of a seed."""
    for index, name in enumerate(people_names(count)):
        random = np.random.default_rng([seed, index, 40])
        label = index % len(CLASS_NAMES)
        frames = int(random.integers(*FRAMES))
        persons = 2 if CLASS_NAMES[label] == "shaking hands" else 1
        yield name, label, frames, random, stage(random, persons, frames, CLASS_NAMES[label], SHAPE, DEPTHS)


def _described(name: str, label: int, frames: int) -> Annotation:
    sizes = {"img_shape": SHAPE, "original_shape": SHAPE}
    return {"frame_dir": name, "label": label, **sizes, "total_frames": frames}


def _split(count: int) -> dict[str, list[str]]:
    """Splits in which every fourth video of a class is for validation."""
    names = people_names(count)
    for_validation = {name for name in names if int(name[-3:]) % 4 == 3}
    return {
        "train": [name for name in names if name not in for_validation],
        "val": [name for name in names if name in for_validation],
    }


def _detections(
    random: np.random.Generator, scene: Scene, frames: int, *, mistaken: bool
) -> tuple[NDArray[np.float16], NDArray[np.int16], NDArray[np.float16]]:
    """The detections of a video: keypoints [N, 17, 3], frames from 0 [N], scores of boxes [N], descending per frame."""
    persons = len(scene.cast.stature)
    seen = np.ones((persons, frames), np.bool_)
    for one in range(persons):
        for _ in range(random.poisson(MISSED_RUNS)):
            start = int(random.integers(frames))
            seen[one, start : start + int(random.integers(2, 8))] = False
    person, frame = np.nonzero(seen)
    points, scores = estimates(random, scene, person, frame, fine=True)
    box = 0.4 * scores.mean(axis=1, dtype=np.float32) + random.uniform(0.57, 0.6, len(frame)).astype(np.float32)
    if mistaken:
        thing = stage(random, 1, 1, "standing", SHAPE, (5, 8))
        wrong = np.flatnonzero(random.random(frames) < FALSE_SHARE)
        still = np.zeros(len(wrong), np.intp)
        more, low = estimates(random, thing, still, still, fine=True)
        points, scores = np.concatenate([points, more]), np.concatenate([scores, low * np.float16(0.35)])
        box = np.concatenate([box, random.uniform(0.5, 0.62, len(wrong)).astype(np.float32)])
        frame = np.concatenate([frame, wrong])
    order = np.lexsort((-box, frame))
    keypoint = np.concatenate([points.astype(np.float16), scores[..., None]], axis=2)[order]
    return keypoint, frame[order].astype(np.int16), box[order].clip(0, 1).astype(np.float16)
