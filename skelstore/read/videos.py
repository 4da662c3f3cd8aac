"""What the table alone says about the videos of a view: labels, origins, and the videos that a filter keeps.

``rows`` [n] are the rows of the table for the videos of the view, in the order of the view. Positions are positions in
the view.
"""

from __future__ import annotations

import re
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError, SplitNotFoundError
from skelstore.format import values
from skelstore.format.schema import ORIGIN_COLUMNS, Origin
from skelstore.read.identifiers import identifier
from skelstore.read.reader import Reader
from skelstore.splits import hashed
from skelstore.wording import closest, counted, kind_of, shown


def split_positions(reader: Reader, rows: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
    """Positions of the videos of a split, ascending. Raises SplitNotFoundError unless it is a list of ids."""
    if name not in reader.splits:
        there = ", ".join(map(repr, reader.splits)) or "no splits at all"
        close = closest(name, reader.splits)
        raise SplitNotFoundError(f"{reader.path} has no split {name!r}; there are {there}{close}")
    ids = reader.splits[name]
    if not isinstance(ids, (list, tuple, dict, np.ndarray)) or (isinstance(ids, np.ndarray) and not ids.ndim):
        raise SplitNotFoundError(f"{reader.path}: the split {name!r} is {kind_of(ids)}, not a list of ids")
    return np.flatnonzero(_matches(reader, ids)[rows])


def _matches(reader: Reader, ids: Any) -> NDArray[np.bool_]:
    """For each row of the table, whether its identifier is among the ids."""
    keep = np.zeros(reader.metadata.videos, bool)
    key = identifier(reader)
    texts = [i for i in ids if isinstance(i, str) and values.is_utf8(i)]
    quick = np.zeros(len(keep), bool)  # rows whose identifier is a str in a column of its own
    for name, column in reader.metadata.columns.items():
        if column.path == (key,) and column.type == "str" and len(texts) == len(ids):
            listed = pc.is_in(reader.table[name], pa.array(texts, pa.large_utf8()))
            keep |= listed.to_numpy(zero_copy_only=False)
            quick |= reader.table[name].is_valid().to_numpy(zero_copy_only=False)
    wanted: set[Any] = set().union(*map(hashed, ids))
    for row in np.flatnonzero(~quick).tolist():
        entries = reader.entries(row)
        keep[row] = key in entries and not wanted.isdisjoint(hashed(entries[key](row)))
    return keep


def select_positions(reader: Reader, table: pa.Table, expression: pc.Expression) -> NDArray[np.int64]:
    """Positions of the videos for which an Arrow expression over the columns of ``Store.videos`` is true, ascending.

    Raises FieldNotFoundError if the expression names a column that the table does not have, TypeError if it is not an
    expression that is true or false for columns of these types.
    """
    try:
        chosen = table.append_column("", pa.array(np.arange(len(table)))).filter(expression)
    except pa.ArrowException as error:
        if "No match for FieldRef" not in str(error):
            raise TypeError(
                f"{reader.path}: {expression} cannot select videos ({error}); expected an expression that is true or "
                'false, such as pc.field("label") < 10'
            ) from error
        column = re.search(r"FieldRef\.Name\((.*?)\)", str(error))
        raise FieldNotFoundError(
            f"{reader.path}: {error}; the table has the columns {', '.join(table.column_names)}"
            f"{closest(column and column[1], table.column_names)}"
        ) from error
    positions: NDArray[np.int64] = chosen[""].to_numpy()
    return positions


def integer_labels(reader: Reader, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ``label`` of each video, int64 [n]. Raises FieldNotFoundError unless all are whole numbers within 64 bits."""
    labels = np.zeros(reader.metadata.videos, np.int64)
    exact = np.zeros(len(labels), bool)
    for name, column in reader.metadata.columns.items():
        arrow = reader.table[name]
        if column.path == ("label",) and (pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type)):
            there = arrow.is_valid().to_numpy()
            numbers = arrow.drop_null().to_numpy()
            with np.errstate(invalid="ignore"):
                labels[there] = numbers.astype(np.int64)
            exact[there] = labels[there] == numbers
            if numbers.dtype.kind == "f":  # on some machines 2.0**63 becomes the largest int64, which equals it
                exact[there] &= numbers < np.float64(2**63)
    wrong = np.flatnonzero(~exact[rows])
    if len(wrong):
        row = int(rows[wrong[0]])
        entries = reader.entries(row)
        label = f"the label {shown(entries['label'](row))}" if "label" in entries else "no label"
        raise FieldNotFoundError(
            f"{reader.path}: the video at position {wrong[0]} has {label}; expected an integer, which identifies "
            "its class"
        )
    return labels[rows]


def origins(reader: Reader, rows: NDArray[np.int64]) -> list[Origin | None]:
    """For each video, the file that it was converted from if the source had many files, else None."""
    if ORIGIN_COLUMNS[0] not in reader.table.column_names:
        return [None] * len(rows)
    columns = reader.table.select(ORIGIN_COLUMNS).take(pa.array(rows))
    cells = zip(*(columns[column].to_pylist() for column in ORIGIN_COLUMNS), strict=True)
    return [None if file is None else Origin(file, position, keys) for file, position, keys in cells]


def filters_videos(valid_ratio: Any) -> TypeGuard[float]:
    """Whether ``valid_ratio`` makes the PoseDataset of PYSKL and MMAction2 filter videos: only a float above 0 does."""
    return isinstance(valid_ratio, float) and valid_ratio > 0


def valid_positions(
    reader: Reader, rows: NDArray[np.int64], box_thr: float | None, valid_ratio: float
) -> NDArray[np.int64]:
    """Positions of the videos in which enough frames have a person above the threshold, ascending.

    As in PoseDataset, these are the videos whose ``valid[box_thr]`` / ``total_frames`` is at least ``valid_ratio``.
    Raises FieldNotFoundError if a video lacks one of the two, or if a video that is kept has no ``box_score``.
    """
    options = f"valid_ratio={valid_ratio} with box_thr={box_thr}"
    if box_thr is None:
        needs = f"valid_ratio={valid_ratio} needs box_thr"
        raise FieldNotFoundError(f"{reader.path}: {needs}: give the threshold of box_score")
    valid, frames = reader.numbers("valid", box_thr)[rows], reader.numbers("total_frames")[rows]
    for name, column in ((f"valid[{box_thr}]", valid), ("total_frames", frames)):
        _refuse_missing(reader, name, np.isnan(column), options)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.flatnonzero(valid / frames >= valid_ratio)
    require_box_scores(reader, rows[kept], options)
    return kept


def require_box_scores(reader: Reader, rows: NDArray[np.int64], options: str) -> None:
    """Raise FieldNotFoundError, which names the options that need ``box_score``, if a video has no such array."""
    missing = np.ones(len(rows), bool)
    for name, field in reader.metadata.fields.items():
        if field.path == ("box_score",):
            missing &= np.asarray(reader.table[f"{name}.row"].is_null())[rows]
    _refuse_missing(reader, "box_score", missing, options)


def _refuse_missing(reader: Reader, name: str, missing: NDArray[np.bool_], options: str) -> None:
    if missing.any():
        videos = (
            "the videos have"
            if missing.all()
            else f"{missing.sum():,} of {counted(len(missing), 'video')} {'has' if missing.sum() == 1 else 'have'}"
        )
        raise FieldNotFoundError(f"{reader.path}: {videos} no {name}, which {options} needs")
