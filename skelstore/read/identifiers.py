"""How the videos of a store are identified: by their names, and by the ids of splits."""

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
    texts = _texts(reader, "frame_dir")
    if None in texts:
        reader.provide(range(len(texts)))
    return [reader.name(row) if name is None else name for row, name in enumerate(texts)]


def names_like(reader: Reader, rows: NDArray[Any] | None, name: str) -> list[str]:
    """Names of the videos at some rows of the table (None: all) that ``name`` may be a misspelling of.

    Of more than 20,000 videos, only names that begin with its first half or end with its second half are returned:
    one wrong letter leaves one of the halves intact. Never raises an error.
    """
    likely: list[str] = []
    half = len(name) // 2
    for column, metadata in reader.metadata.columns.items():
        if metadata.path not in (("frame_dir",), ("filename",)) or metadata.type != "str":
            continue
        if not reader.has_column(column):
            continue  # it would be fetched for no more than a suggestion
        texts = reader.table[column]
        try:
            if rows is not None:
                texts = texts.take(pa.array(rows))
            if len(texts) > COMPARED_NAMES:
                begins = pc.starts_with(texts, name[:half], ignore_case=True)
                texts = texts.filter(pc.or_(begins, pc.ends_with(texts, name[half:], ignore_case=True)))
            likely += texts.drop_null().slice(0, COMPARED_NAMES).to_pylist()
        except (pa.ArrowException, ValueError):  # not UTF-8: no suggestion, but the right error
            continue
    return likely


def identifier(reader: Reader) -> str:
    """The key by which the ids of splits identify the videos of a store."""
    return identifier_of(reader.entries(0) if reader.metadata.videos else ())


def identifier_of(first: Container[object]) -> str:
    """The key by which the ids of splits identify videos: ``filename`` if the first video has it, else ``frame_dir``.

    ``first`` contains the keys of the first video. The rule is that of PYSKL (pyskl/datasets/pose_dataset.py) and
    MMAction2.
    """
    return "filename" if "filename" in first else "frame_dir"


def ids(reader: Reader, key: str) -> list[Any]:
    """The ids of a split of all videos: the value of a key in each. Raises MergeError if a video lacks the key."""
    every: list[Any] = []
    texts = _texts(reader, key)
    if None in texts:
        reader.provide(range(len(texts)))
    for row, text in enumerate(texts):
        if text is None:
            entries = reader.entries(row)
            if key not in entries:
                raise MergeError(f"{reader.path}: the video at position {row} has no {key}, so no split can name it")
            every.append(entries[key](row))
        else:
            every.append(text)
    return every


def _texts(reader: Reader, key: str) -> list[str | None]:
    """For each video, the value of a key if it is a str in a column of its own, else None."""
    for name, column in reader.metadata.columns.items():
        if column.path == (key,) and column.type == "str":
            texts: list[str | None] = reader.table[name].to_pylist()
            return texts
    return [None] * reader.metadata.videos
