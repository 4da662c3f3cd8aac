"""Synthetic sample data in the formats of PYSKL and MMAction2; reproducible per seed and machine.

The content behaves like real data. The number of frames and of detections per video follow quantiles measured on real
files. Coordinates move smoothly and are quantised as a pose estimator quantises them, so that they compress about as
well as real ones. An annotation depends only on the seed and its position, and is created when an iterator reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.pickles.writer import PickleWriter
from converters.samples.motion import box_scores, dense, detections, draw, estimates, skeletons
from converters.samples.people import stage

__all__ = [
    "bare_list_like",
    "compressed_like",
    "iter_bare_list_like",
    "iter_compressed_like",
    "iter_kinetics_like",
    "iter_ntu3d_like",
    "iter_ntu_like",
    "kinetics_like",
    "ntu3d_like",
    "ntu_like",
    "write_samples",
]

Annotation = dict[str, Any]
Split = dict[str, list[str]]

TRAIN_SUBJECTS = frozenset([1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38])
"""Subjects of NTU RGB+D 60 whose clips are in the cross-subject training split."""

FIRST_MUTUAL_CLASS = 49
"""The first class, counted from 0, of the classes with two persons."""

NTU_FRAMES = ((0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1), (60, 63, 70, 84, 105, 135, 220, 300))
"""Quantiles of the number of frames of an NTU RGB+D clip."""

KINETICS_FRAMES = ((0, 0.05, 0.1, 0.25, 1), (164, 212, 260, 300, 302))
"""Quantiles of the number of frames of a Kinetics-400 video."""

KINETICS_SHAPES = ((320, 568), (320, 568), (320, 568), (320, 568), (320, 426), (320, 426), (320, 426), (568, 320))
"""(height, width) of Kinetics videos scaled to a short side of 320; frequent shapes are repeated."""

KINETICS_DEPTHS = (4.5, 14.0)
"""How far persons are from the camera, in metres: they are a fifth to two thirds of the image high."""

NTU_ACTIONS = {7: "sitting down", 9: "clapping", 22: "waving", 26: "jumping up", 42: "falling", 57: "shaking hands"}
"""What persons do in classes of NTU RGB+D that are an action of `converters.samples.actions`."""

ANY_ACTION = ("walking", "waving", "sitting down", "clapping", "falling", "jumping up")
"""What persons do in other classes: always the same in a class."""

BOX_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
ID_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)


def ntu_like(count: int, seed: int = 0) -> dict[str, Any]:
    """A dict of ``split`` and ``annotations`` as in PYSKL's ntu60_hrnet.pkl; see `iter_ntu_like`."""
    annotations = list(iter_ntu_like(count, seed))
    return {"split": ntu_split(ntu_names(count)), "annotations": annotations}


def ntu3d_like(count: int, seed: int = 0) -> dict[str, Any]:
    """A dict of ``split`` and ``annotations`` as in PYSKL's ntu60_3danno.pkl; see `iter_ntu3d_like`."""
    annotations = list(iter_ntu3d_like(count, seed))
    return {"split": ntu_split(ntu_names(count)), "annotations": annotations}


def iter_ntu_like(count: int, seed: int = 0) -> Iterator[Annotation]:
    """2D skeletons of NTU RGB+D as HRNet estimates them.

    ``keypoint`` is float16 [M, T, 17, 2] in pixels, ``keypoint_score`` float16 [M, T, 17]; M is 1 or 2, T 60 to 300.
    Some persons are not detected in a few frames, in which both arrays hold zeros.
    """
    for index, name in enumerate(ntu_names(count)):
        random = np.random.default_rng([seed, index, 2])
        label, persons, frames = ntu_clip(random, name)
        keypoint, score = dense(random, stage(random, persons, frames, ntu_action(label)), frames)
        yield {
            "frame_dir": name,
            "label": label,
            "img_shape": (1080, 1920),
            "original_shape": (1080, 1920),
            "total_frames": frames,
            "keypoint": keypoint,
            "keypoint_score": score,
        }


