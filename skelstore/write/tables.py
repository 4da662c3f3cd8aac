"""The tables of a store: splits, the index of names, and how tables are written as Arrow files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.format import checksums, values
from skelstore.format.checksums import FileEntry
from skelstore.format.values import Json
from skelstore.splits import is_run
from skelstore.write import disk


def write_table(table: pa.Table, path: Path) -> FileEntry:
    """Write a table as one record batch of an uncompressed Arrow IPC file, which a reader can memory-map.

    A large one has the checksums of its blocks in its entry.
    """
    if any(column.num_chunks > 1 for column in table.columns):  # combine_chunks copies all columns
        table = table.combine_chunks()
    # Arrow encodes a str path as UTF-8, but the names of folders may have other bytes.
    with pa.OSFile(os.fsencode(path), "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
        for batch in table.to_batches():
            sink.write_batch(batch)
    entry = disk.seal_file(path)
    if entry.size < checksums.TABLE_BLOCKS_FROM:
        return entry
    blocks = checksums.measure_blocks(path, checksums.table_block_bytes(entry.size))
    return dataclasses.replace(entry, blocks=blocks)


def name_index(hashes: pa.ChunkedArray) -> pa.Table:
    """The hash table of the videos' names: the content of ``names.arrow``.

    A name with hash h belongs to bucket h mod n, where n is the number of named videos. ``video`` lists the videos
    bucket by bucket. ``bucket[b]`` is the position in that list at which bucket b starts; it ends where the next one
    starts.
    """
    named = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False)) if len(hashes) else np.zeros(0, np.int64)
    buckets = hashes.drop_null().to_numpy().astype(np.int64) % max(len(named), 1)
    order = np.argsort(buckets, kind="stable")
    starts = np.searchsorted(buckets[order], np.arange(len(named)))
    return pa.table({"bucket": pa.array(starts, pa.int64()), "video": pa.array(named[order], pa.int64())})


def splits_table(splits: Mapping[Any, Any]) -> pa.Table:
    """The content of ``splits.arrow``: one row per split.

    ``value`` is null if the name is a str and the ids are a list of str. Else it is JSON with the name and the ids,
    including their types.
    """
    rows: list[tuple[str, list[str], str | None]] = []
    for name, ids in splits.items():
        plain = type(ids) is list and all(type(i) is str and values.is_utf8(i) for i in [name, *ids])
        if plain:
            rows.append((name, ids, None))
        else:
            texts = [str(i) for i in ids if isinstance(i, str) and values.is_utf8(i)] if is_run(ids) else []
            exact = [values.encode(name), values.encode(ids, f"split[{name!r}]")]
            rows.append((shown_path([values.encode(name)]), texts, values.dumps(exact)))
    return pa.table(
        {
            "name": pa.array([row[0] for row in rows], pa.large_utf8()),
            "ids": pa.array([row[1] for row in rows], pa.large_list(pa.large_utf8())),
            "value": pa.array([row[2] for row in rows], pa.large_utf8()),
        }
    )


def shown_path(path: Sequence[Json]) -> str:
    """A path in an annotation as text: its keys, joined by dots."""
    shown = ".".join(str(values.decode(key)) for key in path)
    return shown.encode("utf-8", "replace").decode()
