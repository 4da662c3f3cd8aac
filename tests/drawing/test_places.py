"""Joints are where the rule puts them, (x s, y s), in decoded pictures of every kind."""

from __future__ import annotations

import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import DrawingError
from skelstore.drawing import colours, frame_svg, strip_svg
from skelstore.drawing.picture import BOXES, draw
from skelstore.drawing.poses import Frames, poses
from skelstore.drawing.scene import Options, scene_of
from skelstore.drawing.terminal import frame_text
from skelstore.joints import LAYOUTS
from tests.support.pictures import blobs, check_places, decoded, dots, scattered, write_film

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed here: pip install 'skelstore[draw]'")
pytest.importorskip("av", reason="PyAV is not installed here: pip install 'skelstore[draw]'")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(path: Path, annotation: dict[str, Any], **options: Any) -> Any:
    """The scene that was drawn to a file, of the kind of its suffix."""
    kind = path.suffix[1:]
    scene = scene_of(annotation, None, BOXES[kind], options=Options(**options))
    with open(path, "wb") as file:
        assert draw(scene, file, kind) == []
    return scene


def places(annotation: dict[str, Any], frame: int, scale: float) -> Any:
    return annotation["keypoint"][:, frame].reshape(-1, 2) * scale


@settings(max_examples=12, deadline=None)
@given(
    image=st.tuples(st.integers(220, 700), st.integers(220, 700)),
    scale=st.none() | st.floats(0.6, 1.9),
    seed=st.integers(0, 99),
)
def test_dots_of_a_strip(image: tuple[int, int], scale: float | None, seed: int) -> None:
    annotation = scattered(3, image=image, seed=seed)
    file = io.BytesIO()
    scene = scene_of(annotation, None, BOXES["png"], options=Options(scale=scale))
    draw(scene, file, "png")
    sheet = np.asarray(Image.open(file).convert("RGB"))
    width, height = scene.view.width, scene.view.height
    s = width / image[1]
    assert abs(s - (scale or 320 / max(image))) <= 0.5001 / image[1]
    assert sheet.shape[1] == 3 * (width + 8) - 8 + 20
    for frame in range(3):
        left = 10 + frame * (width + 8)
        check_places(dots(sheet[10:, left:], (width, height)), places(annotation, frame, s))


@pytest.mark.parametrize("kind", ["gif", "mp4"])
@pytest.mark.parametrize(("image", "scale"), [((240, 320), None), ((333, 251), 0.9), ((241, 321), 1.0)])
def test_dots_of_every_frame_of_an_animation(
    tmp_path: Path, kind: str, image: tuple[int, int], scale: float | None
) -> None:
    annotation = scattered(7, image=image)
    scene = drawn(tmp_path / f"a.{kind}", annotation, scale=scale)
    s = scene.view.width / image[1]
    assert scale is None or abs(s - scale) <= 0.5 / image[1]
    frames = list(decoded(tmp_path / f"a.{kind}"))
    assert len(frames) == 7
    for number, frame in enumerate(frames):
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        assert frame.shape[1] - scene.view.width in (0, 1)
        found = dots(frame, (scene.view.width, scene.view.height), least=60 if kind == "gif" else 80)
        check_places(found, places(annotation, number, s))


def test_circles_of_an_svg() -> None:
    annotation = scattered(4, image=(300, 400))
    root = ET.fromstring(frame_svg(annotation, None, 2, width=200))
    assert (root.tag, root.get("width"), root.get("height")) == (f"{SVG}svg", "200", "150")
    found = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in root.iter(f"{SVG}circle")]
    check_places(np.array(found), places(annotation, 2, 0.5), within=0.051)
    strip = ET.fromstring(strip_svg(annotation, None, frames=3, height=90))
    panels = strip.findall(f"{SVG}svg")
    assert [panel.get("x") for panel in panels] == ["0", "126", "252"]
    for panel, frame in zip(panels, (0, 2, 3), strict=True):
        found = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in panel.iter(f"{SVG}circle")]
        check_places(np.array(found), places(annotation, frame, 0.3), within=0.051)


