"""Columns that the table of videos lacks but users expect: persons, frames, and the parts of NTU RGB+D names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skelstore import Store
from skelstore.errors import StoreError
from skelstore.format import values

__all__ = ["COMPUTED", "compute_column"]

_NAME = r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<repetition>\d{3})A(?P<action>\d{3})"


def compute_column(store: Store, name: str) -> pa.ChunkedArray | pa.Array | None:
    """Compute a column of ``COMPUTED``, null for videos without it; None if no video has it or the name is unknown."""
    column = COMPUTED[name](store) if name in COMPUTED else None
    return None if column is None or column.null_count == len(column) else column


def _persons(store: Store) -> Any:
    """M of ``keypoint`` [M, T, V, C]; null for compressed videos."""
    table = store.videos
    firsts = [c for c in table.column_names if c.startswith("keypoint.") and c.endswith(".dim0")]
    return _coalesce(table[c] for c in firsts if f"{c.removesuffix('0')}1" in table.column_names)


def _frames(store: Store) -> Any:
    return _coalesce(_integers(store, "total_frames"))


def _side(store: Store, axis: int) -> Any:
    """One side of ``img_shape``, which has two columns if it is a tuple, and one column of JSON if it is a list."""
    return _coalesce(
        [
            *_integers(store, f"img_shape.{axis}"),
            *(pa.array(_listed(column, axis)) for column in _texts(store, "img_shape")),
        ]
    )


def _listed(column: pa.ChunkedArray, axis: int) -> list[int | None]:
    return [None if text is None else _element(text, axis) for text in column.to_pylist()]


def _element(text: str, axis: int) -> int | None:
    try:
        return int(values.decode(values.loads(text))[axis])
    except (StoreError, TypeError, ValueError, LookupError, OverflowError):
        return None


def _named(store: Store, part: str) -> Any:
    """A number from names such as S001C001P001R001A001, which may be anywhere in the name."""
    names = [store.name(i) for i in range(len(store))]
    # A name that is not UTF-8 is kept, with replaced characters; null is only for videos without a name.
    texts = pa.array(
        [None if name is None else name.encode("utf-8", "replace").decode() for name in names], pa.string()
    )
    parts = pc.extract_regex(texts, _NAME)
    return pc.struct_field(parts, part).cast(pa.int64())


def _integers(store: Store, name: str) -> list[pa.ChunkedArray]:
    return [column for column in _columns(store, name) if pa.types.is_integer(column.type)]


def _texts(store: Store, name: str) -> list[pa.ChunkedArray]:
    return [column for column in _columns(store, name) if pa.types.is_large_string(column.type)]


def _columns(store: Store, name: str) -> list[pa.ChunkedArray]:
    """The columns of a value; there is one per type of the value."""
    table = store.videos
    return [table[c] for c in table.column_names if c == name or c.startswith(f"{name}:")]


def _coalesce(columns: Iterable[Any]) -> Any:
    wide = [column.cast(pa.int64()) for column in columns]
    return pc.coalesce(*wide) if wide else None


COMPUTED: dict[str, Callable[[Store], Any]] = {
    "persons": _persons,
    "frames": _frames,
    "height": lambda store: _side(store, 0),
    "width": lambda store: _side(store, 1),
    "setup": lambda store: _named(store, "setup"),
    "camera": lambda store: _named(store, "camera"),
    "subject": lambda store: _named(store, "subject"),
    "repetition": lambda store: _named(store, "repetition"),
    "action": lambda store: _named(store, "action"),
}
"""The function that computes each computed column, by the column's name."""
