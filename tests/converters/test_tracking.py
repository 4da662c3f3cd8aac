"""Tracking: dense annotations from compressed ones, with the truth known or checked in plain loops."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import converters
import skelstore
from converters.checks.swaps import find_swaps
from converters.conversion.source import SkippedVideoError
from converters.information import information
from converters.samples.pickles import compressed_like, kinetics_like
from converters.tracking import assignment
from converters.tracking.dense import Form, Settings, dense, recognise_form
from converters.tracking.numbering import Numbering, recognise, timeline
from converters.tracking.source import StoreVideos, Tracked
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError
from skelstore.read.decompression import decompress_pose
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.scenes import SCENES, Scene, crossing, duplicates, gaps, identity_switches, rows_of_truth
from tests.support.source_contract import check_source, dump

Annotation = dict[str, Any]
CLIPS = 10
"""Number of generated clips of each scene."""


def form_of(annotations: list[Annotation]) -> Form:
    form = recognise_form(annotations)
    assert form is not None
    return form


def tracked(annotation: Annotation, persons: int = 2, max_gap: int = 30, interpolate: bool = False) -> Annotation:
    return dense(annotation, form_of([annotation]), Settings(persons, max_gap, interpolate))


def clips(make: Callable[..., Scene], **options: Any) -> list[Scene]:
    return [make(np.random.default_rng([7, seed]), **options) for seed in range(CLIPS)]


def switches(scenes: list[Scene], made: list[Annotation]) -> int:
    return sum(
        identity_switches(rows_of_truth(scene, one["keypoint"])) for scene, one in zip(scenes, made, strict=True)
    )


# ------------------------------------------------------------------------------------------- generated scenes


@pytest.mark.parametrize("name", SCENES)
def test_rows_are_persons(name: str) -> None:
    """No row changes its person, where the rule of PYSKL (by score in each frame) does in every clip."""
    scenes = clips(SCENES[name])
    assert switches(scenes, [tracked(scene.annotation) for scene in scenes]) == 0
    for scene in scenes:
        theirs = decompress_pose(scene.annotation, squeeze=False, max_person=2)
        assert identity_switches(rows_of_truth(scene, theirs["keypoint"])) > 10


@pytest.mark.parametrize(("persons", "bound"), [(3, 10), (4, 10)])
def test_crowds_that_cross(persons: int, bound: int) -> None:
    """Persons hidden behind others cannot always be distinguished, so a few identity switches are allowed."""
    scenes = clips(crossing, persons=persons)
    assert switches(scenes, [tracked(scene.annotation, persons) for scene in scenes]) <= bound


@pytest.mark.parametrize("name", ["crossing", "gaps", "passers-by"])
def test_the_persons_of_the_whole_clip_come_first(name: str) -> None:
    """They keep nearly all of their detections, each in one row; passers-by are in later rows."""
    for scene in clips(SCENES[name]):
        rows = rows_of_truth(scene, tracked(scene.annotation)["keypoint"])
        for person in (0, 1):
            assert max((row == person).sum() for row in rows) >= 0.9 * (scene.truth == person).sum()


def test_check_finds_no_persons_who_change_rows() -> None:
    for make in SCENES.values():
        for scene in clips(make):
            assert not find_swaps(tracked(scene.annotation)["keypoint"]).any()


def test_second_boxes_are_no_persons() -> None:
    for scene in clips(duplicates):
        made = tracked(scene.annotation, 5)
        assert made["tracking"]["persons"] == len(made["keypoint"]) == 2
        assert made["tracking"]["duplicates"] == (scene.truth == -1).sum()


def test_without_gaps_a_person_ends(tmp_path: Path) -> None:
    for scene in clips(gaps):
        made = tracked(scene.annotation, 100, max_gap=0)
        seen = made["keypoint_score"].any(axis=-1)
        assert all((np.diff(np.flatnonzero(row)) == 1).all() for row in seen)
        assert made["tracking"]["gaps"] == 0
        assert made["tracking"]["kept"] == len(scene.truth)


def test_a_scipy_that_cannot_be_imported_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert assignment.find_solver.__wrapped__() is assignment.solve


def test_it_is_the_same_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed: pip install 'skelstore[track]'")
    scenes = clips(crossing, persons=4)
    with_scipy = [tracked(scene.annotation, 4) for scene in scenes]
    monkeypatch.setattr(assignment, "find_solver", lambda: assignment.solve)
    assert_exact([tracked(scene.annotation, 4) for scene in scenes], with_scipy)


# ------------------------------------------------------------------------------------------------ any values

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-8, 65504.0]
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


@st.composite
def compressed(draw: st.DrawFn) -> Annotation:
    """Detections with any values; ``uid`` numbers them from 1, so that the result says where each has gone."""
    count, joints = draw(st.integers(1, 30)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from(["<f2", "<f4", "<f8", ">f4"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames = np.sort(random.integers(0, draw(st.integers(1, 25)), count))
    keypoint = random.uniform(0, 40, (count, joints, 3))
    if draw(st.booleans()):
        keypoint = np.round(keypoint / 10) * 10  # ties, equal rows, boxes of no size
    odd = random.random(keypoint.shape) < draw(st.sampled_from([0, 0.1, 0.5]))
    keypoint[odd] = random.choice(SPECIAL, int(odd.sum()))
    annotation = {
        "frame_dir": "a",
        "keypoint": keypoint.astype(dtype),
        "frame_inds": frames.astype(draw(st.sampled_from(["int16", "int32", "uint8", ">i2"]))),
        "total_frames": int(frames[-1]) + 1 + draw(st.integers(0, 3)),
        "uid": np.arange(1, count + 1, dtype=np.int32),
    }
    if draw(st.booleans()):
        scores = random.choice([0.5, 0.9, 3.0, 0.0, -1.0, np.nan, np.inf], count)
        annotation["box_score"] = scores.astype(draw(st.sampled_from(["f2", "f4"])))
    if draw(st.booleans()):
        annotation["track"] = random.integers(-1, 4, count).astype(np.int32)
    if draw(st.booleans()):
        annotation["face_keypoint"] = random.uniform(0, 40, (count, 4, 3)).astype(np.float32)
    return annotation


FORM = Form(frozenset({"keypoint", "frame_inds", "box_score", "track", "uid", "face_keypoint"}), Numbering())
SETTINGS = st.builds(Settings, st.integers(1, 5), st.integers(0, 6), st.booleans())


def made_of(annotation: Annotation, chosen: Settings) -> Annotation | str:
    try:
        return dense(annotation, FORM, chosen)
    except SkippedVideoError as error:
        return error.reason


def has_joint(row: NDArray[Any]) -> bool:
    return any(np.isfinite(joint[:2]).all() and joint[:2].any() for joint in row.astype(np.float64))


def shared_ids(annotation: Annotation) -> set[int]:
    """The ids that a frame has twice."""
    pairs = [(int(f), int(i)) for f, i in zip(annotation["frame_inds"], annotation["track"], strict=True)]
    return {i for f, i in pairs if pairs.count((f, i)) > 1}


def score_of(annotation: Annotation, row: int) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        if "box_score" in annotation:
            score = float(annotation["box_score"][row])
        else:
            score = float(annotation["keypoint"][row, :, 2].astype(np.float64).mean())
    return 0.0 if not score > 0 else min(score, 1e6)


@given(compressed(), SETTINGS)
@settings(max_examples=150)
def test_a_kept_detection_is_unchanged_and_there_once(annotation: Annotation, chosen: Settings) -> None:
    made = made_of(annotation, chosen)
    if isinstance(made, str):
        ids = annotation.get("track", np.full(len(annotation["keypoint"]), -1))
        assert made == "no joint was found"
        assert not any(has_joint(row) for row in annotation["keypoint"])
        assert all(i < 0 or int(i) in shared_ids(annotation) for i in ids)
        return
    count, length = made["uid"].shape
    assert count <= chosen.max_persons
    assert length == made["total_frames"] == annotation["total_frames"]
    assert made["keypoint"].shape == (count, length, annotation["keypoint"].shape[1], 2)
    assert made["keypoint"].dtype == made["keypoint_score"].dtype == annotation["keypoint"].dtype
    assert "frame_inds" not in made
    uids = made["uid"][made["uid"] > 0].tolist()
    assert len(set(uids)) == len(uids) == made["tracking"]["kept"]
    strengths = np.zeros(count)
    for m, t in np.ndindex(count, length):
        uid = int(made["uid"][m, t])
        if not uid:
            assert not made["keypoint"][m, t].any() or made["keypoint_interpolated"][m, t].any()
            continue
        row = uid - 1
        assert annotation["frame_inds"][row] == t
        assert made["keypoint"][m, t].tobytes() == annotation["keypoint"][row, :, :2].tobytes()
        assert made["keypoint_score"][m, t].tobytes() == annotation["keypoint"][row, :, 2].tobytes()
        if "box_score" in annotation:
            assert made["box_score"][m, t].tobytes() == annotation["box_score"][row].tobytes()
        if "face_keypoint" in annotation:
            assert made["face_keypoint"][m, t].tobytes() == annotation["face_keypoint"][row, :, :2].tobytes()
            assert made["face_keypoint_score"][m, t].tobytes() == annotation["face_keypoint"][row, :, 2].tobytes()
        strengths[m] += score_of(annotation, row)
    assert all(a >= b - 1e-9 * max(a, 1) for a, b in pairwise(strengths))
    if chosen.max_persons >= made["tracking"]["persons"]:
        lost = set(range(1, len(annotation["uid"]) + 1)) - set(uids)
        alone = [uid for uid in lost if has_joint(annotation["keypoint"][uid - 1])]
        assert len(alone) <= made["tracking"]["duplicates"]
    _check_ids(annotation, made, chosen)


def _check_ids(annotation: Annotation, made: Annotation, chosen: Settings) -> None:
    """A row has the detections of one id, or those without a usable one."""
    if "track" not in annotation:
        assert "track" not in made
        return
    assert made["track"].dtype == np.int32
    unusable = shared_ids(annotation) | {-1}
    for m, row in enumerate(made["uid"]):
        ids = {int(annotation["track"][uid - 1]) for uid in row[row > 0]}
        ids = {i for i in ids if i not in unusable}
        assert ids <= {int(made["track"][m])}
        assert (made["track"][m] >= 0) == bool(ids)


@given(compressed(), SETTINGS, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_detections_has_no_effect(annotation: Annotation, chosen: Settings, random: Any) -> None:
    order = list(range(len(annotation["uid"])))
    random.shuffle(order)
    shuffled = {k: v[order] if isinstance(v, np.ndarray) else v for k, v in annotation.items()}
    sorted_again = np.argsort(shuffled["frame_inds"], kind="stable")
    within = {k: v[sorted_again] if isinstance(v, np.ndarray) else v for k, v in shuffled.items()}
    made = made_of(annotation, chosen)
    for other in (annotation, within, shuffled):
        assert_exact(made_of(other, chosen), made)


@given(compressed(), st.integers(0, 6))
@settings(max_examples=80)
def test_interpolation_fills_gaps_alone(annotation: Annotation, max_gap: int) -> None:
    plain = made_of(annotation, Settings(5, max_gap, False))
    filled = made_of(annotation, Settings(5, max_gap, True))
    if isinstance(plain, str) or isinstance(filled, str):
        assert plain == filled
        return
    mask = filled.pop("keypoint_interpolated")
    expected, expected_score, expected_mask = (
        array.copy() for array in (plain["keypoint"], plain["keypoint_score"], mask)
    )
    expected_mask[:] = False
    frames_in_gaps = 0
    for m, uids in enumerate(plain["uid"]):
        seen = np.flatnonzero(uids)
        for a, b in pairwise(seen):
            if b - a - 1 > max_gap:
                continue
            for t in range(a + 1, b):
                frames_in_gaps += 1
                for v in range(mask.shape[2]):
                    one, two = (plain["keypoint"][m, at, v].astype(np.float64) for at in (a, b))
                    if all(np.isfinite(p).all() and p.any() for p in (one, two)):
                        share = (t - a) / (b - a)
                        expected[m, t, v] = one * (1 - share) + two * share
                        scores = plain["keypoint_score"][m, [a, b], v]
                        expected_score[m, t, v] = np.fmin(scores[0], scores[1])
                        expected_mask[m, t, v] = True
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_array_equal(filled["keypoint"], expected)
    np.testing.assert_array_equal(filled["keypoint_score"], expected_score)
    assert plain["tracking"]["gaps"] == filled["tracking"]["gaps"] == frames_in_gaps
    assert filled["tracking"]["interpolated"] == mask.any(axis=2).sum()
    assert_exact(filled["uid"], plain["uid"])


# ---------------------------------------------------------------------------------------------------- ids


def walk(ids: list[int], frames: list[int], places: list[float]) -> Annotation:
    """Detections of three joints at some places, one per frame and id."""
    body = np.array([[0, 0], [10, 0], [0, 40]])
    keypoint = np.ones((len(ids), 3, 3), np.float32)
    keypoint[..., :2] = body + np.array(places)[:, None, None]
    return {
        "frame_dir": "ids",
        "keypoint": keypoint,
        "frame_inds": np.array(frames, np.int32),
        "track": np.array(ids, np.int32),
        "total_frames": max(frames) + 1,
    }


def test_rows_follow_the_ids_even_where_positions_say_otherwise() -> None:
    made = tracked(walk([5, 9] * 4, [0, 0, 1, 1, 2, 2, 3, 3], [10, 500, 500, 10, 10, 500, 500, 10]))
    assert sorted(made["track"].tolist()) == [5, 9]
    five = made["track"].tolist().index(5)
    assert made["keypoint"][five, :, 0, 0].tolist() == [10, 500, 10, 500]


def test_large_ids_stay_apart() -> None:
    annotation = walk([0, 1, 0, 1], [0, 0, 1, 1], [10, 300, 12, 302])
    annotation["track"] = annotation["track"].astype(np.int64) + 2**40
    assert sorted(tracked(annotation)["track"].tolist()) == [2**40, 2**40 + 1]


def test_persons_without_an_id_are_matched_among_themselves() -> None:
    made = tracked(walk([5, -1, 5, -1, 5, -1], [0, 0, 1, 1, 2, 2], [10, 300, 12, 302, 14, 304]))
    assert made["track"].tolist() == [5, -1]
    assert made["keypoint"][1, :, 0, 0].tolist() == [300, 302, 304]


def test_an_id_that_all_persons_of_a_frame_share_is_none() -> None:
    """As in pose2sim's OpenPose files."""
    made = tracked(walk([1, 1, 1, 1], [0, 0, 1, 1], [10, 300, 302, 12]))
    assert made["track"].tolist() == [-1, -1]
    assert sorted(made["keypoint"][:, :, 0, 0].tolist()) == [[10, 12], [300, 302]]


