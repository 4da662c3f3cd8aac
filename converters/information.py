"""Describing the content of a store, for ``skelstore info``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from converters.conversion.shuffling import recorded_seed
from skelstore import Store
from skelstore.joints import LAYOUTS
from skelstore.read.store import table_rows
from skelstore.read.videos import source_positions
from skelstore.splits import is_run
from skelstore.wording import counted, shown, shown_names, shown_title

_JOINT_FIELDS = ("keypoint", "keypoint_score")

_SHOWN_CLASSES = 5

TRACKING_NUMBERS = ("detections", "kept", "duplicates", "persons", "gaps", "interpolated")
"""The numbers in ``tracking`` of an annotation that was tracked which can be summed."""


def information(store: Store) -> dict[str, Any]:
    """The videos, splits, labels, fields, joints, persons, frames and sizes of a store, as a dict for JSON."""
    table = store.videos
    stored = sum(store.files().values())
    arrays = sum(field.rows * _row_bytes(field.dtype, field.trailing) for field in store.fields.values())
    source_size = store.source.get("size")
    return {
        "path": str(store.path),
        "videos": len(store),
        "profile": store.profile,
        "source": {
            key: value for key, value in store.source.items() if key in ("dialect", "name", "size", "downloaded")
        },
        "order": order_of(store),
        "left_out": len(store.source.get("left_out", [])),
        "splits": [
            {"name": shown_title(name), "ids": len(ids), "videos": len(store.split(name))} for name, ids in _runs(store)
        ],
        "labels": _labels(table),
        "fields": [
            {
                "name": name,
                "dtype": field.dtype.str,
                "shape": [*_ragged(table, name, field.ragged), *field.trailing],
                "videos": len(table) - table[f"{name}.row"].null_count,
                "rows": field.rows,
            }
            for name, field in store.fields.items()
        ],
        "joints": sorted(_joints(store)),
        "joint_layout": _joint_layout(store),
        "class_names": store.class_names,
        "tracking": _tracking(store),
        "persons": _range(table, "keypoint.dim0") if "keypoint.dim1" in table.column_names else None,
        "frames": _range(table, "total_frames"),
        "columns": {name: str(table.schema.field(name).type) for name in table.column_names},
        "array_bytes": arrays,
        "stored_bytes": stored,
        "ratio_to_arrays": round(stored / arrays, 4) if arrays else None,
        "ratio_to_source": round(stored / source_size, 4) if source_size else None,
    }


def order_of(store: Store) -> dict[str, Any]:
    """Whether videos are in another order than in the source, and the seed with which they were shuffled, if known."""
    reader, _ = table_rows(store)
    return {"of_source": source_positions(reader) is None, "seed": recorded_seed(store.source)}


def order_text(order: dict[str, Any]) -> str | None:
    """The result of ``order_of`` as text; None for the order of the source."""
    if order["of_source"]:
        return None
    how = "another than in the source" if order["seed"] is None else f"shuffled with seed {order['seed']}"
    return f"{how}; an export restores that of the source"


def downloads(about: Mapping[str, Any]) -> list[str]:
    """The URL and the checksum of each downloaded file; ``about`` is the record of the source."""
    downloaded = about.get("downloaded")
    files = downloaded.values() if isinstance(downloaded, dict) else ()
    return [f"{file.get('url')}, sha256 {file.get('sha256')}" for file in files if isinstance(file, dict)]


def shown_classes(names: Sequence[str]) -> str:
    """The first classes with their labels, and how many there are: ``0 'clap', 1 'wave'``."""
    first = ", ".join(f"{label} {shown(name)}" for label, name in enumerate(names[:_SHOWN_CLASSES]))
    return first if len(names) <= _SHOWN_CLASSES else f"{first} … ({len(names):,} in all)"


def notes(store: Store) -> list[str]:
    """What the user should know about data that a conversion left out."""
    sentences = []
    if left_out := len(store.source.get("left_out", [])):
        sentences.append(f"left out {counted(left_out, 'video')}; `skelstore info --json` says which and why")
    if unlisted := store.source.get("unlisted"):
        sentences.append(f"left out {counted(unlisted, 'video')} that the table does not list")
    if derived := store.source.get("derived"):
        names = shown_names(derived) if isinstance(derived, list) else shown(derived)
        sentences.append(f"left out {names}: bones and motion are derived from the joints")
    if boxes := store.source.get("boxes"):
        without, unused = boxes.get("videos_without"), boxes.get("without_video")
        if without or unused:
            videos = counted(without or 0, "video has", "videos have")
            sentences.append(f"{videos} no boxes, and {counted(unused or 0, 'box', 'boxes')} no video")
    if isinstance(told := store.source.get("notes"), list):
        sentences += [f"note: {note}" for note in told if isinstance(note, str)]
    return sentences + _notes_of_clips(store.videos, lists_frames=store.source.get("lists_frames") is True)


def _notes_of_clips(table: pa.Table, *, lists_frames: bool) -> list[str]:
    """What columns of a source of detections say about its clips (``converters.inputs.detections``).

    ``lists_frames`` says that its files list every frame, so that there is no doubt which is the first.
    """
    sentences = []
    if empty := _sum(table, "empty_persons"):
        sentences.append(f"left out {counted(empty, 'person')} without joints")
    if means := _sum(table, "mean_box_scores"):
        sentences.append(
            f"{counted(means, 'person has', 'persons have')} the mean of the scores of joints as box_score"
        )
    if "not_kept" in table.column_names and table["not_kept"].type in (pa.string(), pa.large_string()):
        names = sorted(
            {name for text in pc.unique(table["not_kept"].drop_null()).to_pylist() for name in text.split(", ")}
        )
        sentences.append(f"not kept from the files: {shown_names(names, 10)}")
    if not lists_frames and "first_frame" in table.column_names and table["first_frame"].type == pa.int64():
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(table["first_frame"]).to_pylist()}
        if len(counts) > 1:
            kinds = " and ".join(
                f"{counted(counts[first], 'clip')} from {first}" for first in sorted(counts) if first is not None
            )
            sentences.append(f"frames are counted {kinds}: state --first-frame if all clips are of one kind")
    return sentences


def _tracking(store: Store) -> dict[str, Any] | None:
    """How persons were tracked, and the sums of the numbers that the videos have; None if they were not tracked."""
    settings = store.source.get("tracking")
    if not isinstance(settings, dict):
        return None
    table = store.videos
    return {"settings": settings, **{name: _sum(table, f"tracking.{name}") for name in TRACKING_NUMBERS}}


def tracking_line(numbers: dict[str, Any]) -> str:
    """The numbers of ``information(store)["tracking"]`` in one line."""
    kept = f"{numbers['kept']:,} of {counted(numbers['detections'], 'detection')} kept"
    gaps = f"{counted(numbers['gaps'], 'frame')} in gaps, {numbers['interpolated']:,} interpolated"
    most = shown(numbers["settings"].get("max_persons"))
    found = f"{counted(numbers['persons'], 'person')} found, at most {most} kept per video"
    return f"{found}; {kept}, {counted(numbers['duplicates'], 'duplicate')}; {gaps}"


def _sum(table: pa.Table, name: str) -> int:
    if name not in table.column_names or not pa.types.is_integer(table[name].type):
        return 0
    return pc.sum(table[name]).as_py() or 0


def _joints(store: Store) -> set[int]:
    """V of every keypoint array; V of Kinect v2 if the store has raw NTU RGB+D data."""
    if _is_raw_ntu(store):
        return {len(LAYOUTS["ntu-25"])}
    fields = (field for name, field in store.fields.items() if name == "keypoint" or name.startswith("keypoint."))
    return {field.trailing[0] for field in fields if len(field.trailing) == 2}


def _joint_layout(store: Store) -> dict[str, Any]:
    """The joint layout, whether it was stated, and if not, why it was recognised."""
    if _is_raw_ntu(store):
        return {"name": "ntu-25", "stated": True, "reason": "NTU RGB+D is recorded in it", "derived": []}
    known = store.joints
    name = known.layout.name if known.layout else None
    return {"name": name, "stated": known.stated, "reason": known.reason, "derived": list(known.derived)}


def _is_raw_ntu(store: Store) -> bool:
    return store.source.get("recipe") == "raw"


def _runs(store: Store) -> list[tuple[Any, Any]]:
    return [(name, ids) for name, ids in store.splits.items() if is_run(ids)]


def _row_bytes(dtype: np.dtype[Any], trailing: tuple[int, ...]) -> int:
    return int(np.prod(trailing, dtype=np.int64)) * dtype.itemsize


def _ragged(table: pa.Table, name: str, ragged: int) -> list[str | int]:
    """The ragged axes of an array: letters, as in PYSKL's documentation, or the length if all videos have the same."""
    if ragged == 1:
        return ["N"]
    if ragged == 2 and (name.partition(".")[0] in _JOINT_FIELDS or _have_same_rows(table, name, "keypoint", 2)):
        return ["M", "T"]
    first = "N" if _have_same_rows(table, name, "frame_inds", 1) else "n0"
    axes = [pc.unique(table[f"{name}.dim{axis}"].drop_null()).to_pylist() for axis in range(1, ragged)]
    return [first, *(axis[0] if len(axis) == 1 else f"n{n}" for n, axis in enumerate(axes, 1))][:ragged]


