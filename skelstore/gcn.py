"""A store in the place of the files of the GCN code bases: ``Feeder`` for CTR-GCN's, ``AgcnFeeder`` for 2s-AGCN's.

Needs PyTorch: ``pip install 'skelstore[torch]'``. In a config of CTR-GCN::

    feeder: skelstore.gcn.Feeder
    train_feeder_args:
      data_path: data/ntu60.zarr
      split: xsub_train

The references are feeders/feeder_ntu.py of Uason-Chen/CTR-GCN and feeders/feeder.py of lshiwjx/2s-AGCN.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import EmptyVideoError, JointLayoutError, MissingPackageError
from skelstore.train import augmentation
from skelstore.train.clips import Clips, statistics

try:
    import torch
    from torch.utils.data import Dataset
except ImportError as error:
    raise MissingPackageError(
        f"skelstore.gcn needs PyTorch, which cannot be imported ({error}): pip install 'skelstore[torch]'"
    ) from error

__all__ = ["AgcnFeeder", "Feeder"]

LARGEST_ANGLE = 0.3
"""Radians by which ``random_rot`` turns a clip at most around each axis."""

DEBUG_CLIPS = 100
"""Number of clips that ``AgcnFeeder`` keeps with ``debug``."""

Path = str | os.PathLike[str]


class Feeder(Dataset):
    """CTR-GCN's feeder on a store: the same arguments, items and random numbers, without the array in memory.

    ``data_path`` is the path or URL of a store, ``split`` the name of one of its splits, whose list gives the order. An
    item is (data, label, index). data is float32 [C, window_size, V, M], an array, or a tensor after ``random_rot``
    without ``bone``; M is 2, or the most persons in the store. A clip is cropped (``p_interval``, among as many frames
    as there are with a sum that is not 0), resized by PyTorch's bilinear interpolation, and then, if asked for, turned
    (``random_rot``), reduced to bones (``bone``) and to motion (``vel``).

    As upstream, ``p_interval`` has to be a list of one number or two, and ``window_size`` positive, else reading an
    item raises ValueError. ``label_path``, ``random_choose``, ``random_shift``, ``random_move``, ``normalization``,
    ``debug`` and ``use_mmap`` change no item there, and none here.

    ``label`` is int64 [clips]. ``sample_name`` is the list of ``train_0``, ``train_1``, … with the name of the split.

    Raises SplitNotFoundError, which lists the existing splits, and FieldNotFoundError if the store has no labels or no
    keypoint [M, T, V, C]. Reading an item raises EmptyVideoError if no frame is left, JointLayoutError if ``bone`` or
    ``random_rot`` does not fit its joints or channels, VideoIndexError, and what ``Store[…]`` raises.
    """

    def __init__(
        self,
        data_path: Path,
        label_path: Any = None,
        p_interval: Any = 1,
        split: str = "train",
        random_choose: bool = False,
        random_shift: bool = False,
        random_move: bool = False,
        random_rot: bool = False,
        window_size: int = -1,
        normalization: bool = False,
        debug: bool = False,
        use_mmap: bool = False,
        bone: bool = False,
        vel: bool = False,
    ) -> None:
        self.data_path = data_path
        self.split = split
        self.p_interval = p_interval
        self.random_rot = random_rot
        self.window_size = window_size
        self.bone = bone
        self.vel = vel
        self._clips = Clips(data_path, split)
        self.label = self._clips.store.labels

    @cached_property
    def sample_name(self) -> list[str]:
        """A name for each clip, as upstream makes them: the split and the position."""
        return [f"{self.split}_{i}" for i in range(len(self))]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[Any, np.int64, int]:
        if self.window_size <= 0:
            raise ValueError(f"window_size is {self.window_size}; expected the number of frames of an item, such as 64")
        clip = self._clips[index]
        self._check_clip(clip, index)
        part = clip[:, augmentation.crop(augmentation.valid_frames(clip), self.p_interval)]
        if not part.shape[1]:
            raise EmptyVideoError(
                f"{self._clips.place(index)} has no frame to train on: all are empty, or "
                f"p_interval={self.p_interval!r} leaves none, so remove it from the split"
            )
        data: Any = _resize(part, self.window_size)
        if self.random_rot:
            data = _turn_at_random(data)
        if self.bone:
            data = augmentation.bones(np.asarray(data))
        if self.vel:
            data = augmentation.velocities(data)
        return data, self.label[index], index

    def top_k(self, score: NDArray[Any], top_k: int) -> float:
        """The share of clips whose label is among the ``top_k`` highest scores; ``score`` is [clips, classes]."""
        return _top_k(self.label, score, top_k)

    def _check_clip(self, clip: NDArray[Any], index: int) -> None:
        channels, _, joints, _ = clip.shape
        if self.bone and joints != len(augmentation.NTU_BONES):
            raise JointLayoutError(
                f"{self._clips.place(index)} has {joints} joints; bone=True knows the bones of the "
                f"{len(augmentation.NTU_BONES)} joints of NTU RGB+D"
            )
        if self.random_rot and channels != 3:
            raise JointLayoutError(
                f"{self._clips.place(index)} has {channels} channels; random_rot=True turns x, y and z"
            )


class AgcnFeeder(Dataset):
    """2s-AGCN's feeder on a store: the same arguments, items and random numbers.

    ``data_path`` is the path or URL of a store, ``label_path`` the name of one of its splits, whose list gives the
    order. An item is (data, label, index). data is [C, T, V, M], float32, but float64 once it was padded or shifted;
    label is an int. T is that of the longest video of the store, unless ``window_size`` changes it; M is 2, or the most
    persons in the store.

    The steps, each if asked for: ``normalization`` (mean and deviation of all clips, which are read twice before the
    first item), ``random_shift``, ``random_choose`` of ``window_size`` frames or else zeros up to ``window_size``, and
    ``random_move``. ``debug`` keeps the first 100 clips. ``use_mmap`` changes nothing.

    ``label`` is the list of labels, ``sample_name`` the list of the videos' names. ``mean_map`` and ``std_map`` are
    there with ``normalization``, float32 [C, 1, V, 1].

    Raises SplitNotFoundError, which lists the existing splits, and FieldNotFoundError if the store has no labels or no
    keypoint [M, T, V, C]. Reading an item raises VideoIndexError, and what ``Store[…]`` raises.
    """

    def __init__(
        self,
        data_path: Path,
        label_path: str,
        random_choose: bool = False,
        random_shift: bool = False,
        random_move: bool = False,
        window_size: int = -1,
        normalization: bool = False,
        debug: bool = False,
        use_mmap: bool = True,
    ) -> None:
        self.data_path = data_path
        self.label_path = label_path
        self.random_choose = random_choose
        self.random_shift = random_shift
        self.random_move = random_move
        self.window_size = window_size
        self.normalization = normalization
        self._clips = Clips(data_path, label_path, DEBUG_CLIPS if debug else None)
        self.label: list[int] = self._clips.store.labels.tolist()
        if normalization:
            self.mean_map, self.std_map = statistics(self._clips)

    @cached_property
    def sample_name(self) -> list[str | None]:
        """The names of the clips."""
        return [self._clips.store.name(i) for i in range(len(self))]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int, int]:
        data: NDArray[Any] = self._clips.padded(index)
        if self.normalization:
            data = (data - self.mean_map) / self.std_map
        if self.random_shift:
            data = augmentation.random_shift(data)
        if self.random_choose:
            data = augmentation.random_choice(data, self.window_size)
        elif self.window_size > 0:
            data = augmentation.pad(data, self.window_size)
        if self.random_move:
            data = augmentation.random_move(data)
        return data, self.label[index], index

    def top_k(self, score: NDArray[Any], top_k: int) -> float:
        """The share of clips whose label is among the ``top_k`` highest scores; ``score`` is [clips, classes]."""
        return _top_k(self.label, score, top_k)


def _top_k(labels: Sequence[int] | NDArray[np.int64], score: NDArray[Any], top_k: int) -> float:
    best = score.argsort()[: len(labels), -top_k:]
    return float((best == np.asarray(labels)[:, None]).any(axis=1).mean())


def _resize(clip: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """A clip [C, T, V, M] with ``window`` frames, [C, window, V, M], by PyTorch's bilinear interpolation.

    The image that is resized has a row per channel, joint and person. Rows do not mix.
    """
    channels, frames, joints, persons = clip.shape
    image = torch.from_numpy(np.ascontiguousarray(clip.transpose(0, 2, 3, 1)).reshape(1, 1, -1, frames))
    size = (channels * joints * persons, window)
    resized = torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    data: NDArray[np.float32] = resized.view(channels, joints, persons, window).permute(0, 3, 1, 2).contiguous().numpy()
    return data


def _turn_at_random(clip: NDArray[np.float32]) -> torch.Tensor:
    """A clip [3, T, V, M] turned by three random angles: around x, then y, then z."""
    points = torch.from_numpy(clip)
    _, frames, joints, persons = points.shape
    # An angle per frame, all alike, so that batches are multiplied as upstream does and rounded in the same way.
    angles = torch.zeros(3).uniform_(-LARGEST_ANGLE, LARGEST_ANGLE).repeat(frames, 1)
    cos, sin = angles.cos(), angles.sin()
    about_x, about_y, about_z = (
        _turn(cos[:, axis], sin[:, axis], *plane) for axis, plane in enumerate([(1, 2), (2, 0), (0, 1)])
    )
    turned = about_z.matmul(about_y).matmul(about_x).matmul(points.permute(1, 0, 2, 3).reshape(frames, 3, -1))
    return turned.view(frames, 3, joints, persons).permute(1, 0, 2, 3).contiguous()


def _turn(cos: torch.Tensor, sin: torch.Tensor, one: int, other: int) -> torch.Tensor:
    """Matrices [T, 3, 3] that turn the plane of two axes by angles of which cos [T] and sin [T] are given."""
    matrices = torch.eye(3).repeat(len(cos), 1, 1)
    matrices[:, one, one] = matrices[:, other, other] = cos
    matrices[:, one, other], matrices[:, other, one] = sin, -sin
    return matrices