@pytest.mark.parametrize(("place", "persons"), [(400, 2), (15, 1)])
def test_an_id_that_returns_elsewhere_is_another_person(place: float, persons: int) -> None:
    annotation = walk([3] * 5, [0, 1, 2, 50, 51], [10, 11, 12, place, place])
    assert len(tracked(annotation)["keypoint"]) == persons
    assert len(tracked(annotation, max_gap=60)["keypoint"]) == 1, "within the longest gap the tool is believed"


def test_a_second_box_without_an_id_is_dropped() -> None:
    annotation = walk([4, -1, 4, -1], [0, 0, 1, 1], [10, 10.5, 12, 12.5])
    annotation["box_score"] = np.array([0.5, 0.9, 0.5, 0.9])
    made = tracked(annotation)
    assert made["track"].tolist() == [4]
    assert made["box_score"].tolist() == [[0.5, 0.5]], "the tool's own"
    assert made["tracking"]["duplicates"] == 2


# -------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("frames", "total", "numbering", "positions", "length"),
    [
        ([0, 1, 4], 5, Numbering(), [0, 1, 4], 5),
        ([1, 2, 5], 5, Numbering(), [0, 1, 4], 5),  # frame 5 of 5: from 1
        ([1, 2, 4], 5, Numbering(1), [0, 1, 3], 5),
        ([1, 3, 9], 10, Numbering(1, 2, 1), [0, 1, 4], 5),
        ([1, 3, 9], 9, Numbering(1, 2, 1), [0, 1, 4], 5),
        ([0, 10, 20], 30, Numbering(0, 10, 0), [0, 1, 2], 3),
        ([0, 5, 20], 30, Numbering(0, 10, 0), [0, 1, 4], 6),  # a frame in between: a smaller step
        ([2, 7], None, Numbering(), [2, 7], 8),
    ],
)
def test_positions_of_frames(
    frames: list[int], total: int | None, numbering: Numbering, positions: list[int], length: int
) -> None:
    line = timeline(numbering, np.array(frames, np.int16), total)
    assert (line.frames.tolist(), line.length) == (positions, length)