def circles(svg: str) -> Any:
    nodes = ET.fromstring(svg).iter(f"{SVG}circle")
    return np.array([(float(node.get("cx", "")), float(node.get("cy", ""))) for node in nodes])


@settings(max_examples=20, deadline=None)
@given(image=st.tuples(st.integers(100, 4000), st.integers(100, 4000)), seed=st.integers(0, 99))
def test_a_crop_shows_the_persons_and_keeps_their_form(image: tuple[int, int], seed: int) -> None:
    """They fill most of the drawing, whose scale is the same for x and y; in a strip it is that of all frames."""
    annotation = scattered(2, seed=seed)
    annotation["keypoint"] *= 0.1
    annotation["keypoint"] += image[0] / 2
    annotation["img_shape"] = image
    svg = frame_svg(annotation, None, 1, width=200, height=150, crop=True)
    assert (ET.fromstring(svg).get("width"), ET.fromstring(svg).get("height")) == ("200", "150")
    found, joints = circles(svg), annotation["keypoint"][0, 1]
    spans = np.ptp(found, axis=0), np.ptp(joints.astype(float), axis=0)
    check_places(found, (joints - joints.min(0)) * max(spans[0] / spans[1]) + found.min(0), within=0.3)
    assert ((found >= 0) & (found <= (200, 150))).all()
    assert (spans[0] > 0.6 * np.array([200, 150])).any()
    panels = ET.fromstring(strip_svg(annotation, None, height=90, crop=True)).findall(f"{SVG}svg")
    both = [circles(ET.tostring(panel, "unicode")) for panel in panels]
    moved = joints.mean(0) - annotation["keypoint"][0, 0].mean(0)
    ratio = np.ptp(both[0], axis=0) / np.ptp(annotation["keypoint"][0, 0].astype(float), axis=0)
    assert np.abs(both[1].mean(0) - both[0].mean(0) - moved * ratio.mean()).max() < 1


@pytest.mark.parametrize(("factor", "shift"), [(1 / 320, 0.0), (1.0, -400.0), (1.0, 5000.0)])
def test_joints_that_are_not_in_the_image(tmp_path: Path, factor: float, shift: float) -> None:
    """Fractions of the image, and joints outside of it, are drawn in the box of the persons, and not over a video."""
    annotation = scattered(2)
    annotation["keypoint"] = annotation["keypoint"] * factor + shift
    found = circles(frame_svg(annotation, None, 0, width=200))
    assert (np.ptp(found, axis=0) > 60).all()
    film = write_film(tmp_path / "film.mp4", [np.zeros((240, 320, 3), np.uint8)] * 2)
    with pytest.raises(DrawingError, match="--video needs joints in pixels of the image"):
        scene_of(annotation, None, (320, 240), options=Options(video=film))


def test_dots_in_the_terminal() -> None:
    annotation = scattered(2, joints=3)
    lines = frame_text(poses(annotation, None), 1, 60, 20, coloured=False)
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 60
    grid = np.zeros((4 * len(lines), 120), bool)
    bits = {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0, 1), 4: (1, 1), 5: (2, 1), 6: (3, 0), 7: (3, 1)}
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            for bit, (down, right) in bits.items():
                if ord(cell) - 0x2800 >> bit & 1:
                    grid[4 * row + down, 2 * column + right] = True
    found = np.argwhere(grid)[:, ::-1]
    assert len(found) == 3
    # The box of the poses fills the text, with the same scale for x and y.
    expected = annotation["keypoint"][0, 1]
    expected = expected[np.lexsort(expected.T[::-1])]
    found = found[np.lexsort(found.T[::-1])]
    scales = np.ptp(found, axis=0) / np.ptp(expected, axis=0)
    assert scales[0] == pytest.approx(scales[1], rel=0.1)
    check_places(found, (expected - expected[0]) * scales.mean() + found[0], within=2)


