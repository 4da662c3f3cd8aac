"""The small data sets of persons: PYSKL's form, class names, what detectors miss and mistake, the same for a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import samples
from converters.checks.dataset import check, opened_for_check
from converters.samples.actions import CLASS_NAMES
from converters.samples.staged import FRAMES, SHAPE, people_names
from skelstore.joints import LAYOUTS
from tests.support.exact import assert_exact
from tests.support.source_contract import load

MAKERS = [samples.people_like, samples.people_3d_like, samples.detected_people_like]


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_seed_gives_the_same_data(make: Callable[[int, int], dict[str, Any]]) -> None:
    once = make(7, 1)
    assert_exact(make(7, 1), once)
    assert_exact(make(9, 1)["annotations"][:7], once["annotations"])
    with pytest.raises(AssertionError):
        assert_exact(make(7, 2), once)


@pytest.mark.parametrize("make", MAKERS)
def test_every_class_is_in_every_split(make: Callable[[int, int], dict[str, Any]]) -> None:
    found = make(20, 0)
    names = [annotation["frame_dir"] for annotation in found["annotations"]]
    assert names == people_names(20)
    assert len(set(names)) == 20
    assert sorted(found["split"]["train"] + found["split"]["val"]) == sorted(names)
    for part in found["split"].values():
        assert {name[:-4].replace("_", " ") for name in part} == set(CLASS_NAMES)
    for annotation in found["annotations"]:
        assert CLASS_NAMES[annotation["label"]].replace(" ", "_") == annotation["frame_dir"][:-4]
        assert FRAMES[0] <= annotation["total_frames"] < FRAMES[1]


def test_dense_people() -> None:
    lost = 0
    for annotation in samples.people_like(25)["annotations"]:
        persons = 2 if CLASS_NAMES[annotation["label"]] == "shaking hands" else 1
        keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
        assert keypoint.dtype == score.dtype == np.float16
        assert keypoint.shape == (persons, annotation["total_frames"], 17, 2)
        assert score.shape == keypoint.shape[:-1]
        assert (keypoint.flags.c_contiguous, score.flags.c_contiguous) == (True, True)
        missing = (score == 0).all(axis=-1)
        assert ((keypoint == 0).all(axis=(-2, -1)) == missing).all()
        lost += missing.any()
        height, width = annotation["img_shape"]
        seen = keypoint[~missing].astype(float)
        assert seen.min() >= -0.1 * width
        assert (seen[..., 0].max(), seen[..., 1].max()) <= (1.1 * width, 1.1 * height)
        assert 0.3 * height < np.ptp(seen[0, :, 1]) < 0.9 * height
    assert 0 < lost < 12


def test_people_in_3d_are_those_of_the_images() -> None:
    """The camera is level there, so only distances can be compared: the lengths of bones, seen from any side."""
    for flat, deep in zip(samples.people_like(5)["annotations"], samples.people_3d_like(5)["annotations"], strict=True):
        assert flat["frame_dir"] == deep["frame_dir"]
        assert deep["keypoint"].shape == (len(flat["keypoint"]), flat["total_frames"], 25, 3)
        assert deep["keypoint"].dtype == np.float16
        place = {name: i for i, name in enumerate(LAYOUTS["ntu-25"].joints)}
        points = deep["keypoint"].astype(float)
        thigh = np.linalg.norm(points[:, :, place["left_hip"]] - points[:, :, place["left_knee"]], axis=-1)
        assert 0.35 < thigh.mean() < 0.5
        assert thigh.std(axis=1).max() < 0.01
        assert 1 < points[..., 2].min() < points[..., 2].max() < 6, "before the camera"


def test_detections_have_gaps_and_mistakes() -> None:
    gaps = mistakes = 0
    for index, annotation in enumerate(samples.detected_people_like(20)["annotations"]):
        keypoint, frame, box = annotation["keypoint"], annotation["frame_inds"], annotation["box_score"]
        assert keypoint.dtype == box.dtype == np.float16
        assert frame.dtype == np.int16
        assert keypoint.shape == (len(frame), 17, 3)
        step = np.diff(frame)
        assert (step >= 0).all()
        assert (np.diff(box.astype(float))[step == 0] <= 0).all()
        assert 0 <= frame[0] <= frame[-1] < annotation["total_frames"]
        persons = 2 if CLASS_NAMES[annotation["label"]] == "shaking hands" else 1
        per_frame = np.bincount(frame, minlength=annotation["total_frames"])
        gaps += (per_frame < persons).any()
        wrong = box < 0.7
        assert (wrong.any() and index % 2 == 1) or not wrong.any()
        mistakes += wrong.any()
        if wrong.sum() > 1:
            still = keypoint[wrong, :, :2].astype(float)
            assert np.abs(still - still.mean(axis=0)).mean() < 12, "what is no person does not move"
            assert keypoint[wrong, :, 2].mean() < 0.5 * keypoint[~wrong, :, 2].mean()
        assert per_frame.max() <= persons + 1
    assert gaps > 8
    assert mistakes > 6


def test_files_are_written_and_free_of_errors(tmp_path: Path) -> None:
    paths = samples.write_people(tmp_path, 10, 3)
    assert [path.name for path in paths] == [
        "people.pkl",
        "people_3d.pkl",
        "people_detections.pkl",
        "people_classes.txt",
    ]
    assert paths[-1].read_text(encoding="utf-8").split("\n") == [*CLASS_NAMES, ""]
    for path, make in zip(paths[:-1], MAKERS, strict=True):
        assert_exact(load(path), make(10, 3))
        with opened_for_check(path) as videos:
            assert check(videos).errors == 0
    assert SHAPE == (720, 1080)