def test_numbering_of_kinetics(real_file: Callable[[str], Path]) -> None:
    contents = pickle.loads(real_file("annotations/k400_toc_100.pkl").read_bytes())["annotations"]
    found = recognise((one["frame_inds"], one["total_frames"]) for one in contents)
    assert found == Numbering(1, 2, 1)
    for one in contents:
        line = timeline(found, one["frame_inds"], one["total_frames"])
        assert line.length == (one["total_frames"] + 1) // 2
        assert line.step == 2


def test_a_step_needs_enough_frames() -> None:
    assert recognise([(np.array([0, 5, 10]), 20)]) == Numbering()
    assert recognise([(np.arange(0, 80, 5), 100)]) == Numbering(0, 5, 0)
    assert recognise([(np.zeros(0, np.int64), 20)]) == Numbering()


@pytest.mark.parametrize("total", [3, True, 2.0, "9", np.float32(9)])
def test_frames_beyond_the_video_are_refused(total: Any) -> None:
    with pytest.raises(SourceError, match="total_frames is"):
        timeline(Numbering(), np.array([0, 4]), total)


# -------------------------------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoint": np.zeros((1, 4, 17, 2))}, "dense already"),
        ({"keypoint": np.zeros((3, 17, 2))}, "expected the detections of a pose tool"),
        ({"keypoint": None}, "keypoint is missing"),
        ({"keypoint": np.zeros((3, 0, 3))}, "expected the detections of a pose tool"),
        ({"keypoint": np.zeros((3, 17, 3), np.bool_)}, "expected numbers"),
        ({"frame_inds": None}, "frame_inds is missing"),
        ({"frame_inds": np.zeros(2, np.int16)}, "for 3 detections; expected an integer for each"),
        ({"frame_inds": np.array([0, 1, -1])}, "frame_inds are -1 to 1"),
        ({"frame_inds": np.array([0.0, 1, 2])}, "expected an integer for each"),
        ({"box_score": np.zeros((3, 1))}, "'box_score' is an array of float64 .* expected a number for each"),
        ({"box_score": [1, 2, 3]}, "expected a number for each"),
        ({"track": np.array([0.0, 1, 2])}, "expected an integer for each"),
        ({"total_frames": 2}, "total_frames is 2"),
        ({"total_frames": 2**62}, "would take .* bytes"),
        ({"face_keypoint": np.zeros((2, 70, 3))}, "expected a row for each"),
    ],
)
def test_what_is_not_compressed_is_refused(change: Annotation, message: str) -> None:
    good = {"keypoint": np.ones((3, 17, 3)), "frame_inds": np.arange(3), "total_frames": 3}
    form = Form(frozenset({"keypoint", "frame_inds", "box_score", "track", "face_keypoint"}), Numbering())
    dense(good, form, Settings(1, 1, True))
    with pytest.raises(SourceError, match=message):
        dense(good | change, form, Settings(1, 1, True))


