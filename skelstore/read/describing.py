"""Short descriptions of a store, for consoles, debuggers and notebooks."""

from __future__ import annotations

import html
import reprlib
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from skelstore.read.reader import Reader
from skelstore.splits import is_run
from skelstore.wording import counted, escape, kind_of

_SHOWN = 8
"""Maximum number of splits, and of fields, that are shown."""

_AXES = {1: "N", 2: "M, T", 3: "N, V, C", 4: "M, T, V, C"}
"""The ragged axes of ``keypoint`` and ``keypoint_score``, as PYSKL's documentation names them, by their number."""


def as_text(reader: Reader, videos: int, whole: bool) -> str:
    """The ``repr`` of a whole store, or of a view with this number of videos; never raises an error."""
    parts = [f"{title} {', '.join(items)}" for title, items in _parts(reader, whole) if items]
    return f"<skelstore.Store {'; '.join([f'{str(reader.path)!r}: {_videos(reader, videos, whole)}', *parts])}>"


def as_html(reader: Reader, videos: int, whole: bool) -> str:
    """The same as an HTML table for a notebook, with all text from the store escaped; never raises an error."""
    rows = [("path", [str(reader.path)]), ("videos", [_videos(reader, videos, whole)]), *_parts(reader, whole)]
    cells = (
        f"<tr><th>{title}</th><td>{'<br>'.join(html.escape(escape(item)) for item in items)}</td></tr>"
        for title, items in rows
        if items
    )
    return f"<table><caption>skelstore.Store</caption>{''.join(cells)}</table>"


def _videos(reader: Reader, videos: int, whole: bool) -> str:
    try:
        return counted(videos, "video") if whole else f"{videos:,} of {counted(reader.metadata.videos, 'video')}"
    except Exception:
        return counted(videos, "video")


def _parts(reader: Reader, whole: bool) -> Iterator[tuple[str, list[str]]]:
    """The splits (of a whole store only) and the fields: the title of each group, and its first items."""
    for title, items in (("splits", _splits), ("fields", _fields)):
        if title == "splits" and not whole:  # the counts are those of the whole store
            continue
        try:
            shown = list(islice(items(reader), _SHOWN + 1))
        except Exception as error:  # a damaged store may be shown in a debugger, too
            shown = [f"unavailable ({type(error).__name__})"]
        yield title, shown if len(shown) <= _SHOWN else [*shown[:_SHOWN], "…"]


def _splits(reader: Reader) -> Iterator[str]:
    for name, ids in reader.split_ids.items():
        shown = reprlib.repr(name)  # bounds the length
        sized = is_run(ids) or isinstance(ids, (dict, pa.Array))
        yield f"{shown} {len(ids):,}" if sized else f"{shown} ({kind_of(ids)})"


def _fields(reader: Reader) -> Iterator[str]:
    for name, field in reader.metadata.fields.items():
        metadata = reader.arrays[name].metadata
        joints = field.path in (("keypoint",), ("keypoint_score",))
        named = _AXES.get(field.ragged) if joints or field.ragged == 1 else None
        axes = [named or ", ".join(f"n{axis}" for axis in range(field.ragged)), *map(str, metadata.trailing)]
        yield f"{escape(name)} {metadata.dtype} [{', '.join(axes)}]"
