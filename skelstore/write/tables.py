"""The tables of a store: splits, the index of names, and Arrow files that are complete when they appear."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.format import values
from skelstore.format.checksums import FileEntry
from skelstore.format.values import Json
from skelstore.splits import is_run
from skelstore.write import disk


def write_table(table: pa.Table, path: Path) -> FileEntry:
    """Write a table as one record batch of an uncompressed Arrow IPC file, which a reader maps as it is."""
    # Arrow takes a path that is text as UTF-8, which the names of folders need not be.
    with pa.OSFile(os.fsencode(path), "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
        for batch in table.combine_chunks().to_batches():
            sink.write_batch(batch)
    return disk.seal_file(path)


def name_index(hashes: pa.ChunkedArray) -> pa.Table:
    """Hash table of the videos' names, as ``names.arrow`` holds it.

    A name with hash h belongs to bucket h mod n, n being the number of named videos. ``video`` lists the videos
    bucket by bucket, ``bucket[b]`` says where in that list bucket b begins (it ends where the next begins).
    """
    named = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False)) if len(hashes) else np.zeros(0, np.int64)
    buckets = hashes.drop_null().to_numpy().astype(np.int64) % max(len(named), 1)
    order = np.argsort(buckets, kind="stable")
    starts = np.searchsorted(buckets[order], np.arange(len(named)))
    return pa.table({"bucket": pa.array(starts, pa.int64()), "video": pa.array(named[order], pa.int64())})


def splits_table(splits: Mapping[Any, Any]) -> pa.Table:
    """``splits.arrow``: a row a split. ``value`` is null for a text -> list of texts, else name and ids with types."""
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
    shown = ".".join(str(values.decode(key)) for key in path)
    return shown.encode("utf-8", "replace").decode()