def _have_same_rows(table: pa.Table, name: str, other: str, axes: int) -> bool:
    """Whether an array has the same lengths as another one along the first axes, in all videos."""
    pairs = [(f"{name}.dim{axis}", f"{other}.dim{axis}") for axis in range(axes)]
    there = set(table.column_names)
    return all({one, two} <= there and table[one].equals(table[two]) for one, two in pairs)


def _labels(table: pa.Table) -> dict[str, Any] | None:
    """The number of different labels, the number of videos with a label and, if labels are numbers, their range."""
    columns = [name for name in table.column_names if name == "label" or name.startswith("label:")]
    if not columns:
        return None
    labels: dict[str, Any] = {"videos": sum(len(table) - table[name].null_count for name in columns)}
    labels["distinct"] = sum(pc.count_distinct(table[name]).as_py() for name in columns)
    if len(columns) == 1 and pa.types.is_integer(table.schema.field(columns[0]).type):
        labels |= pc.min_max(table[columns[0]]).as_py()
    return labels


def _range(table: pa.Table, name: str) -> dict[str, float] | None:
    if name not in table.column_names or not pa.types.is_integer(table.schema.field(name).type):
        return None
    if table[name].null_count == len(table):
        return None
    return {**pc.min_max(table[name]).as_py(), "mean": round(pc.mean(table[name]).as_py(), 1)}


