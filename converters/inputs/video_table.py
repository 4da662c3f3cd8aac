"""A table of the videos of a data set, written by its users as CSV or Parquet.

Columns: ``path`` (a file, relative to the folder that is converted), ``frame_dir``, ``label``, ``split``, ``height``
and ``width`` (they become ``img_shape``). Further columns become keys of the annotations. If the first video has a
``filename``, splits refer to videos by it, as in PYSKL.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from converters.conversion.repetition import merge_repeats
from converters.inputs import table_limits
from converters.inputs.table_limits import check_names, refuse_large
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.format.values import INT_MAX, INT_MIN
from skelstore.wording import counted, join_lines, shown_names

SHOWN_PROBLEMS = 20
"""The number of problems that an error lists; further ones are only counted."""

_KNOWN = ("path", "frame_dir", "label", "split", "height", "width")
_AS_WRITTEN = (*_KNOWN, "filename")
_WHOLE = re.compile(r"([+-]?\d{1,19})(\.0*)?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_PADDED = re.compile(r"[+-]?0\d")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Row:
    """What a table or names say about a video: its file (relative to the folder), and values of its annotation.

    ``place`` is where they say it, for messages: ``clips.csv: line 3``. Values that are None or empty are not set in
    the annotation. A table has either ``label`` or ``class_name`` in all of its rows.
    """

    place: str
    path: str | None = None
    frame_dir: str | None = None
    label: int | None = None
    splits: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    class_name: str | None = None

    def keys(self) -> dict[str, Any]:
        """The keys to set in the annotation, with their values."""
        given = {"frame_dir": self.frame_dir, "label": self.label}
        return {key: value for key, value in given.items() if value is not None} | self.values


def read_table(path: str | os.PathLike[str]) -> tuple[list[Row], list[str]]:
    """The rows of a CSV or Parquet file, in order, and their problems, each with its row.

    Messages name a row of a CSV file by the line on which it ends, a row of a Parquet file by its number, from 1.
    Raises SourceError if the file is not such a table, has no rows, or has neither ``path`` nor ``frame_dir``.
    """
    path = Path(path)
    problems: list[str] = []
    with open(path, "rb", opener=open_regular) as file:
        is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    places, columns = _load_parquet(path) if is_parquet else _load_csv(path, problems)
    if not {"path", "frame_dir"} & columns.keys():
        raise SourceError(
            f"{path} has the columns {shown_names(columns, 10)}; expected path (a file) or frame_dir (a name), and "
            "label, split, height, width if they are known; in a CSV file, commas separate columns"
        )
    if ("height" in columns) != ("width" in columns):
        raise SourceError(f"{path} has one of the columns height and width; expected both or neither")
    if not places and not problems:
        raise SourceError(f"{path} has no rows; expected one per video")
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
    """Raise SourceError if there are problems. It lists up to ``SHOWN_PROBLEMS`` of them, with repeated ones merged."""
    if not problems:
        return
    problems = merge_repeats(problems)
    lines = [f"{what} has {counted(len(problems), 'problem')}:", *(f"  {text}" for text in problems[:SHOWN_PROBLEMS])]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"  … and {len(problems) - SHOWN_PROBLEMS:,} more")
    raise SourceError(join_lines(lines))


def _load_parquet(path: Path) -> tuple[list[str], dict[str, list[Any]]]:
    from converters.inputs.parquet_table import load_parquet  # imports pyarrow, which most runs do not need

    return load_parquet(path)


def _load_csv(path: Path, problems: list[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """The place of each row, and the columns: text, or numbers if all cells of a further column are numbers."""
    places: list[str] = []
    rows: list[list[str]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig", opener=open_regular) as file:
            if (size := os.fstat(file.fileno()).st_size) > table_limits.MOST_BYTES:
                refuse_large(path, f"{size:,} bytes")
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            names = next(reader, [])
            if len(names) > table_limits.MOST_COLUMNS:
                refuse_large(path, f"{len(names):,} columns")
            for cells in reader:
                if len(rows) + len(problems) >= table_limits.MOST_ROWS:
                    refuse_large(path, f"more than {table_limits.MOST_ROWS:,} rows")
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
    check_names(path, names)
    columns = {name: [row[i] or None for row in rows] for i, name in enumerate(names)}
    return places, {name: cells if name in _AS_WRITTEN else _numbers(cells) for name, cells in columns.items()}


def _numbers(cells: list[str | None]) -> list[Any]:
    """The cells as int or float if all of them are numbers. Codes such as 007, which would lose zeros, stay text."""
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
    """The labels that are numbers, and those that are names of classes, per row; None for other cells.

    One of the two holds only None: if a column has both, those of the rarer kind are problems, each with its row.
    """
    texts = [None if cell is None else str(cell).strip() for cell in cells]
    are_names = [
        isinstance(cell, str) and bool(text) and not _NUMBER.fullmatch(text or "")
        for cell, text in zip(cells, texts, strict=True)
    ]
    names, numbers = sum(are_names), sum(cell is not None for cell in cells) - sum(are_names)
    by_name = names > numbers
    if names and numbers:
        kind, others = ("a number", "names") if by_name else ("not an integer", "numbers")
        problems += [
            f"{place}, label: {str(cell)[:80]!r} is {kind}, and other rows have {others}: number all classes from 0, "
            "or name them all"
            for place, cell, is_name in zip(places, cells, are_names, strict=True)
            if cell is not None and is_name != by_name
        ]
    kept = [cell if is_name == by_name else None for cell, is_name in zip(texts, are_names, strict=True)]
    nothing: list[str | None] = [None] * len(cells)
    return (nothing, kept) if by_name else (kept, nothing)


def _row(place: str, cells: dict[str, Any], problems: list[str]) -> Row:
    """One row. Its problems are appended to ``problems``."""

    def whole(name: str) -> int | None:
        cell = cells.get(name)
        if cell is None:
            return None
        match = _WHOLE.fullmatch(str(cell).strip())
        if match is None or type(cell) is bool or not INT_MIN <= int(match[1]) <= INT_MAX:
            hint = ": number the classes from 0" if name == "label" else ""
            problems.append(f"{place}, {name}: {str(cell)[:80]!r} is not an integer{hint}")
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
            problems.append(f"{place}, path: {path[:200]!r} leads outside the folder; expected a path relative to it")
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
        problems.append(f"{place}: one of height and width is empty; expected both or neither")
    return Row(place, path, text("frame_dir"), whole("label"), () if split is None else (split,), further)
