"""The videos of a split as clips [C, T, V, M] of the GCN code bases: ST-GCN, 2s-AGCN, CTR-GCN and their forks.

Their files hold one array for a split, in which every clip is as long as the longest. A store holds each video with its
own number of persons and frames, so a clip is read alone, and zeros are appended where an array has them.
"""

from __future__ import annotations

import math
import os
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError, StoreError
from skelstore.format.schema import PERSON_ROWS
from skelstore.read.reader import Reader
from skelstore.read.split_members import split_positions
from skelstore.read.store import Store, open, table_rows
from skelstore.wording import counted, shown

Floats = NDArray[np.float32]

PERSONS = 2
"""Number of persons of a clip in the published files, which feeders expect; absent persons are zeros."""

MOST_BYTES = 1 << 30
"""A larger clip is refused. Records of the source are not trusted: they may state any number."""

_SHAPE = re.compile(r"'shape': \(([\d, ]{1,200})\)")
"""The shape in the header of an .npy file."""


class Clips:
    """The clips of one split of a store, in the order of the split's list, as float32 [C, T, V, M].

    A video has ``keypoint`` [M, T, V, C]. If C is 2 and it has ``keypoint_score`` [M, T, V], the channels are x, y,
    score. ``frames`` and ``persons`` are T and M of the array that the store was converted from, if it records one,
    else the most frames of a video of the store, and 2; more where a video has more. ``first`` keeps that number of
    clips.

    Raises SplitNotFoundError, which lists the existing splits; AmbiguousVideoError if several videos have an id of the
    split; FieldNotFoundError if the store has no dense ``keypoint``; and what ``open`` raises. Reading a clip raises
    StoreError if its arrays do not fit together, or it has more than `MOST_BYTES`, and what ``Store[…]`` raises.
    """

    def __init__(self, path: str | os.PathLike[str], split: str, first: int | None = None) -> None:
        # Without maps: their pages would count as memory of every worker, and chunks are decoded into arrays anyway.
        whole = open(path, mmap=False)
        reader, rows = table_rows(whole)
        self.store: Store = whole.at(split_positions(reader, rows, split)[:first])
        (frames, persons), recorded = _longest(reader), _recorded(self.store)
        self.frames = max(frames, recorded[0])
        self.persons = max(persons, recorded[1])

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, position: int) -> Floats:
        """A clip with its own number of frames, [C, T, V, persons]. T is 0 if the video has no person.

        In memory the frames come first, as in the rows of CTR-GCN's files: sums over a frame are rounded alike.
        """
        parts = self._read(position)
        _, frames, joints, channels = parts.shape
        clip = self._zeros(frames, self.persons, joints, channels)
        parts.copy_to(clip.transpose(1, 0, 2, 3))
        return clip.transpose(3, 0, 2, 1)

    def padded(self, position: int) -> Floats:
        """A clip with zeros behind its end, [C, frames, V, persons], stored in this order."""
        parts = self._read(position)
        _, frames, joints, channels = parts.shape
        clip = self._zeros(channels, self.frames, joints, self.persons)
        parts.copy_to(clip.transpose(3, 1, 2, 0)[:, :frames])
        return clip

    def place(self, position: int) -> str:
        """The store and a video of it, for messages."""
        return f"{self.store.path}: the video {shown(self.store.name(position))} at position {position} of the split"

    def _zeros(self, *shape: int) -> Floats:
        if 4 * math.prod(shape) > MOST_BYTES:
            raise StoreError(
                f"{self.store.path}: a clip of {' x '.join(map(str, shape))} numbers has more than {MOST_BYTES:,} bytes"
            )
        return np.zeros(shape, np.float32)

    def _read(self, position: int) -> _Parts:
        """The arrays of a video. Raises FieldNotFoundError and StoreError if they are not those of a dense skeleton."""
        video = self.store[position]
        keypoint, score = video.get("keypoint"), video.get("keypoint_score")
        if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 4 or "frame_inds" in video:
            raise FieldNotFoundError(
                f"{self.place(position)} has no dense keypoint [M, T, V, C]: make persons of its detections first"
            )
        if keypoint.shape[3] != 2 or not isinstance(score, np.ndarray):
            score = None
        elif score.shape != keypoint.shape[:3]:
            raise StoreError(
                f"{self.place(position)} has a keypoint_score of shape {list(score.shape)}; expected "
                f"{list(keypoint.shape[:3])}, a score per joint"
            )
        if not len(keypoint):  # no data bounds its number of frames
            keypoint, score = keypoint[:, :0], None if score is None else score[:, :0]
        rows = person_rows(video.get(PERSON_ROWS), len(keypoint))
        if len(rows) and rows[-1] >= self.persons:
            raise StoreError(
                f"{self.place(position)} has {PERSON_ROWS} {shown(rows.tolist())}, which do not fit into "
                f"{counted(self.persons, 'person')}"
            )
        return _Parts(keypoint, score, rows)


