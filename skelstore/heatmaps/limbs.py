"""Ridges along limbs. The definition is ``generate_a_limb_heatmap`` of MMAction2 1.2.0, and PYSKL's equal one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.heatmaps.gaussians import draw_gaussians
from skelstore.heatmaps.windows import BLOCK, SCALAR, Canvas, Floats, Indices, Pixels, window

SIZES = np.array(sorted([1 << i for i in range(2, 18)] + [3 << i for i in range(1, 17)]))
"""Sizes that boxes are enlarged to, so that many are drawn at once: 4, 6, 8, 12, 16, 24, …"""


class Limbs(NamedTuple):
    """Limbs to draw: frames and channels [n], both ends (x, y) [n, 2], scores of the first ends and of the limbs [n].

    The score of a limb is the lower one of its ends.
    """

    frames: Indices
    channels: Indices
    starts: Floats
    ends: Floats
    start_values: NDArray[Any]
    values: NDArray[np.float64]

    def at(self, items: Any) -> Limbs:
        """Some of the limbs."""
        return Limbs(*(array[items] for array in self))


def draw_limbs(canvas: Canvas, limbs: Limbs, sigma: float) -> None:
    """Draw a ridge along each limb, a Gaussian of the distance to it, in the box around its ends and 3 sigma more.

    As upstream, a limb shorter than a pixel is a Gaussian around its first joint with the score of that joint.
    """
    low, high = np.minimum(limbs.starts, limbs.ends), np.maximum(limbs.starts, limbs.ends)
    columns = window(low[:, 0], high[:, 0], 3 * sigma, canvas.width)
    rows = window(low[:, 1], high[:, 1], 3 * sigma, canvas.height)
    seen = np.flatnonzero((columns.length > 0) & (rows.length > 0))
    squares = squared_lengths(limbs.starts[seen], limbs.ends[seen])
    short = squares < 1
    if short.any():
        dots = limbs.at(seen[short])
        draw_gaussians(canvas, dots.frames, dots.channels, dots.starts, dots.start_values, sigma)
    long, squares = seen[~short], squares[~short].astype(np.float32, copy=False)
    widths, heights = _rounded(columns.length[long], canvas.width), _rounded(rows.length[long], canvas.height)
    order = np.lexsort((heights, widths))
    limbs, columns, rows = limbs.at(long[order]), columns.at(long[order]), rows.at(long[order])
    squares, widths, heights = squares[order], widths[order], heights[order]
    for block in _alike(widths, heights):
        x = columns.at(block).pixels(int(widths[block][0]), canvas.width)
        y = rows.at(block).pixels(int(heights[block][0]), canvas.height)
        part = limbs.at(block)
        canvas.draw(part.frames, part.channels, x.first, y.first, _ridges(part, squares[block], x, y, sigma))


def squared_lengths(starts: Floats, ends: Floats) -> NDArray[Any]:
    """Squared lengths [n] as NumPy computes them from scalars, which is how upstream does.

    The power of a float32 scalar is rounded otherwise than the square of an array in one case of a thousand.
    """
    difference = (starts - ends).reshape(-1)
    scalars = np.empty(len(difference), object)
    scalars[:] = list(difference)
    squares = (scalars**2).astype(SCALAR).reshape(-1, 2)
    total: NDArray[Any] = squares[:, 0] + squares[:, 1]
    return total


def _alike(widths: Indices, heights: Indices) -> Iterator[slice]:
    """Blocks of neighbouring limbs whose boxes have the same rounded size; these [n] are sorted."""
    changes = np.flatnonzero((np.diff(widths) != 0) | (np.diff(heights) != 0)) + 1
    bounds = [0, *changes.tolist(), len(widths)]
    for begin, end in pairwise(bounds if len(widths) else []):
        step = max(1, BLOCK // int(widths[begin] * heights[begin]))
        yield from (slice(first, min(first + step, end)) for first in range(begin, end, step))


def _rounded(sizes: Indices, most: int) -> Indices:
    """Sizes rounded up to one of `SIZES`, at most ``most``."""
    rounded: Indices = np.minimum(SIZES[np.searchsorted(SIZES, sizes)], most)
    return rounded


def _ridges(limbs: Limbs, squares: Floats, x: Pixels, y: Pixels, sigma: float) -> Floats:
    """Patches [h, w, n]; steps and dtypes are those of upstream, so the numbers are equal in bits."""
    (start_x, start_y), (end_x, end_y) = limbs.starts.T, limbs.ends.T
    to_start = (x.coordinates - start_x) ** 2 + ((y.coordinates - start_y) ** 2)[:, None]
    to_end = (x.coordinates - end_x) ** 2 + ((y.coordinates - end_y) ** 2)[:, None]
    share = to_start - to_end
    share += squares
    share /= 2
    share /= squares
    across = share * (end_x - start_x)
    across += start_x
    np.subtract(x.coordinates, across, out=across)
    across *= across
    down = share * (end_y - start_y)
    down += start_y
    np.subtract(y.coordinates[:, None], down, out=down)
    down *= down
    across += down
    np.copyto(across, to_start, where=share <= 0)
    np.copyto(across, to_end, where=share >= 1)
    # Infinitely far away outside of the box.
    across += np.where(x.inside, np.float32(0), np.float32(np.inf))
    across += np.where(y.inside, np.float32(0), np.float32(np.inf))[:, None]
    # In float64 from here, as upstream: there a mask of integers makes the distances float64.
    patches: NDArray[Any] = across.astype(np.float64)
    np.negative(patches, out=patches)
    patches /= 2
    patches /= sigma**2
    np.exp(patches, out=patches)
    patches *= limbs.values
    values: Floats = patches.astype(np.float32)
    return values
