"""Where the data of a report come from: what a store or a source tells about itself, and what it takes on disk."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from converters.conversion.source import Source
from converters.information import downloads, notes, order_of, order_text
from converters.report.statistics import Statistics
from skelstore import Store
from skelstore.format.schema import FORMAT_VERSION, MANIFEST_KEY
from skelstore.joints import JointLayout, recognise
from skelstore.read.store import table_rows
from skelstore.wording import counted, file_name

__all__ = ["Origin", "origin_of"]

_MOST_TEXT = 300
_HIDDEN = (
    "document",
    "left_out",
    "kpfiles",
    "arrays",
    "notes",
    "class_names",
    "joints",
    "ignored",
    "downloaded",
    "shuffled",
)
"""Entries of a store's record of its source that are long, or shown elsewhere."""


@dataclass(frozen=True)
class Origin:
    """What a report says about a data set before its videos.

    ``facts`` are (what, text). ``disk`` has the bytes of each array and table on disk; empty for a source. ``layout``
    is the joint layout, stated or recognised, as ``layout_text`` says.
    """

    title: str
    kind: str
    facts: list[tuple[str, str]]
    disk: dict[str, int]
    bytes: int | None
    class_names: list[str]
    layout: JointLayout | None
    layout_text: str
    notes: list[str]


def origin_of(opened: Store | Source, statistics: Statistics) -> Origin:
    """Describe a store or a source; ``statistics`` tell which joints a source has."""
    if isinstance(opened, Store):
        return _of_store(opened)
    about = opened.description()
    size = about.get("size")
    guess = recognise(joints.shape for joints in statistics.joints.values())
    names = about.get("class_names")
    facts = [("Dialect", opened.dialect), *_facts(about), ("Report made by", f"skelstore {version('skelstore')}")]
    return Origin(
        title=file_name(Path(opened.path.name)),
        kind="source",
        facts=facts,
        disk={},
        bytes=size if isinstance(size, int) else None,
        class_names=[str(name) for name in names] if isinstance(names, list) else [],
        layout=guess.layout,
        layout_text=f"perhaps {guess.layout.name} ({guess.reason})" if guess.layout else guess.reason,
        notes=[str(note) for note in about.get("notes") or [] if isinstance(note, str)],
    )


def _of_store(store: Store) -> Origin:
    disk: Counter[str] = Counter()
    for name, size in store.files().items():
        disk[name.partition("/")[0]] += size
    known = store.joints
    if known.layout is None:
        text = known.reason
    else:
        text = f"{known.layout.name} (stated)" if known.stated else f"perhaps {known.layout.name} ({known.reason})"
    reader, _ = table_rows(store)
    manifest = reader.metadata.manifest
    copy = reader.files.copy(MANIFEST_KEY, manifest.size, manifest.crc32c)  # of a store at a URL; else the file itself
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    facts = [
        ("Store", f"format version {FORMAT_VERSION}, profile {store.profile}"),
        ("Converted from", str(store.source.get("dialect"))),
        *_facts(store.source),
        *([("Order of the videos", order)] if (order := order_text(order_of(store))) else []),
        ("Joints", text),
        ("SHA-256 of manifest.json", digest),
        ("Report made by", f"skelstore {version('skelstore')}"),
    ]
    return Origin(
        title=file_name(Path(store.path.name)),
        kind="store",
        facts=facts,
        disk=dict(disk),
        bytes=disk.total(),
        class_names=store.class_names or [],
        layout=known.layout,
        layout_text=text,
        notes=notes(store),
    )


def _facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a record of a source says, in the order of its keys; long values are shortened."""
    titles = {"name": "Source", "size": "Size of the source", "recipe": "Recipe", "task": "Task"}
    facts = []
    for key, value in about.items():
        if key in _HIDDEN or key == "dialect":
            continue
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if key == "size" and isinstance(value, int):
            text = counted(value, "byte")
        facts.append((titles.get(key, key), text))
    facts += [("Downloaded from", text) for text in downloads(about)]
    return [(title, text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…") for title, text in facts]
