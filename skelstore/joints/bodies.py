"""Joint layouts of bodies. Left and right are those of the person.

Sources of the definitions:

- ``coco-17``: COCO keypoints, https://cocodataset.org/#format-data; edges are the ``skeleton`` of its annotation files.
- ``ntu-25``: Kinect v2 as in NTU RGB+D (Shahroudy et al., CVPR 2016, figure 2); edges as in PYSKL's graph
  ``nturgb+d`` (pyskl/utils/graph.py).
- ``kinect-20``: Kinect v1 as in NW-UCLA (NUI_SKELETON_POSITION_INDEX of the Kinect for Windows SDK 1.8); edges as in
  CTR-GCN's graph ``ucla`` (graph/ucla.py).
- ``openpose-15``, ``openpose-18``, ``body-25``, ``body-25b``: OpenPose's models MPI, COCO, BODY_25 and BODY_25B
  (doc/02_output.md, src/openpose/pose/poseParameters.cpp, and the pairs of
  include/openpose/pose/poseParametersRender.hpp).
- ``halpe-26``, ``halpe-136``: Halpe-FullBody, README of Fang-Haoshu/Halpe-FullBody; edges as in MMPose
  (configs/_base_/datasets/halpe26.py and halpe.py): the face has none. The fingers begin at the root of the hand, as in
  ``wholebody-133``; those of halpe.py begin at the wrist of the body.
- ``wholebody-133``: COCO-WholeBody (Jin et al., ECCV 2020); edges as in MMPose (configs/_base_/datasets/
  coco_wholebody.py): the face has none.
- ``mediapipe-33``: MediaPipe Pose (BlazePose GHUM; pose_landmark.py and pose_connections.py).
- ``h36m-17``: the 17 joints of Human3.6M that VideoPose3D keeps (common/h36m_dataset.py), with MotionBERT's names
  (lib/data/dataset_action.py): its neck is Human3.6M's thorax, its nose Human3.6M's neck.
- ``mpii-16``: MPII Human Pose (Andriluka et al., CVPR 2014); edges as in MMPose (configs/_base_/datasets/mpii.py).
- ``uav-human-17``: UAV-Human (Li et al., CVPR 2021): the joints of COCO in its order, with the edges of
  uavhumanposetools/pose_data_tools/graph.py.
- ``smpl-22``, ``smpl-24``: SMPL (Loper et al., SIGGRAPH Asia 2015), without and with hands; names as in smplx
  (joint_names.py), edges are the kinematic tree of the model.
"""

from __future__ import annotations

from skelstore.joints.definition import define, moved, one_side, sides, words
from skelstore.joints.parts import FACE_JOINTS, FACE_PAIRS, HAND_EDGES

_FACE_AND_BODY = ("nose", *sides("eye ear shoulder elbow wrist hip knee ankle"))
_WHOLE_HAND = "hand_root " + " ".join(
    f"{finger}{i}" for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky") for i in range(1, 5)
)
_COCO_EDGES = "15-13-11 16-14-12 11-12 5-11 6-12 5-6 5-7-9 6-8-10 1-2 0-1-3 0-2-4 3-5 4-6"
_HALPE_JOINTS = (*_FACE_AND_BODY, *words("head neck mid_hip"), *sides("big_toe small_toe heel"))
_HALPE_EDGES = (
    "15-13-11-19 16-14-12-19 17-18-19 18-5-7-9 18-6-8-10 1-2 0-1-3-5 0-2-4-6 15-20 15-22 15-24 16-21 16-23 16-25"
)
_SMPL_JOINTS = (
    *words("pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3"),
    *words("left_foot right_foot neck left_collar right_collar head"),
    *sides("shoulder elbow wrist"),
)
_SMPL_EDGES = "0-1-4-7-10 0-2-5-8-11 0-3-6-9-12-15 9-13-16-18-20 9-14-17-19-21"

