"""Layouts of joints: tables compared with other sources, conversion with a loop, and what a store keeps."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import skelstore
from skelstore import JointLayoutError
from skelstore.joints import (
    LAYOUTS,
    JointLayout,
    convert,
    known_joints,
    layout,
    recognise,
    require_alike,
    stated,
    with_joints,
)
from tests.support.contracts import write

COUNTS = {
    "coco-17": (17, 19, 8),
    "ntu-25": (25, 24, 10),
    "kinect-20": (20, 19, 8),
    "openpose-18": (18, 17, 8),
    "body-25": (25, 24, 11),
    "halpe-26": (26, 27, 11),
    "wholebody-133": (133, 65, 61),
    "hand-21": (21, 20, 0),
    "mediapipe-33": (33, 35, 16),
}
DEFINED = {
    "coco-17": {"openpose-18"},
    "ntu-25": set(),
    "kinect-20": set(),
    "openpose-18": {"coco-17"},
    "body-25": {"coco-17", "openpose-18"},
    "halpe-26": {"coco-17", "openpose-18", "body-25"},
    "wholebody-133": {"coco-17", "openpose-18", "body-25"},
    "hand-21": set(),
    "mediapipe-33": {"coco-17", "openpose-18"},
}
"""A layout -> the layouts that it can be converted to, besides itself."""

# ------------------------------------------------------------------------------------------------- the tables


def test_the_layouts_and_their_sizes() -> None:
    found = {name: (len(made), len(made.edges), len(made.pairs)) for name, made in LAYOUTS.items()}
    assert found == COUNTS


@pytest.mark.parametrize("made", LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_in_order(made: JointLayout) -> None:
    places = range(len(made))
    assert len(set(made.joints)) == len(made)
    edges = {frozenset(edge) for edge in made.edges}
    assert len(edges) == len(made.edges)
    assert all(a != b and a in places and b in places for a, b in made.edges)
    sides = [joint for pair in made.pairs for joint in pair]
    assert len(set(sides)) == len(sides)
    for left, right in made.pairs:
        if "face" not in made.joints[left]:
            assert made.joints[left].replace("left", "right") == made.joints[right]
    paired = {made.joints[i] for i in sides}
    assert paired >= {name for name in made.joints if "left" in name or "right" in name}
    mirror = dict(made.pairs) | {b: a for a, b in made.pairs}
    assert {frozenset(mirror.get(joint, joint) for joint in edge) for edge in edges} == edges, "no mirror image"


def test_pairs_are_those_of_the_published_configs() -> None:
    """left_kp and right_kp of PYSKL's configs of PoseC3D; the lists of an OpenPose flip."""
    assert LAYOUTS["coco-17"].pairs == tuple(zip(range(1, 17, 2), range(2, 18, 2), strict=True))
    openpose = {frozenset(pair) for pair in LAYOUTS["openpose-18"].pairs}
    assert openpose == {frozenset(p) for p in [(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17)]}


def test_graphs_are_those_of_the_published_models() -> None:
    """Bones of NTU and NW-UCLA, numbered from 1 as in their code; OpenPose's limbs; MediaPipe's hand as in PYSKL."""
    kinect = [(1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11)]
    kinect += [(13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 8), (23, 8)]
    kinect += [(24, 12), (25, 12)]
    assert {frozenset((a - 1, b - 1)) for a, b in kinect} == {frozenset(edge) for edge in LAYOUTS["ntu-25"].edges}
    first = [(1, 2), (2, 3), (4, 3), (5, 3), (6, 5), (7, 6), (8, 7), (9, 3), (10, 9), (11, 10), (12, 11), (13, 1)]
    first += [(14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19)]
    assert {frozenset((a - 1, b - 1)) for a, b in first} == {frozenset(edge) for edge in LAYOUTS["kinect-20"].edges}
    limbs = [(4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 1), (8, 1), (5, 1), (2, 1)]
    limbs += [(0, 1), (15, 0), (14, 0), (17, 15), (16, 14)]
    assert {frozenset(edge) for edge in limbs} == {frozenset(edge) for edge in LAYOUTS["openpose-18"].edges}
    hand = {(i, 0 if i % 4 == 1 else i - 1) for i in range(1, 21)}
    assert {frozenset(edge) for edge in hand} == {frozenset(edge) for edge in LAYOUTS["hand-21"].edges}


def test_joints_have_the_positions_of_their_papers() -> None:
    facts = {
        ("coco-17", 9): "left_wrist",
        ("ntu-25", 20): "spine_shoulder",
        ("ntu-25", 3): "head",
        ("ntu-25", 11): "right_hand",
        ("kinect-20", 2): "shoulder_center",
        ("kinect-20", 11): "right_hand",
        ("openpose-18", 1): "neck",
        ("openpose-18", 4): "right_wrist",
        ("openpose-18", 17): "left_ear",
        ("body-25", 8): "mid_hip",
        ("body-25", 19): "left_big_toe",
        ("body-25", 24): "right_heel",
        ("halpe-26", 17): "head",
        ("halpe-26", 20): "left_big_toe",
        ("halpe-26", 25): "right_heel",
        ("wholebody-133", 17): "left_big_toe",
        ("wholebody-133", 22): "right_heel",
        ("wholebody-133", 91): "left_hand_root",
        ("wholebody-133", 112): "right_hand_root",
        ("hand-21", 8): "index_finger_tip",
        ("mediapipe-33", 15): "left_wrist",
        ("mediapipe-33", 32): "right_foot_index",
    }
    assert {place: LAYOUTS[place[0]].joints[place[1]] for place in facts} == facts


