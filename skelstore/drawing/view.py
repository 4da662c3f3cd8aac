"""From coordinates to places in the drawing: a plane for images, a turning view for 3D poses."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.drawing.poses import Floats, Poses
from skelstore.errors import DrawingError
from skelstore.joints import JointLayout

MOST_PIXELS = 4096
"""Maximum width and height of a drawing in pixels."""
LEAST_PIXELS = 16
"""Minimum width and height; a flatter image is drawn on a larger ground."""
RESTING_ANGLE = math.radians(25)
"""How far 3D poses are turned in a still picture: depth is visible, and the front, too."""

_SAMPLES = 48
"""Number of frames from which the box of the poses is computed."""
_MARGIN = 0.12
"""Margin around the box of the poses, against its longer side, where the image is not known."""
_FRACTIONS = 1.5
"""If nearly all coordinates are within this distance of zero, they are no pixels of an image."""
_INSIDE = 0.05
"""If a smaller share of the joints is inside the image, coordinates are no pixels of it."""
_TILT = math.radians(12)
"""How far the view of 3D poses looks down."""
_DISTANCE = 4.0
"""Distance of the eye from the centre of 3D poses, against their radius."""
_CELLS = 6
"""Cells of the ground along one side."""
_KINECT = ("ntu-25", "kinect-20")
_HEADS = ("head", "head_top", "nose", "neck", "spine_shoulder", "shoulder_center")
_FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot", "mid_hip", "hip_center", "pelvis", "left_hip")


class Plane(NamedTuple):
    """A view of 2D poses: (x, y) is drawn at ((x - left) ``scale``, (y - top) ``scale``)."""

    width: int
    height: int
    scale: float
    left: float = 0.0
    top: float = 0.0

    def project(self, points: Floats, angle: float = 0.0) -> Floats:
        """The places [..., 2] of points [..., 2] in pixels of the drawing. There is nothing to turn."""
        return (points - (self.left, self.top)) * self.scale

    def widened(self, width: int, height: int) -> Plane:
        """The same view with more around it on all sides, so that it has this width and height."""
        left = self.left - (width - self.width) / 2 / self.scale
        top = self.top - (height - self.height) / 2 / self.scale
        return Plane(width, height, self.scale, left, top)


class Orbit(NamedTuple):
    """A view of 3D poses in perspective, turned about the axis that points up.

    ``centre`` is the point about which it turns, ``axes`` [3, 3] the directions right, up and away from the eye, at
    the angle 0. ``radius`` is the distance of the farthest joint from the axis, ``floor`` the height of the ground.
    """

    width: int
    height: int
    scale: float
    centre: Floats
    axes: Floats
    radius: float
    floor: float

    def project(self, points: Floats, angle: float = 0.0) -> Floats:
        """The places [..., 2] of points [..., 3] in pixels of the drawing, turned by an angle in radians."""
        right, up, away = np.moveaxis((points - self.centre) @ self.axes.T, -1, 0)
        right, away = right * math.cos(angle) + away * math.sin(angle), away * math.cos(angle) - right * math.sin(angle)
        up, away = up * math.cos(_TILT) + away * math.sin(_TILT), away * math.cos(_TILT) - up * math.sin(_TILT)
        eye = _DISTANCE * self.radius
        nearness = self.scale * eye / np.maximum(eye + away, eye / 4)
        return np.stack([self.width / 2 + right * nearness, self.height / 2 - up * nearness], -1)

    def ground(self, angle: float) -> Floats:
        """The lines of the ground as places [lines, 2, 2]."""
        steps = np.linspace(-1.0, 1.0, _CELLS + 1) * self.radius
        across = [[(step, self.floor, end), (step, self.floor, -end)] for step in steps for end in (self.radius,)]
        along = [[(end, self.floor, step), (-end, self.floor, step)] for step in steps for end in (self.radius,)]
        return self.project(np.array(across + along) @ self.axes + self.centre, angle)


View: TypeAlias = Plane | Orbit


def view_of(
    poses: Poses,
    positions: NDArray[np.int64],
    box: tuple[int, int],
    scale: float | None = None,
) -> View:
    """The view in which frames at some positions are drawn, as large as fits in ``box`` (width, height).

    With ``scale`` the width of the drawing is that of the image times ``scale``; in 3D and without an image, what fits
    in ``box`` is multiplied by it. Raises DrawingError if a side would be longer than ``MOST_PIXELS``.
    """
    points = _sampled(poses, positions)
    if poses.dimensions == 3:
        factor = 1.0 if scale is None else scale
        width, height = _pixels(box[0] * factor, box[1] * factor)
        return _orbit(points, poses.layout, width, height)
    if poses.image is not None and _are_pixels(points, poses.image):
        high, wide = poses.image
        if scale is None:
            scale = min(box[0] / wide, box[1] / high)
        width, height = _pixels(wide * scale, high * scale)
        # Not below the height of a letter: the rest of the drawing is empty.
        return Plane(max(width, LEAST_PIXELS), max(height, LEAST_PIXELS), width / wide)
    left, top, wide, high = _box(points)
    factor = min(box[0] / wide, box[1] / high) * (1.0 if scale is None else scale)
    width, height = _pixels(wide * factor, high * factor)
    return Plane(width, height, width / wide, left, top)


def shows_image(poses: Poses, view: View) -> bool:
    """Whether a view shows the whole image, and nothing else."""
    return isinstance(view, Plane) and poses.image is not None and (view.left, view.top) == (0.0, 0.0)


def turn(position: int, count: int, rate: float) -> float:
    """The angle in radians of frame ``position`` of ``count`` in an animation of ``rate`` frames per second.

    An animation of six seconds or more turns once around; a shorter one sways, so that it does not turn too fast. Both
    end where they began.
    """
    part = 2 * math.pi * position / max(count, 1)
    if count >= 6 * rate:
        return RESTING_ANGLE + part
    return math.radians(50) * math.sin(part)


def _pixels(width: float, height: float) -> tuple[int, int]:
    if not max(width, height) <= MOST_PIXELS:  # NaN, too
        raise DrawingError(
            f"the drawing would have {width:,.0f} x {height:,.0f} pixels; a side has at most {MOST_PIXELS:,}: give a "
            "smaller --scale"
        )
    return max(round(width), 1), max(round(height), 1)


def _sampled(poses: Poses, positions: NDArray[np.int64]) -> Floats:
    """The joints that are there in some of the frames [n, 2 or 3]."""
    few = positions[np.linspace(0, len(positions) - 1, min(len(positions), _SAMPLES)).astype(np.int64)]
    seen = [pose.points[pose.score > 0] for position in few for pose in poses.frame(int(position))]
    points = np.concatenate([np.empty((0, poses.dimensions)), *seen])
    return points.clip(-1e12, 1e12)


def _are_pixels(points: Floats, image: tuple[float, float]) -> bool:
    """Whether coordinates are pixels of the image (height, width), and not fractions, or of something else."""
    if not len(points):
        return True
    if max(image) > 16 and np.quantile(np.abs(points), 0.95) <= _FRACTIONS:
        return False
    inside = ((points >= 0) & (points <= image[::-1])).all(-1)
    return bool(inside.mean() >= _INSIDE)


def _box(points: Floats) -> tuple[float, float, float, float]:
    """Left, top, width and height of the box of points [n, 2], with a margin; no side is under 1/3 of the other."""
    if not len(points):
        return 0.0, 0.0, 1.0, 1.0
    low, high = np.quantile(points, 0.005, axis=0), np.quantile(points, 0.995, axis=0)
    longer = float((high - low).max()) or 1.0
    sides = np.maximum(high - low, longer / 3) + 2 * _MARGIN * longer
    left, top = (low + high - sides) / 2
    return float(left), float(top), float(sides[0]), float(sides[1])


def _orbit(points: Floats, joints: JointLayout | None, width: int, height: int) -> Orbit:
    axes = _axes(points, joints)
    if not len(points):
        return Orbit(width, height, 1.0, np.zeros(3), axes, 1.0, -1.0)
    turned = points @ axes.T
    low, high = np.quantile(turned, 0.005, axis=0), np.quantile(turned, 0.995, axis=0)
    middle = (low + high) / 2
    from_axis = np.hypot(*(turned - middle)[:, [0, 2]].T)
    tall = float(high[1] - low[1]) / 2
    radius = max(float(np.quantile(from_axis, 0.995)), tall / 2, 1e-9)
    # Perspective enlarges what is near by up to 1 / (1 - 1 / _DISTANCE).
    near = 1 - 1 / _DISTANCE
    scale = min(width * 0.47 * near / radius, height * 0.44 / (tall * 1.06 + radius * math.sin(_TILT)))
    return Orbit(width, height, scale, middle @ axes, axes, radius * 1.02, float(low[1] - middle[1]))


def _axes(points: Floats, joints: JointLayout | None) -> Floats:
    """The directions right, up and away from the eye [3, 3]: x is to the right, and up is from the feet to the head.

    The coordinates are right-handed, but for those of Kinect, whose images are mirrored: z points away from it.
    """
    up = _up(points, joints)
    right = np.array([1.0, 0.0, 0.0])
    away = -np.cross(right, up)
    if joints is not None and joints.name in _KINECT and up[1] > 0:
        away = -away
    return np.stack([right, up, away])


def _up(points: Floats, joints: JointLayout | None) -> Floats:
    """The axis that points up: y, -y or z, found from heads and feet; y if there are none."""
    upright = np.array([0.0, 1.0, 0.0])
    if joints is None or not len(points) or len(points) % len(joints):
        return upright
    bodies = points.reshape(-1, len(joints), 3)
    head = next((joints.joints.index(name) for name in _HEADS if name in joints.joints), None)
    feet = [joints.joints.index(name) for name in _FEET if name in joints.joints]
    if head is None or not feet:
        return upright
    length = np.median(bodies[:, head] - bodies[:, feet].mean(1), axis=0)
    if abs(length[2]) > 1.5 * abs(length[1]):  # a person who lies in the plane of y is no reason
        return np.array([0.0, 0.0, math.copysign(1.0, length[2])])
    return np.array([0.0, math.copysign(1.0, length[1]), 0.0])
