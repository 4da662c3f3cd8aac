"""Export of a store to the arrays of ST-GCN and 2s-AGCN: a folder of train_data.npy, train_label.pkl, val_data.npy …"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.choices import NORMALIZATIONS
from converters.inputs.label_pickle import LABEL_INFO
from converters.outputs.agcn_normalization import normalize_agcn
from converters.outputs.array_writer import NewArray, new_array, recorded_header, write_array
from converters.outputs.document import write_value
from converters.outputs.gcn_arrays import (
    Form,
    Rows,
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
from converters.outputs.output import new_folder
from skelstore import Store
from skelstore.errors import SourceError, StoreError
from skelstore.format.values import Json, is_storable_dtype
from skelstore.wording import closest

_TESTS = ("val", "test")
"""Usual names of the split for tests."""
_PLAIN = ("tuple", "list", "list")
"""The form of a label pickle, as ST-GCN writes it: a tuple of two lists."""


class _Array(NamedTuple):
    """An array to write, its file, and the file and form of its labels; ``form`` is None if it has no rows."""

    file: str
    labels: str
    labels_form: tuple[str, ...]
    array: NewArray
    rows: Rows
    form: Form | None


def export_stgcn(
    store: Store,
    out: Path,
    splits: Mapping[str, str | None],
    frames: int | None,
    normalize: str | None = None,
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the folder ``out``. ``splits`` says which split of the store ``train`` and ``val`` are.

    If it says neither, a store that was made from such files and has their splits gives the same files again: names,
    rows, frames, dtypes and headers; another store needs splits of these names. Arrays are [N, C, T, V, M], with M at
    least 2; T is ``frames``, else that of the longest clip. With ``keypoint_score``, the last channel is the score.
    ``normalize``: ``agcn`` normalises every clip as 2s-AGCN does, and makes it float32.

    Raises SourceError if videos have no common form, no usable labels or splits, or more frames than ``frames``; and as
    ``new_folder`` does.
    """
    if normalize not in (None, *NORMALIZATIONS):
        raise SourceError(
            f"normalize {normalize!r}; expected one of {', '.join(NORMALIZATIONS)}{closest(normalize, NORMALIZATIONS)}"
        )
    arrays = _arrays(store, splits, frames)
    if normalize is not None:
        arrays = [a._replace(array=new_array(a.array.shape, np.dtype(np.float32))) for a in arrays]
    labels = store.labels
    with new_folder(out.absolute(), force=force) as folder:
        for array in arrays:
            with open(folder / array.file, "xb") as file:
                write_array(file, array.array, _rows(store, array, normalize, advance))
            with open(folder / array.labels, "xb") as file:
                write_value(file, _labels(store, array, labels))


def _arrays(store: Store, splits: Mapping[str, str | None], frames: int | None) -> list[_Array]:
    recorded = recorded_arrays(store, "stgcn")
    if not any(splits.values()) and recorded:
        _check_names(store, recorded)
        came = rows_as_they_came(store, {str(array["name"]): _split_of(array) for array in recorded})
        if came is not None:
            return [_recorded_array(store, array, came[str(array["name"])], frames) for array in recorded]
    parts = rows_of_splits(store, splits) if any(splits.values()) else usual_splits(store, splits, _TESTS)
    form = default_form(store, frames)
    if form is not None:
        refuse_large(store, form)
    row = (0, frames or 0, 0, 0) if form is None else _shape(form)
    dtype = np.dtype(np.float32) if form is None else form.dtype
    return [
        _Array(
            f"{rows.name}_data.npy",
            f"{rows.name}_label.pkl",
            _PLAIN,
            new_array((len(rows.positions), *row), dtype),
            rows,
            form,
        )
        for rows in parts
    ]


def _split_of(recorded: dict[str, Json]) -> str | None:
    split = recorded.get("split")
    return split if isinstance(split, str) else None


def _check_names(store: Store, recorded: list[dict[str, Json]]) -> None:
    """Raise StoreError unless the record has different names of files, without folders: a store may be untrusted."""
    names = [name for array in recorded for name in (array["name"], array.get("labels"))]
    for name in names:
        if not isinstance(name, str) or PurePosixPath(name).name != name or name in ("", "..") or "\0" in name:
            raise StoreError(f"{store.path}: {name!r} is recorded as a file of its source, but is not the name of one")
    if len(set(names)) != len(names):
        raise StoreError(f"{store.path}: two files of its source have the same name in its record")


def _recorded_array(store: Store, recorded: dict[str, Json], rows: Rows, frames: int | None) -> _Array:
    """An array as the source had it, with the rows that are left. If its videos do not fit any more, it is larger."""
    header, head = recorded_header(str(recorded["head"]), str(store.path))
    if len(header.shape) != 5:
        raise StoreError(f"{store.path}: the arrays in its source do not follow the format")
    stated = recorded.get("labels_form")
    labels_form = tuple(map(str, stated)) if isinstance(stated, list) else _PLAIN
    names = str(recorded["name"]), str(recorded["labels"]), labels_form
    row = header.shape[1:]
    form = form_of(store.at(rows.positions))
    if form is None:
        channels, t, joints, persons = row
        row = channels, t if frames is None else frames, joints, persons
        return _Array(*names, new_array((0, *row), header.dtype, (header, head)), rows, None)
    form = with_frames(store, form, frames if frames is not None else max(row[1], form.frames))
    form = form._replace(persons=max(form.persons, row[3]))
    if np.can_cast(form.dtype, header.dtype, "safe"):
        form = form._replace(dtype=header.dtype)
    refuse_large(store, form)
    shape = (len(rows.positions), *_shape(form))
    return _Array(*names, new_array(shape, form.dtype, (header, head)), rows, form)


def _shape(form: Form) -> tuple[int, int, int, int]:
    """(C, T, V, M)."""
    return form.channels, form.frames, form.joints, form.persons


def _rows(
    store: Store, array: _Array, normalize: str | None, advance: Callable[[int], None] | None
) -> Iterator[NDArray[Any]]:
    if array.form is None:
        return
    for clip in filled_clips(store, array.form, array.rows.positions):
        row = clip.transpose(3, 1, 2, 0)
        if normalize is not None:
            row = normalize_agcn(np.ascontiguousarray(row, np.float32))
        yield row
        if advance:
            advance(1)


def _labels(store: Store, array: _Array, labels: NDArray[np.int64]) -> Any:
    """The label pickle: names, labels and, if the source had one, a third column, in the containers of the source."""
    whole, *containers = array.labels_form
    positions = array.rows.positions
    columns: list[list[Any]] = [[_name(store, position) for position in positions]]
    if array.labels_form == _PLAIN:
        columns.append([int(labels[position]) for position in positions])
    else:
        columns += [
            [store.lazy(position)[key] for position in positions]
            for key in ("label", LABEL_INFO)[: len(containers) - 1]
        ]
    if len(columns) != len(containers):
        raise StoreError(f"{store.path}: the form of labels in its source does not follow the format")
    filled = [_column(store, column, form) for column, form in zip(columns, containers, strict=True)]
    return filled if whole == "list" else tuple(filled)


def _name(store: Store, position: int) -> str:
    name = store.name(position)
    if name is None:
        raise SourceError(f"{store.path}: the video at position {position} has no frame_dir; its label needs a name")
    return name


def _column(store: Store, column: list[Any], form: str) -> Any:
    if form in ("list", "tuple"):
        return column if form == "list" else tuple(column)
    try:
        if is_storable_dtype(dtype := np.dtype(form)):
            return np.array(column, dtype)
        raise TypeError(form)
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{store.path}: its labels do not fit the array that its source had ({error})") from None