def test_one_detection() -> None:
    made = tracked({"keypoint": np.ones((1, 2, 3)), "frame_inds": np.array([4]), "total_frames": 9}, interpolate=True)
    assert made["keypoint"].shape == (1, 9, 2, 2)
    assert made["keypoint"][0].any(axis=(1, 2)).nonzero()[0].tolist() == [4]


def test_a_crowd_of_10_000_in_a_frame() -> None:
    """The best 100 of each frame are matched, so work does not grow with the square of the crowd."""
    random = np.random.default_rng(0)
    keypoint = random.uniform(0, 4000, (30_000, 3, 3))
    keypoint[:, 1:] = keypoint[:, :1] + random.uniform(0, 20, (30_000, 2, 3))
    annotation = {
        "keypoint": keypoint,
        "frame_inds": np.repeat(np.arange(3), 10_000),
        "box_score": random.random(30_000),
        "total_frames": 3,
    }
    made = tracked(annotation, 5)
    assert made["keypoint"].shape == (5, 3, 3, 2)
    assert made["tracking"]["persons"] <= 300
    annotation["track"] = np.tile(np.arange(10_000), 3)
    made = tracked(annotation, 5)
    assert made["tracking"]["persons"] == 10_000
    assert made["tracking"]["kept"] == 15


