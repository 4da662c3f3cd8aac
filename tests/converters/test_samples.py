"""The sample data: the same for the same seed, in the form of the real files, and with their statistics."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import samples
from converters.dialects.ntu.skeleton_file import parse
from converters.samples.motion import detections
from converters.samples.pose_clips import POSE_CLIPS
from converters.samples.pose_tools import POSE_TOOLS
from converters.samples.skeletons import FIRST_BODY_ID, skeleton_file
from tests.support.compressibility import as_rows, compressibility
from tests.support.exact import assert_exact
from tests.support.source_contract import load

ITERATORS = [
    samples.iter_ntu_like,
    samples.iter_ntu3d_like,
    samples.iter_bare_list_like,
    samples.iter_compressed_like,
    samples.iter_kinetics_like,
]


@pytest.mark.parametrize("iterator", ITERATORS)
def test_the_same_seed_gives_the_same_data(iterator: Callable[[int, int], Iterator[Any]]) -> None:
    once = list(iterator(6, 1))
    assert_exact(list(iterator(6, 1)), once)
    with pytest.raises(AssertionError):
        assert_exact(list(iterator(6, 2)), once)


def test_a_video_of_kinetics_does_not_depend_on_the_count() -> None:
    assert_exact(list(islice(samples.iter_kinetics_like(1000, 5), 4)), list(samples.iter_kinetics_like(4, 5)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("iterator", ITERATORS)
def test_any_count(iterator: Callable[[int, int], Iterator[Any]], count: int) -> None:
    assert len(list(iterator(count, 0))) == count


def test_ntu_like() -> None:
    dataset = samples.ntu_like(60, seed=3)
    assert list(dataset) == ["split", "annotations"]
    names = [annotation["frame_dir"] for annotation in dataset["annotations"]]
    assert names == sorted(set(names))
    assert names[0] == "S001C001P001R001A001"
    split = dataset["split"]
    assert list(split) == ["xsub_train", "xsub_val", "xview_train", "xview_val"]
    assert all(split.values())
    assert sorted(split["xsub_train"] + split["xsub_val"]) == names
    assert sorted(split["xview_train"] + split["xview_val"]) == names
    for annotation in dataset["annotations"]:
        assert list(annotation) == [
            "frame_dir",
            "label",
            "img_shape",
            "original_shape",
            "total_frames",
            "keypoint",
            "keypoint_score",
        ]
        persons = 2 if annotation["label"] >= 49 else 1
        keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
        assert keypoint.dtype == score.dtype == np.float16
        assert keypoint.shape == (persons, annotation["total_frames"], 17, 2)
        assert score.shape == keypoint.shape[:-1]
        assert 60 <= annotation["total_frames"] <= 300
        assert np.isfinite(keypoint).all()
        lost = score == 0
        assert (lost == (keypoint == 0).all(axis=-1)).all()
        assert (lost == lost.all(axis=-1, keepdims=True)).all(), "a person is lost with all joints"
        assert lost.mean() < 0.1
        assert 0.02 <= score[~lost].min() <= score.max() < 1.03
        assert type(annotation["label"]) is type(annotation["total_frames"]) is int
        assert annotation["label"] == int(annotation["frame_dir"][-3:]) - 1
        # Smooth: a joint moves about a cell of the heatmap from one frame to the next.
        step = np.abs(np.diff(keypoint.astype(np.float32), axis=1))
        assert step[~(lost[:, 1:] | lost[:, :-1])].mean() < 20


def test_some_persons_are_lost_in_some_frames_as_in_the_real_file(real_file: Callable[[str], Path]) -> None:
    real = load(real_file("annotations/hrnet_11_joints.pkl"))["annotations"]

    def lost(annotations: list[Any]) -> tuple[float, float]:
        found = [~annotation["keypoint"].any(axis=(-2, -1)) for annotation in annotations]
        return float(np.mean([each.any() for each in found])), float(np.concatenate([f.ravel() for f in found]).mean())

    videos, frames = lost(list(samples.iter_ntu_like(400)))
    real_videos, real_frames = lost(real)
    assert 0.5 * real_videos < videos < 2 * real_videos
    assert 0.25 * real_frames < frames < 2 * real_frames


def generated_like_hrnet() -> dict[str, tuple[float, float]]:
    """The compressibility of generated data: byte shuffle and bit shuffle."""
    dense = list(samples.iter_ntu_like(100))
    return {
        "keypoint": compressibility(as_rows(dense, "keypoint")),
        "keypoint_score": compressibility(as_rows(dense, "keypoint_score")),
        "kinetics": compressibility([keypoint for _, keypoint in samples.iter_kinetics_like(60)]),
    }


def test_generated_data_compresses_within_these_ranges() -> None:
    """The ranges are those of real keypoints of HRNet, of which this test needs no copy.

    Coordinates prefer byte shuffle, scores prefer bit shuffle.
    """
    found = generated_like_hrnet()
    assert found["keypoint"] == pytest.approx((0.66, 0.69), abs=0.03)
    assert found["keypoint_score"] == pytest.approx((0.76, 0.67), abs=0.03)
    assert found["kinetics"] == pytest.approx((0.72, 0.70), abs=0.04)


@pytest.mark.parametrize("persons", [1, 4, 8])
def test_generated_data_compresses_like_the_real_file(real_file: Callable[[str], Path], persons: int) -> None:
    """The rows of several persons alternate in Kinetics: real clips are combined to such videos, at its resolution."""
    real = load(real_file("annotations/hrnet_11_joints.pkl"))["annotations"]
    found = generated_like_hrnet()
    for key in ("keypoint", "keypoint_score"):
        assert found[key] == pytest.approx(compressibility(as_rows(real, key)), abs=0.03)
    scaled = [
        np.concatenate([0.3 * a["keypoint"][0].astype(np.float32), a["keypoint_score"][0][..., None]], -1) for a in real
    ]
    scaled.sort(key=len)
    crowds = [scaled[i : i + persons] for i in range(0, len(scaled) - persons + 1, persons)]
    videos = [np.stack([clip[: len(crowd[0])] for clip in crowd], axis=1) for crowd in crowds]
    expected = compressibility([video.reshape(-1, *video.shape[2:]).astype(np.float16) for video in videos])
    assert found["kinetics"] == pytest.approx(expected, abs=0.05)


def test_ntu_names_are_unique_far_beyond_the_real_count() -> None:
    names = samples.ntu_names(260_000)
    assert len(set(names)) == 260_000


def test_ntu3d_like() -> None:
    dataset = samples.ntu3d_like(20, seed=3)
    assert {len(annotation["keypoint"]) for annotation in dataset["annotations"]} == {1, 2}
    for annotation in dataset["annotations"]:
        assert list(annotation) == ["frame_dir", "label", "keypoint", "total_frames"]
        keypoint = annotation["keypoint"]
        assert keypoint.dtype == np.float16
        assert keypoint.shape[1:] == (annotation["total_frames"], 25, 3)
        assert np.abs(keypoint).max() < 10


def test_kinetics_like() -> None:
    toc, keypoints = samples.kinetics_like(50, seed=2, videos_a_file=20)
    names = [entry["frame_dir"] for entry in toc["annotations"]]
    assert list(keypoints) == names
    assert len(set(names)) == 50
    assert {len(name) for name in names} == {11}
    assert names[0].startswith("-")
    assert names[1] != names[2]
    assert names[1].lower() == names[2].lower()
    assert list(toc["split"]) == ["train", "val"]
    assert sorted(toc["split"]["train"] + toc["split"]["val"]) == sorted(names)
    for index, entry in enumerate(toc["annotations"]):
        assert list(entry) == [
            "label",
            "frame_dir",
            "img_shape",
            "original_shape",
            "frame_inds",
            "box_score",
            "total_frames",
            "valid",
            "raw_file",
        ]
        frames, scores, keypoint = entry["frame_inds"], entry["box_score"], keypoints[entry["frame_dir"]]
        assert keypoint.dtype == scores.dtype == np.float16
        assert frames.dtype == np.int16
        assert keypoint.shape == (len(frames), 17, 3)
        assert scores.shape == frames.shape
        assert frames[0] >= 1
        assert frames[-1] <= entry["total_frames"]
        step, fall = np.diff(frames), np.diff(scores)
        assert (step >= 0).all()
        assert (fall[step == 0] <= 0).all()
        assert list(entry["valid"]) == [0.5, 0.6, 0.7, 0.8, 0.9]
        for limit, count in entry["valid"].items():
            assert type(count) is int
            assert count == len(
                {frame for frame, score in zip(frames, scores, strict=True) if score >= np.float16(limit)}
            )
        assert entry["raw_file"] == f"data/k400/kpfiles/k400_{index // 20:03d}.pkl"
    assert "raw_file" not in next(samples.iter_kinetics_like(1, 0))[0]


def test_detections_per_video_are_distributed_as_in_the_real_table() -> None:
    counts = [len(detections(np.random.default_rng([0, i]), 300)[0]) for i in range(1500)]
    assert 9 <= min(counts) < 60
    assert 3400 < max(counts) <= 3703
    assert np.mean(counts) == pytest.approx(469, rel=0.12)
    assert np.median(counts) == pytest.approx(260, rel=0.12)


def test_the_statistics_are_those_of_the_real_file(real_file: Callable[[str], Path]) -> None:
    real = load(real_file("annotations/k400_toc_100.pkl"))["annotations"]
    made = [entry for entry, _ in samples.iter_kinetics_like(700, 0)]
    assert list(made[0]) == list(real[0])
    assert [type(value) for value in made[0].values()] == [type(value) for value in real[0].values()]

    def medians(entries: list[Any]) -> list[float]:
        frames = [len(np.unique(entry["frame_inds"])) for entry in entries]
        people = [len(entry["frame_inds"]) / count for entry, count in zip(entries, frames, strict=True)]
        scores = np.concatenate([entry["box_score"] for entry in entries]).astype(float)
        return [float(np.median(values)) for values in (frames, people, scores)]

    assert medians(made) == pytest.approx(medians(real), rel=0.15)


def test_bare_list_like() -> None:
    annotations = samples.bare_list_like(10, seed=1)
    assert type(annotations) is list
    for annotation in annotations:
        assert "frame_dir" not in annotation
        assert annotation["filename"].endswith(".mp4")
        assert type(annotation["label"]) is list
        assert {"valid@0.5", "valid@0.9", "keypoint", "keypoint_score"} < set(annotation)


def test_compressed_like() -> None:
    for annotation in samples.compressed_like(10, seed=1):
        keys = ["frame_dir", "label", "img_shape", "total_frames", "num_person_raw", "keypoint", "frame_inds"]
        assert list(annotation) == keys
        assert annotation["frame_inds"].dtype == np.int16
        assert annotation["keypoint"].shape == (len(annotation["frame_inds"]), 17, 3)
        assert annotation["frame_inds"][-1] < annotation["total_frames"]
        assert annotation["num_person_raw"] == np.bincount(annotation["frame_inds"]).max()


def test_skeleton_files() -> None:
    files = [skeleton_file(name, [i]) for i, name in enumerate(samples.ntu_names(25))]
    parsed = [parse(data) for data in files]
    assert {data[-2:] == b"\r\n" for data in files} == {True, False}
    assert all(skeleton.body_id.min() > FIRST_BODY_ID > 1 << 53 for skeleton in parsed)
    bodies = [len(np.unique(skeleton.body_id)) for skeleton in parsed]
    assert min(bodies) == 1
    assert max(bodies) > 2
    assert any(len(np.unique(skeleton.frame_inds)) < skeleton.total_frames for skeleton in parsed), (
        "frames without a body"
    )
    assert any((np.diff(skeleton.body_id) < 0).any() for skeleton in parsed), "ids that do not ascend"


def test_the_command_writes_every_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "converters.samples", str(tmp_path), "--videos", "35", "--seed", "4"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert [str(Path(line).relative_to(tmp_path)) for line in printed] == [
        "people.pkl",
        "people_3d.pkl",
        "people_detections.pkl",
        "people_classes.txt",
        "ntu60_hrnet.pkl",
        "ntu60_3d.pkl",
        "gym_list.pkl",
        "compressed_list.pkl",
        "k400/k400_hrnet.pkl",
        "k400_mmaction/k400_2d.pkl",
        "one",
        "nturgb+d_skeletons",
        *POSE_TOOLS,
        *POSE_CLIPS,
    ]
    skeletons = {file.stem: file.read_bytes() for file in (tmp_path / "nturgb+d_skeletons").iterdir()}
    assert sorted(skeletons) == samples.ntu_names(35)
    first = samples.ntu_names(35)[0]
    assert skeletons[first] == skeleton_file(first, [4, 0]) != skeleton_file(first, [5, 0])
    assert_exact(load(tmp_path / "ntu60_hrnet.pkl"), samples.ntu_like(35, 4))
    assert_exact(load(tmp_path / "ntu60_3d.pkl"), samples.ntu3d_like(35, 4))
    assert_exact(load(tmp_path / "gym_list.pkl"), samples.bare_list_like(35, 4))
    assert_exact(load(tmp_path / "compressed_list.pkl"), samples.compressed_like(35, 4))

    toc, keypoints = samples.kinetics_like(35, 4, videos_a_file=30)
    packs = {name: {"keypoint": keypoint} for name, keypoint in keypoints.items()}
    assert_exact(load(tmp_path / "k400/k400_hrnet.pkl"), toc)
    kpfiles = [load(tmp_path / "k400/kpfiles" / f"k400_00{number}.pkl") for number in (0, 1)]
    assert [len(kpfile) for kpfile in kpfiles] == [30, 5]
    assert_exact({**kpfiles[0], **kpfiles[1]}, packs)

    assert_exact(load(tmp_path / "k400_mmaction/k400_2d.pkl"), samples.kinetics_like(35, 4)[0])
    own = {name: load(tmp_path / "k400_mmaction/kpfiles" / f"{name}.pkl") for name in packs}
    assert_exact(own, packs)

    for annotation in samples.iter_ntu_like(35, 4):
        assert_exact(load(tmp_path / "one" / f"{annotation['frame_dir']}.pkl"), annotation)
