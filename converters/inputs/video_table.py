"""Which videos a data set has, and what is to be known of each: a table that people write, as CSV or Parquet.

Columns: ``path`` (a file, relative to the folder that is converted), ``frame_dir``, ``label``, ``split``, ``height``
and ``width`` (``img_shape`` is made of them). Further ones become keys of the annotations; by ``filename``, if the
first video has one, splits find the videos, as in PYSKL.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from converters.conversion.repetition import merge_repeats
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.format.values import INT_MAX, INT_MIN
from skelstore.wording import counted, join_lines, shown_names

SHOWN_PROBLEMS = 20
"""Problems of a data set that are reported; the rest is counted."""

_KNOWN = ("path", "frame_dir", "label", "split", "height", "width")
_AS_WRITTEN = (*_KNOWN, "filename")
_WHOLE = re.compile(r"([+-]?\d{1,19})(\.0*)?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_PADDED = re.compile(r"[+-]?0\d")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PARQUET_MAGIC = b"PAR1"
_MOST_ROWS = 1_000_000
_MOST_COLUMNS = 1000
_MOST_BYTES = 256 << 20
_MOST_FOOTER_BYTES = 16 << 20
_BATCH_ROWS = 4096
_NUMBERS = (pa.types.is_null, pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)


@dataclass(frozen=True)
class Row:
    """What is known of a video: which file it is in (relative to the folder), and what its annotation shall have.

    ``place`` is where that is said, for messages: ``clips.csv: line 3``. Empty values are not to be set. A table says
    ``label`` or, in each of its rows, ``class_name``.
    """

    place: str
    path: str | None = None
    frame_dir: str | None = None
    label: int | None = None
    splits: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    class_name: str | None = None

    def keys(self) -> dict[str, Any]:
        """The keys that the annotation gets."""
        given = {"frame_dir": self.frame_dir, "label": self.label}
        return {key: value for key, value in given.items() if value is not None} | self.values


def read_table(path: str | os.PathLike[str]) -> tuple[list[Row], list[str]]:
    """The rows of a CSV or Parquet file, in order, and what is wrong in them, each problem with its row.

    A row of a CSV file is called by the line on which it ends, a row of a Parquet file by its number from 1.
    Raises SourceError if the file is no such table, has no rows, or neither ``path`` nor ``frame_dir``.
    """
    path = Path(path)
    problems: list[str] = []
    with open(path, "rb", opener=open_regular) as file:
        is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    places, columns = _load_parquet(path) if is_parquet else _load_csv(path, problems)
    if not {"path", "frame_dir"} & columns.keys():
        raise SourceError(
            f"{path} has the columns {shown_names(columns, 10)}; expected path (a file) or frame_dir (a name), and "
            "label, split, height, width where they are known; a CSV file has commas between them"
        )
    if ("height" in columns) != ("width" in columns):
        raise SourceError(f"{path} has one of the columns height and width; expected both, or none")
    if not places and not problems:
        raise SourceError(f"{path} has no rows; expected one for each video")
    class_names: list[str | None] = [None] * len(places)
    mixed: list[str] = []
    if "label" in columns:
        columns["label"], class_names = _split_labels(places, columns["label"], mixed)
    rows = []
    for i, place in enumerate(places):
        row = _row(place, {name: cells[i] for name, cells in columns.items()}, problems)
        rows.append(replace(row, class_name=class_names[i]))
    problems += mixed
    return rows, problems


def refuse(what: str, problems: list[str]) -> None:
    """Raise SourceError that tells the problems, if there are any: all kinds of them up to a bound."""
    if not problems:
        return
    problems = merge_repeats(problems)
    lines = [f"{what} has {counted(len(problems), 'problem')}:", *(f"  {text}" for text in problems[:SHOWN_PROBLEMS])]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"  … and {len(problems) - SHOWN_PROBLEMS:,} more")
    raise SourceError(join_lines(lines))


def _load_csv(path: Path, problems: list[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """The place of every row, and the columns: text, and numbers where each cell of a further column is one."""
    places: list[str] = []
    rows: list[list[str]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig", opener=open_regular) as file:
            if (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES:
                _refuse_large(path, f"{size:,} bytes")
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            names = next(reader, [])
            if len(names) > _MOST_COLUMNS:
                _refuse_large(path, f"{len(names):,} columns")
            for cells in reader:
                if len(rows) + len(problems) >= _MOST_ROWS:
                    _refuse_large(path, f"more than {_MOST_ROWS:,} rows")
                place = f"{path.name}: line {reader.line_num}"
                if len(cells) == len(names):
                    places.append(place)
                    rows.append(cells)
                elif cells:  # else a blank line
                    problems.append(f"{place}: {len(cells)} cells; expected {len(names)}, as in the first line")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not text in UTF-8 ({error.reason}); expected a CSV file") from None
    except csv.Error as error:
        raise SourceError(f"{path}: line {reader.line_num}: {error}; expected a CSV file") from None
    _check_names(path, names)
    columns = {name: [row[i] or None for row in rows] for i, name in enumerate(names)}
    return places, {name: cells if name in _AS_WRITTEN else _numbers(cells) for name, cells in columns.items()}


def _load_parquet(path: Path) -> tuple[list[str], dict[str, list[Any]]]:
    """The same of a Parquet file, whose columns have types; batch by batch, since its footer may lie."""
    try:
        with (
            open(path, "rb", opener=open_regular) as file,
            pyarrow.parquet.ParquetFile(
                file,
                thrift_string_size_limit=_MOST_FOOTER_BYTES,
                thrift_container_size_limit=_MOST_FOOTER_BYTES,
            ) as parquet,
        ):
            _check_size(path, parquet)
            texts = _check_types(path, parquet.schema_arrow)
        with (
            open(path, "rb", opener=open_regular) as file,
            # A text of a dictionary is brought once, however many cells say it.
            pyarrow.parquet.ParquetFile(file, read_dictionary=texts) as parquet,
        ):
            columns = _load_batches(path, parquet)
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        if isinstance(error, SourceError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{path} is not a Parquet file, or is damaged ({reason})") from None
    rows = len(next(iter(columns.values()), []))
    return [f"{path.name}: row {i + 1}" for i in range(rows)], columns


def _check_size(path: Path, parquet: pyarrow.parquet.ParquetFile) -> None:
    """Raise SourceError if a Parquet file says of itself that it is larger than a table of videos."""
    found = parquet.metadata
    stated = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    if found.num_rows > _MOST_ROWS or found.num_columns > _MOST_COLUMNS or not 0 <= stated <= _MOST_BYTES:
        _refuse_large(
            path, f"{found.num_rows:,} rows, {found.num_columns:,} columns and {stated:,} bytes once unpacked"
        )


def _refuse_large(path: Path, found: str) -> NoReturn:
    raise SourceError(
        f"{path} has {found}; expected a table of videos of at most {_MOST_ROWS:,} rows, {_MOST_COLUMNS:,} columns "
        f"and {_MOST_BYTES:,} bytes: convert it in parts"
    )


def _check_types(path: Path, schema: pa.Schema) -> list[str]:
    """The columns that are text. Raises SourceError for names and types of columns that no table has."""
    _check_names(path, schema.names)
    texts = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind  # pandas: categories
        if _is_text(kind):
            texts.append(name)
        elif not any(is_it(kind) for is_it in _NUMBERS):
            raise SourceError(f"{path}: column {name!r} holds {kind}; expected numbers or text")
    return texts


def _load_batches(path: Path, parquet: pyarrow.parquet.ParquetFile) -> dict[str, list[Any]]:
    """The cells of all columns, None for an empty one; pandas writes NaN for nothing."""
    columns: dict[str, list[Any]] = {name: [] for name in parquet.schema_arrow.names}
    rows = total = 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
        batch.validate(full=True)
        rows += batch.num_rows
        total += sum(_unpacked_bytes(column) for column in batch.columns)
        if rows > _MOST_ROWS or total > _MOST_BYTES:
            _refuse_large(path, f"more than {rows - 1:,} rows or {total - 1:,} bytes once unpacked")
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            columns[name] += [None if cell == "" or cell != cell else cell for cell in column.to_pylist()]
    return columns


def _unpacked_bytes(column: pa.Array) -> int:
    """Bytes of a column's cells, each text of a dictionary as often as it is said."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0) + 8 * len(column)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_names(path: Path, names: list[str]) -> None:
    if twice := [repr(name) for name, count in Counter(names).items() if count > 1]:
        raise SourceError(f"{path} has several columns of the name {', '.join(twice)[:300]}; expected one of each")
    if odd := [repr(name) for name in names if name != name.strip() or not name]:
        raise SourceError(
            f"{path} has a column of the name {', '.join(odd)[:300]}; expected names without blanks around them, and a "
            "name for each (pandas writes one for its index, unless index=False)"
        )