@pytest.mark.parametrize(("place", "persons"), [(5, 1), (50, 2)])
def test_joints_that_cannot_be_compared(place: float, persons: int) -> None:
    """The first two have one joint, the others another one: boxes of no size, without a joint in common."""
    keypoint = np.zeros((4, 2, 3))
    keypoint[:2, 0], keypoint[2:, 1] = [5, 5, 1], [place, 5, 1]
    made = tracked({"keypoint": keypoint, "frame_inds": np.array([0, 1, 2, 3]), "total_frames": 4})
    assert made["tracking"]["persons"] == persons
    assert made["tracking"]["kept"] == 4


# --------------------------------------------------------------------------------------------------- stores


def scenes_store(path: Path, **options: Any) -> Path:
    annotations = []
    for name, make in SCENES.items():
        scene = make(np.random.default_rng(3))
        annotations.append(scene.annotation | {"frame_dir": name, "label": len(annotations) % 2, "note": (1, "a")})
    empty = annotations[0] | {"frame_dir": "empty"}
    for key in ("keypoint", "frame_inds", "box_score"):
        empty[key] = empty[key][:0]
    splits = {"train": ["crossing", "gaps", "empty"], "val": ["leaving"]}
    return write(path, [*annotations, empty], splits, **options)


def test_a_store_becomes_a_dense_store(tmp_path: Path) -> None:
    write_to = tmp_path / "dense.zarr"
    store = scenes_store(tmp_path / "scenes.zarr", profile="small")
    with skelstore.open(store) as opened:
        annotations = list(opened)
    form = form_of(annotations)
    converters.track(store, write_to, max_persons=3, interpolate=True, profile="fast")
    with skelstore.open(write_to) as made:
        assert_exact(list(made), [dense(one, form, Settings(3, 30, True)) for one in annotations[:-1]])
        assert made.splits == {"train": ["crossing", "gaps"], "val": ["leaving"]}
        assert made.source["dialect"] == "track"
        assert made.source["tracking"] == {
            **{"dialect": "writer", "max_persons": 3, "max_gap": 30, "interpolate": True}
        }
        assert made.source["left_out"] == [{"index": 5, "name": "empty", "reason": "no person was detected"}]
        assert made.fields["keypoint"].ragged == made.fields["keypoint_interpolated"].ragged == 2
        assert made["gaps"]["note"] == (1, "a")
        assert set(made["gaps"]) == set(annotations[1]) - {"frame_inds"} | {
            *("keypoint_score", "keypoint_interpolated", "tracking")
        }
    with pytest.raises(SourceError, match=r"is dense already .* there is nothing to track"):
        converters.track(write_to, tmp_path / "again.zarr", max_persons=1)


