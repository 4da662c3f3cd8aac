"""Frames of one video as images: background, poses and caption, in one view."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skelstore.drawing import colours, footage, heat, raster
from skelstore.drawing.captions import Caption, caption_of
from skelstore.drawing.figure import Pen, Skeleton, figures, ground, pen_for
from skelstore.drawing.packages import pillow
from skelstore.drawing.poses import MOST_PERSONS, Frames, Poses, counted_frames, poses
from skelstore.drawing.view import RESTING_ANGLE, Plane, View, shows_image, view_of
from skelstore.errors import DrawingError
from skelstore.joints import JointLayout
from skelstore.wording import counted

if TYPE_CHECKING:
    from PIL.Image import Image

RATE = 30.0
"""Frames per second of a video whose rate is not known; that of NTU RGB+D, and of most videos of Kinetics."""
_RATES = (0.1, 1000.0)
"""Frames per second of an animation: the lowest and the highest."""
_OF_3D = 0.8
"""Sides of a 3D drawing, against those of the box: it is filled, where an image has persons in some part of it."""
_KINECT_IMAGE = (1080.0, 1920.0)
"""(height, width) of the colour images of Kinect v2."""
_LETTERS = (15, 12)
"""Heights of the letters of the two lines of a caption, in pixels."""
_FOOTER = 46


class Options(NamedTuple):
    """How a video is drawn.

    ``persons``: only these, by their numbers from 0. ``scale``: see ``view_of``. ``rate``: frames per second of an
    animation. ``heatmap``: ``keypoint`` or ``limb``, drawn in place of the poses. ``video``: a file whose frames are
    behind them.
    """

    persons: tuple[int, ...] | None = None
    scale: float | None = None
    rate: float | None = None
    heatmap: str | None = None
    video: Path | None = None


@dataclass(frozen=True)
class Scene:
    """What ``scene_of`` returns. ``view`` and ``pen`` are those of every frame; ``rate`` is in frames per second."""

    poses: Poses
    view: View
    pen: Pen
    caption: Caption
    rate: float
    options: Options
    footage: footage.Footage | None
    places: tuple[int, ...]
    """The frame of ``footage`` of each frame."""

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def notes(self) -> list[str]:
        """Sentences on what is not drawn."""
        only = self.options.persons
        count = self.poses.persons if only is None else len(only)
        return (
            [f"of {counted(count, 'person')} at most {MOST_PERSONS} are drawn in a frame; choose them with --persons"]
            if count > MOST_PERSONS
            else []
        )

    def panels(self, positions: Sequence[int], angles: Sequence[float]) -> Iterator[Image]:
        """The frames at positions, ascending, without a caption: images of mode RGB with the size of the view."""
        size = self.view.width, self.view.height
        skeleton = Skeleton(self.poses, dark=self.footage is not None)
        for position, angle, canvas in zip(positions, angles, self.backgrounds(positions), strict=True):
            persons = self.options.persons if self.options.heatmap is None else ()
            drawn = figures(self.poses, position, skeleton, self.view, self.pen, angle=angle, persons=persons)
            lines = ground(self.view, angle)
            raster.paint(canvas, drawn, self.pen, size, ground=lines, cased=self.footage is not None)
            yield canvas

    def frames(self, positions: Sequence[int], angles: Sequence[float]) -> Iterator[Image]:
        """The same with a caption below. Width and height are even, as H.264 needs them."""
        width, height = self.view.width, self.view.height
        sheet = pillow().Image.new("RGB", self.size, colours.PAPER)
        left = raster.text_width(self.caption.frame(self.caption.total), _LETTERS[1])
        title, name = self.caption.title or self.caption.name, self.caption.name if self.caption.title else ""
        self._write(sheet, title, 0, width - 8)
        self._write(sheet, name, 1, width - 20 - left)
        for position, panel in zip(positions, self.panels(positions, angles), strict=True):
            canvas = sheet.copy()
            canvas.paste(panel, (0, 0))
            text = raster.fitting_text(self.caption.frame(int(self.poses.numbers[position])), width - 8, _LETTERS[1])
            place = (width - 4, height + _FOOTER - 9)
            raster.paint_text(canvas, place, text, size=_LETTERS[1], colour=colours.QUIET_TEXT, anchor="rs")
            yield canvas

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of ``frames``."""
        return self.view.width + self.view.width % 2, self.view.height + _FOOTER + self.view.height % 2

    def _write(self, sheet: Image, text: str, line: int, width: float) -> None:
        size = _LETTERS[line]
        place = (4, self.view.height + (20, _FOOTER - 9)[line])
        colour = (colours.TEXT, colours.QUIET_TEXT)[line]
        raster.paint_text(sheet, place, raster.fitting_text(text, width, size), size=size, colour=colour)

    def backgrounds(self, positions: Sequence[int]) -> Iterator[Image]:
        """What is behind the poses of the frames at positions, ascending: images of mode RGB."""
        size = self.view.width, self.view.height
        if self.footage is not None:
            yield from footage.shown_frames(self.footage, [self.places[position] for position in positions], size)
        elif self.options.heatmap is not None and isinstance(self.view, Plane):
            for position in positions:
                yield heat.heat_image(self.poses, position, self.options.heatmap, self.view, self.options.persons)
        else:
            paper = pillow().Image.new("RGB", size, colours.PAPER)
            if isinstance(self.view, Plane):
                raster.paint_border(paper, size)
            for _ in positions:
                yield paper.copy()