def _numbers(cells: list[str | None]) -> list[Any]:
    """The cells as int or float, if all of them are such; codes such as 007, which would lose zeros, stay text."""
    given = [cell for cell in cells if cell is not None]
    if not given or any(_PADDED.match(cell) for cell in given):
        return cells
    for kind, pattern in ((int, _INTEGER), (float, _NUMBER)):
        if all(pattern.fullmatch(cell) for cell in given):
            return [None if cell is None else kind(cell) for cell in cells]
    return cells


def _split_labels(
    places: list[str], cells: list[Any], problems: list[str]
) -> tuple[list[str | None], list[str | None]]:
    """The labels that are numbers, and those that are names of classes; None where there is none.

    One of the two is empty: of a column that has both, the fewer are problems, each with its row.
    """
    texts = [None if cell is None else str(cell).strip() for cell in cells]
    are_names = [
        isinstance(cell, str) and bool(text) and not _NUMBER.fullmatch(text or "")
        for cell, text in zip(cells, texts, strict=True)
    ]
    names, numbers = sum(are_names), sum(cell is not None for cell in cells) - sum(are_names)
    by_name = names > numbers
    if names and numbers:
        found, others = ("a number", "names") if by_name else ("no whole number", "numbers")
        problems += [
            f"{place}, label: {str(cell)[:80]!r} is {found}, and other rows have {others}: number all classes from 0, "
            "or name them all"
            for place, cell, is_name in zip(places, cells, are_names, strict=True)
            if cell is not None and is_name != by_name
        ]
    kept = [cell if is_name == by_name else None for cell, is_name in zip(texts, are_names, strict=True)]
    nothing: list[str | None] = [None] * len(cells)
    return (nothing, kept) if by_name else (kept, nothing)