def as_lines(found: dict[str, Any]) -> list[str]:
    """The result of ``information`` as text."""
    source = found["source"]
    lines = [
        f"{found['path']}: {counted(found['videos'], 'video')}, profile {found['profile']}",
        "source    " + ", ".join(str(source[key]) for key in ("dialect", "name") if key in source),
        *(f"from      {text}" for text in downloads(source)),
        *([f"order     {order}"] if (order := order_text(found["order"])) else []),
    ]
    lines += [
        f"split     {s['name']}: {counted(s['ids'], 'id')}, {counted(s['videos'], 'video')}" for s in found["splits"]
    ]
    if labels := found["labels"]:
        span = f", {labels['min']} to {labels['max']}" if "min" in labels else ""
        lines.append(f"labels    {labels['distinct']:,} different{span}, in {counted(labels['videos'], 'video')}")
    for field in found["fields"]:
        shape = ", ".join(map(str, field["shape"]))
        lines.append(f"field     {field['name']}: {field['dtype']} [{shape}] in {counted(field['videos'], 'video')}")
    if found["joints"]:
        lines.append(f"joints    {', '.join(map(str, found['joints']))}: {_layout_line(found['joint_layout'])}")
    if names := found["class_names"]:
        lines.append(f"classes   {counted(len(names), 'name')}, {names[0]!r} to {names[-1]!r}")
    if tracking := found["tracking"]:
        lines.append(f"tracking  {tracking_line(tracking)}")
    for what in ("persons", "frames"):
        if spread := found[what]:
            lines.append(f"{what:<10}{spread['min']} to {spread['max']}, {spread['mean']} on average")
    if found["left_out"]:
        lines.append(f"left out  {counted(found['left_out'], 'video')} of the source")
    ratio = found["ratio_to_source"]
    versus = f", {ratio:.3f} of the source's {source['size']:,}" if ratio is not None else ""
    lines.append(f"size      {counted(found['stored_bytes'], 'byte')} for {found['array_bytes']:,} of arrays{versus}")
    return lines


def _layout_line(layout: dict[str, Any]) -> str:
    if layout["stated"]:
        return (
            f"{layout['name']}, derived: {', '.join(layout['derived'])}" if layout["derived"] else str(layout["name"])
        )
    guess = f"perhaps {layout['name']}" if layout["name"] else "layout not known"
    return f"{guess} ({layout['reason']})"