BODIES = (
    define("coco-17", _FACE_AND_BODY, _COCO_EDGES),
    define(
        "ntu-25",
        (
            *words("spine_base spine_mid neck head"),
            *one_side("left", "shoulder elbow wrist hand"),
            *one_side("right", "shoulder elbow wrist hand"),
            *one_side("left", "hip knee ankle foot"),
            *one_side("right", "hip knee ankle foot"),
            *words("spine_shoulder left_hand_tip left_thumb right_hand_tip right_thumb"),
        ),
        "0-1-20-2-3 20-4-5-6-7-21 7-22 20-8-9-10-11-23 11-24 0-12-13-14-15 0-16-17-18-19",
    ),
    define(
        "kinect-20",
        (
            *words("hip_center spine shoulder_center head"),
            *one_side("left", "shoulder elbow wrist hand"),
            *one_side("right", "shoulder elbow wrist hand"),
            *one_side("left", "hip knee ankle foot"),
            *one_side("right", "hip knee ankle foot"),
        ),
        "0-1-2-3 2-4-5-6-7 2-8-9-10-11 0-12-13-14-15 0-16-17-18-19",
    ),
    define(
        "openpose-18",
        (
            *words("nose neck"),
            *one_side("right", "shoulder elbow wrist"),
            *one_side("left", "shoulder elbow wrist"),
            *one_side("right", "hip knee ankle"),
            *one_side("left", "hip knee ankle"),
            *words("right_eye left_eye right_ear left_ear"),
        ),
        "1-2-3-4 1-5-6-7 1-8-9-10 1-11-12-13 1-0-14-16 0-15-17",
    ),
    define(
        "body-25",
        (
            *words("nose neck"),
            *one_side("right", "shoulder elbow wrist"),
            *one_side("left", "shoulder elbow wrist"),
            "mid_hip",
            *one_side("right", "hip knee ankle"),
            *one_side("left", "hip knee ankle"),
            *words("right_eye left_eye right_ear left_ear"),
            *one_side("left", "big_toe small_toe heel"),
            *one_side("right", "big_toe small_toe heel"),
        ),
        "1-8 1-2-3-4 1-5-6-7 8-9-10-11 8-12-13-14 1-0-15-17 0-16-18 14-19-20 14-21 11-22-23 11-24",
    ),
    define(
        "body-25b",
        (
            *_FACE_AND_BODY,
            *words("upper_neck head_top"),
            *one_side("left", "big_toe small_toe heel"),
            *one_side("right", "big_toe small_toe heel"),
        ),
        "0-1-3 0-2-4 18-17-5-7-9 17-6-8-10 5-11-13-15-19-20 6-12-14-16-22-23 11-12 15-21 16-24",
    ),
    define("halpe-26", _HALPE_JOINTS, _HALPE_EDGES),
    define(
        "wholebody-133",
        (
            *_FACE_AND_BODY,
            *one_side("left", "big_toe small_toe heel"),
            *one_side("right", "big_toe small_toe heel"),
            *FACE_JOINTS,
            *one_side("left", _WHOLE_HAND),
            *one_side("right", _WHOLE_HAND),
        ),
        f"{_COCO_EDGES} 15-17 15-18 15-19 16-20 16-21 16-22 {moved(HAND_EDGES, 91)} {moved(HAND_EDGES, 112)}",
        ((23 + left, 23 + right) for left, right in FACE_PAIRS),
    ),
    define(
        "mediapipe-33",
        (
            "nose",
            *one_side("left", "eye_inner eye eye_outer"),
            *one_side("right", "eye_inner eye eye_outer"),
            *words("left_ear right_ear mouth_left mouth_right"),
            *sides("shoulder elbow wrist pinky index thumb hip knee ankle heel foot_index"),
        ),
        "0-1-2-3-7 0-4-5-6-8 9-10 11-12 11-13-15-17 15-19 15-21 17-19 12-14-16-18 16-20 16-22 18-20 11-23 12-24 "
        "23-24 23-25-27-29-31 27-31 24-26-28-30-32 28-32",
    ),
    define(
        "openpose-15",
        (
            *words("head neck"),
            *one_side("right", "shoulder elbow wrist"),
            *one_side("left", "shoulder elbow wrist"),
            *one_side("right", "hip knee ankle"),
            *one_side("left", "hip knee ankle"),
            "chest",
        ),
        "0-1-2-3-4 1-5-6-7 1-14-8-9-10 14-11-12-13",
    ),
    define(
        "halpe-136",
        (*_HALPE_JOINTS, *FACE_JOINTS, *one_side("left", _WHOLE_HAND), *one_side("right", _WHOLE_HAND)),
        f"{_HALPE_EDGES} {moved(HAND_EDGES, 94)} {moved(HAND_EDGES, 115)}",
        ((26 + left, 26 + right) for left, right in FACE_PAIRS),
    ),
    define(
        "h36m-17",
        (
            "mid_hip",
            *one_side("right", "hip knee ankle"),
            *one_side("left", "hip knee ankle"),
            *words("spine neck nose head"),
            *one_side("left", "shoulder elbow wrist"),
            *one_side("right", "shoulder elbow wrist"),
        ),
        "0-1-2-3 0-4-5-6 0-7-8-9-10 8-11-12-13 8-14-15-16",
    ),
    define(
        "mpii-16",
        (
            *words("right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top"),
            *words("right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"),
        ),
        "0-1-2-6-3-4-5 6-7-8-9 8-12-11-10 8-13-14-15",
    ),
    define("uav-human-17", _FACE_AND_BODY, "10-8-6-0-5-7-9 16-14-12-6-5-11-13-15 11-12 3-1-0-2-4"),
    define("smpl-22", _SMPL_JOINTS, _SMPL_EDGES),
    define("smpl-24", (*_SMPL_JOINTS, *sides("hand")), f"{_SMPL_EDGES} 20-22 21-23"),
)
"""The joint layouts of bodies."""
