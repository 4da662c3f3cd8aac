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
from tests.support.repository import REPOSITORY

COUNTS = {
    "coco-17": (17, 19, 8),
    "ntu-25": (25, 24, 10),
    "kinect-20": (20, 19, 8),
    "openpose-18": (18, 17, 8),
    "body-25": (25, 24, 11),
    "body-25b": (25, 24, 11),
    "halpe-26": (26, 27, 11),
    "wholebody-133": (133, 65, 61),
    "hand-21": (21, 20, 0),
    "mediapipe-33": (33, 35, 16),
    "openpose-15": (15, 14, 6),
    "halpe-136": (136, 67, 61),
    "h36m-17": (17, 16, 6),
    "mpii-16": (16, 15, 6),
    "uav-human-17": (17, 18, 8),
    "smpl-22": (22, 21, 8),
    "smpl-24": (24, 23, 9),
    "openpose-face-70": (70, 63, 30),
    "mediapipe-face-468": (468, 124, 220),
    "mediapipe-face-478": (478, 132, 225),
}
_SEVENTEEN = {"coco-17", "uav-human-17", "openpose-18", "h36m-17"}
DEFINED = {
    **{name: set[str]() for name in COUNTS},
    "coco-17": _SEVENTEEN,
    "uav-human-17": _SEVENTEEN,
    "openpose-18": _SEVENTEEN,
    "mediapipe-33": _SEVENTEEN,
    "body-25": _SEVENTEEN,
    "body-25b": {*_SEVENTEEN, "body-25"},
    "wholebody-133": {*_SEVENTEEN, "body-25"},
    "halpe-26": {*_SEVENTEEN, "body-25"},
    "halpe-136": {*_SEVENTEEN, "body-25", "halpe-26", "wholebody-133"},
    "smpl-24": {"smpl-22"},
    "mediapipe-face-478": {"mediapipe-face-468"},
}
"""A layout -> the layouts that it can be converted to, besides itself."""

PUBLIC = """
    LAYOUTS Converted JointLayout KnownJoints convert is_guess keypoint_shapes known_joints layout recognise
    require_alike stated with_joints
"""

# ------------------------------------------------------------------------------------------------- the tables


def test_the_names_of_the_package_are_pinned() -> None:
    assert skelstore.joints.__all__ == PUBLIC.split()
    assert all(callable(getattr(skelstore.joints, name)) for name in PUBLIC.split()[1:])


