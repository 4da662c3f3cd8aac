"""Synthetic persons: bones keep their lengths, feet stand, actions are what they are called, cameras see them right."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from converters.samples.actions import ACTIONS, RATE, STRIDE, variants_of
from converters.samples.body import HIPS, JOINTS, REST, STATE, WITHOUT_TIPS, body_joints, joint_places
from converters.samples.motion import estimates, rows
from converters.samples.people import Scene, joints_3d, on_image, stage
from skelstore.joints import LAYOUTS

BODIES = sorted(set(LAYOUTS) - {"wholebody-133", "halpe-136", "hand-21"} - {n for n in LAYOUTS if "face" in n})
BONES = {
    **{(f"{side}_shoulder", f"{side}_elbow"): 0.186 for side in ("left", "right")},
    **{(f"{side}_elbow", f"{side}_wrist"): 0.146 for side in ("left", "right")},
    **{(f"{side}_hip", f"{side}_knee"): 0.245 for side in ("left", "right")},
    **{(f"{side}_knee", f"{side}_ankle"): 0.246 for side in ("left", "right")},
    ("mid_hip", "spine_mid"): 0.13,
    ("spine_mid", "neck"): 0.18,
    ("neck", "head_top"): 0.145,
    ("left_shoulder", "right_shoulder"): 0.2,
    ("left_hip", "right_hip"): 0.1,
}
"""Lengths against the stature."""
NTU = {name: i for i, name in enumerate(LAYOUTS["ntu-25"].joints)}


def acting(action: str, seed: int = 0, frames: int = 90, persons: int = 1, variant: int = 0) -> Scene:
    """A scene without mirrored persons, whose camera is level."""
    scene = stage(np.random.default_rng([seed, 99]), persons, frames, action)
    scene.cast.mirrored[:] = False
    scene.cast.variant[:] = variants_of(action)[variant]
    return scene._replace(camera=scene.camera._replace(pitch=0.0))


def watch(scene: Scene, frames: int = 90, person: int = 0, layout: str = "ntu-25") -> NDArray[np.float64]:
    """Joints of a person in metres [T, V, 3], y from the ground."""
    points = joints_3d(scene, np.full(frames, person), np.arange(frames), layout).astype(np.float64)
    return points + np.array([0, scene.camera.height, 0])


# ------------------------------------------------------------------------------------------------------ bodies


@given(st.lists(st.floats(-3, 3, width=32), min_size=len(STATE), max_size=len(STATE)), st.floats(-1, 1, width=32))
def test_bones_keep_their_lengths_in_any_pose(values: list[float], meeting: float) -> None:
    """Places of hands and feet that are out of reach, too."""
    state = np.array(values, np.float32)[:, None]
    points = body_joints(state, np.full((3, 1), meeting, np.float32))[..., 0]
    assert points.shape == (len(JOINTS), 3)
    assert np.isfinite(points).all()
    for (one, other), length in BONES.items():
        found = np.linalg.norm(points[JOINTS.index(one)] - points[JOINTS.index(other)])
        assert found == pytest.approx(length, abs=2e-5), (one, other)


@given(st.tuples(*[st.floats(-3, 3, width=32)] * 6))
def test_the_trunk_is_turned_by_the_angles(angles: tuple[float, ...]) -> None:
    """Against products of rotations about the axes, in Python's numbers."""
    pitch, roll, bend, twist, nod, turn = angles
    pose = REST | dict(zip(("pitch", "roll", "bend", "twist", "nod", "turn"), angles, strict=True))
    state = np.array([[pose[name]] for name in STATE], np.float32)
    points = dict(zip(JOINTS, body_joints(state, np.zeros((3, 1), np.float32))[..., 0], strict=True))

    def turned(vector: tuple[float, float, float], pitch: float, yaw: float) -> NDArray[np.float64]:
        x, y, z = vector
        x, z = x * math.cos(yaw) + z * math.sin(yaw), z * math.cos(yaw) - x * math.sin(yaw)
        x, y = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
        return np.array((x, y * math.cos(pitch) - z * math.sin(pitch), z * math.cos(pitch) + y * math.sin(pitch)))

    hips = np.array([0, HIPS, 0])
    waist = hips + turned((0, 0.13, 0), pitch, -0.5 * twist)
    neck = waist + turned((0, 0.18, 0), pitch + bend, twist)
    expected = {
        "left_hip": hips + turned((0.05, -0.005, 0), pitch, -0.5 * twist),
        "right_shoulder": waist + turned((-0.1, 0.14, 0), pitch + bend, twist),
        "neck": neck,
        "nose": neck + turned((0, 0.06, 0.06), pitch + bend + nod, turn),
    }
    for name, place in expected.items():
        np.testing.assert_allclose(points[name], place, atol=5e-6, err_msg=name)