def scene_of(
    annotation: Mapping[Any, Any],
    joints: JointLayout | None,
    box: tuple[int, int],
    *,
    class_names: Sequence[str] | None = None,
    frames: Frames | None = None,
    options: Options | None = None,
) -> Scene:
    """The frames of an annotation as large as fits in ``box`` (width, height), or as ``options`` say.

    ``frames`` says which frames of the video it has, if not all. Raises DrawingError if it has no poses, or if they
    cannot be drawn as the options say.
    """
    options = Options() if options is None else options
    if options.rate is not None and not _RATES[0] <= options.rate <= _RATES[1]:
        raise DrawingError(f"--fps {options.rate:g}; expected {_RATES[0]} to {_RATES[1]:g} frames per second")
    found = _imaged(annotation, poses(annotation, joints), options)
    if frames is None:
        dense = found.starts is None
        frames = counted_frames(found.numbers, None if dense else annotation.get("total_frames"))
    found = dataclasses.replace(found, numbers=frames.numbers)
    if not len(found):
        raise DrawingError("there is nothing to draw: the video has no frames, or none of those requested")
    film = None if options.video is None else footage.look_up(options.video)
    if film is not None:
        found = _on_film(found, film)
    if found.dimensions == 3:
        box = round(_OF_3D * box[0]), round(_OF_3D * box[1])
    view = view_of(found, np.arange(len(found)), box, options.scale)
    if film is not None and not shows_image(found, view):
        raise DrawingError("--video needs joints in pixels of the image, and these are fractions, or outside of it")
    own = _own_rate(annotation)
    places = () if film is None else tuple(footage.matching_frames(film, frames, own))
    step = float(np.median(np.diff(found.numbers))) if len(found) > 1 else 1.0
    known = own or (film.rate if film is not None and film.frames == frames.total else None) or RATE
    return Scene(
        poses=found,
        view=view,
        pen=pen_for(view, found.joints),
        caption=caption_of(annotation, class_names, frames.total),
        rate=min(max(known / max(step, 1.0), _RATES[0]), _RATES[1]) if options.rate is None else options.rate,
        options=options,
        footage=film,
        places=places,
    )


def resting(count: int) -> list[float]:
    """The angles of still pictures."""
    return [RESTING_ANGLE] * count


def _imaged(annotation: Mapping[Any, Any], found: Poses, options: Options) -> Poses:
    """Poses in the image, if they have to be; raw NTU RGB+D has both. Raises DrawingError if they are not."""
    if found.dimensions == 2 or (options.heatmap is None and options.video is None):
        return found
    color = annotation.get("color")
    if isinstance(color, np.ndarray) and color.dtype.kind == "f" and color.shape == (*found.points.shape[:2], 2):
        return dataclasses.replace(found, points=color, dimensions=2, image=_KINECT_IMAGE)
    what = "--heatmap" if options.heatmap is not None else "--video"
    raise DrawingError(f"{what} needs poses in the image, and these are 3D: their coordinates are not pixels")


def _on_film(found: Poses, film: footage.Footage) -> Poses:
    """The poses, in the image that the video shows. Raises DrawingError if the annotation's image is another."""
    if found.image is None:
        return dataclasses.replace(found, image=film.image)
    high, wide = found.image
    if all(abs(high * width - wide * height) > 0.03 * high * width for height, width in (film.image, film.shown)):
        height, width = film.image
        raise DrawingError(
            f"{film.path} shows frames of {width} x {height} pixels, and the image of the annotation has "
            f"{wide:g} x {high:g}: give the video that the poses were estimated from"
        )
    return found


def _own_rate(annotation: Mapping[Any, Any]) -> float | None:
    """The frames per second that an annotation states; None if it states none that is possible."""
    for key in ("fps", "frame_rate"):
        value = annotation.get(key)
        if isinstance(value, (int, float, np.integer, np.floating)) and _RATES[0] <= value <= _RATES[1]:
            return float(value)
    return None