def test_joints_have_the_colours_of_their_sides(tmp_path: Path) -> None:
    keypoint = np.zeros((1, 1, 17, 2))
    keypoint[0, 0, [0, 9, 16]] = [(50, 30), (100, 90), (200, 60)]  # nose, left wrist, right ankle: no bone joins them
    annotation = {"keypoint": keypoint, "img_shape": (120, 240)}
    scene = scene_of(annotation, LAYOUTS["coco-17"], BOXES["png"], options=Options(scale=3.0))
    (panel,) = scene.panels([0], [0.0])
    pixels = np.asarray(panel)
    for (x, y), colour in zip(
        keypoint[0, 0, [0, 9, 16]].astype(int), (colours.MIDDLE, colours.LEFT, colours.RIGHT), strict=True
    ):
        assert tuple(pixels[3 * y, 3 * x].tolist()) == colour
    bones = np.zeros((1, 1, 17, 2))
    bones[0, 0, [5, 7]] = [(50, 30), (150, 90)]
    (panel,) = scene_of(annotation | {"keypoint": bones}, LAYOUTS["coco-17"], (720, 360)).panels([0], [0.0])
    assert tuple(np.asarray(panel)[180, 300].tolist()) == colours.LEFT


def test_opacity_follows_the_score() -> None:
    annotation = scattered(1, image=(240, 320))
    annotation["keypoint_score"][0, 0] = [0, 0.1, 0.5, 1]
    scene = scene_of(annotation, None, (320, 240))
    (panel,) = scene.panels([0], [0.0])
    pixels = np.asarray(panel).astype(int)
    inks = [255 - int(pixels[int(y), int(x)].min()) for x, y in annotation["keypoint"][0, 0]]
    assert inks[0] == 0
    assert 0 < inks[1] < inks[2] < inks[3] == 255 - colours.MIDDLE[0]
    root = ET.fromstring(frame_svg(annotation, None, 0))
    assert sorted(float(circle.get("opacity", "1")) for circle in root.iter(f"{SVG}circle")) == [0.33, 0.62, 1]


def test_persons_are_told_apart(tmp_path: Path) -> None:
    annotation = scattered(2, persons=2, joints=2)
    root = ET.fromstring(frame_svg(annotation, None, 0))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["0", "1"]
    fills = [circle.get("fill") for circle in root.iter(f"{SVG}circle")]
    grey = colours.as_hex(colours.MIDDLE)
    first, second = (colours.as_hex(colour) for colour in colours.PERSONS[:2])
    assert fills == [grey, grey, first, "#FFFFFF", "#FFFFFF", second]
    keypoint = np.zeros((2, 1, 17, 2))
    keypoint[:, 0, [5, 7]] = [[(50, 30), (150, 30)], [(50, 90), (150, 90)]]
    svg = frame_svg({"keypoint": keypoint, "img_shape": (120, 240)}, LAYOUTS["coco-17"], 0)
    groups = list(ET.fromstring(svg).iter(f"{SVG}g"))
    assert [group.get("stroke-dasharray") is None for group in groups] == [True, False]
    (panel,) = scene_of({"keypoint": keypoint, "img_shape": (120, 240)}, LAYOUTS["coco-17"], (240, 120)).panels(
        [0], [0.0]
    )
    whole, dashed = (len(blobs(np.asarray(panel)[y - 1 : y + 1, 60:140, 0] < 128)) for y in (30, 90))
    assert whole == 1
    assert dashed > 5


