"""ST-GCN's and 2s-AGCN's arrays: ``train_data.npy`` [N, C, T, V, M] with ``train_label.pkl``, and ``val_…``.

ST-GCN's tools/ntu_gendata.py and tools/kinetics_gendata.py write them, 2s-AGCN's data_gen/ntu_gendata.py with the names
``train_data_joint.npy``; feeders/feeder.py of both reads them. NTU's channels are x, y, z in metres. Those of Kinetics
are x and y, in fractions of the image minus 0.5, and the score.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.conversion.source import KnownAtOnce, storable_name
from converters.dialects.dialect import CHANNELS, KEEP_PADDING, TABLE, Dialect
from converters.inputs.array_rows import ArrayRows
from converters.inputs.candidate import Candidate
from converters.inputs.gcn_clip import has_scores, keypoints_of, refuse_derived
from converters.inputs.label_pickle import LABEL_INFO, Labels, check_count, read_labels
from converters.inputs.recognition import IN_FOLDER, describe_one_array
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json, copy_value
from skelstore.wording import counted, file_name, shown, shown_names

if TYPE_CHECKING:
    from skelstore import Store

NAME = "stgcn"
SUFFIX = ".npy"

_DATA = re.compile(r"(?P<part>.+)_data(_joint)?")
"""The stem of an array: ``train_data``, ``val_data_joint``."""
_AXES = 5


class _Part(NamedTuple):
    """The clips of an array, the pickle with their names and labels, and the position of the first one.

    ``name`` is that of the split, None if the name of the file does not state it.
    """

    name: str | None
    data: ArrayRows
    table: Path
    labels: Labels
    first: int

    def names(self) -> list[str]:
        """The ids of the split."""
        return [str(name) for name in self.labels.names]


class StGcnSource(KnownAtOnce):
    """Source of a folder of ``train_data.npy``, ``train_label.pkl``, ``val_data.npy`` …, or of one such array.

    Each array is a split, named by the beginning of its file's name. ``table`` is the label pickle of one array, by
    default ``train_label.pkl`` beside ``train_data.npy`` or ``train_data_joint.npy``. ``channels`` says what three
    channels are: ``xyz``, or ``xys`` with the score of each joint, which becomes ``keypoint_score``; by default ``xys``
    if there are 18 joints. ``keep_padding`` keeps frames and persons of zeros. Arrays are read in place, a clip at a
    time. Arrays of bones and motion in the folder are left out, and named in ``description``.

    Raises SourceError if an array has no label pickle or does not fit it, if arrays differ in C, V or M, or if a name
    occurs in several splits.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        channels: str | None = None,
        keep_padding: bool = False,
    ) -> None:
        self.path = absolute(path)
        self._keep_padding = keep_padding
        self._derived: list[str] = []
        if self.path.is_dir():
            if table is not None:
                raise SourceError(f"{self.path}: --table goes with one array, not with a folder of them")
            arrays, self._derived = _arrays_in(self.path)
        else:
            refuse_derived(self.path)
            arrays = [self.path]
        self._parts: list[_Part] = []
        for file in arrays:
            self._parts.append(_open(file, None if table is None else absolute(table), len(self)))
        self._size = sum(file.stat().st_size for file in self.files(0, len(self)))
        coordinates, joints = _same_shapes(self.path, self._parts)
        try:
            self._scored = has_scores(channels, coordinates, joints)
            self._channels = ("xyz", "xys")[self._scored] if coordinates == len("xyz") else None
        except SourceError as error:
            raise SourceError(f"{self.path}: {error}") from None
        self._refuse_repeated()

    def __len__(self) -> int:
        return sum(len(part.data) for part in self._parts)

    def sizes(self) -> NDArray[np.int64]:
        return np.repeat([part.data.row_bytes for part in self._parts], [len(part.data) for part in self._parts])

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label``, ``keypoint`` [M, T, V, C], ``keypoint_score`` [M, T, V] if the third channel is
        the score, ``total_frames``; ``label_info`` if the pickle has a third list, ``person_rows`` if the first person
        is one of zeros and another is not. Arrays have the dtype of the file.
        """
        part = self._part(index)
        row = index - part.first
        clip = part.data.row(row).transpose(3, 1, 2, 0)
        annotation = {
            "frame_dir": part.labels.names[row],
            "label": part.labels.labels[row],
            **keypoints_of(clip, keep_padding=self._keep_padding, scored=self._scored),
        }
        if part.labels.info is not None:
            annotation[LABEL_INFO] = copy_value(part.labels.info[row])
        return annotation, Origin(file_name(part.data.path), row, len(annotation))

    def files(self, start: int, stop: int) -> list[Path]:
        return [path for part in self._parts for path in (part.data.path, part.table)]

    def settings(self) -> Json:
        return {"keep_padding": self._keep_padding, "scored": self._scored}

    def place(self, index: int) -> str:
        part = self._part(index)
        return f"{part.data.path.name}[{index - part.first}]"

    def splits(self) -> dict[Any, Any]:
        return {part.name: part.names() for part in self._parts if part.name is not None}

    def description(self) -> dict[str, Json]:
        """``arrays``: the name of each file, its labels' file and their form, its split, and the bytes of its header,
        as text; ``channels`` if there are three; ``keep_padding``; ``derived``: arrays of bones and motion that were
        left out.
        """
        arrays: list[Json] = [
            {
                "name": storable_name(part.data.path.name, self.path),
                "labels": storable_name(part.table.name, self.path),
                "labels_form": part.labels.form,
                "split": part.name,
                "head": part.data.head.decode("latin-1"),
            }
            for part in self._parts
        ]
        description: dict[str, Json] = {
            "name": file_name(self.path),
            "size": self._size,
            "document": PYSKL_DOCUMENT if self.splits() else LIST_DOCUMENT,
            "arrays": arrays,
        }
        optional: dict[str, Json] = {
            "channels": self._channels,
            "keep_padding": self._keep_padding,
            "derived": list(self._derived),
        }
        return description | {key: value for key, value in optional.items() if value}

    def in_order(self) -> str | None:
        return next(filter(None, (part.data.in_order() for part in self._parts)), None)

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _part(self, index: int) -> _Part:
        chosen: _Part = next(part for part in reversed(self._parts) if part.first <= index)
        return chosen

    def _refuse_repeated(self) -> None:
        """Raise SourceError if a name is in several splits: a name identifies one clip."""
        split_of: dict[str, str] = {}
        problems = []
        for part in self._parts if len(self._parts) > 1 else ():
            for name in part.names():
                if (other := split_of.setdefault(name, str(part.name))) != part.name:
                    problems.append(f"{shown(name)} is in {other} and in {part.name}; convert each array on its own")
        refuse(str(self.path), problems)


def _arrays_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The arrays of clips in a folder, training part first, and the names of those that are derived from the joints."""
    arrays: dict[str, Path] = {}
    derived = []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() != SUFFIX or file.name.startswith("._"):
            continue
        try:
            refuse_derived(file)
        except SourceError:
            derived.append(storable_name(file.name, folder))
            continue
        match = _DATA.fullmatch(file.stem)
        if match is None:
            raise SourceError(
                f"{folder} has {shown(file.name)}, which is not named like an array of ST-GCN; expected train_data.npy "
                "or train_data_joint.npy, val_data.npy …: move it elsewhere, or convert each array with its --table"
            )
        if (other := arrays.setdefault(match["part"], file)) != file:
            raise SourceError(
                f"{folder} has {other.name} and {file.name}, which may hold the same clips: convert one of them"
            )
    if not arrays:
        names = f"{shown_names(derived)}, of bones and motion" if derived else "none"
        raise SourceError(f"{folder} has no array of joints ({names}); expected train_data.npy, val_data.npy …")
    return [arrays[part] for part in sorted(arrays, key=lambda part: (part != "train", part))], derived