@pytest.mark.parametrize("layout", BODIES)
def test_every_layout_of_bodies(layout: str) -> None:
    """A person who stands and looks forward: head above hips above feet, left on the left, pairs mirrored."""
    known = LAYOUTS[layout]
    state = np.array([[REST[name]] for name in STATE], np.float32)
    points = body_joints(state, np.zeros((3, 1), np.float32))[joint_places(layout), :, 0]
    assert len(points) == len(known.joints)
    place = dict(zip(known.joints, points, strict=True))
    assert place["left_shoulder"][1] > place["left_hip"][1] > place["left_knee"][1] > place["left_ankle"][1] > 0
    for left, right in known.pairs:
        assert points[left][0] > 0, known.joints[left]
        np.testing.assert_allclose(points[left] * (-1, 1, 1), points[right], atol=1e-4)
    lengths = [np.linalg.norm(points[one] - points[other]) for one, other in known.edges]
    assert max(lengths) < 0.37
    assert points[:, 1].max() < 1
    assert points[:, 1].min() >= 0


def test_points_of_hands_and_feet_are_left_out_without_changing_the_others() -> None:
    state = np.random.default_rng(0).normal(0, 0.4, (len(STATE), 20)).astype(np.float32)
    meeting = np.zeros((3, 20), np.float32)
    few = body_joints(state, meeting, tips=False)
    assert len(few) == WITHOUT_TIPS
    assert (few == body_joints(state, meeting)[:WITHOUT_TIPS]).all()


# ----------------------------------------------------------------------------------------------------- actions


@pytest.mark.parametrize("action", ACTIONS)
def test_bodies_are_those_of_adults_and_move_smoothly(action: str) -> None:
    for seed in range(4):
        for variant in range(len(variants_of(action))):
            scene = acting(action, seed, variant=variant)
            points = watch(scene)
            stature = float(scene.cast.stature[0])
            assert 1.5 <= stature <= 1.95
            arm = np.linalg.norm(points[:, NTU["left_shoulder"]] - points[:, NTU["left_elbow"]], axis=-1)
            assert arm == pytest.approx(0.186 * stature, abs=1e-4)
            steps = np.linalg.norm(np.diff(points, axis=0), axis=-1) * RATE
            assert steps.max() < 9, "metres a second"
            assert points[..., 1].min() > -0.15, "on the ground, apart from what is soft"
            assert points[..., 1].max() < 2.5


def test_a_foot_that_is_on_the_ground_stays_there() -> None:
    """And the person goes on by a stride while both feet have made a step."""
    for seed in range(5):
        scene = acting("walking", seed)
        scene.cast.curvature[:] = 1e-3
        points = watch(scene, 300, layout="body-25")
        place = {name: i for i, name in enumerate(LAYOUTS["body-25"].joints)}
        stature, pace = float(scene.cast.stature[0]), float(scene.cast.pace[0])
        speed = np.linalg.norm((points[-1] - points[0])[place["mid_hip"], [0, 2]]) / 299 * RATE
        assert speed == pytest.approx(STRIDE * stature * pace, rel=0.05)
        assert 0.8 < speed < 1.8
        stands = []
        for side in ("left", "right"):
            ankle = points[:, place[f"{side}_ankle"]]
            low = ankle[:, 1] < 0.045 * stature
            moved = np.linalg.norm(np.diff(ankle[:, [0, 2]], axis=0), axis=-1) * RATE
            there = low[1:] & low[:-1]
            assert 0.3 < there.mean() < 0.65
            assert np.quantile(moved[there], 0.9) < 0.35 * speed
            assert moved.max() > 2 * speed
            stands.append(low)
        assert (stands[0] | stands[1]).mean() > 0.75, "who walks has a foot on the ground"


def test_persons_who_fall_lie() -> None:
    for variant in range(len(variants_of("falling"))):
        points = watch(acting("falling", variant=variant))
        assert points[0, NTU["head"], 1] > 1.3
        assert points[-1, [NTU["head"], NTU["spine_base"], NTU["left_knee"]], 1].max() < 0.5
        heights = points[:, NTU["head"], 1]
        falling = np.flatnonzero((heights < heights[0] - 0.2) & (heights > heights[-1] + 0.2))
        assert 0.2 < len(falling) / RATE < 1, "seconds"


