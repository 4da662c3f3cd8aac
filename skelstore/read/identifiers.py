"""What videos of a store are called: by names, and by ids of splits."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore.errors import MergeError
from skelstore.read.reader import Reader
from skelstore.wording import COMPARED_NAMES


def names(reader: Reader) -> list[str | None]:
    """The name of each video; None for a video without a name."""
    found = _texts(reader, "frame_dir")
    return [reader.name(row) if name is None else name for row, name in enumerate(found)]


def names_like(reader: Reader, rows: NDArray[Any] | None, name: str) -> list[str]:
    """Names of the videos at some rows of the table (None: all) that may be what ``name`` should have been.

    Of more than 20,000 videos these are the names that begin with the first half of it, or end with the second:
    one wrong letter leaves one of the two as it was. Raises nothing.
    """
    likely: list[str] = []
    half = len(name) // 2
    for column, metadata in reader.metadata.columns.items():
        if metadata.path not in (("frame_dir",), ("filename",)) or metadata.type != "str":
            continue
        texts = reader.table[column]
        try:
            if rows is not None:
                texts = texts.take(pa.array(rows))
            if len(texts) > COMPARED_NAMES:
                begins = pc.starts_with(texts, name[:half], ignore_case=True)
                texts = texts.filter(pc.or_(begins, pc.ends_with(texts, name[half:], ignore_case=True)))
            likely += texts.drop_null().slice(0, COMPARED_NAMES).to_pylist()
        except (pa.ArrowException, ValueError):  # text that is not UTF-8: then there is no help, but the right error
            continue
    return likely


def identifier(reader: Reader) -> str:
    """The key by which ids of splits find the videos of a store."""
    return identifier_of(reader.entries(0) if reader.metadata.videos else ())


def identifier_of(first: Container[object]) -> str:
    """The key by which ids of splits find videos: ``filename`` if the first video has one, else ``frame_dir``.

    ``first`` are the keys of the first video. So do PYSKL (pyskl/datasets/pose_dataset.py) and MMAction2.
    """
    return "filename" if "filename" in first else "frame_dir"


def ids(reader: Reader, key: str) -> list[Any]:
    """What a split must list to hold every video: the value of a key of each. Raises MergeError if a video lacks it."""
    found: list[Any] = []
    for row, text in enumerate(_texts(reader, key)):
        if text is None:
            entries = reader.entries(row)
            if key not in entries:
                raise MergeError(f"{reader.path}: the video at position {row} has no {key}, so no split can name it")
            found.append(entries[key](row))
        else:
            found.append(text)
    return found


def _texts(reader: Reader, key: str) -> list[str | None]:
    """The value of a key of each video, where it is a str in a column of its own; else None."""
    for name, column in reader.metadata.columns.items():
        if column.path == (key,) and column.type == "str":
            found: list[str | None] = reader.table[name].to_pylist()
            return found
    return [None] * reader.metadata.videos