def iter_ntu3d_like(count: int, seed: int = 0) -> Iterator[Annotation]:
    """3D skeletons of NTU RGB+D: ``keypoint`` is float16 [M, T, 25, 3] in metres; M is 1 or 2, T 60 to 300."""
    for index, name in enumerate(ntu_names(count)):
        random = np.random.default_rng([seed, index, 3])
        label, persons, frames = ntu_clip(random, name)
        scene = stage(random, persons, frames, ntu_action(label))
        yield {
            "frame_dir": name,
            "label": label,
            "keypoint": skeletons(random, scene, frames),
            "total_frames": frames,
        }


def bare_list_like(count: int, seed: int = 0) -> list[Annotation]:
    """A list of annotations as in MMAction2 0.x, which has one file per split; see `iter_bare_list_like`."""
    return list(iter_bare_list_like(count, seed))


def iter_bare_list_like(count: int, seed: int = 0) -> Iterator[Annotation]:
    """Annotations without a split: ``filename`` instead of frame_dir, ``valid@0.5`` … instead of valid, several labels.

    ``keypoint`` and ``keypoint_score`` are those of `iter_ntu_like`.
    """
    for annotation in iter_ntu_like(count, seed):
        label, frames = annotation["label"], annotation["total_frames"]
        yield {
            "filename": annotation["frame_dir"] + ".mp4",
            "label": sorted({label, (7 * label + 3) % 60}),
            **{key: annotation[key] for key in ("img_shape", "original_shape", "total_frames")},
            **{f"valid@{threshold}": frames - round(4 * threshold) for threshold in BOX_THRESHOLDS},
            **{key: annotation[key] for key in ("keypoint", "keypoint_score")},
        }


def compressed_like(count: int, seed: int = 0) -> list[Annotation]:
    """A list of annotations as PYSKL's custom_2d_skeleton.py --compress writes it; see `iter_compressed_like`."""
    return list(iter_compressed_like(count, seed))


def iter_compressed_like(count: int, seed: int = 0) -> Iterator[Annotation]:
    """Annotations with one row per detection and the frame of each row, 0-based; every frame was sampled.

    ``keypoint`` is float16 [N, 17, 3] with x, y, score; ``frame_inds`` is int16 [N]; there is no box_score or valid.
    """
    for entry, keypoint in iter_kinetics_like(count, seed):
        frame_inds = entry["frame_inds"] // 2
        yield {
            "frame_dir": entry["frame_dir"],
            "label": entry["label"],
            "img_shape": entry["img_shape"],
            "total_frames": int(frame_inds[-1]) + 1,
            "num_person_raw": int(np.bincount(frame_inds).max()),
            "keypoint": keypoint,
            "frame_inds": frame_inds,
        }


