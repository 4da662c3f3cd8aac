"""Joining finished parts into a store: links shard files, shifts rows and renumbers annotation layouts.

Nothing is decoded. The parts are not changed, so joining can be repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skelstore.format import chunking, values
from skelstore.format.checksums import FileEntry
from skelstore.format.layouts import FieldIdentity, of_keypoint
from skelstore.format.metadata import ArrayMetadata, ColumnMetadata, FieldMetadata, Manifest, StoreMetadata, to_bytes
from skelstore.format.schema import (
    INTERNAL_COLUMNS,
    LAYOUT_COLUMN,
    MANIFEST_KEY,
    NAMES_KEY,
    ORIGIN_COLUMNS,
    POSITION_COLUMN,
    ROOT_KEY,
    SPLITS_KEY,
    VIDEOS_KEY,
)
from skelstore.format.shards import ShardFile, trim_shard
from skelstore.format.values import Json
from skelstore.joints import keypoint_shapes, with_joints
from skelstore.write import disk
from skelstore.write.parts import Part
from skelstore.write.planning import Plan
from skelstore.write.tables import name_index, shown_path, splits_table, write_table

_RESERVED = "skelstore."
"""Prefix of the names of columns that are not values of an annotation; no other column name starts with it."""

_MOST_OPENED = 64
"""A part's table with more columns stays mapped: opening it once per column would take longer than writing the part."""

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-@.")


