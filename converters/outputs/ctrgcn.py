"""Export of a store to a .npz of CTR-GCN: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.inputs.array_file import Header
from converters.outputs.array_writer import NewArray, new_array, recorded_header, write_array
from converters.outputs.gcn_arrays import (
    Form,
    Rows,
    classes_of,
    default_form,
    filled_clips,
    form_of,
    recorded_arrays,
    refuse_large,
    rows_as_they_came,
    rows_of_splits,
    usual_splits,
    with_frames,
)
from converters.outputs.output import new_file
from skelstore import Store
from skelstore.errors import StoreError

_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every member, as ``numpy.savez`` writes it."""
_TESTS = ("test", "val")
"""Usual names of the split for tests."""


class _Member(NamedTuple):
    """A member of the .npz; ``form`` is that of its clips, None for labels and if it has no rows."""

    name: str
    array: NewArray
    rows: Rows
    form: Form | None


def export_ctrgcn(
    store: Store,
    out: Path,
    splits: Mapping[str, str | None],
    frames: int | None,
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the .npz ``out``. ``splits`` says which split of the store ``train`` and ``test`` are.

    If it says neither, a store that was made from such a file and has its splits gives the same arrays again: rows,
    frames, dtypes and headers; another store needs splits of these names. A row has M V C numbers, with M at least 2,
    and T is ``frames``, else that of the longest clip. Labels are one-hot in float64, as wide as there are classes
    (``classes_of``).

    Raises SourceError if videos have no common form, no usable labels or splits, or more frames than ``frames``; and as
    ``new_file`` does.
    """
    members = _members(store, splits, frames)
    labels = store.labels
    with new_file(out, force=force) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            info = zipfile.ZipInfo(f"{member.name}.npy", _DATE)
            info.file_size = member.array.size  # from which zipfile knows whether it needs 64-bit sizes
            rows = _rows(store, member, labels, advance)
            with archive.open(info, "w") as content:
                if not member.array.fortran_order:
                    write_array(content, member.array, rows)  # type: ignore[arg-type]
                    continue
                with TemporaryFile(dir=out.absolute().parent) as spool:
                    write_array(spool, member.array, rows)  # type: ignore[arg-type,unused-ignore]
                    spool.seek(0)
                    shutil.copyfileobj(spool, content)


def _members(store: Store, splits: Mapping[str, str | None], frames: int | None) -> list[_Member]:
    recorded = {
        str(array["name"]): recorded_header(str(array["head"]), str(store.path))
        for array in recorded_arrays(store, "ctrgcn")
    }
    if not recorded.keys() <= {f"{letter}_{part}" for part in splits for letter in "xy"}:
        raise StoreError(f"{store.path}: the arrays in its source do not follow the format")
    classes = classes_of(
        store, max((h.shape[-1] for n, (h, _) in recorded.items() if n[0] == "y" and h.shape), default=0)
    )
    if not any(splits.values()) and recorded:
        came = rows_as_they_came(store, {name: name[2:] for name in recorded if name[0] == "x"})
        if came is not None:
            rows = {name[2:]: rows for name, rows in came.items()}
            return [
                _recorded_member(store, name, like, rows[name[2:]], classes, frames) for name, like in recorded.items()
            ]
    parts = rows_of_splits(store, splits) if any(splits.values()) else usual_splits(store, splits, _TESTS)
    form = default_form(store, frames)
    members = []
    for part in parts:
        x = _shape(form) if form is not None else (frames or 0, 0)
        dtype = np.dtype(np.float32) if form is None else form.dtype
        members.append(_member(store, f"x_{part.name}", part, x, dtype, form))
        members.append(_member(store, f"y_{part.name}", part, (classes,), np.dtype(np.float64), None))
    return members


def _member(
    store: Store,
    name: str,
    rows: Rows,
    row: tuple[int, ...],
    dtype: np.dtype[Any],
    form: Form | None,
    like: tuple[Header, bytes] | None = None,
) -> _Member:
    if form is not None:
        refuse_large(store, form)
    return _Member(name, new_array((len(rows.positions), *row), dtype, like), rows, form)


def _recorded_member(
    store: Store, name: str, like: tuple[Header, bytes], rows: Rows, classes: int, frames: int | None
) -> _Member:
    """A member as the source had it, with the rows that are left. If its videos do not fit any more, it is larger."""
    header = like[0]
    row = header.shape[1:]
    if name[0] == "y":
        row = row if row and row[0] >= int(store.labels[rows.positions].max(initial=-1)) + 1 else (classes,)
        return _member(store, name, rows, row, header.dtype, None, like)
    form = form_of(store.at(rows.positions))
    if form is None or len(row) != 2:
        return _member(store, name, rows, (frames, *row[1:]) if frames else row, header.dtype, None, like)
    persons, rest = divmod(row[1], form.joints * form.channels)
    form = with_frames(store, form, frames if frames is not None else max(row[0], form.frames))
    form = form._replace(persons=max(form.persons, 0 if rest else persons))
    if np.can_cast(form.dtype, header.dtype, "safe"):
        form = form._replace(dtype=header.dtype)
    return _member(store, name, rows, _shape(form), form.dtype, form, like)


def _shape(form: Form) -> tuple[int, int]:
    return form.frames, form.persons * form.joints * form.channels


def _rows(
    store: Store, member: _Member, labels: NDArray[np.int64], advance: Callable[[int], None] | None
) -> Iterator[NDArray[Any]]:
    array = member.array
    if member.name[0] == "y":
        yield from _one_hot(labels, member.rows.positions, array)
        return
    if member.form is None:
        return
    for clip in filled_clips(store, member.form, member.rows.positions):
        yield clip.transpose(1, 0, 2, 3).reshape(array.shape[1:])
        if advance:
            advance(1)


def _one_hot(labels: NDArray[np.int64], positions: Sequence[int], array: NewArray) -> Iterator[NDArray[Any]]:
    for position in positions:
        row = np.zeros(array.shape[1:], array.dtype)
        row[labels[position]] = 1
        yield row
