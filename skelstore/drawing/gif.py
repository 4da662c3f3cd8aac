"""GIF animations, written frame by frame: one palette for all frames, and of each only the box that has changed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from skelstore.drawing import colours
from skelstore.drawing.packages import pillow

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_RATE = 50.0
"""Frames per second: browsers show frames of less than 20 ms for 100 ms."""

_SAMPLES = 12
"""Number of frames whose colours make the palette."""
_PAPER_FROM = 248
"""Colours whose channels are at least this bright become the colour of the background."""


def write_gif(file: BinaryIO, frames: Callable[[Sequence[int]], Iterator[Image]], count: int, rate: float) -> None:
    """Write ``count`` frames that repeat for ever, ``rate`` per second, at most ``MOST_RATE``.

    ``frames`` yields images of mode RGB and one size for some numbers from 0 to ``count`` - 1, ascending. It is called
    twice: for the palette, and for all frames.
    """
    plain = pillow().Image.Dither.NONE
    step = max(count // _SAMPLES, 1)
    palette = _palette(list(frames(range(0, count, step))))
    delays = _delays(count, min(rate, MOST_RATE))
    before = None
    for image, delay in zip(frames(range(count)), delays, strict=True):
        indexed = image.quantize(palette=palette, dither=plain)
        if before is None:
            file.write(_header(image.size, palette))
        box = (0, 0, *image.size) if before is None else _changed(before, indexed)
        # The image is cut before it is encoded: the encoder of Pillow writes whole images.
        data = pillow().GifImagePlugin.getdata(indexed.crop(box), box[:2], duration=10 * delay)
        file.write(b"".join(data))
        before = indexed
    file.write(b";")


def _palette(samples: Sequence[Image]) -> Any:
    """An image whose palette has the colours of the samples, the background exactly, if it is there."""
    images = pillow().Image
    width, height = samples[0].size
    sheet = images.new("RGB", (width, height * len(samples)))
    for i, sample in enumerate(samples):
        sheet.paste(sample, (0, i * height))
    palette = sheet.quantize(256, method=images.Quantize.MEDIANCUT, dither=images.Dither.NONE)
    # Pillow finds entries to within four steps of a channel, so entries near the background would replace it.
    entries = zip(*[iter(palette.getpalette())] * 3, strict=True)
    cleaned = [colours.PAPER if min(entry) >= _PAPER_FROM else entry for entry in entries]
    palette.putpalette(list(chain.from_iterable(cleaned)))
    return palette


def _header(size: tuple[int, int], palette: Any) -> bytes:
    """The beginning of a GIF: its size, the palette of 256 colours, and that it repeats for ever."""
    entries = bytes(palette.getpalette()).ljust(768, b"\0")
    repeats = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0xF7, 0, 0) + entries + repeats


def _delays(count: int, rate: float) -> list[int]:
    """The delay of each frame in hundredths of a second; their sums are those of the rate, rounded."""
    ends = [round(100 * (i + 1) / rate) for i in range(count)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _changed(before: Image, after: Image) -> tuple[int, int, int, int]:
    """The box in which two images differ; one pixel if they are equal, since every frame is written."""
    images = pillow()
    one, other = (images.Image.frombytes("L", image.size, image.tobytes()) for image in (before, after))
    box: tuple[int, int, int, int] | None = images.ImageChops.difference(one, other).getbbox()
    return (0, 0, 1, 1) if box is None else box
