"""raw_denoised_joints.pkl, which CTR-GCN's data/ntu/get_raw_denoised_data.py makes of raw_skes_data.pkl.

It is a list of arrays [T, 75] of one person or [T, 150] of two: x, y, z of 25 joints per person and frame, in metres.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.dialects.dialect import NAMES, TASK, Dialect
from converters.inputs.candidate import Candidate
from converters.inputs.names_file import read_names
from converters.inputs.ntu_names import Sample, Task, sample, splits, task_of
from converters.inputs.pickled_list import PickledList
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, file_name, kind_of

if TYPE_CHECKING:
    from skelstore import Store

NAME = "denoised"
JOINTS = 25
_VALUES = JOINTS * 3
_WIDTHS = (_VALUES, 2 * _VALUES)
_NAMES_IN_PLACE = ("statistics", "skes_available_name.txt")
"""Where CTR-GCN has the names, from the folder that contains that of the pickle."""


class DenoisedJoints(PickledList):
    """Source of the clips in a raw_denoised_joints.pkl.

    The annotations have ``frame_dir``, ``label`` (if the name is one of NTU RGB+D), ``keypoint`` float32 or float64
    [M, T, 25, 3] with one or two persons, and ``total_frames``. ``names`` is a text file with the name of each clip;
    by default ``../statistics/skes_available_name.txt``, where CTR-GCN has it. If all names are of NTU RGB+D, there are
    splits, in the order of the rows in CTR-GCN's arrays, of the data set ``task``; by default ``ntu120`` if there is an
    action above 60.

    Raises SourceError if the pickle is not a list, or if there is no file of names, or not one of names.
    """

    dialect = NAME

    def __init__(
        self, path: str | os.PathLike[str], *, names: str | os.PathLike[str] | None = None, task: Task | None = None
    ) -> None:
        super().__init__(path, "arrays [T, 75] or [T, 150]")
        self._stated = task
        self._names_file = absolute(names) if names is not None else self.path.parent.parent.joinpath(*_NAMES_IN_PLACE)
        try:
            if names is None and not self._names_file.is_file():
                raise SourceError(
                    f"{self.path} has no names, and {self._names_file} is not there: give a text file with the name of "
                    "each clip, one per line, with --names"
                )
            self._names = read_names(self._names_file)
        except BaseException:
            self.close()
            raise

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        rows = self.element(index)
        place = f"{self.path}: {self.place(index)}"
        if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or rows.ndim != 2 or rows.shape[1] not in _WIDTHS:
            found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else kind_of(rows)
            raise SourceError(f"{place} is {found}; expected an array of floats, [T, 75] or [T, 150]")
        name = self._name(index)
        one = _sample(name)
        keypoint = rows.reshape(len(rows), rows.shape[1] // _VALUES, JOINTS, 3).transpose(1, 0, 2, 3)
        return {
            "frame_dir": name,
            **({"label": one.label} if one is not None else {}),
            "keypoint": np.ascontiguousarray(keypoint),
            "total_frames": len(rows),
        }, None

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.path, self._names_file]

    def splits(self) -> dict[Any, Any]:
        samples = self._samples()
        return {} if samples is None else splits(samples, "ctrgcn", self._stated or task_of(samples))

    def description(self) -> dict[str, Json]:
        samples = self._samples()
        return {
            "name": file_name(self.path),
            "size": self.size,
            "document": PYSKL_DOCUMENT,
            **({} if samples is None else {"task": self._stated or task_of(samples)}),
        }

    def _name(self, index: int) -> str:
        if index >= len(self._names):
            self._check_count()
        return self._names[index]

    def _check_count(self) -> None:
        if len(self._names) != len(self):
            found = f"{self._names_file} has {counted(len(self._names), 'name')}"
            raise SourceError(f"{found}; {self.path} has {counted(len(self), 'clip')}")

    def _samples(self) -> list[Sample] | None:
        """The samples with these names; None if another name is among them, or there are none."""
        self._check_count()
        samples = [one for name in self._names if (one := _sample(name)) is not None]
        return samples if samples and len(samples) == len(self) else None


def _sample(name: str) -> Sample | None:
    try:
        return sample(name)
    except SourceError:
        return None


def _export(store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None) -> None:
    """Write the list again, one array after the other."""
    from converters.outputs.document import write_document
    from converters.outputs.output import new_file

    with new_file(out, force=force) as file:
        write_document(file, LIST_DOCUMENT, {}, (_make_rows(store, index) for index in range(len(store))), advance)


def _make_rows(store: Store, index: int) -> NDArray[Any]:
    """The array [T, 75 M] of a video. Raises SourceError if it has no keypoint of this dialect."""
    keypoint = store.lazy(index).get("keypoint")
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 4 or keypoint.shape[2:] != (JOINTS, 3):
        raise SourceError(f"{store.path}: video {index} has no keypoint [M, T, 25, 3]: use --format")
    return keypoint.transpose(1, 0, 2, 3).reshape(keypoint.shape[1], keypoint.shape[0] * _VALUES)


def recognise(candidate: Candidate) -> bool:
    """Whether it is a pickle of a list whose first element is an array of floats, [T, 75] or [T, 150]."""
    first = candidate.first
    return isinstance(first, np.ndarray) and first.dtype.kind == "f" and first.ndim == 2 and first.shape[1] in _WIDTHS


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    return {"task": source.get("task")}


DIALECT = Dialect(
    NAME,
    "the persons of NTU RGB+D as CTR-GCN's second script leaves them",
    "`raw_denoised_joints.pkl` of CTR-GCN",
    recognise=recognise,
    open=DenoisedJoints,
    options=(NAMES, TASK),
    export=_export,
    recorded=recorded,
)
