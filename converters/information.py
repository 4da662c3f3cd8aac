"""What is in a store, for ``skelstore info``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from converters.pickle_arrays import short
from converters.showing import shown_title
from skelstore import Store
from skelstore.splits import is_run

_SHOWN_CLASSES = 5


def information(store: Store) -> dict[str, Any]:
    """Videos, splits, labels, fields, joints, persons and frames, and sizes of a store; all of it can go into JSON."""
    table = store.videos
    stored = sum(store.files().values())
    arrays = sum(field.rows * _row_bytes(field.dtype, field.trailing) for field in store.fields.values())
    source_size = store.source.get("size")
    return {
        "path": str(store.path),
        "videos": len(store),
        "profile": store.profile,
        "source": {key: value for key, value in store.source.items() if key in ("dialect", "name", "size")},
        "left_out": len(store.source.get("left_out", [])),
        "splits": [
            {"name": shown_title(name), "ids": len(ids), "videos": len(store.split(name))} for name, ids in _runs(store)
        ],
        "labels": _labels(table),
        "fields": [
            {
                "name": name,
                "dtype": field.dtype.str,
                "shape": [*_ragged(name, field.ragged), *field.trailing],
                "videos": len(table) - table[f"{name}.row"].null_count,
                "rows": field.rows,
            }
            for name, field in store.fields.items()
        ],
        "joints": sorted(_joints(store)),
        "joint_layout": _joint_layout(store),
        "class_names": store.class_names,
        "persons": _range(table, "keypoint.dim0") if "keypoint.dim1" in table.column_names else None,
        "frames": _range(table, "total_frames"),
        "columns": {name: str(table.schema.field(name).type) for name in table.column_names},
        "array_bytes": arrays,
        "stored_bytes": stored,
        "ratio_to_arrays": round(stored / arrays, 4) if arrays else None,
        "ratio_to_source": round(stored / source_size, 4) if source_size else None,
    }


def shown_classes(names: Sequence[str]) -> str:
    """The first classes with their labels, and how many there are: ``0 'clap', 1 'wave'``."""
    shown = ", ".join(f"{label} {short(name)}" for label, name in enumerate(names[:_SHOWN_CLASSES]))
    return shown if len(names) <= _SHOWN_CLASSES else f"{shown} … ({len(names)} in all)"


def notes(store: Store) -> list[str]:
    """What a person should know of what a conversion did not take."""
    found = []
    if left_out := len(store.source.get("left_out", [])):
        found.append(f"left out {left_out} videos; `skelstore info --json` says which and why")
    if unlisted := store.source.get("unlisted"):
        found.append(f"left out {unlisted} videos that the table does not list")
    if boxes := store.source.get("boxes"):
        without, unused = boxes.get("videos_without"), boxes.get("without_video")
        if without or unused:
            found.append(f"{without} videos have no boxes, and {unused} boxes no video")
    return found


def _joints(store: Store) -> set[int]:
    """V of every keypoint array."""
    found = (field for name, field in store.fields.items() if name == "keypoint" or name.startswith("keypoint."))
    return {field.trailing[0] for field in found if len(field.trailing) == 2}


def _joint_layout(store: Store) -> dict[str, Any]:
    """The layout of the joints, whether it was stated, and if not, what it was recognised from."""
    known = store.joints
    name = known.layout.name if known.layout else None
    return {"name": name, "stated": known.stated, "reason": known.reason, "derived": list(known.derived)}


def _runs(store: Store) -> list[tuple[Any, Any]]:
    return [(name, ids) for name, ids in store.splits.items() if is_run(ids)]


def _row_bytes(dtype: np.dtype[Any], trailing: tuple[int, ...]) -> int:
    return int(np.prod(trailing, dtype=np.int64)) * dtype.itemsize


def _ragged(name: str, ragged: int) -> list[str]:
    """Letters of the ragged axes, as PYSKL's documentation calls them."""
    return {1: ["N"], 2: ["M", "T"]}.get(ragged, [f"n{axis}" for axis in range(ragged)])


def _labels(table: pa.Table) -> dict[str, Any] | None:
    """How many labels there are, how many videos have one, and of numbers the range."""
    columns = [name for name in table.column_names if name == "label" or name.startswith("label:")]
    if not columns:
        return None
    found: dict[str, Any] = {"videos": sum(len(table) - table[name].null_count for name in columns)}
    found["distinct"] = sum(pc.count_distinct(table[name]).as_py() for name in columns)
    if len(columns) == 1 and pa.types.is_integer(table.schema.field(columns[0]).type):
        found |= pc.min_max(table[columns[0]]).as_py()
    return found


def _range(table: pa.Table, name: str) -> dict[str, float] | None:
    if name not in table.column_names or not pa.types.is_integer(table.schema.field(name).type):
        return None
    if table[name].null_count == len(table):
        return None
    return {**pc.min_max(table[name]).as_py(), "mean": round(pc.mean(table[name]).as_py(), 1)}


def as_lines(found: dict[str, Any]) -> list[str]:
    """The same for a person."""
    source = found["source"]
    lines = [
        f"{found['path']}: {found['videos']:,} videos, profile {found['profile']}",
        "source    " + ", ".join(str(source[key]) for key in ("dialect", "name") if key in source),
    ]
    lines += [f"split     {s['name']}: {s['ids']:,} ids, {s['videos']:,} videos" for s in found["splits"]]
    if labels := found["labels"]:
        span = f", {labels['min']} to {labels['max']}" if "min" in labels else ""
        lines.append(f"labels    {labels['distinct']:,} different{span}, in {labels['videos']:,} videos")
    for field in found["fields"]:
        shape = ", ".join(map(str, field["shape"]))
        lines.append(f"field     {field['name']}: {field['dtype']} [{shape}] in {field['videos']:,} videos")
    if found["joints"]:
        lines.append(f"joints    {', '.join(map(str, found['joints']))}: {_layout_line(found['joint_layout'])}")
    if names := found["class_names"]:
        lines.append(f"classes   {len(names):,} names, {names[0]!r} to {names[-1]!r}")
    for what in ("persons", "frames"):
        if spread := found[what]:
            lines.append(f"{what:<10}{spread['min']} to {spread['max']}, {spread['mean']} on average")
    if found["left_out"]:
        lines.append(f"left out  {found['left_out']:,} videos of the source")
    ratio = found["ratio_to_source"]
    versus = f", {ratio:.3f} of the source's {source['size']:,}" if ratio is not None else ""
    lines.append(f"size      {found['stored_bytes']:,} bytes for {found['array_bytes']:,} of arrays{versus}")
    return lines


def _layout_line(layout: dict[str, Any]) -> str:
    if layout["stated"]:
        return (
            f"{layout['name']}, derived: {', '.join(layout['derived'])}" if layout["derived"] else str(layout["name"])
        )
    guess = f"perhaps {layout['name']}" if layout["name"] else "layout not known"
    return f"{guess} ({layout['reason']})"