def test_the_document_lists_the_layouts() -> None:
    text = (REPOSITORY / "docs" / "joints.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    stated_sizes = {row[0].strip("`"): tuple(map(int, row[2:])) for row in rows if len(row) == 5 and row[2].isdigit()}
    assert stated_sizes == COUNTS


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


def test_further_graphs_are_those_of_the_published_models() -> None:
    """OpenPose's MPI and BODY_25B, MMPose's MPII, UAV-Human's graph; the parents of VideoPose3D's and SMPL's trees."""
    mpi = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 14), (14, 8), (8, 9), (9, 10), (14, 11)]
    mpi += [(11, 12), (12, 13)]
    body = [(0, 1), (0, 2), (1, 3), (2, 4), (5, 7), (6, 8), (7, 9), (8, 10), (5, 11), (6, 12), (11, 13), (12, 14)]
    body += [(13, 15), (14, 16), (15, 19), (19, 20), (15, 21), (16, 22), (22, 23), (16, 24), (5, 17), (6, 17)]
    body += [(17, 18), (11, 12)]
    mpii = [(0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10)]
    mpii += [(8, 13), (13, 14), (14, 15)]
    uav = [(10, 8), (8, 6), (9, 7), (7, 5), (15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (11, 12), (5, 6)]
    uav += [(5, 0), (6, 0), (1, 0), (2, 0), (3, 1), (4, 2)]
    h36m = list(enumerate([0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15], 1))
    smpl = list(enumerate([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21], 1))
    graphs = {"openpose-15": mpi, "body-25b": body, "mpii-16": mpii, "uav-human-17": uav}
    graphs |= {"h36m-17": h36m, "smpl-24": smpl}
    for name, edges in graphs.items():
        assert {frozenset(edge) for edge in edges} == {frozenset(edge) for edge in LAYOUTS[name].edges}, name
    smaller = {frozenset(edge) for edge in smpl if max(edge) < 22}
    assert smaller == {frozenset(edge) for edge in LAYOUTS["smpl-22"].edges}


def test_pairs_of_faces_are_mirror_images_of_the_published_models() -> None:
    """Some points of MediaPipe's face_model_with_iris.obj, which is symmetric; OpenPose's figure of the face."""
    model = {
        3: (-0.463928, 0.955357, 6.633583),
        33: (-4.445859, 2.663991, 3.173422),
        61: (-2.456206, -4.342621, 4.283884),
        127: (-7.743095, 2.364999, -2.005167),
        152: (0.0, -9.403378, 4.264492),
        168: (0.0, 3.271027, 5.236015),
        173: (-2.000000, 2.743838, 3.744030),
        247: (-4.53, 2.91, 3.339685),
        248: (0.463928, 0.955357, 6.633583),
        263: (4.445859, 2.663991, 3.173422),
        291: (2.456206, -4.342621, 4.283884),
        356: (7.743095, 2.364999, -2.005167),
        398: (2.000000, 2.743838, 3.744030),
        467: (4.53, 2.91, 3.339685),
        469: (-2.58, 2.64, 3.82),
        471: (-3.78, 2.64, 3.68),
        474: (3.78, 2.64, 3.68),
        476: (2.58, 2.64, 3.82),
    }
    pairs = dict(LAYOUTS["mediapipe-face-478"].pairs)
    for point, (x, y, z) in model.items():
        if x > 0:
            assert model[pairs[point]] == (-x, y, z)
        elif x == 0:
            assert point not in {*pairs, *pairs.values()}
    assert LAYOUTS["mediapipe-face-468"].pairs == LAYOUTS["mediapipe-face-478"].pairs[:220]
    face = dict(LAYOUTS["openpose-face-70"].pairs)
    assert (face[16], face[26], face[45], face[54], face[69]) == (0, 17, 36, 48, 68)


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
        ("body-25b", 16): "right_ankle",
        ("body-25b", 17): "upper_neck",
        ("body-25b", 18): "head_top",
        ("body-25b", 24): "right_heel",
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
        ("openpose-15", 0): "head",
        ("openpose-15", 14): "chest",
        ("halpe-136", 18): "neck",
        ("halpe-136", 26): "face_0",
        ("halpe-136", 94): "left_hand_root",
        ("halpe-136", 115): "right_hand_root",
        ("h36m-17", 1): "right_hip",
        ("h36m-17", 8): "neck",
        ("h36m-17", 11): "left_shoulder",
        ("h36m-17", 16): "right_wrist",
        ("mpii-16", 0): "right_ankle",
        ("mpii-16", 7): "thorax",
        ("mpii-16", 15): "left_wrist",
        ("uav-human-17", 9): "left_wrist",
        ("smpl-22", 12): "neck",
        ("smpl-22", 21): "right_wrist",
        ("smpl-24", 22): "left_hand",
        ("openpose-face-70", 69): "left_pupil",
    }
    assert {place: LAYOUTS[place[0]].joints[place[1]] for place in facts} == facts


def test_an_unknown_layout() -> None:
    with pytest.raises(
        JointLayoutError,
        match=r"'coco' is not known; expected one of coco-17, .*mediapipe-face-478; did you mean 'coco-17'\?",
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


PAIRS = [
    (source, target)
    for source, targets in DEFINED.items()
    for target in [source, *sorted(targets)]
    if len(LAYOUTS[source]) < 200
]


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
    of = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
    of |= {"spine": ("mid_hip", "neck"), "head": ("left_eye", "right_eye")}

    def point(name: str, *at: int) -> float:
        if name in source.joints:
            return float(keypoint[*at[:2], source.joints.index(name), at[2]])
        return float(dtype((point(of[name][0], *at) + point(of[name][1], *at)) / 2))

    def lowest(name: str, *at: int) -> float:
        if name in source.joints:
            return float(score[*at, source.joints.index(name)])
        return min(lowest(parent, *at) for parent in of[name])

    numbers = st.integers(-2000, 2000).map(lambda n: n / 4)
    keypoint = data.draw(hnp.arrays(dtype, (*dims, len(source), 2), elements=numbers))
    score = data.draw(hnp.arrays(dtype, (*dims, len(source)), elements=st.sampled_from([0, 0.25, 0.5, 1])))
    before = keypoint.copy()
    found = convert(keypoint, score if scored else None, source, target)
    assert (keypoint == before).all()
    assert found.keypoint.dtype == dtype
    for (i, name), m, t in product(enumerate(target.joints), range(dims[0]), range(dims[1])):
        assert [float(x) for x in found.keypoint[m, t, i]] == [point(name, m, t, c) for c in range(2)]
        if scored:
            assert found.keypoint_score is not None
            assert found.keypoint_score[m, t, i] == lowest(name, m, t)
    assert found.derived == tuple(name for name in target.joints if name not in source.joints)
    assert scored or found.keypoint_score is None


def test_human36m_of_coco_is_that_of_motionbert() -> None:
    """MotionBERT's coco2h36m as a list of what each joint is (lib/data/dataset_action.py), in float64."""
    coco = np.random.default_rng(3).normal(scale=500, size=(2, 5, 17, 3))
    middle = {0: (11, 12), 8: (5, 6), 10: (1, 2)}
    same = {1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15, 9: 0, 11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10}
    expected = np.full((2, 5, 17, 3), np.nan)
    for joint, (a, b) in middle.items():
        expected[:, :, joint] = (coco[:, :, a] + coco[:, :, b]) * 0.5
    expected[:, :, 7] = (expected[:, :, 0] + expected[:, :, 8]) * 0.5
    for joint, a in same.items():
        expected[:, :, joint] = coco[:, :, a]
    found = convert(coco, None, LAYOUTS["coco-17"], LAYOUTS["h36m-17"])
    assert (found.keypoint == expected).all()
    assert found.derived == ("mid_hip", "spine", "neck", "head")
    in_float32 = convert(coco.astype(np.float32), None, LAYOUTS["coco-17"], LAYOUTS["h36m-17"]).keypoint
    assert in_float32.dtype == np.float32
    np.testing.assert_allclose(in_float32, expected, rtol=1e-6)


def test_human36m_of_halpe_has_its_own_head_neck_and_hip() -> None:
    halpe = np.random.default_rng(4).random((3, 26, 2))
    found = convert(halpe, None, LAYOUTS["halpe-26"], LAYOUTS["h36m-17"])
    assert (found.keypoint[:, [0, 8, 10]] == halpe[:, [19, 18, 17]]).all()
    assert (found.keypoint[:, 7] == (halpe[:, 18] + halpe[:, 19]) / 2).all()
    assert found.derived == ("spine",)


def test_a_derived_joint_is_seen_only_if_all_that_it_is_made_of_are() -> None:
    score = np.ones((1, 17))
    for joint in range(17):
        hidden = score.copy()
        hidden[0, joint] = 0.25
        found = convert(np.zeros((1, 17, 2)), hidden, LAYOUTS["coco-17"], LAYOUTS["h36m-17"]).keypoint_score
        assert found is not None
        unseen = {LAYOUTS["h36m-17"].joints[i] for i in np.flatnonzero(found[0] == 0.25)}
        name = LAYOUTS["coco-17"].joints[joint]
        made = {"shoulder": {"neck", "spine"}, "hip": {"mid_hip", "spine"}, "eye": {"head"}}.get(
            name[-8:].split("_")[-1]
        )
        own = {name} & set(LAYOUTS["h36m-17"].joints)
        assert unseen == own | (made or set())


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
        ([(15, 2)], "openpose-15"),
        ([(16, 2)], "mpii-16"),
        ([(22, 3)], "smpl-22"),
        ([(24, 3)], "smpl-24"),
        ([(70, 2)], "openpose-face-70"),
        ([(136, 2)], "halpe-136"),
        ([(468, 3)], "mediapipe-face-468"),
        ([(478, 2)], "mediapipe-face-478"),
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


def test_every_layout_can_be_recognised_or_shares_its_shape() -> None:
    """A guess names a layout with this number of joints; only these two give way to others of the same number."""
    guessed = set()
    for count, coordinates in product({len(made) for made in LAYOUTS.values()}, (2, 3)):
        found = recognise([(count, coordinates)])
        if found.layout is not None:
            assert len(found.layout) == count
            assert found.reason.startswith(f"{count} joints in {coordinates}D; ")
            guessed.add(found.layout.name)
    assert LAYOUTS.keys() - guessed == {"h36m-17", "uav-human-17", "body-25b"}


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
