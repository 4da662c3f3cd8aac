"""Gaussians around joints. The definition is ``generate_a_heatmap`` of MMAction2 1.2.0, and PYSKL's equal one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.heatmaps.windows import BLOCK, Canvas, Floats, Indices, window


def draw_gaussians(
    canvas: Canvas, frames: Indices, channels: Indices, points: Floats, values: NDArray[Any], sigma: float
) -> None:
    """Draw a Gaussian around each point (x, y) [n, 2], ``values`` [n] high, into frames [n] and channels [n].

    It is cut to the pixels that are up to 3 sigma away along each axis. The numbers are those of upstream in bits: the
    steps and their dtypes are the same. ``values`` has the dtype of `value_dtype`.
    """
    columns = window(points[:, 0], points[:, 0], 3 * sigma, canvas.width)
    rows = window(points[:, 1], points[:, 1], 3 * sigma, canvas.height)
    seen = np.flatnonzero((columns.length > 0) & (rows.length > 0))
    if not len(seen):
        return
    width, height = (int(axis.length[seen].max()) for axis in (columns, rows))
    step = max(1, BLOCK // (width * height))
    for begin in range(0, len(seen), step):
        part = seen[begin : begin + step]
        x = columns.at(part).pixels(width, canvas.width)
        y = rows.at(part).pixels(height, canvas.height)
        across, down = x.coordinates - points[part, 0], y.coordinates - points[part, 1]
        # Infinitely far away outside of the window: the Gaussian is 0 there.
        across = np.where(x.inside, across * across, np.float32(np.inf))
        down = np.where(y.inside, down * down, np.float32(np.inf))
        patches: NDArray[Any] = across + down[:, None]
        np.negative(patches, out=patches)
        patches /= 2
        patches /= sigma**2
        np.exp(patches, out=patches)
        patches = patches * values[part]
        canvas.draw(frames[part], channels[part], x.first, y.first, patches.astype(np.float32, copy=False))


def value_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a float32 array times a scalar of ``dtype``; it differs between NumPy 1 and 2."""
    product: np.dtype[Any] = (np.zeros(1, np.float32) * dtype.type(1)).dtype
    return product
