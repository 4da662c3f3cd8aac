"""A new store from an existing one with changed tables: arrays are linked, not read, so it costs only the tables.

A committed store never changes, so a revision is a new store. Files that are the same in both are hard-linked if the
file system supports it, else copied.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.errors import DamageError, StoreError
from skelstore.format import values
from skelstore.format.checksums import FileEntry
from skelstore.format.columns import ARROW_TYPES
from skelstore.format.files import local_path
from skelstore.format.layouts import Shredder
from skelstore.format.metadata import MAX_JSON_BYTES, ColumnMetadata, Manifest, from_bytes
from skelstore.format.schema import LAYOUT_COLUMN, MANIFEST_KEY, ROOT_KEY, SPLITS_KEY, VIDEOS_KEY
from skelstore.format.values import Json
from skelstore.read.reader import Reader
from skelstore.write import disk
from skelstore.write.column import Column
from skelstore.write.joining import Names, name_layout
from skelstore.write.tables import splits_table, write_table
from skelstore.write.workspace import Workspace

_LABEL = "label"
_NONE = object()


def revise(
    path: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    splits: Mapping[Any, Any] | None = None,
    labels: Callable[[Any], Any] | None = None,
    source: Mapping[str, Json] | None = None,
    force: bool = False,
) -> None:
    """Make a revised copy at ``destination`` of the store at ``path``.

    ``splits`` replaces its splits, ``source`` its source. ``labels`` maps the old ``label`` of a video to the new one;
    it is not called for a video without a label. Everything else, arrays included, stays the same.

    Raises what opening a store raises; DamageError if a file is missing or a shard does not match the manifest;
    StoreExistsError if the destination is taken; StoreError if an old or new label is an array; UnsupportedValueError
    if a new label is a value that no store can hold.
    """
    reader = Reader(local_path(path), "first")
    try:
        with Workspace(destination, force=force) as workspace:
            _write(reader, workspace.store, splits, labels, source)
            workspace.commit()
    finally:
        reader.files.close()


def _write(
    reader: Reader,
    folder: Path,
    splits: Mapping[Any, Any] | None,
    labels: Callable[[Any], Any] | None,
    source: Mapping[str, Json] | None,
) -> None:
    metadata = reader.metadata
    files = dict(reader.manifest.files)
    changed: dict[str, pa.Table] = {}
    if splits is not None:
        changed[SPLITS_KEY] = splits_table(splits)
    if labels is not None:
        changed[VIDEOS_KEY], columns, layouts = _relabel(reader, labels)
        metadata = dataclasses.replace(metadata, columns=columns, layouts=layouts)
    if source is not None:
        metadata = dataclasses.replace(metadata, source=dict(source))
    _require_files(reader)
    for name in metadata.fields:
        (folder / name).mkdir()
    for key in (*files, *reader.manifest.shards):
        if key in changed:
            files[key] = write_table(changed[key], folder / key)
        else:
            disk.link_or_copy(reader.folder / key, folder / key)
    nodes = {}
    for name in metadata.fields:
        key = f"{name}/{ROOT_KEY}"
        nodes[name] = from_bytes(reader.files.read_all(key, MAX_JSON_BYTES), str(reader.path / key))
    manifest: FileEntry = disk.write_file(folder / MANIFEST_KEY, Manifest(files, reader.manifest.shards).to_bytes())
    disk.sync_tree(folder)
    disk.write_file(folder / ROOT_KEY, dataclasses.replace(metadata, manifest=manifest).to_bytes(nodes))


def _require_files(reader: Reader) -> None:
    """Raise DamageError if a file of a store is missing, or the size or index of a shard is wrong."""
    for key in reader.manifest.files:
        if not (reader.folder / key).is_file():
            raise DamageError(f"{reader.path / key} is missing, so fetch or convert the store again")
    for array in reader.arrays.values():
        for number in range(array.metadata.shards):
            array.shard(number)


def _relabel(reader: Reader, labels: Callable[[Any], Any]) -> tuple[pa.Table, dict[str, ColumnMetadata], list[Json]]:
    """Make ``videos.arrow`` with new labels; return it with its columns and annotation layouts."""
    rows = reader.metadata.videos
    shredder = Shredder()  # takes the new labels apart as a writer does
    cells: list[tuple[list[int], list[Any]]] = []  # rows and values of each new column
    numbers: dict[tuple[int, int | None], int] = {}  # of new layouts, by old layout and layout of the new label
    chosen = np.zeros(rows, np.int32)
    for row, old in enumerate(reader.table[LAYOUT_COLUMN].to_pylist()):
        label, kind = _label(reader, row, reader.metadata.layouts[old]), None
        if label is not _NONE:
            shredded = shredder.shred({_LABEL: labels(label)})
            kind = shredded.layout
            _require_cells(reader, row, shredder.layouts[kind])
            cells += [([], []) for _ in shredder.columns[len(cells) :]]
            for number, value in zip(shredded.targets, shredded.leaves, strict=True):
                cells[number][0].append(row)
                cells[number][1].append(value)
        chosen[row] = numbers.setdefault((old, kind), len(numbers))
    added = [Column(ARROW_TYPES[column.type], 0) for column in shredder.columns]
    for column, (places, found) in zip(added, cells, strict=True):
        column.set(np.array(places, np.int64), found)
        column.flush(rows)
    kept = {name: c for name, c in reader.metadata.columns.items() if c.path[:1] != (_LABEL,)}
    rest = {name: reader.table[name] for name in reader.table.column_names if name not in reader.metadata.columns}
    rest[LAYOUT_COLUMN] = pa.array(chosen, pa.int32())
    names = Names([*kept, *rest])
    shown = [".".join(map(str, column.path)) for column in shredder.columns]
    given = [names.give(text, f"{text}:{c.type}") for text, c in zip(shown, shredder.columns, strict=True)]
    table = {name: reader.table[name] for name in kept}
    table |= {name: cell.array() for name, cell in zip(given, added, strict=True)} | rest
    columns = kept | dict(zip(given, shredder.columns, strict=True))
    new = [name_layout(layout, dict(enumerate(given)), {}) for layout in shredder.layouts]
    old_layouts = reader.metadata.layouts
    layouts = [old_layouts[old] if kind is None else _with_label(old_layouts[old], new[kind]) for old, kind in numbers]
    return pa.table(table), columns, layouts


def _label(reader: Reader, row: int, layout: Json) -> Any:
    """The label of a video, or ``_NONE`` if it has none."""
    if "dict" not in layout:
        raise StoreError(f"{_place(reader, row)} is stored whole, as JSON, so its label cannot be changed")
    entries = reader.entries(row)
    if _LABEL not in entries:
        return _NONE
    label = entries[_LABEL](row)
    if isinstance(label, np.ndarray):
        raise StoreError(f"{_place(reader, row)}: its label is an array, which cannot be changed")
    return label


def _place(reader: Reader, row: int) -> str:
    return f"{reader.path}: video {row} ({reader.name(row)!r})"


def _require_cells(reader: Reader, row: int, layout: Json) -> None:
    """Raise StoreError if a new label has arrays, or if labels have too many forms and one would be stored whole."""
    if "dict" not in layout or '{"field":' in values.dumps(layout):
        raise StoreError(
            f"{_place(reader, row)}: its new label is not a number or text, or a list, tuple or dict of these"
        )


def _with_label(layout: Json, label: Json) -> Json:
    """An annotation layout with the label's node replaced by the one of the layout ``label``."""
    ((key, node),) = label["dict"]
    return {"dict": [[name, node if name == key else child] for name, child in layout["dict"]]}
