"""Windows of pixels around joints, and the canvas on which patches are drawn.

MMAction2 and PYSKL compute windows from NumPy scalars, so their results depend on how NumPy combines a float32 scalar
with a float of Python: NumPy 1 computes in float64, NumPy 2 in float32. `SCALAR` and `scalar_dtype` follow it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

BLOCK = 1 << 17
"""Number of pixels that are drawn at once; they fit into the cache of a core."""


def scalar_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a scalar of ``dtype`` plus a float of Python: float64 with NumPy 1, a float's own with NumPy 2."""
    combined: np.dtype[Any] = (dtype.type(1) + 1.0).dtype
    return combined


SCALAR = scalar_dtype(np.dtype(np.float32))
"""The dtype of a float32 scalar plus a float of Python."""


class Window(NamedTuple):
    """For each item, the pixels from ``start`` to before ``stop`` along one axis: intp [n] each."""

    start: Indices
    stop: Indices

    def at(self, items: Any) -> Window:
        """The windows of some items."""
        return Window(self.start[items], self.stop[items])

    @property
    def length(self) -> Indices:
        return self.stop - self.start

    def pixels(self, length: int, size: int) -> Pixels:
        """A run of ``length`` pixels for each item, which contains its window and lies between 0 and ``size``."""
        first = np.minimum(self.start, size - length)
        places = first + np.arange(length)[:, None]
        return Pixels(first, places.astype(np.float32), (places >= self.start) & (places < self.stop))


class Pixels(NamedTuple):
    """Runs of pixels along one axis: the first [n], coordinates [length, n], and whether they are in the window."""

    first: Indices
    coordinates: Floats
    inside: NDArray[np.bool_]


def window(low: Floats, high: Floats, reach: float, size: int) -> Window:
    """The window from ``low`` - ``reach`` to ``high`` + ``reach`` [n], cut to ``size``.

    Both ends are truncated towards 0, as upstream does: an item that ends less than a pixel before 0 has the pixel 0.
    """
    start = np.trunc(low.astype(SCALAR, copy=False) - reach).clip(0, size)
    stop = (np.trunc(high.astype(SCALAR, copy=False) + reach) + 1).clip(0, size)
    return Window(start.astype(np.intp), stop.astype(np.intp))


class Canvas:
    """A volume [T, C, H, W] of zeros, on which patches are drawn by their maximum.

    With ``mirrored`` [C] it is [2 T, C, H, W]: whatever is drawn appears in the second half, too, flipped left to
    right; channel c of the second half is then the mirror image of channel ``mirrored[c]``.
    """

    def __init__(self, frames: int, channels: int, height: int, width: int, mirrored: Indices | None) -> None:
        self.height, self.width = height, width
        self._frames, self._channels = frames, channels
        self._mirrored = mirrored
        # For each channel the one that is its mirror image, if there is exactly one.
        self._image: Indices | None = None
        if mirrored is not None and (np.bincount(mirrored, minlength=channels) == 1).all():
            self._image = np.argsort(mirrored)
        self._volume = np.zeros((frames * (1 if mirrored is None else 2), channels, height, width), np.float32)
        self._flat = self._volume.reshape(-1)

    def draw(self, frames: Indices, channels: Indices, x: Indices, y: Indices, patches: Floats) -> None:
        """Draw patches [h, w, n] with the left upper corners (x [n], y [n]) into frames [n] and channels [n]."""
        rows, columns = np.arange(patches.shape[0])[:, None], np.arange(patches.shape[1])
        corners = ((frames * self._channels + channels) * self.height + y) * self.width + x
        places = (rows * self.width + columns)[..., None] + corners
        flat_places = places.reshape(-1)
        np.maximum.at(self._flat, flat_places, patches.reshape(-1))
        if self._image is not None:
            frames = frames + self._frames
            corners = ((frames * self._channels + self._image[channels]) * self.height + y + 1) * self.width - 1 - x
            images = (rows * self.width - columns)[..., None] + corners
            self._flat[images.reshape(-1)] = self._flat[flat_places]

    def finish(self) -> Floats:
        """The volume."""
        if self._mirrored is not None and self._image is None:
            self._volume[self._frames :] = self._volume[: self._frames, self._mirrored, :, ::-1]
        return self._volume