class _Parts(NamedTuple):
    """The arrays of a video that make a clip, and the place of each person in it, int64 [M], ascending."""

    keypoint: NDArray[Any]
    score: NDArray[Any] | None
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(M, T, V, C), with the score as a channel."""
        persons, frames, joints, channels = self.keypoint.shape
        return persons, frames, joints, channels + (self.score is not None)

    def copy_to(self, target: Floats) -> None:
        """Copy to an array of zeros [persons, T, V, C]."""
        if self.score is None:
            target[self.rows] = self.keypoint
        else:
            target[self.rows, ..., :-1] = self.keypoint
            target[self.rows, ..., -1] = self.score


def person_rows(stated: Any, persons: int) -> NDArray[np.int64]:
    """The place of each person in a clip, int64 [persons]: as ``stated`` by an annotation's `PERSON_ROWS`, if these
    are ascending numbers, one per person; else the first places.
    """
    if isinstance(stated, np.ndarray) and stated.dtype.kind in "iu" and stated.shape == (persons,):
        rows = stated.astype(np.int64)
        if not persons or (rows[0] >= 0 and (np.diff(rows) > 0).all()):
            return rows
    return np.arange(persons)


def _longest(reader: Reader) -> tuple[int, int]:
    """The most frames and the most persons of a video of the store.

    Raises FieldNotFoundError if the store has no ``keypoint``, or one that is not [M, T, V, C].
    """
    frames, persons = 0, 0
    fields = [(name, field) for name, field in reader.metadata.fields.items() if field.path == ("keypoint",)]
    if not fields:
        raise FieldNotFoundError(f"{reader.path} has no keypoint; expected skeletons [M, T, V, C]")
    for name, field in fields:
        trailing = reader.arrays[name].metadata.trailing
        if field.ragged + len(trailing) != 4:
            raise FieldNotFoundError(
                f"{reader.path} has keypoint with {field.ragged + len(trailing)} axes; expected [M, T, V, C], so make "
                "persons of the detections first"
            )
        dims = [reader.table[f"{name}.dim{axis}"].drop_null().to_numpy() for axis in range(field.ragged)]
        there = np.logical_and.reduce([dim > 0 for dim in dims])  # other arrays are empty, whatever their axes say
        most, longest = (int(dim[there].max(initial=0)) for dim in dims[:2])
        frames, persons = max(frames, longest), max(persons, most)
    return frames, persons


def _recorded(store: Store) -> tuple[int, int]:
    """T and M of the array that the first video of a view was converted from; (0, `PERSONS`) if none is recorded.

    ``source`` of the store has the headers of its arrays: [N, C, T, V, M] of ST-GCN, or [N, T, M * V * C] of CTR-GCN.
    """
    arrays = store.source.get("arrays")
    files = [origin.file for origin in store[:1].origins() if origin is not None]
    for array in arrays if isinstance(arrays, list) else ():
        if isinstance(array, dict) and array.get("name") in files and isinstance(array.get("head"), str):
            match = _SHAPE.search(array["head"])
            shape = [int(length) for length in match[1].split(",") if length.strip()] if match else []
            if len(shape) in (3, 5):
                return (shape[2], shape[4]) if len(shape) == 5 else (shape[1], PERSONS)
    return 0, PERSONS


class Statistics(NamedTuple):
    """``mean`` and ``std``, float32 [C, 1, V, 1], over all clips, their padded frames and absent persons included."""

    mean: Floats
    std: Floats


def statistics(clips: Clips) -> Statistics:
    """Mean and standard deviation of every channel and joint, in two passes over the clips.

    The definition is ``get_mean_map`` of feeders/feeder.py in 2s-AGCN, on the array of all clips. Everything is summed
    in float32 in the order of that array, so the results are equal in bits.
    """
    if not len(clips):
        raise FieldNotFoundError(f"{clips.store.path}: a split without videos has no mean, so it cannot be normalised")
    shape = clips.padded(0).shape
    channels, frames, joints, persons = shape
    mean = np.zeros((channels, 1, joints, 1), np.float32)
    total = np.zeros(channels * joints, np.float32)
    for position in range(len(clips)):
        clip = clips.padded(position)
        mean += clip.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)
        total = _add_rows(total, _rows(clip))
    rows = np.int64(len(clips) * frames * persons)  # as NumPy's mean and std divide
    centre = _floats(total / rows)
    squares = np.zeros_like(total)
    for position in range(len(clips)):
        difference = _rows(clips.padded(position)) - centre
        squares = _add_rows(squares, _floats(difference * difference))
    std = np.sqrt(_floats(squares / rows)).reshape(channels, 1, joints, 1)
    return Statistics(_floats(mean / np.int64(len(clips))), std)


def _floats(numbers: NDArray[Any]) -> Floats:
    return numbers.astype(np.float32, copy=False)


def _rows(clip: Floats) -> Floats:
    """A clip as a row per frame and person, [T * M, C * V]."""
    channels, frames, joints, persons = clip.shape
    return clip.transpose(1, 3, 0, 2).reshape(frames * persons, channels * joints)


def _add_rows(total: Floats, rows: Floats) -> Floats:
    """A sum [n] and, one after the other, rows [k, n]."""
    sums: Floats = np.add.reduce(np.concatenate([total[None], rows]), axis=0)
    return sums
