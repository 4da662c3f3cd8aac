"""Which videos a data set has, and what is to be known of each: a table that people write, as CSV or Parquet.

Columns: ``path`` (a file, relative to the folder that is converted), ``frame_dir``, ``label``, ``split``, ``height``
and ``width`` (``img_shape`` is made of them). Further ones become keys of the annotations.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from skelstore.errors import SourceError
from skelstore.values import INT_MAX, INT_MIN

SHOWN_PROBLEMS = 20
"""So many problems are told of a data set; the rest is counted."""

_KNOWN = ("path", "frame_dir", "label", "split", "height", "width")
_WHOLE = re.compile(r"([+-]?\d{1,19})(\.0*)?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Row:
    """What is known of a video: which file it is in (relative to the folder), and what its annotation shall have.

    ``place`` is where that is said, for messages: ``clips.csv: row 3``. Empty values are not to be set.
    """

    place: str
    path: str | None = None
    frame_dir: str | None = None
    label: int | None = None
    splits: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> dict[str, Any]:
        """The keys that the annotation gets."""
        given = {"frame_dir": self.frame_dir, "label": self.label}
        return {key: value for key, value in given.items() if value is not None} | self.values


def read_table(path: str | os.PathLike[str]) -> tuple[list[Row], list[str]]:
    """The rows of a CSV or Parquet file, in order, and what is wrong in them, each problem with its row.

    A row of a CSV file is counted as in a spreadsheet, from 1 for the names of the columns, blank lines not counted.
    Raises SourceError if the file is no such table, has no rows, or neither ``path`` nor ``frame_dir``.
    """
    path = Path(path)
    table, first = _load(path)
    names = table.column_names
    twice = [repr(name) for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SourceError(f"{path} has several columns of the name {', '.join(twice)}; expected one of each")
    if not {"path", "frame_dir"} & set(names):
        shown = ", ".join(map(repr, names[:10]))
        raise SourceError(
            f"{path} has the columns {shown[:300]}; expected path (a file) or frame_dir (a name), and label, split, "
            "height, width where they are known; a CSV file has commas between them"
        )
    if ("height" in names) != ("width" in names):
        raise SourceError(f"{path} has one of the columns height and width; expected both, or none")
    if not table.num_rows:
        raise SourceError(f"{path} has no rows; expected one for each video")
    columns = {name: _column(path, name, table[name]) for name in names}
    rows: list[Row] = []
    problems: list[str] = []
    for i in range(table.num_rows):
        cells = {name: column[i] for name, column in columns.items()}
        rows.append(_row(f"{path.name}: row {first + i}", cells, problems))
    return rows, problems


def refuse(what: str, problems: list[str]) -> None:
    """Raise SourceError that tells the problems, if there are any: all of them up to a bound."""
    if not problems:
        return
    count = f"a problem{'s'[: len(problems) != 1]}" if len(problems) == 1 else f"{len(problems)} problems"
    more = f"\n  … and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
    raise SourceError(f"{what} has {count}:\n" + "\n".join(f"  {text}" for text in problems[:SHOWN_PROBLEMS]) + more)


def _load(path: Path) -> tuple[pa.Table, int]:
    """The table, and the number by which its first row is called."""
    with open(path, "rb") as file:
        is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    try:
        if is_parquet:
            table = pyarrow.parquet.ParquetFile(path, memory_map=False).read(use_threads=False)
            table.validate(full=True)
            return table, 1
        # Whole files as one block, of text only: a frame_dir of 001 shall not become the number 1.
        return _load_csv(path), 2
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kind = "Parquet" if is_parquet else "CSV"
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{path} cannot be read as a {kind} file ({reason}); expected a table of videos") from None


def _load_csv(path: Path) -> pa.Table:
    one_thread = pyarrow.csv.ReadOptions(use_threads=False)  # which tells the row in its messages
    with pyarrow.csv.open_csv(path, read_options=one_thread) as reader:
        names = reader.schema.names
    texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pyarrow.csv.read_csv(path, read_options=one_thread, convert_options=texts)


def _column(path: Path, name: str, column: pa.ChunkedArray) -> list[Any]:
    """The cells of a column as Python values, None for an empty one.

    A further column of a CSV file is one of numbers if each of its cells is one.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):  # what pandas makes of categories
        kind, column = kind.value_type, column.cast(kind.value_type)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    if not (text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise SourceError(f"{path}: column {name!r} holds {kind}; expected numbers or text")
    cells = [None if cell == "" else cell for cell in column.to_pylist()]
    if name in _KNOWN or not text:
        return cells
    given = [cell for cell in cells if cell is not None]
    for convert, pattern in ((int, re.compile(r"0|-?[1-9]\d{0,17}")), (float, _NUMBER)):
        if given and all(pattern.fullmatch(cell) for cell in given):
            # Codes such as 007 stay text: a number would lose their zeros.
            padded = convert is float and any(re.match(r"[+-]?0\d", cell) for cell in given)
            return cells if padded else [None if cell is None else convert(cell) for cell in cells]
    return cells


def _row(place: str, cells: dict[str, Any], problems: list[str]) -> Row:
    """One row; what is wrong in it is appended to the problems."""

    def whole(name: str) -> int | None:
        cell = cells.get(name)
        if cell is None or cell != cell:  # pandas writes NaN for nothing
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
