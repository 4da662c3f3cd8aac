"""MP4 videos: H.264 with yuv420p, which browsers play."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from skelstore.drawing.packages import pyav

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY = {"crf": "18", "preset": "veryfast", "tune": "animation"}
_BT709 = 1
"""The number of the colour space in the standards H.264 and ISO 23091-2; players assume it for large videos."""


def write_mp4(file: BinaryIO, frames: Iterable[Image], size: tuple[int, int], rate: float) -> None:
    """Write images of mode RGB, ``rate`` per second. Width and height of ``size`` are even."""
    av = pyav()
    fraction = Fraction(rate).limit_denominator(1001)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fraction, options=_QUALITY)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        for image in frames:
            frame = av.VideoFrame.from_image(image).reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