def test_persons_who_sit_down_sit() -> None:
    scene = acting("sitting down")
    points, stature = watch(scene), float(scene.cast.stature[0])
    assert points[0, NTU["spine_base"], 1] > 0.5 * stature
    assert points[-1, NTU["spine_base"], 1] == pytest.approx(0.27 * stature, abs=0.03)
    thigh, shank, trunk = (
        points[-1, NTU[one]] - points[-1, NTU[other]]
        for one, other in (("left_knee", "left_hip"), ("left_knee", "left_ankle"), ("spine_shoulder", "spine_base"))
    )
    for level in (thigh,):
        assert abs(level[1]) < 0.3 * np.linalg.norm(level)
    for upright in (shank, trunk):
        assert upright[1] > 0.85 * np.linalg.norm(upright)


def test_persons_who_wave_wave() -> None:
    for seed in range(4):
        points = watch(acting("waving", seed, 120), 120)
        wrist, shoulder = points[:, NTU["right_wrist"]], points[:, NTU["right_shoulder"]]
        up = wrist[:, 1] > shoulder[:, 1]
        assert 0.4 < up.mean() < 0.95
        assert not up[0]
        assert not up[-1]
        across = np.linalg.norm((wrist - shoulder)[up][:, [0, 2]], axis=-1)
        turns = np.count_nonzero(np.diff(np.sign(np.diff(across))))
        assert 4 <= turns <= 20, "it moves to and fro"
        assert (points[:, NTU["left_wrist"], 1] < points[:, NTU["left_elbow"], 1]).all()


def test_two_persons_shake_hands() -> None:
    for seed in range(6):
        scene = acting("shaking hands", seed, persons=2)
        one, other = watch(scene), watch(scene, person=1)
        apart = np.linalg.norm(one[:, NTU["right_hand"]] - other[:, NTU["right_hand"]], axis=-1)
        assert apart.min() < 0.15
        assert (apart < 0.2).mean() > 0.3
        assert apart[0] > 0.35
        assert apart[-1] > 0.35
        middle = np.linalg.norm((one - other)[:, NTU["spine_base"]], axis=-1)
        assert (middle > 0.7).all()
        assert (middle < 1.2).all()
        forward = [np.cross(p[0, NTU["left_hip"]] - p[0, NTU["right_hip"]], (0, 1, 0)) for p in (one, other)]
        between = (other - one)[0, NTU["spine_base"]]
        assert forward[0] @ between > 0 > forward[1] @ between, "they face each other"
        hands = one[apart < 0.2, NTU["right_hand"], 1]
        assert 0.02 < np.ptp(hands) < 0.3, "hands go up and down"


def test_who_has_nobody_to_shake_hands_with_stands() -> None:
    for persons in (1, 3, 5):
        scene = stage(np.random.default_rng(persons), persons, 60, "shaking hands")
        rest = scene.cast.variant[2 if persons > 1 else 0 :]
        assert not set(rest.tolist()) & set(variants_of("shaking hands"))


def test_a_long_walk_stays_before_the_camera() -> None:
    for seed in range(6):
        scene = stage(np.random.default_rng([seed, 1]), 1, 600, "walking")
        pixels = on_image(scene.camera, joints_3d(scene, np.zeros(600, int), np.arange(600)))
        inside = ((pixels > -200) & (pixels < np.array(scene.camera.shape[::-1]) + 200)).all()
        assert inside, seed


def test_mirrored_persons_exchange_left_and_right() -> None:
    scene = acting("waving")
    plain = watch(scene)
    scene.cast.mirrored[:] = True
    exchanged = watch(scene)
    assert plain[45, NTU["right_wrist"], 1] == pytest.approx(exchanged[45, NTU["left_wrist"], 1], abs=1e-5)
    assert plain[45, NTU["left_wrist"], 1] == pytest.approx(exchanged[45, NTU["right_wrist"], 1], abs=1e-5)


# -------------------------------------------------------------------------------------------------- what is seen


def test_the_left_of_a_person_who_faces_the_camera() -> None:
    """Kinect's x is to the left of the camera; in an image it is the other way round."""
    scene = acting("waving")
    scene.cast.heading[:] = np.pi
    points = joints_3d(scene, np.zeros(1, int), np.zeros(1, int))
    assert points[0, NTU["left_shoulder"], 0] < points[0, NTU["right_shoulder"], 0]
    pixels = on_image(scene.camera, points)
    assert pixels[0, NTU["left_shoulder"], 0] > pixels[0, NTU["right_shoulder"], 0]
    assert pixels[0, NTU["head"], 1] < pixels[0, NTU["left_foot"], 1], "y is down"
    height, width = scene.camera.shape
    for point, pixel in zip(points[0].tolist(), pixels[0].tolist(), strict=True):
        x, y, z = point
        assert pixel == pytest.approx(
            [width / 2 - scene.camera.focal * x / z, height / 2 - scene.camera.focal * y / z], abs=0.01
        )


