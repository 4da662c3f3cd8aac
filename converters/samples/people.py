"""Synthetic persons before a camera: who is where, what a depth camera and a pose estimator see of them.

Coordinates are those of Kinect's camera space, in metres: x to the left of the camera, which is to the right of a
person who faces it; y up, z away. In an image x is to the right and y down.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.samples.actions import CLASS_NAMES, RATE, STRIDE, Cast, on_path, poses, variants_of
from converters.samples.body import WITHOUT_TIPS, body_joints, joint_places
from skelstore.joints import LAYOUTS

__all__ = ["Camera", "Scene", "joints_3d", "on_image", "stage"]

Floats = NDArray[np.float32]


class Camera(NamedTuple):
    """A camera without distortion, above a level ground. Lengths in metres, the focal length in pixels."""

    shape: tuple[int, int]
    """Height and width of the image."""
    focal: float
    height: float
    pitch: float
    """How far it looks down, in radians."""


class Scene(NamedTuple):
    """Persons and the camera that sees them."""

    cast: Cast
    camera: Camera


def stage(
    random: np.random.Generator,
    persons: int,
    frames: int,
    action: str,
    shape: tuple[int, int] = (1080, 1920),
    depths: tuple[float, float] = (3.2, 4.8),
) -> Scene:
    """Persons who do an action for so many frames, at depths between two bounds in metres.

    Of more than three persons, the first two do it, and the others anything. Hands are shaken by the first two persons;
    who has nobody to shake hands with stands.
    """
    height, width = shape
    focal = (0.985 if width > height else 0.8) * height
    camera = Camera(shape, focal, random.uniform(1.1, 1.4), random.uniform(0.08, 0.2))
    actions = [action if i < 2 or persons <= 3 else CLASS_NAMES[random.integers(4)] for i in range(persons)]
    if action == "shaking hands":
        actions[2 * (persons > 1) :] = [name if name != action else "standing" for name in actions[2 * (persons > 1) :]]
    low, high = np.log(depths).tolist()
    depth = np.exp(random.uniform(low, high, persons))
    depth[[name == "falling" for name in actions]] *= 1.2  # who lies takes more room
    seen = width / focal * depth
    spread = random.uniform(-0.5, 0.5, persons) * (0.4 if persons > 2 else 0.3 if persons == 1 else 0.08)
    if persons == 2:
        spread += np.array([-0.19, 0.19]) * (1 - 2 * random.integers(2))
    stature, pace = random.normal(1.72, 0.09, persons).clip(1.5, 1.95), random.uniform(0.88, 1.15, persons)
    seconds = np.full(persons, frames / RATE)
    length = STRIDE * stature * pace * seconds
    # A path that is too long for the image becomes a circle.
    radius = np.where(length > 0.8 * seen, 0.24 * seen, random.uniform(5, 20, persons))
    cast = Cast(
        variant=np.array([_any_variant(random, name) for name in actions]),
        stature=stature,
        pace=pace,
        begin=np.minimum(random.uniform(0.25, 0.9, persons), 0.2 * seconds),
        end=seconds,
        rate=random.uniform(1.5, 2.2, persons),
        phase=random.random((12, persons)),
        curvature=(1 - 2 * random.integers(2, size=persons)) / radius,
        heading=np.array([_heading(random, name) for name in actions]),
        place=np.stack([spread * seen, depth]),
        meeting=np.zeros((3, persons)),
        mirrored=random.random(persons) < 0.5,
    )
    cast.place[:] -= _middle_of_path(cast, length)
    if actions[:2] == ["shaking hands"] * 2:
        cast = _facing_each_other(random, cast, spread.mean() * seen.mean(), depth.mean())
    single = {name: value.astype(np.float32) for name, value in cast._asdict().items() if value.dtype == np.float64}
    return Scene(cast._replace(**single), camera)


def joints_3d(
    scene: Scene, person: NDArray[np.integer[Any]], frame: NDArray[np.integer[Any]], layout: str = "ntu-25"
) -> Floats:
    """Where the joints of person [N] are in frame [N], from 0, in the camera's space: float32 [N, V, 3]."""
    cast, camera = scene
    time = (frame / RATE).astype(np.float32)
    places = joint_places(layout)
    points = body_joints(*poses(cast, person, time), tips=bool(places.max() >= WITHOUT_TIPS))[places]
    mirrored = cast.mirrored[person]
    points[:, 0, mirrored] *= -1
    exchanged = np.arange(len(points))
    for left, right in LAYOUTS[layout].pairs:
        exchanged[[left, right]] = right, left
    points[:, :, mirrored] = points[exchanged][:, :, mirrored]
    points *= cast.stature[person]
    ground, heading = on_path(cast, person, time)
    sine, cosine = np.sin(heading), np.cos(heading)
    x = points[:, 0] * cosine + points[:, 2] * sine + ground[0]
    z = points[:, 2] * cosine - points[:, 0] * sine + ground[1]
    y = points[:, 1] - np.float32(camera.height)
    down, level = np.float32(np.sin(camera.pitch)), np.float32(np.cos(camera.pitch))
    return np.stack([x, level * y + down * z, level * z - down * y], axis=-1).transpose(1, 0, 2)


def on_image(camera: Camera, points: Floats) -> Floats:
    """The pixels of points [..., 3] in the camera's space: float32 [..., 2]."""
    height, width = camera.shape
    middle = np.array([width / 2, height / 2], np.float32)
    depth = np.maximum(points[..., 2:], np.float32(0.3))
    return (middle - np.float32(camera.focal) * points[..., :2] / depth).astype(np.float32, copy=False)


def _any_variant(random: np.random.Generator, action: str) -> int:
    variants = variants_of(action)
    return variants[random.integers(len(variants))] if len(variants) > 1 else variants[0]


def _heading(random: np.random.Generator, action: str) -> float:
    """Where a person looks who does this: who walks, across the image; who waves, to the camera."""
    side = 1.0 - 2.0 * float(random.integers(2))
    if action == "walking":
        return side * np.pi / 2 + random.uniform(-0.4, 0.4)
    if action in ("sitting down", "falling"):
        return float(np.pi + side * random.uniform(0.6, 1.4))
    return float(np.pi + random.uniform(-0.7, 0.7))


def _middle_of_path(cast: Cast, length: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the x and z of paths of these lengths around the place of each person [2, P]; 0 for who stays."""
    turn = length * cast.curvature / 2
    part = np.where(cast.variant == variants_of("walking")[0], 1 - np.sin(turn) / turn, 0)
    return np.stack([np.cos(cast.heading), -np.sin(cast.heading)]) * part / cast.curvature


def _facing_each_other(random: np.random.Generator, cast: Cast, x: float, z: float) -> Cast:
    """The cast, with the first two persons before each other, around a point on the ground, at arm's length."""
    apart, angle = 0.27 * cast.stature[:2].mean(), random.uniform(-0.45, 0.45)
    side = np.array([-1, 1])
    cast.place[:, :2] = np.stack([x + side * apart * np.cos(angle), z + side * apart * np.sin(angle)])
    cast.heading[:2] = np.pi / 2 - angle + np.array([0, np.pi])
    hand = 0.6 * cast.stature[:2].mean()
    cast.meeting[:, :2] = np.stack([np.full(2, -0.012), hand / cast.stature[:2], apart / cast.stature[:2] - 0.045])
    for shared in (cast.pace, cast.begin, cast.rate):
        shared[:2] = shared[0]
    cast.mirrored[:2] = False
    return cast