def test_class_names_and_joints_are_kept(tmp_path: Path) -> None:
    source = dump(tmp_path / "list.pkl", compressed_like(6))
    names = [f"class {label}" for label in range(400)]
    converters.convert(source, tmp_path / "a.zarr", joints="coco-17", class_names=names)
    converters.track(tmp_path / "a.zarr", tmp_path / "b.zarr", max_persons=2)
    with skelstore.open(tmp_path / "b.zarr") as made:
        assert made.class_names == names
        assert made.joints.stated
        assert made.joints.layout is not None
        assert made.joints.layout.name == "coco-17"
    with pytest.raises(JointLayoutError):
        converters.track(tmp_path / "a.zarr", tmp_path / "c.zarr", max_persons=2, joints="ntu-25")
    converters.export(skelstore.open(tmp_path / "b.zarr"), tmp_path / "again.pkl")
    with skelstore.open(tmp_path / "b.zarr") as made:
        converters.convert(tmp_path / "again.pkl", tmp_path / "d.zarr")
        with skelstore.open(tmp_path / "d.zarr") as again:
            assert again.source["dialect"] == "list"
            assert_exact(list(again), list(made))


def test_a_merge_and_a_subset_keep_what_is_recorded(tmp_path: Path) -> None:
    for name in "ab":
        renamed = [one | {"frame_dir": f"{name}{i}"} for i, one in enumerate(compressed_like(3))]
        converters.track(write(tmp_path / f"{name}0.zarr", renamed), tmp_path / f"{name}.zarr", max_persons=2)
    skelstore.merge([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "c.zarr")
    with skelstore.open(tmp_path / "a.zarr") as part, skelstore.open(tmp_path / "c.zarr") as whole:
        assert whole.source["dialect"] == "track"
        assert whole.source["tracking"] == part.source["tracking"]
        skelstore.subset(whole[:3], tmp_path / "d.zarr")
        with skelstore.open(tmp_path / "d.zarr") as few:
            assert information(few)["tracking"] == information(part)["tracking"]


def test_a_video_that_is_left_out_is_in_no_split(tmp_path: Path) -> None:
    """Splits identify videos by their ``filename`` if the first video has one."""
    annotations = [one | {"filename": f"{i}.mp4"} for i, one in enumerate(compressed_like(3))]
    annotations[1]["keypoint"], annotations[1]["frame_inds"] = np.zeros((0, 17, 3)), np.zeros(0, np.int16)
    store = write(tmp_path / "a.zarr", annotations, {"all": ["0.mp4", "1.mp4", "2.mp4"]})
    converters.track(store, tmp_path / "b.zarr", max_persons=2)
    with skelstore.open(tmp_path / "b.zarr") as made:
        assert made.splits == {"all": ["0.mp4", "2.mp4"]}
        assert len(made.split("all")) == len(made) == 2


def test_workers_write_the_same(tmp_path: Path) -> None:
    store = scenes_store(tmp_path / "scenes.zarr")
    for workers in (1, 2):
        converters.track(store, tmp_path / f"{workers}.zarr", max_persons=2, workers=workers)
    with skelstore.open(tmp_path / "1.zarr") as one, skelstore.open(tmp_path / "2.zarr") as two:
        assert_exact(list(two), list(one))


@pytest.mark.parametrize("wrapped", ["store", "file"])
def test_the_contract_of_sources(tmp_path: Path, wrapped: str) -> None:
    annotations = compressed_like(2)
    source = dump(tmp_path / "list.pkl", annotations)
    converters.convert(source, tmp_path / "a.zarr")
    form = form_of(annotations)
    expected = [dense(one, form, Settings(2, 30, False)) for one in annotations]
    opened = StoreVideos(tmp_path / "a.zarr") if wrapped == "store" else converters.open_source(source)
    check_source(Tracked(opened, 2), expected, {})


@pytest.mark.parametrize(("persons", "gap"), [(0, 1), (101, 1), (-1, 1), (1, -1), (1, 100_001)])
def test_numbers_out_of_range(tmp_path: Path, persons: int, gap: int) -> None:
    store = write(tmp_path / "a.zarr", compressed_like(1))
    with pytest.raises(ValueError, match="expected"):
        converters.track(store, tmp_path / "b.zarr", max_persons=persons, max_gap=gap)


def test_stores_without_detections_are_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw.zarr", [{"frame_dir": "a", "joint": np.zeros((2, 25, 3))}])
    with pytest.raises(SourceError, match=r"raw.zarr has no keypoint; expected the detections of a pose tool"):
        converters.track(raw, tmp_path / "b.zarr", max_persons=1)
    solid = write(tmp_path / "3d.zarr", [{"frame_dir": "a", "keypoint": np.ones((1, 4, 25, 3)), "total_frames": 4}])
    with pytest.raises(SourceError, match=r"3d.zarr is dense already"):
        converters.track(solid, tmp_path / "b.zarr", max_persons=1)
    assert not (tmp_path / "b.zarr").exists()


def test_an_error_names_the_video(tmp_path: Path) -> None:
    annotations = compressed_like(3)
    annotations[1]["total_frames"] = 1
    store = write(tmp_path / "a.zarr", annotations)
    name = annotations[1]["frame_dir"]
    with pytest.raises(
        SkelstoreError, match=rf"a.zarr: video 1 \('{name}'\): frame_inds are .*, but total_frames is 1;"
    ):
        converters.track(store, tmp_path / "b.zarr", max_persons=1)


def test_fields_per_detection_are_recognised_from_many_videos() -> None:
    """An array per frame may happen to have as many rows as there are detections."""
    annotations = [
        {
            "keypoint": np.ones((count, 2, 3)),
            "frame_inds": np.arange(count),
            "camera": np.zeros((6, 4)),
            "area": np.arange(count),
            "total_frames": 6,
        }
        for count in (6, 4)
    ]
    form = form_of(annotations)
    made = dense(annotations[0], form, Settings(1, 9, False))
    assert made["camera"].shape == (6, 4)
    assert made["area"].shape == (1, 6)


# --------------------------------------------------------------------------------------------- command line


def test_the_command_and_the_option_of_convert_agree(run: Any, tmp_path: Path) -> None:
    contents, kpfiles = kinetics_like(6)
    source = dump(tmp_path / "toc.pkl", contents)
    for name, keypoint in kpfiles.items():
        dump(tmp_path / "kpfiles" / f"{name}.pkl", {"keypoint": keypoint})
    beside = ("--kpfiles", tmp_path / "kpfiles")
    options = ("--max-persons", 2, "--interpolate", "--workers", 1)
    assert run("convert", source, tmp_path / "a.zarr", *beside).status == 0
    done = run("track", tmp_path / "a.zarr", "-o", tmp_path / "b.zarr", *options)
    assert done.status == 0
    assert "persons found, at most 2 kept per video" in done.err
    assert run("convert", source, tmp_path / "c.zarr", *beside, "--track", *options).status == 0
    with skelstore.open(tmp_path / "b.zarr") as one, skelstore.open(tmp_path / "c.zarr") as two:
        assert_exact(list(one), list(two))
        assert one.splits == two.splits == contents["split"]
        assert one.source["tracking"] == two.source["tracking"]
        assert one[0]["total_frames"] == (contents["annotations"][0]["total_frames"] + 1) // 2
        total = sum(video["tracking"]["kept"] for video in one)
    shown = run("info", tmp_path / "b.zarr", "--json")
    about = json.loads(shown.out)["tracking"]
    assert about["kept"] == total
    assert about["settings"]["dialect"] == "kinetics"
    assert f"{total:,} of " in run("info", tmp_path / "b.zarr").out
    checked = run("verify", tmp_path / "b.zarr", "--against", source, *beside)
    assert "every value against" in checked.out
    changed = dict(contents, annotations=[one | {"label": 399 - one["label"]} for one in contents["annotations"]])
    assert run("verify", tmp_path / "b.zarr", "--against", dump(tmp_path / "x.pkl", changed), *beside).status == 1
    again = run("export", tmp_path / "b.zarr", tmp_path / "again.pkl")
    assert again.status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-persons", "2"], "--max-persons goes with --track"),
        (["--interpolate"], "--interpolate goes with --track"),
        (["--track"], "--track needs --max-persons"),
    ],
)
def test_options_of_convert_that_do_not_go_together(run: Any, tmp_path: Path, options: list[str], message: str) -> None:
    source = dump(tmp_path / "list.pkl", compressed_like(1))
    done = run("convert", source, tmp_path / "a.zarr", *options)
    assert done.status == 2
    assert message in done.err


