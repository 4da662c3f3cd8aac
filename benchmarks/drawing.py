"""An animation of a video as a gif: drawn by skelstore, by matplotlib's animation, and by Pillow's own drawing.

The video has two persons. All sides draw bones, joints and the number of the frame, at the same size.
"""

from __future__ import annotations

import importlib.util
import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from converters.bench.data import Annotation
from converters.bench.results import Result, Wanted
from converters.samples.pickles import iter_ntu_like
from skelstore.drawing.picture import BOXES, draw
from skelstore.drawing.scene import scene_of
from skelstore.joints import LAYOUTS

COCO = LAYOUTS["coco-17"]
RATE = 30
MATPLOTLIB_SHARE = 10
"""Matplotlib draws one frame in so many: its time per frame is the same for more."""

Side = Callable[[Annotation, int, int, Path], None]


def video(frames: int) -> Annotation:
    """A video of two persons with this number of frames; one that is too short is repeated."""
    one, other = (next(iter_ntu_like(1, seed)) for seed in (0, 1))
    taken = [np.resize(np.arange(clip["total_frames"]), frames) for clip in (one, other)]
    annotation = {"frame_dir": "two", "img_shape": one["img_shape"], "label": 0, "total_frames": frames}
    for key in ("keypoint", "keypoint_score"):
        both = [clip[key][0, at] for clip, at in zip((one, other), taken, strict=True)]
        annotation[key] = np.stack(both)
    return annotation


def measure(folder: Path, frames: int, rounds: int) -> Result:
    """Write a gif by each side in turn; seconds per 300 frames are medians of the rounds."""
    result = Result("drawing", "a gif of a video with two persons")
    annotation = video(frames)
    scene = scene_of(annotation, COCO, BOXES["gif"])
    width, height = scene.view.width, scene.view.height
    result.conditions |= {"frames": frames, "size": f"{width} x {height}"}
    sides: dict[str, tuple[Side, int]] = {}
    for name, side, most, module in (
        ("skelstore", _ours, frames, "PIL"),
        ("Pillow's drawing", _pillow, frames, "PIL"),
        ("matplotlib's animation", _matplotlib, max(frames // MATPLOTLIB_SHARE, 1), "matplotlib"),
    ):
        if importlib.util.find_spec(module):
            sides[name] = side, most
        else:
            result.skipped[name] = f"{module} is not installed: pip install 'skelstore[draw]' matplotlib"
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    size: dict[str, int] = {}
    for _ in range(rounds):
        for name, (side, most) in sides.items():
            path = folder / "drawn.gif"
            started = time.process_time()
            side(annotation, most, height, path)
            seconds[name].append((time.process_time() - started) * 300 / most)
            size[name] = round(path.stat().st_size * 300 / most / 1000)
            path.unlink()
    result.measurements = {
        name: {"s of CPU per 300 frames": median(found), "KB": size[name]} for name, found in seconds.items()
    }
    if "skelstore" in seconds:
        own = seconds.pop("skelstore")
        result.claim("300 frames by skelstore", median(own), "s of CPU", Wanted(3.0, at_least=False))
        for name, found in seconds.items():
            ratio = median(theirs / ours for ours, theirs in zip(own, found, strict=True))
            wanted = Wanted(5) if name.startswith("matplotlib") else None
            result.claim(f"skelstore against {name}", ratio, "x as fast", wanted)
    return result


def _ours(annotation: Annotation, frames: int, height: int, path: Path) -> None:
    with open(path, "wb") as file:
        draw(scene_of(annotation, COCO, BOXES["gif"]), file, "gif")


def _pillow(annotation: Annotation, frames: int, height: int, path: Path) -> None:
    """Lines and ellipses without smooth edges, and Pillow's own gif, which needs all frames in memory."""
    from PIL import Image, ImageDraw

    scale = height / annotation["img_shape"][0]
    points = annotation["keypoint"].astype(float) * scale
    size = round(annotation["img_shape"][1] * scale), height
    images = []
    for frame in range(frames):
        image = Image.new("RGB", size, "white")
        brush = ImageDraw.Draw(image)
        for person in points[:, frame]:
            for first, second in COCO.edges:
                brush.line([*person[first], *person[second]], fill=(0, 114, 178), width=3)
            for x, y in person:
                brush.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(213, 94, 0))
        brush.text((4, height - 14), f"frame {frame}", fill=(51, 51, 51))
        images.append(image)
    made = io.BytesIO()
    images[0].save(made, "GIF", save_all=True, append_images=images[1:], duration=1000 // RATE, loop=0)
    path.write_bytes(made.getvalue())


def _matplotlib(annotation: Annotation, frames: int, height: int, path: Path) -> None:
    """As examples of pose data sets draw: lines whose data are replaced, and the writer of Pillow."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation, PillowWriter

    image_height, image_width = annotation["img_shape"]
    figure, axes = pyplot.subplots(figsize=(height * image_width / image_height / 100, height / 100), dpi=100)
    axes.set(xlim=(0, image_width), ylim=(image_height, 0))
    points = annotation["keypoint"].astype(float)
    bones = [[axes.plot([], [], lw=2, color="C0")[0] for _ in COCO.edges] for _ in points]
    joints = [axes.plot([], [], "o", ms=4, color="C3")[0] for _ in points]

    def update(frame: int) -> list[Any]:
        for person, lines, dots in zip(points[:, frame], bones, joints, strict=True):
            for line, edge in zip(lines, COCO.edges, strict=True):
                line.set_data(*person[list(edge)].T)
            dots.set_data(*person.T)
        axes.set_title(f"frame {frame}")
        return []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FuncAnimation(figure, update, frames=frames).save(path, writer=PillowWriter(fps=RATE))
    pyplot.close(figure)
