"""Heatmap volumes of a batch as tensors, on the device of the joints; needs PyTorch.

The steps are those of the modules for NumPy, in float32, so results differ by the rounding of the last bits. Joints
and limbs are drawn in blocks: the memory beyond the result is bounded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from skelstore.errors import HeatmapError
from skelstore.heatmaps.options import Options
from skelstore.heatmaps.volume import FURTHEST
from skelstore.heatmaps.windows import SCALAR
from skelstore.wording import shown

Tensor = Any

BLOCK = {"cpu": 1 << 18}
"""Number of pixels that are drawn at once on a kind of device: on the CPU they fit into its cache."""
GPU_BLOCK = 1 << 24
"""Number of pixels that are drawn at once on another device: few launches, at most 1 GiB of intermediate memory."""


def pose_target(keypoint: Tensor, score: Tensor, img_shape: Any, **options: Any) -> Tensor:
    """The heatmap volumes of a batch of clips: float32 [B, T, C, H, W], or [B, 2 T, C, H, W] with ``double``.

    ``keypoint`` is [B, M, T, V, 2] in pixels, ``score`` [B, M, T, V] or None for 1. A person that a clip lacks has a
    score of 0. ``img_shape`` (height, width) is the same for all clips. The result is on the device of ``keypoint``.
    ``options`` are those of ``skelstore.heatmaps.pose_target``, from which a volume differs by less than 1e-5 (3e-5
    where a limb has a joint outside of the image). No gradient flows back to the joints.

    Raises HeatmapError if shapes do not fit, a joint that is drawn is NaN or infinite (which makes the host wait for
    the device once), or a volume would have more than 4 GiB; ValueError if an option is out of range; and TypeError
    for an unknown option.
    """
    with torch.no_grad():
        return _draw(keypoint, score, img_shape, Options(**options))


def _wide() -> Any:
    """`SCALAR` as a dtype of PyTorch."""
    return torch.float32 if SCALAR.itemsize == 4 else torch.float64


class Items(NamedTuple):
    """What is drawn: rows [n] of [B * T], channels [n], both ends (x, y) [n, 2] (of a joint the same), heights [n]."""

    rows: Tensor
    channels: Tensor
    starts: Tensor
    ends: Tensor
    values: Tensor

    def at(self, items: Any) -> Items:
        """Some of the items."""
        return Items(*(tensor[items] for tensor in self))


def _draw(keypoint: Tensor, score: Tensor, img_shape: Any, options: Options) -> Tensor:
    _check_shapes(keypoint, score)
    batch, _, frames, joints, _ = keypoint.shape
    height, width = options.size(img_shape)
    options.check_bytes(frames, joints, height, width)
    points = keypoint.to(torch.float32) * options.scaling
    if score is None or not options.use_score:
        score = torch.ones(keypoint.shape[:4], device=keypoint.device)
    wide = score.dtype if score.is_floating_point() and _wide() == torch.float32 else torch.float64
    drawn = ~(score.to(wide) < torch.tensor(options.least_score, dtype=wide, device=score.device))
    score = score.to(torch.float32)
    _check_joints(points, score, drawn)
    kept = options.channels(joints)
    volume = torch.zeros((batch, frames, kept, height, width), device=keypoint.device)
    points, score, drawn = points.transpose(1, 2), score.transpose(1, 2), drawn.transpose(1, 2)  # [B, T, M, V]
    if options.with_kp:
        _draw_gaussians(volume, _joints(points, score, drawn), options)
    if limbs := options.limbs(joints).tolist():
        first, second = torch.tensor(limbs, device=keypoint.device).T
        items = _limbs(points, score, drawn, first, second)
        short = _squared_lengths(items) < 1
        dots = _limbs(points, score, drawn, first, second, of_first=True).at(short)
        _draw_gaussians(volume, dots, options)
        _draw_ridges(volume, items.at(~short), options)
    if not options.double:
        return volume
    mirrored = torch.tensor(options.mirrored(joints).tolist(), dtype=torch.int64, device=keypoint.device)
    return torch.cat([volume, volume.flip(-1).index_select(2, mirrored)], dim=1)


def _joints(points: Tensor, score: Tensor, drawn: Tensor) -> Items:
    clips, frames, _, channels = drawn.nonzero(as_tuple=True)
    chosen = points[drawn]
    return Items(clips * drawn.shape[1] + frames, channels, chosen, chosen, score[drawn])


def _limbs(
    points: Tensor, score: Tensor, drawn: Tensor, first: Tensor, second: Tensor, of_first: bool = False
) -> Items:
    """Items of the limbs; ``of_first``: with the score of the first joint instead of the lower score."""
    both = drawn[..., first] & drawn[..., second]
    clips, frames, _, channels = both.nonzero(as_tuple=True)
    starts, ends = points[..., first, :][both], points[..., second, :][both]
    values = score[..., first] if of_first else torch.minimum(score[..., first], score[..., second])
    return Items(clips * drawn.shape[1] + frames, channels, starts, starts if of_first else ends, values[both])


def _squared_lengths(items: Items) -> Tensor:
    squares = (items.starts - items.ends).to(_wide()) ** 2
    return squares[:, 0] + squares[:, 1]


class _Pixels(NamedTuple):
    """Runs of pixels along one axis: the first [n], coordinates [n, length], and 0 in the window, else infinity."""

    first: Tensor
    coordinates: Tensor
    outside: Tensor


def _windows(items: Items, axis: int, reach: float, size: int) -> tuple[Tensor, Tensor]:
    """First pixel, and the one after the last [n]; see ``window`` of the module ``windows``."""
    low = torch.minimum(items.starts[:, axis], items.ends[:, axis]).to(_wide())
    high = torch.maximum(items.starts[:, axis], items.ends[:, axis]).to(_wide())
    start, stop = torch.trunc(low - reach).clamp(0, size), (torch.trunc(high + reach) + 1).clamp(0, size)
    return start.to(torch.int64), stop.to(torch.int64)


def _pixels(start: Tensor, stop: Tensor, length: int, size: int) -> _Pixels:
    first = start.clamp(max=size - length)
    places = first[:, None] + torch.arange(length, device=start.device)
    inside = (places >= start[:, None]) & (places < stop[:, None])
    coordinates = places.to(torch.float32)
    return _Pixels(first, coordinates, torch.where(inside, 0.0, torch.inf).to(torch.float32))


def _blocks(volume: Tensor, items: Items, options: Options) -> Any:
    """Blocks of items, and their pixels along both axes."""
    height, width = volume.shape[-2:]
    left, right = _windows(items, 0, options.reach, width)
    top, bottom = _windows(items, 1, options.reach, height)
    seen = (left < right) & (top < bottom)
    items, left, right, top, bottom = items.at(seen), left[seen], right[seen], top[seen], bottom[seen]
    if not len(left):
        return
    # Boxes of similar size share a block, so the largest one does not set the size of all.
    order = torch.argsort((right - left) * (bottom - top))
    sizes = torch.stack([right - left, bottom - top])[:, order].cpu()
    pixels, begin = BLOCK.get(volume.device.type, GPU_BLOCK), 0
    while begin < len(order):
        end = begin + max(1, pixels // int(sizes[:, begin].prod()))
        across, down = (int(most) for most in sizes[:, begin:end].amax(dim=1))
        end = min(end, begin + max(1, pixels // (across * down)))
        part = order[begin:end]
        x = _pixels(left[part], right[part], across, width)
        y = _pixels(top[part], bottom[part], down, height)
        yield items.at(part), x, y
        begin = end


def _draw_gaussians(volume: Tensor, items: Items, options: Options) -> None:
    for part, x, y in _blocks(volume, items, options):
        across = (x.coordinates - part.starts[:, :1]) ** 2 + x.outside
        down = (y.coordinates - part.starts[:, 1:]) ** 2 + y.outside
        patches = torch.exp(-(across[:, None] + down[..., None]) / 2 / options.sigma**2)
        _paint(volume, part, x, y, patches)


def _draw_ridges(volume: Tensor, items: Items, options: Options) -> None:
    for part, x, y in _blocks(volume, items, options):
        (start_x, start_y), (end_x, end_y) = part.starts.T[..., None], part.ends.T[..., None]
        to_start = ((x.coordinates - start_x) ** 2)[:, None] + ((y.coordinates - start_y) ** 2)[..., None]
        to_end = ((x.coordinates - end_x) ** 2)[:, None] + ((y.coordinates - end_y) ** 2)[..., None]
        square = _squared_lengths(part).to(torch.float32)[:, None, None]
        share = (to_start - to_end + square) / 2 / square
        across = x.coordinates[:, None] - (start_x[..., None] + share * (end_x - start_x)[..., None])
        down = y.coordinates[..., None] - (start_y[..., None] + share * (end_y - start_y)[..., None])
        squared = torch.where(share <= 0, to_start, torch.where(share >= 1, to_end, across**2 + down**2))
        squared += x.outside[:, None] + y.outside[..., None]
        _paint(volume, part, x, y, torch.exp(-squared / 2 / options.sigma**2))


def _paint(volume: Tensor, items: Items, x: _Pixels, y: _Pixels, patches: Tensor) -> None:
    """Draw patches [n, h, w], times the heights of the items, by their maximum."""
    channels, height, width = volume.shape[2:]
    corners = ((items.rows * channels + items.channels) * height + y.first) * width + x.first
    rows = torch.arange(patches.shape[1], device=volume.device)[:, None] * width
    columns = torch.arange(patches.shape[2], device=volume.device)
    places = corners[:, None, None] + rows + columns
    patches = patches * items.values[:, None, None]
    volume.view(-1).scatter_reduce_(0, places.reshape(-1), patches.reshape(-1), "amax")


def _check_shapes(keypoint: Tensor, score: Tensor) -> None:
    for name, tensor in (("keypoint", keypoint), ("score", score)):
        if not isinstance(tensor, torch.Tensor) and (tensor is not None or name == "keypoint"):
            raise HeatmapError(f"{name} is {shown(tensor)}; expected a tensor")
    if keypoint.ndim != 5 or keypoint.shape[4] != 2 or keypoint.is_complex():
        raise HeatmapError(f"keypoint is {keypoint.dtype} {list(keypoint.shape)}; expected numbers [B, M, T, V, 2]")
    if score is not None and (score.shape != keypoint.shape[:4] or score.is_complex()):
        raise HeatmapError(
            f"score is {score.dtype} {list(score.shape)}; expected numbers {list(keypoint.shape[:4])}, one per joint"
        )
    if score is not None and score.device != keypoint.device:
        raise HeatmapError(f"keypoint is on {keypoint.device} and score on {score.device}; expected the same device")


def _check_joints(points: Tensor, score: Tensor, drawn: Tensor) -> None:
    """Raises HeatmapError if a joint that is drawn is not a finite point with a finite score."""
    unusable = drawn & ~((points.abs() <= FURTHEST).all(-1) & score.isfinite())
    if not unusable.any():
        return
    clip, person, frame, joint = unusable.nonzero()[0].tolist()
    x, y = points[clip, person, frame, joint].tolist()
    raise HeatmapError(
        f"clip {clip} of the batch: joint {joint} of person {person} in frame {frame} is ({x:g}, {y:g}) with a score "
        f"of {float(score[clip, person, frame, joint]):g}; expected finite numbers, or a score of 0 for a joint that "
        "is missing"
    )