def test_a_dense_source_is_refused_in_one_sentence(run: Any, tmp_path: Path) -> None:
    source = dump(
        tmp_path / "list.pkl", [{"frame_dir": "a", "keypoint": np.ones((1, 4, 17, 2)), "total_frames": 4}] * 9
    )
    done = run("convert", source, tmp_path / "a.zarr", "--track", "--max-persons", 1)
    assert done.status == 1
    assert done.err.count("dense already") == 1


# ----------------------------------------------------------------------------------------------- real files


def alphapose(path: Path) -> Annotation:
    """The detections of an AlphaPose file with its ids."""
    found = sorted(json.loads(path.read_text()), key=lambda one: int(Path(one["image_id"]).stem))
    ids = np.array([int(np.ravel(one["idx"])[0]) for one in found], np.int32)
    return {
        "frame_dir": "real",
        "keypoint": np.array([one["keypoints"] for one in found], np.float32).reshape(len(found), -1, 3),
        "frame_inds": np.array([int(Path(one["image_id"]).stem) for one in found], np.int32),
        "box_score": np.array([one["score"] for one in found], np.float32),
        "track": ids,
    }


def test_matching_agrees_with_the_ids_of_alphapose(real_file: Callable[[str], Path]) -> None:
    by_id = alphapose(real_file("alphapose/alphapose-results.json"))
    by_matching = {key: value for key, value in by_id.items() if key != "track"}
    one, other = tracked(by_id, 5), tracked(by_matching, 5)
    assert one.pop("track").tolist() == sorted(set(by_id["track"].tolist()))
    assert_exact(other, one)


