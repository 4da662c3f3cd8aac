"""Joint layouts of hands and faces. Left and right are those of the person.

Sources of the definitions:

- ``hand-21``: MediaPipe Hands (hand_landmark.py), and OpenPose's hands, whose joints have the same order
  (include/openpose/hand/handParameters.hpp); edges as in PYSKL's graph ``handmp``. It has one hand and no pairs.
- ``openpose-face-70``: OpenPose's face: the 68 points of iBUG 300-W and the pupils; edges of
  include/openpose/face/faceParameters.hpp.
- ``mediapipe-face-468``, ``mediapipe-face-478``: MediaPipe Face Mesh, without and with irises; edges are
  FACEMESH_CONTOURS and FACEMESH_IRISES of mediapipe/python/solutions/face_mesh_connections.py, pairs those of its
  symmetric model (mediapipe/modules/face_geometry/data/face_model_with_iris.obj).
"""

from __future__ import annotations

from skelstore.joints.definition import define, words

_FINGERS = words("index_finger middle_finger ring_finger pinky")
_HAND = words("wrist thumb_cmc thumb_mcp thumb_ip thumb_tip") + tuple(
    f"{finger}_{joint}" for finger in _FINGERS for joint in words("mcp pip dip tip")
)

HAND_EDGES = "0-1-2-3-4 0-5-6-7-8 0-9-10-11-12 0-13-14-15-16 0-17-18-19-20"
"""The bones of 21 joints of a hand, of which 0 is the root."""

FACE_PAIRS = (
    *((16 - i, i) for i in range(8)),
    *((43 - i, i) for i in range(17, 22)),
    *((35, 31), (34, 32)),
    *((45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41)),
    *((54, 48), (53, 49), (52, 50), (55, 59), (56, 58), (64, 60), (63, 61), (65, 67)),
)
"""(left, right) pairs of the 68 points of a face, which are numbered from the person's right (iBUG 300-W)."""

FACE_JOINTS = tuple(f"face_{i}" for i in range(68))
"""Names of the 68 points of a face (iBUG 300-W)."""

_FACE_EDGES = (
    "0-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16 17-18-19-20-21 22-23-24-25-26 27-28-29-30 31-32-33-34-35 "
    "36-37-38-39-40-41-36 42-43-44-45-46-47-42 48-49-50-51-52-53-54-55-56-57-58-59-48 60-61-62-63-64-65-66-67-60"
)
_MESH_CONTOURS = (
    "61-146-91-181-84-17-314-405-321-375-291-409-270-269-267-0-37-39-40-185-61 "
    "78-95-88-178-87-14-317-402-318-324-308-415-310-311-312-13-82-81-80-191-78 "
    "263-249-390-373-374-380-381-382-362-398-384-385-386-387-388-466-263 276-283-282-295-285 300-293-334-296-336 "
    "33-7-163-144-145-153-154-155-133-173-157-158-159-160-161-246-33 46-53-52-65-55 70-63-105-66-107 "
    "10-338-297-332-284-251-389-356-454-323-361-288-397-365-379-378-400-377-152-148-176-149-150-136-172-58-132-93-234-"
    "127-162-21-54-103-67-109-10"
)
"""Lips, left eye and eyebrow, right eye and eyebrow, and the oval of MediaPipe's face."""
_MESH_MIDDLE = {*range(3), *range(4, 7), *range(8, 20), 94, 151, 152, 164, 168, 175, 195, 197, 199, 200}
"""The points of MediaPipe's face that lie on its axis of symmetry."""
_MESH_PAIRS = tuple(zip(range(248, 468), (i for i in range(248) if i not in _MESH_MIDDLE), strict=True))
"""(left, right) pairs of MediaPipe's face. Those from 248 on are the left ones, in the order of the right ones."""
_IRIS_PAIRS = ((473, 468), (474, 471), (475, 470), (476, 469), (477, 472))

PARTS = (
    define("hand-21", _HAND, HAND_EDGES),
    define("openpose-face-70", (*FACE_JOINTS, "right_pupil", "left_pupil"), _FACE_EDGES, FACE_PAIRS),
    define("mediapipe-face-468", tuple(f"face_mesh_{i}" for i in range(468)), _MESH_CONTOURS, _MESH_PAIRS),
    define(
        "mediapipe-face-478",
        tuple(f"face_mesh_{i}" for i in range(478)),
        f"{_MESH_CONTOURS} 474-475-476-477-474 469-470-471-472-469",
        (*_MESH_PAIRS, *_IRIS_PAIRS),
    ),
)
"""The joint layouts of hands and faces."""