class Names:
    """Allocates names that are not taken yet."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}  # some file systems are case-insensitive

    def give(self, *wishes: str) -> str:
        """Take the first free name of ``wishes``, or the last one with a number appended."""
        for wish in wishes:
            if wish.lower() not in self._taken:
                break
        else:
            wish = next(w for i in range(2, 1 << 30) if (w := f"{wishes[-1]}~{i}").lower() not in self._taken)
        self._taken.add(wish.lower())
        return wish


class Shards:
    """How the shards of parts come into a store: by links to their files, or by copies if there can be no link."""

    def take(self, written: Path, target: Path) -> None:
        """Make a shard of a part a shard of the store."""
        disk.link_or_copy(written, target)

    def require(self, written: Path) -> None:
        """Make sure that the bytes of a shard of a part are at its path."""


def join(
    parts: Sequence[Part],
    plan: Plan,
    splits: Mapping[Any, Any] | None,
    source: dict[str, Json],
    folder: Path,
    using: Shards | None = None,
) -> None:
    """Join the parts, in the given order, into a store in an empty folder.

    ``splits`` is the dict that a pickle holds under ``split``. ``source`` describes where the data came from. The root
    ``zarr.json`` is written last. ``using`` moves shards that are elsewhere.
    """
    columns: dict[str, ColumnMetadata] = {}
    fields: dict[str, FieldIdentity] = {}
    column_names: dict[tuple[str, str], str] = {}
    field_names: dict[FieldIdentity, str] = {}
    names = Names(INTERNAL_COLUMNS)
    folders = Names([ROOT_KEY, MANIFEST_KEY, VIDEOS_KEY, SPLITS_KEY, NAMES_KEY])
    for field in (field for part in parts for field in part.fields):
        if field not in field_names:
            name = folders.give(*_field_wishes(field))
            field_names[field] = name
            fields[name] = field
            for what in _field_columns(field):
                names.give(f"{name}.{what}")
    for column in (column for part in parts for column in part.columns):
        key = values.dumps(column.path), column.type
        if key not in column_names:
            shown = shown_path(column.path) or "annotation"
            if shown.startswith(_RESERVED):
                shown = f"value:{shown}"
            column_names[key] = names.give(shown, f"{shown}:{column.type}")
            columns[column_names[key]] = column
    metadata, shards, starts = _join_arrays(parts, plan, fields, field_names, folder, using or Shards())
    layouts: list[Json] = []
    layout_ids: dict[str, int] = {}
    tables: list[_PartTable] = []
    for number, part in enumerate(parts):
        renamed = {f"column {i}": column_names[values.dumps(c.path), c.type] for i, c in enumerate(part.columns)}
        column_ids = dict(enumerate(renamed.values()))
        own = [field_names[field] for field in part.fields]
        mapping = []
        for node in part.layouts:
            named = name_layout(node, column_ids, dict(enumerate(own)))
            text = values.dumps(named)
            if text not in layout_ids:
                layout_ids[text] = len(layouts)
                layouts.append(named)
            mapping.append(layout_ids[text])
        tables.append(_PartTable(part, mapping, renamed, own, [starts[name][number] for name in own]))
    files = _write_tables(tables, columns, fields, splits or {}, folder)
    described = {name: array.to_json(name) for name, array in metadata.items()}
    for name, node in described.items():
        files[f"{name}/{ROOT_KEY}"] = disk.write_file(folder / name / ROOT_KEY, to_bytes(node))
    manifest = disk.write_file(folder / MANIFEST_KEY, Manifest(files, shards).to_bytes())
    root = StoreMetadata(
        videos=sum(part.videos for part in parts),
        profile=plan.profile,
        columns=columns,
        fields={name: FieldMetadata(tuple(values.loads(field.path)), field.ragged) for name, field in fields.items()},
        layouts=layouts,
        source=with_joints(source, keypoint_shapes(of_keypoint(fields.values()))),
        manifest=manifest,
    )
    disk.sync_tree(folder)
    disk.write_file(folder / ROOT_KEY, root.to_bytes(described))


def _field_columns(field: FieldIdentity) -> list[str]:
    """The table's columns for a field: a video's first row, and the lengths of its ragged axes."""
    return ["row", *(f"dim{axis}" for axis in range(field.ragged))]


def _field_wishes(field: FieldIdentity) -> tuple[str, str]:
    """Preferred names of an array, safe as a Zarr node and as a folder on every system."""
    shown = "".join(c if c in _SAFE else "_" for c in shown_path(values.loads(field.path)))[:80].strip("._ ") or "field"
    if f"{shown}.".startswith(_RESERVED):
        shown = f"value_{shown}"
    described = "x".join(str(n) for n in field.trailing) or "flat"
    order = "be" if field.dtype.startswith(">") else ""
    return shown, f"{shown}.{np.dtype(field.dtype).newbyteorder('=').name}{order}.{field.ragged}.{described}"


def _join_arrays(
    parts: Sequence[Part],
    plan: Plan,
    fields: dict[str, FieldIdentity],
    field_names: dict[FieldIdentity, str],
    folder: Path,
    using: Shards,
) -> tuple[dict[str, ArrayMetadata], dict[str, ShardFile], dict[str, list[int]]]:
    """Bring all shards into place; return each array's metadata, its shards, and the first row of each part in it."""
    metadata = {}
    shards: dict[str, ShardFile] = {}
    starts = {}
    for name, field in fields.items():
        (folder / name).mkdir()
        planned = plan.metadata(field)
        numbers = [next((i for i, own in enumerate(part.fields) if own == field), -1) for part in parts]
        rows = [part.rows[i] if i >= 0 else 0 for part, i in zip(parts, numbers, strict=True)]
        starts[name], total = chunking.part_offsets(rows, planned.shard_rows)
        shard_rows = planned.shard_rows
        trimmed = total <= shard_rows and field not in plan.given
        used = -(-total // planned.chunk_rows) if trimmed else 0
        for part, number, start in zip(parts, numbers, starts[name], strict=True):
            for shard, file in enumerate(part.shards[number] if number >= 0 else []):
                key = f"{name}/{planned.shard_key(start // shard_rows + shard)}"
                written = part.folder / part.shard_key(number, shard)
                if used:
                    using.require(written)
                    shards[key] = trim_shard(written, folder / key, planned.chunks_per_shard, used)
                else:
                    using.take(written, folder / key)
                    shards[key] = file
        if used:
            shard_rows = used * planned.chunk_rows
        metadata[name] = dataclasses.replace(planned, rows=total, shard_rows=shard_rows)
    return metadata, shards, starts


def name_layout(node: Json, columns: Mapping[Any, Any], fields: Mapping[Any, Any]) -> Json:
    """Rename the columns and fields of an annotation layout; inside a part their names are numbers."""
    ((kind, body),) = node.items()
    if kind == "column":
        return {"column": columns[body]}
    if kind == "field":
        return {"field": fields[body]}
    if kind == "tuple":
        return {"tuple": [name_layout(child, columns, fields) for child in body]}
    if kind == "dict":
        return {"dict": [[key, name_layout(child, columns, fields)] for key, child in body]}
    return node


class _PartTable:
    """A part's table with the column names, layout numbers and rows of the whole store.

    Its columns are ``LAYOUT_COLUMN``, ``ORIGIN_COLUMNS``, ``POSITION_COLUMN``, ``name hash``, ``column <name>``,
    ``field <name> row`` and ``field <name> dim<j>``. They are read one by one, so that memory does not hold the tables
    of all parts: mapped pages are memory of this process, too.
    """

    def __init__(
        self, part: Part, layouts: list[int], columns: dict[str, str], fields: list[str], starts: list[int]
    ) -> None:
        table = part.table()
        self.videos = part.videos
        self._part = part
        self._kept = table if len(table.column_names) > _MOST_OPENED else None
        self._layouts = np.asarray(layouts, np.int32)
        self._names = {}  # in the part, by the names above
        self._starts = {}  # first row in the whole array, by the names above
        for name in table.column_names:
            if name.startswith("field "):
                number, _, what = name.removeprefix("field ").partition(".")
                joined = f"field {fields[int(number)]} {what}"
                if what == "row":
                    self._starts[joined] = starts[int(number)]
            elif name in columns:
                joined = f"column {columns[name]}"
            else:
                joined = {"layout": LAYOUT_COLUMN, "name": "name hash"}.get(name, name)
            self._names[joined] = name

    def has(self, name: str) -> bool:
        """Whether the table has this column."""
        return name in self._names

    def column(self, name: str) -> pa.ChunkedArray:
        """A column; the part's table is mapped until the column is dropped."""
        column = (self._part.table() if self._kept is None else self._kept)[self._names[name]]
        if name == LAYOUT_COLUMN:
            return pa.chunked_array([pa.array(self._layouts[column.to_numpy()], pa.int32())])
        return pc.add(column, self._starts[name]) if name in self._starts else column


def _whole_column(tables: list[_PartTable], name: str) -> pa.Array:
    """A column of all videos, null for those of parts that do not have it."""
    # combine_chunks copies, so that the file of one part is mapped at a time.
    found = [table.column(name).combine_chunks() if table.has(name) else None for table in tables]
    kind = next(column.type for column in found if column is not None)
    chunks = [
        pa.nulls(table.videos, kind) if column is None else column for table, column in zip(tables, found, strict=True)
    ]
    return pa.chunked_array(chunks, kind).combine_chunks()


def _write_tables(
    tables: list[_PartTable],
    columns: dict[str, ColumnMetadata],
    fields: dict[str, FieldIdentity],
    splits: Mapping[Any, Any],
    folder: Path,
) -> dict[str, FileEntry]:
    """Write the three Arrow files; return the size and checksum of each."""
    named = any(table.has("name hash") for table in tables)
    hashes = _whole_column(tables, "name hash") if named else pa.nulls(0, pa.uint32())
    # Before videos.arrow: the columns of that table take as much memory as the file.
    names = write_table(name_index(hashes), folder / NAMES_KEY)
    ids = write_table(splits_table(splits), folder / SPLITS_KEY)
    shown: dict[str, pa.Array] = {}
    for name in columns:
        shown[name] = _whole_column(tables, f"column {name}")
    shown[LAYOUT_COLUMN] = _whole_column(tables, LAYOUT_COLUMN) if tables else pa.array([], pa.int32())
    for name in (*ORIGIN_COLUMNS, POSITION_COLUMN):
        if any(table.has(name) for table in tables):
            shown[name] = _whole_column(tables, name)
    for name, field in fields.items():
        for what in _field_columns(field):
            shown[f"{name}.{what}"] = _whole_column(tables, f"field {name} {what}")
    return {VIDEOS_KEY: write_table(pa.table(shown), folder / VIDEOS_KEY), NAMES_KEY: names, SPLITS_KEY: ids}