def _row(place: str, cells: dict[str, Any], problems: list[str]) -> Row:
    """One row; what is wrong in it is appended to the problems."""

    def whole(name: str) -> int | None:
        cell = cells.get(name)
        if cell is None:
            return None
        match = _WHOLE.fullmatch(str(cell).strip())
        if match is None or type(cell) is bool or not INT_MIN <= int(match[1]) <= INT_MAX:
            hint = ": number the classes from 0" if name == "label" else ""
            problems.append(f"{place}, {name}: {str(cell)[:80]!r} is no whole number{hint}")
            return None
        return int(match[1])

    def text(name: str) -> str | None:
        cell = cells.get(name)
        return None if cell is None else str(cell)

    path = text("path")
    if "path" in cells and path is None:
        problems.append(f"{place}, path: it is empty; expected a file, relative to the folder")
    if path is not None:
        path = path.replace("\\", "/")
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\0" in path or re.match(r"[A-Za-z]:/", path):
            problems.append(
                f"{place}, path: {path[:200]!r} leads outside of the folder; expected a path relative to it"
            )
            path = None
        else:
            path = "/".join(parts)
    if "path" not in cells and text("frame_dir") is None:
        problems.append(f"{place}, frame_dir: it is empty; expected the name of a video")
    split = text("split")
    further = {name: cell for name, cell in cells.items() if name not in _KNOWN and cell is not None}
    height, width = whole("height"), whole("width")
    if height is not None and width is not None:
        further = {"img_shape": (height, width), "original_shape": (height, width)} | further
    elif height is not None or width is not None:
        problems.append(f"{place}: one of height and width is empty; expected both, or none")
    return Row(place, path, text("frame_dir"), whole("label"), () if split is None else (split,), further)
