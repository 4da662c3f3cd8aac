"""BABEL: all clips in one .npy [N, C, T, V, M], and their labels in a nested pickle.

The pickle is ``(seg_id, (label, sid, chunk_n, anntr_id))`` of lists of length N (BABEL's action_recognition/data_gen/
create_dataset.py). The annotations are those of MMAction2's tools/data/skeleton/babel2mma2.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import LIST_DOCUMENT
from converters.conversion.source import KnownAtOnce
from converters.dialects.dialect import TABLE, Dialect
from converters.inputs.array_file import npy_header, read_entry
from converters.inputs.candidate import Candidate
from converters.inputs.recognition import GCN_CLIPS, IN_FOLDER, describe_one_array, is_label_pickle
from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, file_name, kind_of

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "babel"
TOTAL_FRAMES = 150
"""The ``total_frames`` that upstream's script sets for all clips: five seconds at 30 frames per second."""

_STRUCTURE = "(seg_id, (label, sid, chunk_n, anntr_id))"


class BabelSource(KnownAtOnce):
    """Source of an array of BABEL and its label pickle.

    ``table`` is the label pickle; by default the file beside the array with BABEL's name for it, such as
    ``train_label_120.pkl`` for ``train_ntu_sk_120.npy``. Raises SourceError if one of the two does not have BABEL's
    structure, or if they have different lengths.
    """

    dialect = NAME

    def __init__(self, path: str | os.PathLike[str], *, table: str | os.PathLike[str] | None = None) -> None:
        self.path = absolute(path)
        self._header = header = npy_header(self.path)
        if len(header.shape) != 5 or header.dtype.kind not in "iuf" or 0 in header.shape[1:]:
            description = describe_one_array(header.dtype, header.shape, IN_FOLDER)
            raise SourceError(f"{self.path} {description}; BABEL's arrays are [N, C, T, V, M]")
        self._count = header.shape[0]
        self._video_bytes = max(header.size // max(self._count, 1) * header.dtype.itemsize, 1)
        self._size = self.path.stat().st_size
        self._table = absolute(table) if table is not None else _find_table(self.path)
        self._labels: list[Any] | None = None
        columns = self._columns()
        if len(columns[0]) != self._count:
            raise SourceError(
                f"{self._table} has {counted(len(columns[0]), 'label')}; {self.path} has {counted(self._count, 'clip')}"
            )

    def __len__(self) -> int:
        return self._count

    def sizes(self) -> NDArray[np.int64]:
        return np.full(self._count, self._video_bytes, np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``keypoint`` float16 [M, T, V, C], ``label``, ``frame_dir`` (the four ids, joined by _), ``total_frames``."""
        label, *names = (column[index] for column in self._columns())
        try:
            frame_dir = "_".join(map(str, names))
        except ValueError:  # Python does not format integers of more than 4,300 digits
            raise SourceError(f"{self._table}: {self.place(index)} has an id with too many digits for a name") from None
        keypoint = self._clip(index).transpose(3, 1, 2, 0)
        with np.errstate(over="ignore"):
            half = keypoint.astype(np.float16, order="C")
        if not np.array_equal(np.isinf(half), np.isinf(keypoint)):
            raise SourceError(f"{self.path}: {self.place(index)} has values beyond 65504, which float16 cannot hold")
        return {
            "keypoint": half,
            "label": label,
            "frame_dir": frame_dir,
            "total_frames": TOTAL_FRAMES,
        }, None

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.path, self._table]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return f"[{index}]"

    def splits(self) -> dict[Any, Any]:
        return {}

    def description(self) -> dict[str, Json]:
        size = self._size + self._table.stat().st_size
        return {"name": file_name(self.path), "size": size, "document": LIST_DOCUMENT}

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_labels": None}

    def _clip(self, index: int) -> NDArray[Any]:
        return read_entry(self.path, self._header, index)

    def _columns(self) -> list[Any]:
        """The lists of the pickle: label, then the four parts of a name, seg_id, sid, chunk_n, anntr_id."""
        if self._labels is None:
            self._labels = _read_columns(self._table)
        return self._labels


def _find_table(path: Path) -> Path:
    """The label pickle beside an array. Raises SourceError if there is none."""
    table = path.with_name(path.name.replace("_ntu_sk_", "_label_")).with_suffix(".pkl")
    if not table.is_file() and "_ntu_sk_" not in path.name:
        raise SourceError(
            f"{path} is not named like BABEL's arrays (train_ntu_sk_120.npy …): if it is one, give its label pickle "
            "with --table; if it is the array of ST-GCN or 2s-AGCN, convert it with --from stgcn"
        )
    if not table.is_file():
        raise SourceError(f"{path}: its labels are not at {table}; give BABEL's label pickle with --table")
    return table


def _read_columns(table: Path) -> list[Any]:
    with PickleFile(table) as pickle:
        root: Any = pickle.root()
    if is_label_pickle(root):
        raise SourceError(f"{table} holds the names and labels of ST-GCN or 2s-AGCN, not BABEL's: {GCN_CLIPS}")
    if not _is_row(root, 2) or not _is_row(root[1], 4):
        raise SourceError(f"{table} does not have the structure of BABEL's labels; expected {_STRUCTURE}")
    label, *names = root[1]
    columns = [label, root[0], *names]
    for column, name in zip(columns, ("label", "seg_id", "sid", "chunk_n", "anntr_id"), strict=True):
        if not (isinstance(column, (list, tuple)) or (isinstance(column, np.ndarray) and column.ndim == 1)):
            raise SourceError(f"{table}: {name} is {kind_of(column)}; expected a list in {_STRUCTURE}")
        if foreign := next((value for value in column if isinstance(value, Foreign)), None):
            raise SourceError(f"{table}: {name} holds {kind_of(foreign)}; expected numbers and text")
        if len(column) != len(label):
            raise SourceError(
                f"{table}: {name} has {counted(len(column), 'element')} and label {len(label):,}; expected as many"
            )
    return columns


def _is_row(value: object, length: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == length


def recognise(candidate: Candidate) -> bool:
    """Whether it is an array with five axes. ST-GCN's have five, too; on opening, the labels distinguish them."""
    return candidate.header is not None and len(candidate.header.shape) == 5


DIALECT = Dialect(
    NAME,
    "BABEL's clips in one array, and their labels",
    "a .npy of BABEL, with its label pickle",
    recognise=recognise,
    open=BabelSource,
    options=(TABLE,),
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    table: str | os.PathLike[str] | None = None,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert an array with its label pickle ``table``.

    Raises SourceError as ``BabelSource`` does, else what ``convert_source`` raises.
    """
    from converters.conversion.convert import convert_source

    convert_source(BabelSource(source, table=table), destination, **options)
