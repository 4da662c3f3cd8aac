"""What the page shows of a store as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from converters.view.answers import as_plain, key_text, shorten
from converters.view.catalogue import Catalogue
from converters.view.columns import NONE
from skelstore.joints import JointLayout
from skelstore.read.store import table_rows

_MOST_LABELS = 5_000
"""A store with more different labels does not list them."""
_MOST_CLASSES = 10_000
"""Class names beyond this number are not listed."""
_MOST_FIELDS = 200


def overview(catalogue: Catalogue) -> dict[str, Any]:
    """The title, numbers, splits, classes, joints and views of a store, for JSON."""
    store, splits, classes = catalogue.store, catalogue.splits, catalogue.class_names
    return {
        "title": shorten(store.path.name),
        "digest": catalogue.digest,
        "videos": len(catalogue),
        "form": catalogue.form,
        "dimensions": catalogue.dimensions,
        "splits": [{"name": title, "videos": int(splits.mask(title).sum())} for title in splits.titles],
        "classes": None if classes is None else [shorten(name) for name in classes[:_MOST_CLASSES]],
        "labels": _count_labels(catalogue),
        "joints": None if catalogue.layout is None else describe_layout(catalogue.layout),
        "views": list(_views(catalogue)),
        "persons_max": _most_persons(catalogue),
        "frames_max": int(max(catalogue.frames.max(initial=0), 0)),
        "fields": _fields(catalogue),
        "note": splits.damage,
    }


def describe_layout(layout: JointLayout) -> dict[str, Any]:
    """A joint layout for JSON."""
    return {
        "name": layout.name,
        "joints": list(layout.joints),
        "edges": [list(edge) for edge in layout.edges],
        "pairs": [list(pair) for pair in layout.pairs],
    }


def _count_labels(catalogue: Catalogue) -> list[dict[str, Any]] | None:
    """The videos per label, ascending; None if there are too many labels. A video counts for each of its labels."""
    values, codes = catalogue.labels
    if len(values) > _MOST_LABELS:
        return None
    videos: dict[Any, int] = {}
    counts = np.bincount(codes[codes != NONE], minlength=len(values)).tolist()
    for value, count in zip(values, counts, strict=True):
        for label in dict.fromkeys(value if isinstance(value, tuple) else (value,)):
            videos[label] = videos.get(label, 0) + count
    if len(videos) > _MOST_LABELS:
        return None
    ordered = sorted(
        videos, key=lambda label: (isinstance(label, str), label if isinstance(label, int) else str(label))
    )
    return [{"label": as_plain(label), "videos": videos[label]} for label in ordered]


def _views(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    yield {"name": "stored", "title": "as stored"}
    if catalogue.form == "compressed":
        yield {"name": "training", "title": "decompressed, as training reads it"}
        yield {"name": "tracked", "title": "tracked persons"}
    for layout in catalogue.layouts:
        yield {"name": f"layout:{layout.name}", "title": f"as {layout.name}", "joints": describe_layout(layout)}


def _most_persons(catalogue: Catalogue) -> int | None:
    """The largest M; None if no video is dense."""
    axes = catalogue.shapes.axes
    persons = axes[axes[:, 3] != NONE, 0]
    return int(persons.max()) if len(persons) else None


def _fields(catalogue: Catalogue) -> list[str]:
    """The keys of the annotations at their top level."""
    reader, _ = table_rows(catalogue.store)
    paths = [column.path for column in reader.metadata.columns.values()]
    paths += [field.path for field in reader.metadata.fields.values()]
    keys = dict.fromkeys(key_text(path[0]) for path in paths if path)
    return list(keys)[:_MOST_FIELDS]
