"""CTR-GCN's arrays: a .npz of ``x_train``, ``y_train``, ``x_test``, ``y_test``, such as NTU60_CS.npz.

``x`` is [N, T, M V C]: a row of numbers per frame, person by person, joint by joint, x y z in metres. ``y`` is one-hot,
[N, classes]. CTR-GCN's data/ntu/seq_transformation.py writes them, feeders/feeder_ntu.py reads them; so do MS-G3D's
successors (InfoGCN, HD-GCN, BlockGCN, SkateFormer …). The names of the clips are not in the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import PYSKL_DOCUMENT
from converters.conversion.source import KnownAtOnce
from converters.dialects.dialect import KEEP_PADDING, NAMES, Dialect
from converters.inputs import archive
from converters.inputs.array_rows import ArrayRows
from converters.inputs.candidate import Candidate
from converters.inputs.gcn_clip import keypoints_of
from converters.inputs.names_file import read_names
from converters.inputs.recognition import describe_npz
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, file_name, shown, shown_names

if TYPE_CHECKING:
    from skelstore import Store

NAME = "ctrgcn"
PARTS = ("train", "test")
"""The splits, in the order of the feeder's ``train_0`` … and ``test_0`` …"""
ROWS = {150: (2, 25, 3), 75: (1, 25, 3), 102: (2, 17, 3), 51: (1, 17, 3)}
"""Numbers of a row -> M, V, C: the 25 joints of Kinect v2, or the 17 of UAV-Human."""

_MEMBERS = tuple(f"{letter}_{part}" for part in PARTS for letter in "xy")
_SHOWN = 20
"""Rows without a label after which the rest is not looked at."""


class _Part(NamedTuple):
    """The clips of a split: the member ``x`` with their rows, their labels [N], and the position of the first one."""

    name: str
    x: ArrayRows
    labels: NDArray[np.int64]
    first: int


class CtrGcnSource(KnownAtOnce):
    """Source of a .npz of CTR-GCN, the clips of ``x_train`` first, with the splits ``train`` and ``test``.

    ``names`` is a text file with a name per line, those of ``x_train`` first; without it, clips are named as by the
    feeder: ``train_0`` …, ``test_0`` …. ``keep_padding`` keeps frames and persons of zeros. Members that ``savez``
    stored are read in place; compressed ones are decompressed in order.

    Raises SourceError if an array is missing or has another shape, or if a row of ``y`` does not have exactly one 1:
    the feeder, which reads ``np.where(y > 0)[1]``, would give all rows after it a wrong label.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        names: str | os.PathLike[str] | None = None,
        keep_padding: bool = False,
    ) -> None:
        self.path = absolute(path)
        self._keep_padding = keep_padding
        self._names_file = None if names is None else absolute(names)
        self._size = self.path.stat().st_size
        members = _members(self.path)
        arrays = {name: ArrayRows(self.path, member) for name, member in members.items()}
        self._heads = {name: rows.head.decode("latin-1") for name, rows in arrays.items()}
        self._parts: list[_Part] = []
        for part in PARTS:
            if f"x_{part}" in arrays:
                x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
                _check_shapes(x, y)
                self._parts.append(_Part(part, x, _labels(y), len(self)))
        self._names = None if self._names_file is None else read_names(self._names_file)
        if self._names is not None and len(self._names) != len(self):
            raise SourceError(
                f"{self._names_file} has {counted(len(self._names), 'name')}; expected {len(self):,}, first those of "
                "x_train"
            )

    def __len__(self) -> int:
        return sum(len(part.x) for part in self._parts)

    def sizes(self) -> NDArray[np.int64]:
        return np.repeat([part.x.row_bytes for part in self._parts], [len(part.x) for part in self._parts])

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label`` from 0, ``keypoint`` [M, T, V, C] in metres and the array's dtype, ``total_frames``.

        ``person_rows`` if the first person is one of zeros and another is not.
        """
        part = self._part(index)
        row = index - part.first
        frames, numbers = part.x.row_shape
        clip = part.x.row(row).reshape(frames, *ROWS[numbers]).transpose(1, 0, 2, 3)
        annotation = {
            "frame_dir": self._name(index),
            "label": int(part.labels[row]),
            **keypoints_of(clip, keep_padding=self._keep_padding),
        }
        return annotation, Origin(f"x_{part.name}", row, len(annotation))

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.path, *([self._names_file] if self._names_file else [])]

    def settings(self) -> Json:
        return {"keep_padding": self._keep_padding}

    def place(self, index: int) -> str:
        part = self._part(index)
        return f"x_{part.name}[{index - part.first}]"

    def splits(self) -> dict[Any, Any]:
        return {
            part.name: [self._name(index) for index in range(part.first, part.first + len(part.x))]
            for part in self._parts
        }

    def description(self) -> dict[str, Json]:
        """``arrays``: the name of each member of the .npz and the bytes of its header, as text; ``keep_padding``."""
        arrays: list[Json] = [{"name": name, "head": head} for name, head in self._heads.items()]
        description: dict[str, Json] = {
            "name": file_name(self.path),
            "size": self._size,
            "document": PYSKL_DOCUMENT,
            "arrays": arrays,
        }
        return description | ({"keep_padding": True} if self._keep_padding else {})

    def in_order(self) -> str | None:
        return next(filter(None, (part.x.in_order() for part in self._parts)), None)

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _part(self, index: int) -> _Part:
        return next(part for part in reversed(self._parts) if part.first <= index)

    def _name(self, index: int) -> str:
        if self._names is not None:
            return self._names[index]
        part = self._part(index)
        return f"{part.name}_{index - part.first}"


