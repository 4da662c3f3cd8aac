"""The pictures of the documents, drawn from sample data: ``make pictures`` runs this module."""

from __future__ import annotations

import tempfile
from pathlib import Path

import skelstore
from converters.cli import main
from converters.samples.staged import write_people
from skelstore.drawing import strip_svg
from tests.support.repository import REPOSITORY

VIDEOS = 15
"""Videos per data set."""
STORES = {"people": "coco-17", "people_3d": "ntu-25", "people_detections": "coco-17"}
"""The stores that are drawn, and their joint layouts."""
ROWS = {
    "walking": ("walking_001", range(18, 46)),
    "sitting down": ("sitting_down_000", range(4, 66)),
    "shaking hands": ("shaking_hands_000", range(4, 74)),
}
"""The rows of the strip: what they show, the video in people_3d.zarr, and its frames."""
ROW_HEIGHT, HEADING = 150, 26
"""Pixels of the pictures of a row of the strip, and of what is above them."""
DRAWN: dict[str, tuple[str, ...]] = {
    "people.gif": ("people_3d.zarr", "shaking_hands_000", "--frames", "8:72:2", "--fps", "15", "--scale", "0.62"),
    "drawing_strip.png": ("people.zarr", "waving_001"),
    "drawing_frame.svg": ("people.zarr", "shaking_hands_000", "--frames", "40"),
    "drawing_limbs.png": ("people.zarr", "walking_001", "--heatmap", "limb"),
    "drawing_detections.png": ("people_detections.zarr", "falling_001"),
}
"""Files in docs/, and the arguments of ``skelstore draw`` that make them."""
STRIP = "strip.svg"
"""The picture at the top of the README."""


def write_stores(folder: Path) -> None:
    """Write the sample data, and convert it to the stores that are drawn."""
    write_people(folder, VIDEOS)
    names = folder / "people_classes.txt"
    for name, joints in STORES.items():
        run("convert", folder / f"{name}.pkl", folder / f"{name}.zarr", "--joints", joints, "--labels", names)


def run(*arguments: object) -> None:
    """Run a command of ``skelstore`` in this process. Raises SystemExit if it fails."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        if ended.code:
            raise


def strip(folder: Path) -> str:
    """The strip of the README: eight frames of a video in each row, in one <svg> element."""
    parts = []
    with skelstore.open(folder / "people_3d.zarr") as store:
        for number, (title, (video, frames)) in enumerate(ROWS.items()):
            top = number * (ROW_HEIGHT + HEADING)
            row = strip_svg(store.read_one(video, frames=frames), store.joints.layout, frames=8, height=ROW_HEIGHT)
            width = int(row.split('width="', 1)[1].split('"', 1)[0])
            parts.append(
                f'<text x="4" y="{top + 18}" font-family="sans-serif" font-size="15" fill="#333">{title}</text>'
            )
            parts.append(row.replace("<svg ", f'<svg y="{top + HEADING}" ', 1))
    height = len(ROWS) * (ROW_HEIGHT + HEADING)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>People who are {", ".join(ROWS)}</title><rect width="{width}" height="{height}" '
        f'fill="#FFF"/>{"".join(parts)}</svg>\n'
    )


def write_pictures(documents: Path) -> None:
    """Draw every picture into the folder of the documents."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_stores(folder)
        (documents / STRIP).write_text(strip(folder), encoding="utf-8")
        for name, (store, *arguments) in DRAWN.items():
            run("draw", folder / store, *arguments, "-o", documents / name, "--force")


if __name__ == "__main__":
    write_pictures(REPOSITORY / "docs")
