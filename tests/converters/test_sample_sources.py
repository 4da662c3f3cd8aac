"""Sample data of sources other than one pickle: the same for the same seed, in the form of the real files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from converters.samples.pickles import iter_ntu_like, ntu_names
from converters.samples.pose_tools import SIZE, alphapose_like, kinetics_skeleton_like, openpose_like
from converters.samples.skeletons import denoised_like, raw_skes_like
from converters.samples.sources import babel_like, boxes_like, extraction_like, write_sources
from tests.support.exact import assert_exact
from tests.support.source_contract import load


def test_the_same_seed_gives_the_same_data() -> None:
    makers = (alphapose_like, kinetics_skeleton_like, openpose_like, babel_like, extraction_like)
    for make in (*makers, lambda count, seed: boxes_like(iter_ntu_like(count, seed))):
        once = make(5, 1)
        assert_exact(make(5, 1), once)
        with pytest.raises(AssertionError):
            assert_exact(make(5, 2), once)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_babel_like(count: int) -> None:
    """As create_dataset.py of BABEL writes it: NumPy's numbers and texts in lists, the same id for several clips."""
    clips, (segments, (labels, sids, chunks, annotators)) = babel_like(count)
    assert (clips.dtype, clips.shape) == (np.float64, (count, 3, 150, 25, 1))
    assert {len(column) for column in (segments, labels, sids, chunks, annotators)} == {count}
    assert {type(value) for value in labels} <= {int}
    assert {type(value) for value in [*segments, *annotators]} <= {np.str_}
    assert all(0 <= label < 120 for label in labels)
    assert len(set(segments)) == count - count // 4


def test_boxes_like() -> None:
    annotations = list(iter_ntu_like(10))
    boxes = boxes_like(annotations)
    assert len(boxes) == 9
    for annotation in annotations:
        if (box := boxes.get(annotation["frame_dir"])) is not None:
            assert (box.dtype, box.shape) == (np.float32, (annotation["total_frames"], 4))
            assert (box[:, :2] < box[:, 2:]).all()


def test_extraction_like() -> None:
    for i, annotation in enumerate(extraction_like(6)):
        assert annotation["frame_dir"] == f"clip{i:03d}"
        assert "label" not in annotation
        assert annotation["num_person_raw"] in (1, 2, 3)
        assert annotation["keypoint"].dtype == np.float16
        assert ("frame_inds" in annotation) == (annotation["keypoint"].ndim == 3) == (i % 2 == 1)


def test_pickles_of_ctrgcn() -> None:
    """As get_raw_skes_data.py and get_raw_denoised_data.py write them: NumPy's text, bodies without gaps, float32."""
    entries = raw_skes_like(ntu_names(8))
    assert_exact(raw_skes_like(ntu_names(8)), entries)
    for entry, clip in zip(entries, denoised_like(entries), strict=True):
        assert (type(entry["name"]), list(entry)) == (np.str_, ["name", "data", "num_frames"])
        starts = [body["interval"][0] for body in entry["data"].values()]
        assert starts == sorted(starts)
        for body in entry["data"].values():
            frames = len(body["interval"])
            assert body["interval"] == list(range(body["interval"][0], body["interval"][0] + frames))
            assert (body["joints"].dtype, body["joints"].shape) == (np.float32, (25 * frames, 3))
            assert (body["colors"].dtype, body["colors"].shape) == (np.float32, (frames, 25, 2))
            assert ("motion" in body) == (len(entry["data"]) > 1)
        assert (clip.dtype, len(clip)) == (np.float32, entry["num_frames"])
        assert clip.shape[1] == 75 * min(len(entry["data"]), 2)


def test_every_file_is_written(tmp_path: Path) -> None:
    write_sources(tmp_path, 8)
    assert np.load(tmp_path / "babel" / "train_ntu_sk_120.npy").shape[0] == 8
    assert len(load(tmp_path / "babel" / "train_label_120.pkl")[1]) == 4
    assert len(load(tmp_path / "gym" / "gym_hrnet.pkl")["annotations"]) == 8
    assert "of_no_video" in load(tmp_path / "gym" / "gym_gt_bboxes.pkl")
    assert len(list((tmp_path / "extracted").glob("S*.pkl"))) == 8
    assert [len(load(tmp_path / "parts" / f"part_{i}.pkl")) for i in range(2)] == [4, 4]
    for table in ("parts.csv", "clips.csv"):
        with open(tmp_path / table, newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == 8
    with np.load(tmp_path / "gcn" / "NTU60_CS.npz") as arrays:
        assert arrays["x_train"].shape[::2] == (6, 150)
    assert len(load(tmp_path / "gcn" / "stgcn" / "val_label.pkl")[0]) == 2
    assert len(list((tmp_path / "gcn" / "clips").glob("class*/*.npy"))) == 8
    for pickle in ("raw_data/raw_skes_data", "denoised_data/raw_denoised_joints"):
        assert len(load(tmp_path / "CTR-GCN" / "data" / "ntu" / f"{pickle}.pkl")) == 8
    names = tmp_path / "CTR-GCN" / "data" / "ntu" / "statistics" / "skes_available_name.txt"
    assert len(names.read_text().split()) == 8
    for folder in ("clips", "classes/*/*"):
        assert [len(list(tmp_path.glob(f"{folder}/*.{suffix}"))) for suffix in ("npy", "npz")] == [4, 4]


def test_the_output_of_pose_tools_has_the_difficulties_of_real_files() -> None:
    """As AlphaPose, ST-GCN's set and OpenPose write it: ids in several forms, empty frames, fractions above 1."""
    forms = [type(detection.get("idx")) for i in range(3) for detection in alphapose_like(i)[:1]]
    assert forms == [list, list, type(None)]
    assert {detection["image_id"] for i in range(2) for detection in alphapose_like(i)} >= {"0.jpg", "1.jpg"}
    clips = [kinetics_skeleton_like(i) for i in range(20)]
    poses = np.concatenate([person["pose"] for clip in clips for frame in clip["data"] for person in frame["skeleton"]])
    assert 1 < poses.max() < 1.02
    assert any(not frame["skeleton"] for clip in clips for frame in clip["data"])
    people = [person for i in range(6) for frame in openpose_like(i) for person in frame["people"]]
    assert {len(person["pose_keypoints_2d"]) for person in people} == {0, 75}
    assert {person["person_id"][0] for person in people} >= {-1, 0}
    pixels = np.array([person["pose_keypoints_2d"] for person in people if person["pose_keypoints_2d"]]).reshape(-1, 3)
    assert (pixels[:, :2] <= 1.011 * np.array(SIZE[::-1])).all()
    assert (pixels == 0).all(axis=1).any()