def _members(path: Path) -> dict[str, archive.Member]:
    """The arrays of the .npz by name, in its order. Raises SourceError if they are not those of CTR-GCN."""
    found: dict[str, archive.Member] = {}
    for member in archive.members(path):
        name = member.path.removesuffix(".npy")
        if name in found:
            raise SourceError(f"{path} has {shown(member.path)} twice; expected one array of that name")
        found[name] = member
    if not is_ctrgcn(found.keys()):
        raise SourceError(f"{path} {describe_npz(list(found))}; expected x_train, y_train, x_test, y_test")
    if others := sorted(found.keys() - set(_MEMBERS)):
        raise SourceError(
            f"{path} also has {shown_names(others)}, which no store of it can keep; expected only "
            f"{', '.join(_MEMBERS)}: save it without"
        )
    for name in found:
        other = {"x": "y", "y": "x"}[name[0]] + name[1:]
        if other not in found:
            raise SourceError(f"{path} has {name}, but not {other}; expected both")
    return found


def is_ctrgcn(names: Collection[str]) -> bool:
    """Whether the arrays of a .npz have names of CTR-GCN."""
    return any({f"x_{part}", f"y_{part}"} <= set(names) for part in PARTS)


def _check_shapes(x: ArrayRows, y: ArrayRows) -> None:
    frames, numbers = x.row_shape if len(x.row_shape) == 2 else (0, 0)
    if numbers not in ROWS or x.header.dtype.kind not in "iuf":
        known = ", ".join(f"{row} ({m} x {v} x {c})" for row, (m, v, c) in ROWS.items())
        raise SourceError(
            f"{x.where} is {x.header.dtype} {x.header.shape}; expected [N, T, numbers] with {known} numbers per frame"
        )
    if len(x) and not frames:
        raise SourceError(f"{x.where} has the shape {x.header.shape}: its clips have no frame")
    if len(y.row_shape) != 1 or len(y) != len(x) or (len(y) and not y.row_shape[0]):
        raise SourceError(
            f"{y.where} has the shape {y.header.shape}; expected one-hot labels, ({len(x):,}, classes), of the "
            f"{counted(len(x), 'clip')} of x"
        )


def _labels(y: ArrayRows) -> NDArray[np.int64]:
    """The label of each row, int64 [N]. Raises SourceError that names the rows that are not one-hot."""
    labels = np.empty(len(y), np.int64)
    problems: list[str] = []
    for start, block in y.blocks():
        rows = np.ascontiguousarray(block)
        found = rows.argmax(axis=1)
        expected = np.zeros_like(rows)
        expected[np.arange(len(rows)), found] = 1
        bits = f"u{rows.dtype.itemsize}"  # a negative zero would not come back
        for row in np.flatnonzero((rows.view(bits) != expected.view(bits)).any(axis=1))[:_SHOWN].tolist():
            ones = int((rows[row] > 0).sum())
            what = f"has {ones or 'no'} numbers above 0" if ones != 1 else "has a number that is neither 0 nor 1"
            problems.append(f"row {start + row} {what}; expected exactly one 1, the class, and zeros")
        labels[start : start + len(rows)] = found
        if len(problems) >= _SHOWN:
            break
    refuse(y.where, problems)
    return labels


def recognise(candidate: Candidate) -> bool:
    """Whether it is a zip file with ``x_train.npy`` and ``y_train.npy``, or those of the test part."""
    return is_ctrgcn([name.removesuffix(".npy") for name in candidate.members])


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    return {"keep_padding": bool(source.get("keep_padding"))}


def _export(
    store: Store,
    out: Path,
    *,
    split_train: str | None = None,
    split_test: str | None = None,
    frames: int | None = None,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    from converters.outputs.ctrgcn import export_ctrgcn

    splits = dict(zip(PARTS, (split_train, split_test), strict=True))
    export_ctrgcn(store, out, splits, frames, force=force, advance=advance)


DIALECT = Dialect(
    NAME,
    "CTR-GCN's arrays, x_train, y_train, x_test and y_test",
    "a .npz of CTR-GCN, such as NTU60_CS.npz",
    recognise=recognise,
    open=CtrGcnSource,
    options=(
        NAMES,
        KEEP_PADDING,
    ),
    export=_export,
    export_options=("split_train", "split_test", "frames"),
    export_any=True,
    recorded=recorded,
)
