"""What the hub shows of a store: a data card with blanks for its author, and the table of the videos as Parquet."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from converters.information import information, order_text
from skelstore.format.schema import LAYOUT_COLUMN
from skelstore.read.store import Store
from skelstore.remote.url import Url
from skelstore.wording import counted, escape

TABLE = "videos.parquet"

_ROWS = 1 << 16
"""Rows of a row group: what is in memory beside the table, which is mapped."""

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
_LETTERS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
"""Bounds of the hub's size_categories, and their names."""

_MOST_SPLITS = 200
_MOST_CLASSES = 2000


def data_card(store: Store, url: Url, table: str) -> str:
    """The text of README.md for a store that is published at a URL of the hub.

    The front matter (https://huggingface.co/docs/hub/datasets-cards) names ``table``, the path of the Parquet file in
    the data set, for the hub's viewer. Licence and citation are blanks. All text from the store is escaped: it is
    neither markup nor part of the front matter.
    """
    found = information(store)
    name = url.name
    lines = [
        "---",
        "# license: fill in, such as cc-by-4.0 (https://huggingface.co/docs/hub/repositories-licenses)",
        f"pretty_name: {json.dumps(name)}",
        "tags: [skeleton, action-recognition, pose, skelstore]",
        f"size_categories: [{json.dumps(_size_category(found['videos']))}]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: videos",
        f"    path: {json.dumps(table)}",
        "---",
        "",
        f"# {_plain(name)}",
        "",
        f"{counted(found['videos'], 'video')} of skeletons for action recognition, as a store of skelstore: Zarr v3 "
        f"arrays and Arrow tables. The table above is `{TABLE}`, a copy of the columns without arrays.",
        "",
        "```python",
        "import skelstore  # pip install 'skelstore[remote]'",
        "",
        f"store = skelstore.open({json.dumps(str(url))})",
        "annotation = store[0]",
        "```",
        "",
        "## Data",
        "",
        *_table("What", "Value", _facts(found)),
    ]
    if found["splits"]:
        rows: list[tuple[str, ...]] = [
            (_plain(s["name"]), f"{s['ids']:,}", f"{s['videos']:,}") for s in found["splits"][:_MOST_SPLITS]
        ]
        lines += ["", "## Splits", "", *_table("Split", "Ids", rows, "Videos")]
        if len(found["splits"]) > _MOST_SPLITS:
            lines += ["", f"… {len(found['splits']):,} splits in all."]
    if names := found["class_names"]:
        lines += ["", "## Classes", "", ", ".join(f"{i} {_plain(one)}" for i, one in enumerate(names[:_MOST_CLASSES]))]
    lines += ["", "## Where the data come from", "", *_table("What", "Value", _origin(store))]
    lines += ["", "(Who recorded or computed them, from which videos, with which tools: fill in.)"]
    lines += ["", "## Licence", "", "(Fill in, here and at the top of this file.)"]
    lines += ["", "## Citation", "", "(Fill in: the paper of the data set, in BibTeX.)", ""]
    return "\n".join(lines)


def write_table(store: Store, path: Path) -> None:
    """Write the table of the videos as a Parquet file, without the columns that only a reader of the store needs."""
    table = store.videos
    hidden = {LAYOUT_COLUMN, *(f"{name}.row" for name in store.fields)}
    table = table.select([name for name in table.column_names if name not in hidden])
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for start in range(0, max(len(table), 1), _ROWS):
            writer.write_table(table.slice(start, _ROWS))


def _facts(found: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("videos", f"{found['videos']:,}")]
    if order := order_text(found["order"]):
        rows.append(("order", order))
    if labels := found["labels"]:
        span = f", {labels['min']} to {labels['max']}" if "min" in labels else ""
        rows.append(("labels", f"{labels['distinct']:,} different{span}"))
    for field in found["fields"]:
        shape = ", ".join(map(str, field["shape"]))
        text = f"{np.dtype(field['dtype']).name} [{shape}] in {counted(field['videos'], 'video')}"
        rows.append((_plain(field["name"]), _plain(text)))
    if found["joints"]:
        layout = found["joint_layout"]
        stated = "" if layout["stated"] else f" (recognised, not stated: {layout['reason']})"
        rows.append(
            ("joints", f"{', '.join(map(str, found['joints']))}: {_plain(layout['name'] or 'not known')}{stated}")
        )
        if layout["derived"]:
            rows.append(("derived joints", _plain(", ".join(map(str, layout["derived"])))))
    for what in ("persons", "frames"):
        if spread := found[what]:
            rows.append((f"{what} per video", f"{spread['min']:,} to {spread['max']:,}, {spread['mean']:,} on average"))
    rows.append(("size", f"{counted(found['stored_bytes'], 'byte')} for {found['array_bytes']:,} of arrays"))
    return rows


def _origin(store: Store) -> list[tuple[str, ...]]:
    """What the store says about its source."""
    source = store.source
    rows: list[tuple[str, ...]] = []
    for key in ("dialect", "name", "size", "recipe", "task"):
        if isinstance(source.get(key), (str, int)):
            rows.append((key, _plain(f"{source[key]:,} bytes" if key == "size" else str(source[key]))))
    if isinstance(tracking := source.get("tracking"), dict):
        rows.append(("tracking", _plain(json.dumps(tracking))))
    if isinstance(left_out := source.get("left_out"), list) and left_out:
        rows.append(("left out", counted(len(left_out), "video")))
    if isinstance(notes := source.get("notes"), list):
        rows += [("note", _plain(str(note))) for note in notes[:_MOST_SPLITS]]
    return rows


def _table(first: str, second: str, rows: list[tuple[str, ...]], *more: str) -> list[str]:
    titles = [first, second, *more]
    return [_row(titles), _row(["---"] * len(titles)), *map(_row, rows)]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text from a store in Markdown: on one line, without effect as markup."""
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", html.escape(escape(text), quote=False))


def _size_category(videos: int) -> str:
    for i, bound in enumerate(_SIZES):
        if videos < bound:
            return f"n<{_LETTERS[0]}" if i == 0 else f"{_LETTERS[i - 1]}<n<{_LETTERS[i]}"
    return f"n>{_LETTERS[-1]}"
