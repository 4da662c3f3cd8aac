"""raw_skes_data.pkl, which CTR-GCN's data/ntu/get_raw_skes_data.py makes of the files of NTU RGB+D.

It is a list of ``{name, data: {body id: {joints, colors, interval, motion}}, num_frames}``. Frames without a body are
not counted, and each body is placed without gaps from its first frame on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.dialects.dialect import TASK, Dialect
from converters.inputs.candidate import Candidate
from converters.inputs.ntu_names import Sample, Task, sample, splits, task_of
from converters.inputs.pickled_list import PickledList
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, file_name, kind_of, shown, shown_names

if TYPE_CHECKING:
    from skelstore import Store

NAME = "raw-skes"
JOINTS = 25
_ENTRY_KEYS = {"name", "data", "num_frames"}
_BODY_KEYS = {"joints", "colors", "interval"}
_MOTION = "motion"


class RawSkeletons(PickledList):
    """Source of the raw annotations in a raw_skes_data.pkl: position and colour of each body.

    They are those of the recipe ``raw`` for .skeleton files, with the keys ``frame_dir``, ``label``, ``total_frames``
    (frames with a body), ``frame_inds`` int32 [N], ``body_id`` int64 [N], ``position`` float32 [N, 25, 3], ``color``
    float32 [N, 25, 2], and ``motion`` float32 [bodies], which is empty for one body. The N bodies in all frames are
    sorted by frame; ``frame_inds`` counts frames that have a body, and a body has no gaps. ``task`` is the data set
    whose splits are made; by default ``ntu120`` if there is an action above 60.

    Raises SourceError if the pickle is not a list of such dicts.
    """

    dialect = NAME

    def __init__(self, path: str | os.PathLike[str], *, task: Task | None = None) -> None:
        super().__init__(path, "dicts with name, data, num_frames")
        self._stated = task
        self._samples: list[Sample] | None = None

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        return _read_entry(self.element(index), self._where(index)), None

    def splits(self) -> dict[Any, Any]:
        return splits(self._known_samples(), "raw", self._task())

    def description(self) -> dict[str, Json]:
        return {
            "name": file_name(self.path),
            "size": self.size,
            "document": PYSKL_DOCUMENT,
            "recipe": "raw",
            "task": self._task(),
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_samples": None}

    def _where(self, index: int) -> str:
        return f"{self.path}: {self.place(index)}"

    def _task(self) -> Task:
        return self._stated or task_of(self._known_samples())

    def _known_samples(self) -> list[Sample]:
        """The samples by their names, which are read from the whole file. Raises SourceError if one is there twice."""
        if self._samples is None:
            found: dict[Sample, int] = {}
            for index in range(len(self)):
                one = _read_name(self.element(index), self._where(index))
                if (other := found.setdefault(one, index)) != index:
                    raise SourceError(f"{self._where(index)} is named {one.name}, as is {self.place(other)}: keep one")
            self._samples = list(found)
        return self._samples


def _read_name(entry: Any, where: str) -> Sample:
    if not isinstance(entry, dict) or entry.keys() != _ENTRY_KEYS:
        found = f"a dict with the keys {shown_names(entry, 6)}" if isinstance(entry, dict) else kind_of(entry)
        raise SourceError(f"{where} is {found}; expected a dict with name, data, num_frames")
    if not isinstance(entry["name"], str):
        raise SourceError(f"{where}.name is {kind_of(entry['name'])}; expected a name of NTU RGB+D")
    try:
        return sample(str(entry["name"]))
    except SourceError as error:
        raise SourceError(f"{where}.name: {error}") from None


def _read_entry(entry: Any, where: str) -> Annotation:
    """The annotation of an entry. Raises SourceError for values that get_raw_skes_data.py cannot have written."""
    one = _read_name(entry, where)
    data = entry["data"]
    if not isinstance(data, dict):
        raise SourceError(f"{where}.data is {kind_of(data)}; expected a dict with the body ids as keys")
    ids = [_read_id(key, where) for key in data]
    bodies = [_read_body(body, f"{where}.data[{shown(key)}]") for key, body in data.items()]
    starts = [int(body["frames"][0]) for body in bodies]
    if starts != sorted(starts):
        raise SourceError(f"{where}.data: a body begins before the one above it; expected them in order of appearance")
    motions = [body[_MOTION] for body in bodies if body[_MOTION] is not None]
    if len(motions) != (len(bodies) if len(bodies) > 1 else 0):
        raise SourceError(
            f"{where}.data: {len(motions)} of {counted(len(bodies), 'body', 'bodies')} have motion; "
            "expected it in all of several, and not in a single one"
        )
    frames = _joined([body["frames"] for body in bodies], (0,), np.int32)
    total_frames = entry["num_frames"]
    if type(total_frames) is not int or not 0 <= total_frames <= len(frames):
        raise SourceError(
            f"{where}.num_frames is {shown(total_frames)}; expected the number of frames with a body, at most the "
            f"{len(frames):,} of all bodies together"
        )
    order = np.argsort(frames, kind="stable")
    lengths = [len(body["frames"]) for body in bodies]
    return {
        "frame_dir": one.name,
        "label": one.label,
        "total_frames": total_frames,
        "frame_inds": frames[order],
        "body_id": np.repeat(np.array(ids, np.int64), lengths)[order],
        "position": _joined([body["joints"] for body in bodies], (0, JOINTS, 3), np.float32)[order],
        "color": _joined([body["colors"] for body in bodies], (0, JOINTS, 2), np.float32)[order],
        _MOTION: np.array(motions, np.float32),
    }


def _joined(arrays: list[NDArray[Any]], empty: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(empty, dtype), *arrays]).astype(dtype, copy=False)


def _read_id(key: object, where: str) -> int:
    """The number of a body id, which is text. Raises SourceError if it would come back as another text."""
    if isinstance(key, str) and len(key) <= 20:
        try:
            number = int(key)
        except ValueError:
            pass
        else:
            if str(number) == key and -(1 << 63) <= number < 1 << 63:
                return number
    raise SourceError(f"{where}.data: {shown(key)} is a key; expected the id of a body, a 64-bit integer as text")


def _read_body(body: Any, where: str) -> dict[str, Any]:
    """``frames`` int32 [F], ``joints`` float32 [F, 25, 3], ``colors`` float32 [F, 25, 2], and ``motion`` or None."""
    if not isinstance(body, dict) or body.keys() - {_MOTION} != _BODY_KEYS:
        found = f"a dict with the keys {shown_names(body, 6)}" if isinstance(body, dict) else kind_of(body)
        raise SourceError(f"{where} is {found}; expected a dict with joints, colors, interval, and perhaps motion")
    interval = body["interval"]
    if not isinstance(interval, list) or not interval or not all(type(frame) is int for frame in interval):
        raise SourceError(f"{where}.interval is {shown(interval)}; expected a list of the numbers of its frames")
    first, count = interval[0], len(interval)
    if not 0 <= first < 1 << 30 or interval != list(range(first, first + count)):
        raise SourceError(f"{where}.interval is {shown(interval)}; expected numbers that follow each other, from 0 on")
    for name, shape in (("joints", (count * JOINTS, 3)), ("colors", (count, JOINTS, 2))):
        value = body[name]
        if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != shape:
            found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else kind_of(value)
            raise SourceError(f"{where}.{name} is {found}; expected float32 {shape} for {counted(count, 'frame')}")
    if not np.isfinite(body["joints"]).all():
        raise SourceError(f"{where}.joints has values that are not finite; expected coordinates in metres")
    motion = body.get(_MOTION)
    if _MOTION in body and type(motion) is not np.float32:
        raise SourceError(f"{where}.motion is {kind_of(motion)}; expected a number of float32")
    return {
        "frames": np.arange(first, first + count, dtype=np.int32),
        "joints": body["joints"].reshape(count, JOINTS, 3),
        "colors": body["colors"],
        _MOTION: motion,
    }


def _export(store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None) -> None:
    """Write the list again, one entry after the other."""
    from converters.outputs.document import write_document
    from converters.outputs.output import new_file

    entries = (_make_entry(video, f"{store.path}: video {index}") for index, video in enumerate(store))
    with new_file(out, force=force) as file:
        write_document(file, LIST_DOCUMENT, {}, entries, advance)


def _make_entry(annotation: Annotation, where: str) -> dict[str, Any]:
    """The entry of an annotation. Raises SourceError if the annotation is not one of this dialect."""
    keys = ("frame_dir", "total_frames", "frame_inds", "body_id", "position", "color", _MOTION)
    if missing := [key for key in keys if key not in annotation]:
        raise SourceError(f"{where} has no {missing[0]}, which {NAME} needs: use --format")
    name, total_frames, frames, ids, position, color, motions = (annotation[key] for key in keys)
    _, appearances = np.unique(ids, return_index=True)
    data = {}
    for number, appearance in enumerate(np.sort(appearances)):
        mine = ids == ids[appearance]
        data[str(ids[appearance])] = {
            "joints": position[mine].reshape(-1, 3),
            "colors": color[mine],
            "interval": frames[mine].tolist(),
            **({_MOTION: motions[number]} if len(motions) else {}),
        }
    return {"name": np.str_(name), "data": data, "num_frames": total_frames}


def recognise(candidate: Candidate) -> bool:
    """Whether it is a pickle of a list whose first element is a dict of ``name``, ``data`` and ``num_frames``."""
    first = candidate.first
    return isinstance(first, dict) and first.keys() == _ENTRY_KEYS


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    return {"task": source.get("task")}


DIALECT = Dialect(
    NAME,
    "the bodies of NTU RGB+D as CTR-GCN's first script leaves them",
    "`raw_skes_data.pkl` of CTR-GCN",
    recognise=recognise,
    open=RawSkeletons,
    options=(TASK,),
    export=_export,
    recorded=recorded,
)
