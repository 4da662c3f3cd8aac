"""The frames of a video file, upright as players show them, and which one belongs to a frame of an annotation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skelstore.drawing.packages import pillow, pyav
from skelstore.drawing.poses import Frames
from skelstore.errors import DrawingError
from skelstore.format.files import open_regular
from skelstore.wording import counted

if TYPE_CHECKING:
    from PIL.Image import Image

_FEW = 2
"""Counts that differ by no more than this are those of one video: decoders differ in the last frames."""
_CLOSE = 0.02
"""How far a ratio may be from a whole number, or a duration from the other, against their size."""
_MOST_STEP = 30
"""Maximum number of frames of a video per frame of an annotation."""
_MOST_PIXELS = 1 << 26
"""Maximum number of pixels of a frame of a video."""
_TURNS = {
    (1, 0, 0, 1): None,
    (0, 1, -1, 0): "ROTATE_270",
    (-1, 0, 0, -1): "ROTATE_180",
    (0, -1, 1, 0): "ROTATE_90",
    (-1, 0, 0, 1): "FLIP_LEFT_RIGHT",
    (1, 0, 0, -1): "FLIP_TOP_BOTTOM",
    (0, 1, 1, 0): "TRANSPOSE",
    (0, -1, -1, 0): "TRANSVERSE",
}
"""The first four numbers a, b, c, d of a display matrix (ISO 14496-12, 8.3.2: x' = a x + c y, y' = b x + d y), and the
method of Pillow that does the same; it counts angles counterclockwise."""
_SWAP_SIDES = ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")
_SAFE = {
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,mjpeg,h264,hevc,av1,ivf",
    "protocol_whitelist": "none",
}
"""Kinds of files that cannot name other files or addresses to be read, as playlists do; and no protocol to do so."""


class Footage(NamedTuple):
    """A video file: the number of its frames, and frames per second.

    ``image`` is their (height, width) in pixels, after they were turned; ``shown`` is that of square pixels, in which
    players show them. Pose estimators mostly see the former.
    """

    path: Path
    frames: int
    image: tuple[int, int]
    shown: tuple[float, float]
    rate: float | None


def look_up(path: Path) -> Footage:
    """What a video file has. The packets are counted, but only the first frame is decoded.

    Raises DrawingError if it cannot be read or has no video.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate, ratio = stream.average_rate, float(stream.sample_aspect_ratio or 1)
        count = sum(1 for packet in container.demux(stream) if packet.size)
    first = next(_decoded(path), None)
    if first is None:
        raise DrawingError(f"{path} has no frame that can be decoded; expected a video")
    image, shown = (first.height, first.width), (first.height, first.width * ratio)
    if _turn(path, first) in _SWAP_SIDES:
        image, shown = image[::-1], shown[::-1]
    return Footage(path, count, image, shown, float(rate) if rate else None)


def matching_frames(footage: Footage, frames: Frames, rate: float | None) -> list[int]:
    """The frame of the video for each frame of an annotation, ascending.

    Frame i is frame i if both have the same number of frames, give or take two. Otherwise frames are matched by time,
    if both last equally long by the ``rate`` of the annotation, or if every 2nd, 3rd, … frame was kept. Raises
    DrawingError, with both numbers, if neither is the case.
    """
    places = (frames.numbers - frames.first).tolist()
    total = frames.total
    if total <= 0 or min(places, default=0) < 0:
        raise DrawingError(
            f"the annotation has frame {int(frames.numbers.min())} of {counted(total, 'frame')}; expected numbers from "
            f"{frames.first} to draw over {footage.path}"
        )
    step = 1.0
    if abs(footage.frames - total) > _FEW:
        step = footage.frames / total
        lasts_equally = rate is not None and footage.rate is not None and _is_close(step, footage.rate / rate)
        if not lasts_equally and not (1 < round(step) <= _MOST_STEP and _is_close(step, round(step))):
            raise DrawingError(
                f"{footage.path} has {counted(footage.frames, 'frame')}, and the annotation {total:,}: which frame "
                "belongs to which is not known; give the video that the poses were estimated from"
            )
    return [min(round(place * step), footage.frames - 1) for place in places]


def shown_frames(footage: Footage, indices: Sequence[int], size: tuple[int, int]) -> Iterator[Image]:
    """The frames of a video at indices, ascending, as images of mode RGB with this width and height.

    Raises DrawingError if the video ends before the last of them.
    """
    wanted = iter(indices)
    index = next(wanted, None)
    image = None
    for number, frame in enumerate(_decoded(footage.path)):
        if index is None:
            return
        while index == number:
            image = _turned(footage.path, frame, size) if image is None else image
            yield image.copy()
            index = next(wanted, None)
        image = None
    # The number of packets may be that of the frames and a few more.
    if index is not None:
        raise DrawingError(f"{footage.path} could be decoded up to frame {number}; expected frame {index}")


def _is_close(one: float, other: float) -> bool:
    return abs(one - other) <= _CLOSE * other


def _turned(path: Path, frame: Any, size: tuple[int, int]) -> Image:
    turn = _turn(path, frame)
    width, height = size[::-1] if turn in _SWAP_SIDES else size
    image: Image = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_image()
    return image if turn is None else image.transpose(pillow().Image.Transpose[turn])


def _turn(path: Path, frame: Any) -> str | None:
    """The method of Pillow that turns a frame as players do; None if it is upright."""
    data = frame.side_data.get("DISPLAYMATRIX")
    numbers = np.frombuffer(b"" if data is None else bytes(data), np.int32)
    matrix = numbers[[0, 1, 3, 4]].astype(np.float64) if len(numbers) == 9 else np.zeros(4)
    if not matrix.any():
        return None
    key = tuple(np.rint(matrix / np.abs(matrix).max()).astype(int).tolist())
    if key not in _TURNS:
        raise DrawingError(f"{path} is turned by an angle that is no multiple of 90 degrees; expected one that is")
    return _TURNS[key]


def _decoded(path: Path) -> Iterator[Any]:
    with _opened(path) as container:
        for frame in container.decode(video=0):
            if frame.width * frame.height > _MOST_PIXELS:
                raise DrawingError(
                    f"{path} has frames of {frame.width:,} x {frame.height:,} pixels, which is too large"
                )
            yield frame


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The video as a container of PyAV. Its errors become a DrawingError with the path."""
    av = pyav()
    with open(path, "rb", opener=open_regular) as file:
        try:
            with av.open(file, "r", options=_SAFE) as container:
                if not container.streams.video:
                    raise DrawingError(f"{path} has no video; expected one to draw over")
                yield container
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, DrawingError):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            raise DrawingError(
                f"{path} is not a video that can be read ({reason}); expected one to draw over"
            ) from error
