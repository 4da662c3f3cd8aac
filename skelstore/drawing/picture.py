"""Pictures and animations of a video, written to a file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from skelstore.drawing import colours, raster
from skelstore.drawing.gif import MOST_RATE, write_gif
from skelstore.drawing.mp4 import write_mp4
from skelstore.drawing.packages import pillow
from skelstore.drawing.scene import Scene, resting
from skelstore.drawing.svg import picture_svg, spread
from skelstore.drawing.view import turn
from skelstore.errors import DrawingError, FrameIndexError
from skelstore.wording import counted

KINDS = ("png", "gif", "mp4", "svg")
"""The kinds of pictures, as the suffixes of their files."""
STRIP = 8
"""Number of frames of a strip."""
MOST_FRAMES = 5_000
"""Maximum number of frames that are drawn at once."""
BOXES = {"png": (320, 320), "gif": (480, 480), "mp4": (640, 640), "svg": (480, 480)}
"""Width and height in pixels in which a frame of each kind has to fit if no scale is given."""
_GAP = 8
_MARGIN = 10
_HEADING = 30
_NUMBER = 22


class Selection:
    """Frames of a video: one, or those of a slice; all if ``frames`` is None.

    Of more than ``most`` frames, ``most`` are spread evenly, the only one in the middle. If that is None, frames after
    the first ``MOST_FRAMES`` are left out, and ``notes`` has a sentence that says so.
    """

    def __init__(self, frames: slice | int | None, most: int | None) -> None:
        self._frames = frames
        self._most = most
        self.notes: list[str] = []

    def positions(self, total: int) -> Sequence[int]:
        """The positions among ``total`` frames, ascending. Raises FrameIndexError if there are none."""
        frames = self._frames
        if isinstance(frames, int):
            if not -total <= frames < total:
                raise FrameIndexError(f"--frames {frames}: the video has {counted(total, 'frame')} to draw")
            return [frames % total]
        chosen = range(total)[slice(None) if frames is None else frames]
        if not len(chosen):
            raise FrameIndexError(f"no frame is selected of the {counted(total, 'frame')} that the video has to draw")
        if self._most == 1 and len(chosen) > 1 and frames is not None:
            raise DrawingError(f"an svg has one frame, and --frames selects {len(chosen):,}: give one, such as 12")
        if self._most == 1:
            return [chosen[len(chosen) // 2]]
        if self._most is not None:
            return [chosen[place] for place in spread(len(chosen), self._most).tolist()]
        if len(chosen) > MOST_FRAMES:
            self.notes.append(
                f"of {counted(len(chosen), 'frame')} the first {MOST_FRAMES:,} are drawn; choose others with --frames"
            )
        return chosen[:MOST_FRAMES]


@dataclass(frozen=True)
class Animation:
    """A video drawn as a gif, which plays where a notebook shows this object.

    ``gif`` has the bytes of the file. ``notes`` are sentences on what is not drawn.
    """

    gif: bytes = field(repr=False)
    title: str
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.gif).decode()
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f'<img alt="{html.escape(self.title)}" src="data:image/gif;base64,{data}">{notes}'


def animation(scene: Scene, notes: Sequence[str] = ()) -> Animation:
    """The frames of a scene as an animation. Raises MissingPackageError if Pillow is not installed."""
    file = io.BytesIO()
    notes = (*notes, *draw(scene, file, "gif"))
    title = ", ".join(text for text in (scene.caption.title, scene.caption.name) if text)
    return Animation(file.getvalue(), title, notes)


def draw(scene: Scene, file: BinaryIO, kind: str) -> list[str]:
    """Write a picture of one of ``KINDS``; return sentences on what is not as requested.

    A gif and an mp4 have every frame. A png has a strip of up to eight frames, spread evenly, side by side; an svg has
    the frame in the middle. Raises DrawingError if the picture would be too large, MissingPackageError if a package is
    not installed.
    """
    notes = scene.notes
    if kind == "gif":
        if scene.rate > MOST_RATE:
            notes.append(f"a gif has at most {MOST_RATE:g} frames per second, so it is slower than the video")
        write_gif(file, lambda chosen: scene.frames(chosen, _turns(scene, chosen)), len(scene), scene.rate)
    elif kind == "mp4":
        everything = range(len(scene))
        write_mp4(file, scene.frames(everything, _turns(scene, everything)), scene.size, scene.rate)
    elif kind == "png":
        _write_strip(scene, file)
    else:
        file.write(_still(scene, len(scene) // 2).encode())
    return notes


def _turns(scene: Scene, positions: Sequence[int]) -> list[float]:
    return [turn(position, len(scene), scene.rate) for position in positions]


def _write_strip(scene: Scene, file: BinaryIO) -> None:
    """Frames side by side, the first at (10, 10), 8 pixels apart; below them their numbers, and the title."""
    positions = spread(len(scene), STRIP).tolist()
    view, caption = scene.view, scene.caption
    width = len(positions) * (view.width + _GAP) - _GAP + 2 * _MARGIN
    sheet = pillow().Image.new("RGB", (width, view.height + 2 * _MARGIN + _NUMBER + _HEADING), colours.PAPER)
    for place, (position, panel) in enumerate(
        zip(positions, scene.panels(positions, resting(len(positions))), strict=True)
    ):
        left = _MARGIN + place * (view.width + _GAP)
        sheet.paste(panel, (left, _MARGIN))
        text = f"{scene.poses.numbers[position]:,}"
        middle = (left + view.width / 2, _MARGIN + view.height + 17)
        raster.paint_text(sheet, middle, text, size=13, colour=colours.QUIET_TEXT, anchor="ms")
    base = sheet.height - _MARGIN - 4
    about = f"{caption.name}, {caption.total:,} frames" if caption.name else f"{caption.total:,} frames"
    title = raster.fitting_text(caption.title, 0.6 * width, 18)
    raster.paint_text(sheet, (_MARGIN, base), title, size=18)
    rest = width - 3 * _MARGIN - raster.text_width(title, 18)
    about = raster.fitting_text(about, rest, 14)
    raster.paint_text(sheet, (width - _MARGIN, base), about, size=14, colour=colours.QUIET_TEXT, anchor="rs")
    sheet.save(file, "PNG", optimize=False)


def _still(scene: Scene, position: int) -> str:
    caption, number = scene.caption, int(scene.poses.numbers[position])
    lines = [caption.title, f"{caption.name}, {caption.frame(number)}" if caption.name else caption.frame(number)]
    behind = None
    if scene.options.heatmap is not None or scene.footage is not None:
        panel = next(scene.backgrounds([position]))
        png = io.BytesIO()
        panel.save(png, "PNG")
        behind = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    return picture_svg(
        scene.poses,
        scene.view,
        position,
        caption=[line for line in lines if line],
        persons=scene.options.persons,
        behind=behind,
        figures_too=scene.options.heatmap is None,
    )
