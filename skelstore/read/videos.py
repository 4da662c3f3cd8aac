"""What the table says about the videos of a view: labels and other numbers, shards, origins, and what filters keep.

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

from skelstore.errors import FieldNotFoundError, StoreError
from skelstore.format.schema import INTERNAL_COLUMNS, LAYOUT_COLUMN, ORIGIN_COLUMNS, POSITION_COLUMN, VIDEOS_KEY, Origin
from skelstore.read.reader import Reader
from skelstore.read.table import numeric_column
from skelstore.wording import closest, counted, shown


def whole_table(reader: Reader) -> pa.Table:
    """The table of all videos of a store, as ``Store.videos`` shows it."""
    return reader.table.select(_shown_columns(reader))


def _shown_columns(reader: Reader) -> list[str]:
    names = reader.table.column_names
    # A table without columns would have no rows either, so the layouts are shown if there is nothing else.
    return [name for name in names if name not in INTERNAL_COLUMNS] or [LAYOUT_COLUMN]


def table_for(reader: Reader, expression: pc.Expression) -> pa.Table:
    """A table of all videos with the columns that an Arrow expression names, and others if they are here anyway.

    If the expression cannot select videos, a table without rows, of which it cannot select videos either.
    """
    shown = _shown_columns(reader)
    if all(map(reader.has_column, shown)):
        return reader.table.select(shown)
    empty = pa.schema([reader.table.schema.field(name) for name in shown]).empty_table()
    if not _selects(empty, expression):
        return empty
    if "FieldPath(" in str(expression):  # it counts columns
        return reader.table.select(shown)
    named = _named_columns(empty, expression, shown)
    return reader.table.select(named) if named else pa.table({"": pa.nulls(reader.metadata.videos)})


def _selects(table: pa.Table, expression: pc.Expression) -> bool:
    try:
        table.filter(expression)
    except (pa.ArrowException, TypeError):
        return False
    return True


def _named_columns(empty: pa.Table, expression: pc.Expression, names: list[str]) -> list[str]:
    """Those of some columns that an expression names: without them it cannot be computed."""
    rest = set(names)
    if _selects(empty.select([name for name in empty.column_names if name not in rest]), expression):
        return []
    half = len(names) // 2
    if half == 0:
        return names
    return _named_columns(empty, expression, names[:half]) + _named_columns(empty, expression, names[half:])


def matching(reader: Reader, table: pa.Table, expression: pc.Expression) -> NDArray[np.bool_]:
    """For each row of a table, whether an Arrow expression over the columns is true, bool [rows]; null is not.

    Raises FieldNotFoundError if the expression names a column that the table does not have, TypeError if it is not an
    expression that is true or false for columns of these types.
    """
    from pyarrow import acero  # here, because it takes 20 ms and nothing else needs it

    try:
        table.slice(0, 0).filter(expression)  # refuses an expression that is not true or false
        # Only the expression is computed. `Table.filter` would also copy every column of the chosen videos.
        source = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
        result = acero.Declaration("project", acero.ProjectNodeOptions([expression], [""]), [source])
        chosen = result.to_table(use_threads=False)[""]
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
    mask: NDArray[np.bool_] = pc.fill_null(chosen, False).to_numpy()
    return mask


def integer_labels(reader: Reader, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ``label`` of each video, int64 [n]. Raises FieldNotFoundError unless all are whole numbers within 64 bits."""
    labels = np.zeros(reader.metadata.videos, np.int64)
    exact = np.zeros(len(labels), bool)
    for name, column in reader.metadata.columns.items():
        if column.path != ("label",):
            continue
        arrow = reader.table[name]
        if pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type):
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


def numbers_at(reader: Reader, *path: Any) -> NDArray[np.float64]:
    """The number at a path of keys in each annotation, float64 [videos]; NaN if there is no number."""
    numbers = np.full(reader.metadata.videos, np.nan)
    for name, column in reader.metadata.columns.items():
        if column.path != path:
            continue
        arrow = reader.table[name]
        if pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type):
            there = arrow.is_valid().to_numpy()
            numbers[there] = arrow.drop_null().to_numpy()
    return numbers


def shard_numbers(reader: Reader) -> NDArray[np.int64]:
    """For each video, the number of the shard file of the store's largest array in which its rows start, [videos].

    The numbers continue through the variants of that array (with another dtype, for example). A video that is in none
    of them has 0.
    """
    numbers = np.zeros(reader.metadata.videos, np.int64)
    sizes = {name: array.metadata.rows * array.metadata.row_bytes for name, array in reader.arrays.items()}
    fields = reader.metadata.fields
    largest = fields[max(sizes, key=sizes.__getitem__)].path if sizes else ()
    before = 0
    for name in (name for name, field in fields.items() if field.path == largest):
        array = reader.arrays[name].metadata
        first = reader.table[f"{name}.row"]
        numbers[np.asarray(first.is_valid())] = before + first.drop_null().to_numpy() // array.shard_rows
        before += array.shards
    return numbers


def origins(reader: Reader, rows: NDArray[np.int64]) -> list[Origin | None]:
    """For each video, the file that it was converted from if the source had many files, else None."""
    if ORIGIN_COLUMNS[0] not in reader.table.column_names:
        return [None] * len(rows)
    columns = reader.table.select(ORIGIN_COLUMNS).take(pa.array(rows))
    cells = zip(*(columns[column].to_pylist() for column in ORIGIN_COLUMNS), strict=True)
    return [None if file is None else Origin(file, position, keys) for file, position, keys in cells]


def source_positions(reader: Reader) -> NDArray[np.int64] | None:
    """The position in the source of each video of the table, int64 [videos]; None if they are in the source's order.

    Raises StoreError if a video has none.
    """
    if POSITION_COLUMN not in reader.table.column_names:
        return None
    if reader.table[POSITION_COLUMN].null_count:
        raise StoreError(f"{reader.path / VIDEOS_KEY}: videos have no {POSITION_COLUMN}: convert the source again")
    return numeric_column(reader.table, POSITION_COLUMN, pa.int64())


def ranks_of(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each position among them, from 0, int64 [n]."""
    ranks = np.empty(len(positions), np.int64)
    ranks[np.argsort(positions, kind="stable")] = np.arange(len(positions))
    return ranks


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
    valid, frames = numbers_at(reader, "valid", box_thr)[rows], numbers_at(reader, "total_frames")[rows]
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