def test_openpose_persons_keep_their_rows(real_file: Callable[[str], Path]) -> None:
    """Three persons of 20 frames, whose order in the files changes."""
    keypoint, frames = [], []
    for frame, path in enumerate(sorted(real_file("openpose/cam01_json").glob("*.json"))):
        for person in json.loads(path.read_text())["people"]:
            if person["pose_keypoints_2d"]:
                keypoint.append(np.array(person["pose_keypoints_2d"], np.float32).reshape(-1, 3))
                frames.append(frame)
    annotation = {"keypoint": np.array(keypoint), "frame_inds": np.array(frames), "total_frames": 20}
    made = tracked(annotation, 3)
    assert made["tracking"] | {"detections": 58, "kept": 58, "persons": 3, "gaps": 0} == made["tracking"]
    assert made["keypoint_score"].any(axis=2).sum(axis=1).tolist() == [20, 18, 20]
    moved = np.diff(np.where(made["keypoint"] == 0, np.nan, made["keypoint"]), axis=1)
    assert np.nanmax(np.nanmedian(moved[0], axis=1)) < 10
    assert np.nanmax(np.abs(np.nanmedian(moved[1:, 2:], axis=2))) < 60


def test_persons_of_a_kinetics_skeleton(real_file: Callable[[str], Path]) -> None:
    """Two persons of 189 frames, in fractions of the image, in no order, with passers-by and missing joints."""
    content = json.loads(real_file("kinetics_skeleton/--33Lscn6sk.json").read_text())
    found = [(t, person) for t, frame in enumerate(content["data"]) for person in frame["skeleton"]]
    keypoint = [np.c_[np.reshape(person["pose"], (-1, 2)), person["score"]] for _, person in found]
    annotation = {
        "keypoint": np.array(keypoint, np.float32),
        "frame_inds": np.array([t for t, _ in found], np.int32),
        "total_frames": len(content["data"]),
    }
    made = tracked(annotation, 4)
    seen = made["keypoint_score"].any(axis=2).sum(axis=1)
    assert sorted(seen.tolist())[-2:] == [146, 160]
    assert made["tracking"]["persons"] <= 8
    assert not find_swaps(made["keypoint"]).any()
    assert find_swaps(decompress_pose(annotation, squeeze=False, max_person=4)["keypoint"]).any()