def test_a_camera_that_looks_down_turns_what_it_sees() -> None:
    scene = acting("standing")
    level = joints_3d(scene, np.zeros(1, int), np.zeros(1, int)).astype(float)
    down = joints_3d(scene._replace(camera=scene.camera._replace(pitch=0.3)), np.zeros(1, int), np.zeros(1, int))
    assert np.linalg.norm(down, axis=-1) == pytest.approx(np.linalg.norm(level, axis=-1), abs=1e-4)
    angle = [np.arctan2(points[0, :, 1], points[0, :, 2]) for points in (level, down)]
    assert angle[1] - angle[0] == pytest.approx(0.3, abs=1e-4), "everything is higher in the image"


def scores_of(scene: Scene, frames: int = 60) -> NDArray[np.float64]:
    """Mean scores of the joints of COCO of the first person, by many estimates."""
    person, frame = (
        np.tile(np.arange(len(scene.cast.stature)), frames),
        np.repeat(np.arange(frames), len(scene.cast.stature)),
    )
    found = [estimates(np.random.default_rng(i), scene, person, frame)[1][person == 0] for i in range(12)]
    means: NDArray[np.float64] = np.mean(found, axis=(0, 1), dtype=np.float64)
    return means


def test_what_is_hard_to_see_has_lower_scores() -> None:
    place = {name: i for i, name in enumerate(LAYOUTS["coco-17"].joints)}
    scene = acting("standing")
    scene.cast.heading[:] = np.pi
    facing = scores_of(scene)
    scene.cast.heading[:] = 0
    away = scores_of(scene)
    for name in ("nose", "left_eye", "right_eye"):
        assert away[place[name]] < facing[place[name]] - 0.3
    scene.cast.heading[:] = np.pi / 2
    aside = scores_of(scene)
    near, far = sorted((aside[place["left_shoulder"]], aside[place["right_shoulder"]]), reverse=True)
    assert far < near - 0.1
    scene.cast.heading[:] = np.pi
    scene.cast.place[0] = 0.5 * scene.cast.place[1] * scene.camera.shape[1] / scene.camera.focal
    assert scores_of(scene)[place["left_hip"]] < facing[place["left_hip"]] - 0.2, "at the border"


def test_a_person_who_is_behind_another_has_lower_scores() -> None:
    scene = acting("standing", persons=2)
    scene.cast.heading[:] = np.pi
    scene.cast.place[:] = [[0, 1.2], [4, 3]]
    apart = scores_of(scene)
    scene.cast.place[0] = 0
    behind = scores_of(scene)
    assert (behind < apart - 0.1).sum() >= 6


def test_fast_joints_have_lower_scores() -> None:
    place = {name: i for i, name in enumerate(LAYOUTS["coco-17"].joints)}
    still, waving = acting("standing"), acting("waving")
    waving.cast.rate[:] = 3
    difference = (scores_of(still) - scores_of(waving))[[place["right_wrist"], place["left_ankle"]]]
    assert difference[0] > 0.03 > difference[1]


def test_frames_do_not_depend_on_each_other() -> None:
    """Any rows in any order: as from all frames."""
    scene = stage(np.random.default_rng(5), 3, 100, "walking")
    person, frame = np.repeat(np.arange(3), 100), np.tile(np.arange(100), 3)
    everything = joints_3d(scene, person, frame, "body-25").reshape(3, 100, 25, 3)
    some = np.random.default_rng(0).permutation(300)[:40]
    np.testing.assert_allclose(
        joints_3d(scene, person[some], frame[some], "body-25"), everything[person[some], frame[some]], atol=1e-5
    )


def test_a_depth_camera_measures_with_some_error() -> None:
    scene = acting("walking")
    person, frame = np.zeros(90, int), np.arange(90)
    error = rows(np.random.default_rng(0), scene, person, frame) - joints_3d(scene, person, frame)
    assert error.std() == pytest.approx(0.004, rel=0.1)


def test_statures_places_and_views_differ() -> None:
    scenes = [stage(np.random.default_rng(i), 1, 60, "walking") for i in range(12)]
    for values in (
        [float(scene.cast.stature[0]) for scene in scenes],
        [float(scene.cast.heading[0]) for scene in scenes],
        [float(scene.cast.place[1, 0]) for scene in scenes],
        [scene.camera.pitch for scene in scenes],
    ):
        assert all(abs(one - other) > 1e-6 for one, other in pairwise(sorted(values)))