def test_an_unknown_layout() -> None:
    with pytest.raises(
        JointLayoutError,
        match=r"'coco' is not known; expected one of coco-17, .*mediapipe-33; did you mean 'coco-17'\?",
    ):
        layout("coco")


# ----------------------------------------------------------------------------------------------- conversion


def test_which_conversions_are_defined() -> None:
    for source, target in product(LAYOUTS.values(), repeat=2):
        keypoint = np.zeros((1, 1, len(source), 2))
        if target.name in DEFINED[source.name] or source is target:
            assert convert(keypoint, None, source, target).keypoint.shape == (1, 1, len(target), 2)
        else:
            with pytest.raises(JointLayoutError, match=f"{source.name} cannot be converted to {target.name}: it"):
                convert(keypoint, None, source, target)


PAIRS = [(source, target) for source, targets in DEFINED.items() for target in [source, *sorted(targets)]]


@given(
    st.sampled_from(PAIRS),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.tuples(st.integers(0, 2), st.integers(0, 3)),
    st.booleans(),
    st.data(),
)
def test_conversion_is_a_loop_over_names(
    pair: tuple[str, str], dtype: Any, dims: tuple[int, int], scored: bool, data: Any
) -> None:
    source, target = LAYOUTS[pair[0]], LAYOUTS[pair[1]]
    numbers = st.integers(-2000, 2000).map(lambda n: n / 4)
    keypoint = data.draw(hnp.arrays(dtype, (*dims, len(source), 2), elements=numbers))
    score = data.draw(hnp.arrays(dtype, (*dims, len(source)), elements=st.sampled_from([0, 0.25, 0.5, 1])))
    before = keypoint.copy()
    found = convert(keypoint, score if scored else None, source, target)
    assert (keypoint == before).all()
    assert found.keypoint.dtype == dtype
    made = []
    for i, name in enumerate(target.joints):
        if name in source.joints:
            parents = [source.joints.index(name)]
        else:
            of = {"neck": "shoulder", "mid_hip": "hip"}[name]
            parents = [source.joints.index(f"left_{of}"), source.joints.index(f"right_{of}")]
            made.append(name)
        for m, t, c in product(range(dims[0]), range(dims[1]), range(2)):
            mean = sum(float(keypoint[m, t, p, c]) for p in parents) / len(parents)
            assert found.keypoint[m, t, i, c] == dtype(mean)
        for m, t in product(range(dims[0]), range(dims[1])):
            if scored:
                assert found.keypoint_score is not None
                assert found.keypoint_score[m, t, i] == min(score[m, t, p] for p in parents)
    assert found.derived == tuple(made)
    assert scored or found.keypoint_score is None


@pytest.mark.parametrize("dtype", ["<f2", ">f2", ">f4"])
def test_conversion_keeps_the_byte_order(dtype: str) -> None:
    arrays = np.ones((1, 17, 2), dtype), np.ones((1, 17), dtype)
    found = convert(*arrays, LAYOUTS["coco-17"], LAYOUTS["openpose-18"])
    assert found.keypoint_score is not None
    assert (found.keypoint.dtype.str, found.keypoint_score.dtype.str) == (dtype, dtype)


def test_large_float16_do_not_overflow() -> None:
    keypoint = np.full((1, 17, 2), 60000, np.float16)
    found = convert(keypoint, None, LAYOUTS["coco-17"], LAYOUTS["openpose-18"])
    assert (found.keypoint == 60000).all()


@pytest.mark.parametrize("way", [("body-25", "openpose-18", "coco-17"), ("halpe-26", "body-25", "coco-17")])
def test_a_conversion_by_way_of_another_layout_gives_the_same(way: tuple[str, str, str]) -> None:
    first, second, third = (LAYOUTS[name] for name in way)
    keypoint = np.random.default_rng(1).random((2, 3, len(first), 2))
    direct = convert(keypoint, None, first, third).keypoint
    assert (convert(convert(keypoint, None, first, second).keypoint, None, second, third).keypoint == direct).all()


@pytest.mark.parametrize(
    ("keypoint", "score", "match"),
    [
        (np.zeros((1, 5, 18, 2)), None, "keypoint has dtype float64 and shape"),
        (np.zeros((1, 5, 17, 2), int), None, "needs floats"),
        (np.zeros(17), None, "keypoint"),
        (np.zeros((1, 5, 17, 2)), np.zeros((1, 5, 16)), "keypoint_score has dtype"),
    ],
)
def test_arrays_of_another_layout(keypoint: Any, score: Any, match: str) -> None:
    with pytest.raises(JointLayoutError, match=match):
        convert(keypoint, score, LAYOUTS["coco-17"], LAYOUTS["openpose-18"])