def kinetics_like(count: int, seed: int = 0, videos_a_file: int = 0) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A table of contents like that of Kinetics-400, and the keypoints [N, 17, 3] of each frame_dir.

    See `iter_kinetics_like`.
    """
    pairs = list(iter_kinetics_like(count, seed, videos_a_file))
    toc = {"split": kinetics_split(kinetics_names(count, seed)), "annotations": [entry for entry, _ in pairs]}
    return toc, {entry["frame_dir"]: keypoint for entry, keypoint in pairs}


def iter_kinetics_like(
    count: int, seed: int = 0, videos_a_file: int = 0
) -> Iterator[tuple[Annotation, NDArray[np.float16]]]:
    """Entries of a table of contents like that of Kinetics-400, each with its keypoints.

    An entry has ``frame_inds`` int16 [N], 1-based and non-decreasing; ``box_score`` float16 [N], descending within a
    frame; ``valid``, the number of frames with a person for each of five box thresholds; and, if `videos_a_file`
    is given, ``raw_file``, the kpfile that would hold the video. Keypoints are float16 [N, 17, 3] with x and y in
    pixels and the score. N is 9 to 3,703, on average 469.
    """
    for index, name in enumerate(kinetics_names(count, seed)):
        random = np.random.default_rng([seed, index, 4])
        total_frames = int(draw(random.random(), KINETICS_FRAMES))
        frame, person = detections(random, total_frames)
        box_score = box_scores(random, frame)
        shape = KINETICS_SHAPES[random.integers(len(KINETICS_SHAPES))]
        keypoint = np.empty((len(frame), 17, 3), np.float16)
        label = int(random.integers(400))
        scene = stage(random, int(person.max()) + 1, total_frames, other_action(label), shape, KINETICS_DEPTHS)
        keypoint[..., :2], keypoint[..., 2] = estimates(random, scene, person, frame - 1)
        entry = {
            "label": label,
            "frame_dir": name,
            "img_shape": shape,
            "original_shape": shape,
            "frame_inds": frame,
            "box_score": box_score,
            "total_frames": total_frames,
            "valid": {limit: len(np.unique(frame[box_score >= limit])) for limit in BOX_THRESHOLDS},
        }
        if videos_a_file:
            entry["raw_file"] = f"data/k400/kpfiles/k400_{index // videos_a_file:03d}.pkl"
        yield entry, keypoint


def ntu_names(count: int) -> list[str]:
    """The names of `count` clips, ascending, spread over setups, cameras, subjects, repetitions and classes."""
    names = []
    for index in range(count):
        block, place = divmod(index, 17 * 3 * 40 * 2 * 60)
        # A step that has no factor in common with the number of places reaches each once, and every kind early.
        rest = place * 7919 % (17 * 3 * 40 * 2 * 60)
        rest, action = divmod(rest, 60)
        rest, repetition = divmod(rest, 2)
        rest, subject = divmod(rest, 40)
        setup, camera = divmod(rest, 3)
        setup += 17 * block
        names.append(f"S{setup + 1:03d}C{camera + 1:03d}P{subject + 1:03d}R{repetition + 1:03d}A{action + 1:03d}")
    return sorted(names)


def ntu_split(names: list[str]) -> Split:
    """The splits of NTU RGB+D 60, by the subject (characters 9 to 11) and by the camera (5 to 7) in the name."""
    return {
        "xsub_train": [name for name in names if int(name[9:12]) in TRAIN_SUBJECTS],
        "xsub_val": [name for name in names if int(name[9:12]) not in TRAIN_SUBJECTS],
        "xview_train": [name for name in names if name[4:8] != "C001"],
        "xview_val": [name for name in names if name[4:8] == "C001"],
    }


def ntu_clip(random: np.random.Generator, name: str) -> tuple[int, int, int]:
    """Label, number of persons and number of frames of the clip with this name."""
    label = int(name[-3:]) - 1
    return label, 2 if label >= FIRST_MUTUAL_CLASS else 1, int(draw(random.random(), NTU_FRAMES))


def ntu_action(label: int) -> str:
    """What persons do in a class of NTU RGB+D, counted from 0."""
    return NTU_ACTIONS.get(label, "walking" if label in (58, 59) else other_action(label))


def other_action(label: int) -> str:
    """What persons do in a class of which only the number is known."""
    return ANY_ACTION[label % len(ANY_ACTION)]


def kinetics_names(count: int, seed: int) -> list[str]:
    """Synthetic YouTube ids: the first starts with a hyphen, the second and third differ only in case."""
    picks = np.random.default_rng([seed, 1]).integers(len(ID_LETTERS), size=(count, 11))
    names = [letters.decode() for letters in ID_LETTERS[picks].view("S11").ravel().tolist()]
    names[:1] = ["-" + name[1:] for name in names[:1]]
    names[2:3] = [("a" + names[1][1:]).swapcase() for _ in names[2:3]]
    names[1:2] = ["a" + name[1:] for name in names[1:2]]
    return names


def kinetics_split(names: list[str]) -> Split:
    """Splits in which every twelfth video is for validation, about as in Kinetics-400."""
    return {"train": [name for i, name in enumerate(names) if i % 12], "val": names[::12]}


def write_samples(folder: Path, videos: int = 100, seed: int = 0, videos_a_file: int = 30) -> list[Path]:
    """Write sample files with `videos` videos each into `folder`; return the paths to convert.

    One video at a time is in memory.

    ::

        ntu60_hrnet.pkl  ntu60_3d.pkl                        split and annotations
        gym_list.pkl  compressed_list.pkl                    bare lists
        k400/k400_hrnet.pkl, k400/kpfiles/k400_000.pkl …     PYSKL: `videos_a_file` videos per kpfile
        k400_mmaction/k400_2d.pkl, k400_mmaction/kpfiles/<frame_dir>.pkl    MMAction2: one video per kpfile
        one/<frame_dir>.pkl                                  one annotation per file
    """
    split = ntu_split(ntu_names(videos))
    for name, iterator in (("ntu60_hrnet", iter_ntu_like), ("ntu60_3d", iter_ntu3d_like)):
        write_dataset(folder / f"{name}.pkl", split, iterator(videos, seed))
    write_dataset(folder / "gym_list.pkl", None, iter_bare_list_like(videos, seed))
    write_dataset(folder / "compressed_list.pkl", None, iter_compressed_like(videos, seed))

    split = kinetics_split(kinetics_names(videos, seed))
    pairs = iter_kinetics_like(videos, seed, videos_a_file)
    pyskl, mmaction = folder / "k400", folder / "k400_mmaction"
    write_dataset(pyskl / "k400_hrnet.pkl", split, written_to_kpfiles(pyskl / "kpfiles", pairs))
    pairs = iter_kinetics_like(videos, seed)
    write_dataset(mmaction / "k400_2d.pkl", split, written_to_own_files(mmaction / "kpfiles", pairs))

    for annotation in iter_ntu_like(videos, seed):
        write_value(folder / "one" / f"{annotation['frame_dir']}.pkl", annotation)
    names = ("ntu60_hrnet.pkl", "ntu60_3d.pkl", "gym_list.pkl", "compressed_list.pkl")
    return [*(folder / name for name in names), pyskl / "k400_hrnet.pkl", mmaction / "k400_2d.pkl", folder / "one"]


def write_dataset(path: Path, split: Split | None, annotations: Iterable[Annotation]) -> None:
    """Write a dict of ``split`` and ``annotations``, or a bare list if `split` is None, as a stream."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        writer = PickleWriter(file)
        with ExitStack() as containers:
            if split is not None:
                containers.enter_context(writer.streamed_dict())
                writer.key("split")
                writer.value(split)
                writer.key("annotations")
            containers.enter_context(writer.streamed_list())
            for annotation in annotations:
                writer.value(annotation)
        writer.stop()


def write_value(path: Path, value: object) -> None:
    """Write one value as a pickle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        writer = PickleWriter(file)
        writer.value(value)
        writer.stop()


def written_to_kpfiles(folder: Path, pairs: Iterable[tuple[Annotation, NDArray[Any]]]) -> Iterator[Annotation]:
    """Write the keypoints into the kpfiles that the entries name; yield the entries."""
    kpfile: dict[str, Annotation] = {}
    path: Path | None = None
    for entry, keypoint in pairs:
        its_path = folder / Path(entry["raw_file"]).name
        if path is not None and its_path != path:
            write_value(path, kpfile)
            kpfile = {}
        path = its_path
        kpfile[entry["frame_dir"]] = {"keypoint": keypoint}
        yield entry
    if path is not None:
        write_value(path, kpfile)


def written_to_own_files(folder: Path, pairs: Iterable[tuple[Annotation, NDArray[Any]]]) -> Iterator[Annotation]:
    """Write the keypoints of every entry into a file named after its frame_dir; yield the entries."""
    for entry, keypoint in pairs:
        write_value(folder / f"{entry['frame_dir']}.pkl", {"keypoint": keypoint})
        yield entry