def test_only_some_persons_and_frames_are_drawn(tmp_path: Path) -> None:
    annotation = scattered(5, persons=3, joints=2)
    scene = scene_of(annotation, None, (320, 240), options=Options(persons=(2, 7)), frames=None)
    assert [pose.person for pose in scene.poses.frame(0, (2, 7))] == [2]
    part = annotation | {"keypoint": annotation["keypoint"][:1, [1, 4]], "keypoint_score": np.ones((1, 2, 2))}
    scene = scene_of(part, None, (320, 240), frames=Frames(np.array([1, 4]), 5))
    assert scene.poses.numbers.tolist() == [1, 4]
    assert scene.rate == 10, "every third frame at a third of the rate"


# ---------------------------------------------------------------------------------------------- over a video


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_poses_lie_over_a_video_that_is_turned(tmp_path: Path, turned: int, mirrored: bool) -> None:
    """The video has a white disc at each joint; it is stored turned, perhaps mirrored, and shown upright."""
    annotation = scattered(2, joints=3, image=(320, 480))
    shown = []
    for frame in range(2):
        y, x = np.mgrid[:320, :480] + 0.5
        near = [np.hypot(x - px, y - py) < 12 for px, py in annotation["keypoint"][0, frame]]
        shown.append(np.where(np.any(near, axis=0), 255, 60)[..., None].repeat(3, -1).astype(np.uint8))
    stored = [np.rot90(frame, turned // 90) for frame in shown]
    stored = [np.ascontiguousarray(np.fliplr(frame) if mirrored else frame) for frame in stored]
    film = write_film(tmp_path / "film.mp4", stored, turned=turned, mirrored=mirrored)
    scene = drawn(tmp_path / "over.mp4", annotation, video=film, scale=1.0)
    assert (scene.footage.frames, scene.footage.image, scene.footage.rate) == (2, (320, 480), 25)
    assert scene.rate == 25
    for number, frame in enumerate(decoded(tmp_path / "over.mp4")):
        picture = frame[:320, :480].astype(int)
        expected = annotation["keypoint"][0, number]
        white = blobs(picture.min(-1) > 225)
        joints = [picture[int(y), int(x)] for x, y in expected]
        assert all(abs(int(joint.max()) - colours.MIDDLE_ON_DARK[0]) < 25 for joint in joints)
        # The discs, with holes where the joints are, have the same centres.
        rings = [np.abs(white - place).max(1).min() for place in expected]
        assert max(rings) <= 1, rings


@pytest.mark.parametrize("image", [(240, 320), (240, 480)])
def test_pixels_that_are_not_square(tmp_path: Path, image: tuple[int, int]) -> None:
    """The annotation is of the stored pixels, 320 x 240, or of what players show, 480 x 240: both fit the video."""
    stored = np.zeros((240, 320, 3), np.uint8)
    stored[100:140, 200:240] = 255
    film = write_film(tmp_path / "film.mp4", [stored] * 2, pixel_ratio=Fraction(3, 2))
    middle = np.array([220, 120]) * (image[1] / 320, 1)
    annotation = {"keypoint": np.tile(middle, (1, 2, 1, 1)), "img_shape": image}
    scene = scene_of(annotation, None, (480, 480), options=Options(video=film, scale=1.0))
    assert (scene.view.height, scene.view.width) == image
    assert scene.footage is not None
    assert scene.footage.shown == (240, 480)
    (panel,) = scene.backgrounds([0])
    (found,) = blobs(np.asarray(panel)[..., 0] > 128)
    assert np.abs(found - middle).max() < 1


@pytest.mark.parametrize(("film_frames", "annotated", "step"), [(20, 20, 1), (20, 19, 1), (40, 20, 2), (60, 20, 3)])
def test_each_frame_lies_over_its_own(tmp_path: Path, film_frames: int, annotated: int, step: int) -> None:
    grey = [np.full((240, 320, 3), 20 + 3 * i, np.uint8) for i in range(film_frames)]
    film = write_film(tmp_path / "film.mp4", grey)
    annotation = scattered(annotated, joints=1)
    scene = scene_of(annotation, None, (320, 240), options=Options(video=film))
    levels = [int(np.median(np.asarray(panel))) for panel in scene.panels(range(annotated), [0.0] * annotated)]
    assert len(levels) == annotated
    assert np.abs(np.array(levels) - [20 + 3 * step * i for i in range(annotated)]).max() <= 1


# -------------------------------------------------------------------------------------------------- heatmaps


@pytest.mark.parametrize("image", [(240, 320), (320, 240), (300, 500)])
def test_heatmaps_are_highest_at_the_joints(image: tuple[int, int]) -> None:
    annotation = scattered(2, image=image)
    factor = 480 / max(image)
    scene = scene_of(annotation, None, (480, 480), options=Options(heatmap="keypoint"))
    for frame, panel in enumerate(scene.panels([0, 1], [0.0, 0.0])):
        pixels = np.asarray(panel).astype(float)
        light = pixels.max(-1)
        found = blobs(light > 60, light - 26)
        cell = factor * min(image) / 64
        check_places(found, places(annotation, frame, factor), within=max(1.0, 0.3 * cell))


def test_heatmaps_of_limbs_have_the_colours_of_their_sides() -> None:
    keypoint = np.zeros((1, 1, 17, 2))
    keypoint[0, 0, [5, 7, 6, 8]] = [(50, 30), (150, 30), (50, 90), (150, 90)]  # left and right upper arm
    annotation = {"keypoint": keypoint, "img_shape": (120, 240)}
    scene = scene_of(annotation, LAYOUTS["coco-17"], (480, 480), options=Options(heatmap="limb"))
    (panel,) = scene.panels([0], [0.0])
    pixels = np.asarray(panel).astype(int)
    for y, colour in ((60, colours.LEFT_ON_DARK), (180, colours.RIGHT_ON_DARK)):
        brightest = max(pixels[y - 4 : y + 4, 200], key=sum)
        assert np.abs(brightest - colour).max() < 50
    assert pixels[120, 300].max() < 30
    assert pixels[-1, -1].max() < 30


# ------------------------------------------------------------------------------------------------- by ffprobe


def probe(path: Path) -> dict[str, str]:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed here: install ffmpeg")
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_streams", path]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def test_an_mp4_is_what_browsers_play(tmp_path: Path) -> None:
    scene = drawn(tmp_path / "a.mp4", scattered(13, image=(251, 333)), rate=29.97)
    found = probe(tmp_path / "a.mp4")
    assert (found["codec_name"], found["pix_fmt"], found["nb_read_frames"]) == ("h264", "yuv420p", "13")
    assert (int(found["width"]), int(found["height"])) == scene.size
    assert found["r_frame_rate"] in ("30000/1001", "2997/100")
    assert found["color_space"] == "bt709"


@pytest.mark.parametrize(("rate", "seconds"), [(30.0, 1.0), (25.0, 1.2), (12.5, 2.4), (7.0, 30 / 7)])
def test_a_gif_keeps_the_rate(tmp_path: Path, rate: float, seconds: float) -> None:
    scene = drawn(tmp_path / "a.gif", scattered(30), rate=rate)
    found = probe(tmp_path / "a.gif")
    assert (found["codec_name"], found["nb_read_frames"]) == ("gif", "30")
    assert (int(found["width"]), int(found["height"])) == scene.size
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 30
        assert image.info["loop"] == 0
        delays = []
        for number in range(30):
            image.seek(number)
            delays.append(image.info["duration"])
    assert sum(delays) == pytest.approx(1000 * seconds, abs=6)
    assert max(delays) - min(delays) <= 10


def test_a_gif_of_equal_frames_has_all_of_them(tmp_path: Path) -> None:
    annotation = scattered(1)
    annotation = {"keypoint": annotation["keypoint"].repeat(5, 1), "img_shape": (240, 320)}
    drawn(tmp_path / "a.gif", annotation)
    assert len(list(decoded(tmp_path / "a.gif"))) == 5