# --------------------------------------------------------------------------------- recognised and stated


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        ([(17, 2)], "coco-17"),
        ([(25, 3)], "ntu-25"),
        ([(20, 3)], "kinect-20"),
        ([(25, 2)], "body-25"),
        ([(133, 2)], "wholebody-133"),
        ([(33, 3)], "mediapipe-33"),
        ([(17, 3)], None),
        ([(11, 2)], None),
        ([], None),
        ([(17, 2), (25, 3)], None),
        ([(17, 2), (17, 2)], "coco-17"),
    ],
)
def test_recognised_is_a_guess(shapes: list[tuple[int, int]], name: str | None) -> None:
    found = recognise(shapes)
    assert (found.layout.name if found.layout else None) == name
    assert not found.stated
    assert found.reason
    assert found.counts == tuple(sorted({v for v, _ in shapes}))


def test_stated_joints_have_to_fit() -> None:
    assert stated("coco-17", [(17, 2)], ["nose"]) == {"layout": "coco-17", "derived": ["nose"]}
    with pytest.raises(JointLayoutError, match="coco-17 has 17 joints, but there are keypoints with 11, 25"):
        stated("coco-17", [(17, 2), (25, 2), (11, 2)])
    with pytest.raises(JointLayoutError, match="not known"):
        stated("coco17", [])


def test_a_store_keeps_what_was_stated(tmp_path: Path) -> None:
    videos = [{"frame_dir": "a", "keypoint": np.ones((1, 3, 18, 2), np.float16)}]
    about = stated("openpose-18", [(18, 2)], ["neck"])
    path = write(tmp_path / "a.zarr", videos, source={"dialect": "writer", "joints": about, "class_names": ["x"]})
    with skelstore.open(path) as store:
        assert (store.joints.layout, store.joints.stated) == (LAYOUTS["openpose-18"], True)
        assert store.joints.derived == ("neck",)
        assert store.class_names == ["x"]


@pytest.mark.parametrize("video", [{"keypoint": np.ones((1, 3, 17, 2))}, {"keypoint": np.ones((4, 17, 3))}])
def test_a_store_without_a_statement_is_recognised(tmp_path: Path, video: dict[str, Any]) -> None:
    """Dense and compressed; the third channel of compressed keypoints is a score."""
    with skelstore.open(write(tmp_path / "a.zarr", [video])) as store:
        assert (store.joints.layout, store.joints.stated) == (LAYOUTS["coco-17"], False)
        assert store.source["joints"] == {"layout": "coco-17", "derived": [], "guess": store.joints.reason}
        assert "Human3.6M" in store.joints.reason
        assert store.class_names is None


def test_a_guess_is_kept_only_while_it_fits() -> None:
    """Nothing is kept for data without a known layout; stated joints, and statements not understood, are kept."""
    guess = with_joints({"name": "x"}, [(17, 2)])
    assert guess["name"] == "x"
    assert guess["joints"]["layout"] == "coco-17"
    assert with_joints(guess, [(25, 3)])["joints"]["layout"] == "ntu-25"
    assert with_joints(guess, [(11, 2)]) == {"name": "x"}
    assert with_joints(guess, [(17, 2), (25, 3)]) == {"name": "x"}
    for node in (stated("body-25", []), {"layout": "of tomorrow"}, 7):
        assert with_joints({"joints": node}, [(17, 2)]) == {"joints": node}
    assert not known_joints(guess["joints"], [(17, 2)]).stated
    assert known_joints(guess["joints"], [(25, 3)]).layout == LAYOUTS["ntu-25"]
    assert known_joints(guess["joints"] | {"guess": "of an older version"}, [(17, 2)]).reason == "of an older version"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*LAYOUTS, "nose"]),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.sampled_from(["layout", "derived", "x"]), child),
)


@given(JSON)
def test_any_statement_of_joints_can_be_read(node: Any) -> None:
    found = known_joints(node, [(17, 2)])
    assert found.counts == (17,)
    assert found.layout in LAYOUTS.values()
    assert found.stated == (isinstance(node, dict) and node.get("layout") in list(LAYOUTS))


def test_different_joints_cannot_be_merged() -> None:
    coco, body, eleven, none = (recognise(shapes) for shapes in ([(17, 2)], [(25, 2)], [(11, 2)], []))
    other = known_joints(stated("body-25", []), [(17, 2)])
    require_alike(coco, "a", coco, "b")
    require_alike(eleven, "a", eleven, "b")
    require_alike(none, "a", body, "b")
    for first, second in [(coco, body), (coco, eleven), (other, coco)]:
        with pytest.raises(JointLayoutError, match=r"^a\.zarr has .* and b\.zarr has .*: convert one of them"):
            require_alike(first, "a.zarr", second, "b.zarr")