def _open(path: Path, table: Path | None, first: int) -> _Part:
    data = ArrayRows(path)
    shape: tuple[int, ...] = data.header.shape
    if len(shape) != _AXES or data.header.dtype.kind not in "iuf" or 0 in shape[1:] or shape[1] not in (2, 3):
        description = describe_one_array(data.header.dtype, shape, IN_FOLDER)
        raise SourceError(f"{path} {description}; the arrays of ST-GCN are [N, C, T, V, M] with 2 or 3 coordinates C")
    found = table or labels_beside(path)
    if not found.is_file():
        raise SourceError(f"{path}: its labels are not at {found}; give the label pickle with --table")
    labels = read_labels(found)
    check_count(found, labels, path, len(data))
    match = _DATA.fullmatch(path.stem)
    return _Part(None if match is None else storable_name(match["part"], path), data, found, labels, first)


def labels_beside(path: Path) -> Path:
    """Where ST-GCN puts the labels of an array: ``train_label.pkl`` beside ``train_data.npy``."""
    match = _DATA.fullmatch(path.stem)
    return path.with_name(f"{path.stem if match is None else match['part']}_label.pkl")


def _same_shapes(path: Path, parts: list[_Part]) -> tuple[int, int]:
    """C and V. Raises SourceError unless all arrays have the same C, V and M."""
    first, *others = parts
    _, coordinates, _, joints, persons = first.data.header.shape
    for other in others:
        c, _, v, m = other.data.row_shape
        if (c, v, m) != (coordinates, joints, persons):
            raise SourceError(
                f"{path}: {other.data.path.name} has {counted(c, 'channel')}, {counted(v, 'joint')} and "
                f"{counted(m, 'person')}; {first.data.path.name} has {coordinates}, {joints} and {persons}: convert "
                "each on its own"
            )
    return coordinates, joints


def recognise(candidate: Candidate) -> bool:
    """Whether it is an array with five axes that is not BABEL's, or a folder with one and its label pickle."""
    if not candidate.is_folder:
        return candidate.header is not None and len(candidate.header.shape) == _AXES and not candidate.is_babel
    return any(_has_labels(file) for file in candidate.files(SUFFIX) if file.parent == candidate.path)


def _has_labels(file: Path) -> bool:
    return _DATA.fullmatch(file.stem) is not None and labels_beside(file).is_file()


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    return {"keep_padding": bool(source.get("keep_padding")), "channels": source.get("channels")}


def _export(
    store: Store,
    out: Path,
    *,
    split_train: str | None = None,
    split_test: str | None = None,
    frames: int | None = None,
    normalize: str | None = None,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    from converters.outputs.stgcn import export_stgcn

    splits = {"train": split_train, "val": split_test}
    export_stgcn(store, out, splits, frames, normalize, force=force, advance=advance)


DIALECT = Dialect(
    NAME,
    "ST-GCN's and 2s-AGCN's arrays and label pickles",
    "a folder of ST-GCN's `train_data.npy`, `train_label.pkl` …, or one such array",
    recognise=recognise,
    open=StGcnSource,
    options=(TABLE, CHANNELS, KEEP_PADDING),
    takes_folder=None,
    suffixes=(SUFFIX,),
    export=_export,
    export_options=("split_train", "split_test", "frames", "normalize"),
    export_any=True,
    recorded=recorded,
)
