"""What the page knows about one store and its videos."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view.answers import LONGEST_NAME, as_plain, shorten
from converters.view.columns import (
    NONE,
    Labels,
    Shapes,
    persons_of,
    read_frames,
    read_labels,
    read_names,
    read_persons,
    read_shapes,
)
from converters.view.requests import RequestError
from converters.view.splits import Splits
from skelstore import Store
from skelstore.errors import SkelstoreError
from skelstore.joints import LAYOUTS, JointLayout, convert
from skelstore.read.store import table_rows


class Catalogue:
    """The table of a whole store. Columns are read on first use, as arrays."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.splits = Splits(store)
        self._reader, _ = table_rows(store)

    def __len__(self) -> int:
        return len(self.store)

    @cached_property
    def digest(self) -> str:
        """Differs from that of every other store, also of those that were at the same path."""
        return blake2b(self._reader.identity, digest_size=12).hexdigest()

    def refuse_replaced(self) -> None:
        """Raise StoreReplacedError if the store was replaced or removed since it was opened."""
        self._reader.refuse_replaced()

    @cached_property
    def labels(self) -> Labels:
        return read_labels(self.store)

    @cached_property
    def shapes(self) -> Shapes:
        return read_shapes(self.store)

    @cached_property
    def frames(self) -> NDArray[np.int64]:
        return read_frames(self.store, self.shapes)

    @cached_property
    def persons(self) -> NDArray[np.int64]:
        """The numbers of persons. Of 240,000 compressed videos, they are read in four seconds, once they are needed."""
        return read_persons(self.store, self.shapes)

    @cached_property
    def names(self) -> Any:
        return read_names(self.store)

    @cached_property
    def class_names(self) -> list[str] | None:
        return self.store.class_names

    @cached_property
    def layout(self) -> JointLayout | None:
        """The joint layout; that of Kinect v2 for raw NTU RGB+D."""
        return LAYOUTS["ntu-25"] if self.form == "raw" else self.store.joints.layout

    @cached_property
    def layouts(self) -> list[JointLayout]:
        """The joint layouts to which the joints of the store can be converted."""
        source = self.layout
        return [] if source is None else [target for target in LAYOUTS.values() if _converts(source, target)]

    @cached_property
    def form(self) -> str:
        """``dense``, ``compressed``, ``raw`` (NTU RGB+D as recorded) or ``other``, as most of the videos are."""
        if self.store.source.get("recipe") == "raw":
            return "raw"
        axes = self.shapes.axes
        dense, any_form = int((axes[:, 3] != NONE).sum()), int((axes[:, 0] != NONE).sum())
        if not any_form:
            return "other"
        return "dense" if 2 * dense >= any_form else "compressed"

    @cached_property
    def dimensions(self) -> int:
        """3 if most of the dense keypoints have three coordinates, or for raw NTU RGB+D, else 2."""
        if self.form == "raw":
            return 3
        axes = self.shapes.axes
        dense = axes[:, 3] != NONE
        return 3 if 2 * int((axes[dense, 3] == 3).sum()) > int(dense.sum()) else 2

    def find(self, name: str) -> int:
        """The row of the first video with this name. Raises VideoNotFoundError, which suggests similar names."""
        rows = self._reader.rows_named(name)
        return rows[0] if rows else self.store.index(name)

    def row(self, row: int) -> int:
        """The row, if there is a video. Raises RequestError if not."""
        if row >= len(self):
            raise RequestError(f"{self.store.path} has {len(self):,} videos, none at row {row}", status=404)
        return row

    def label(self, row: int) -> Any:
        """The label of a video for JSON: a number, a text or a list of these; None if it has none."""
        code = int(self.labels.codes[row])
        return None if code == NONE else as_plain(self.labels.values[code])

    def class_of(self, label: Any) -> str | None:
        """The class name of a label as ``label`` returns it."""
        names = self.class_names
        if names is None or not isinstance(label, int) or not 0 <= label < len(names):
            return None
        return shorten(names[label])

    def name(self, row: int) -> str | None:
        """The name of a video, shortened if it is very long. None if it has none."""
        name = self.store.name(row)
        return None if name is None else shorten(str(name), LONGEST_NAME)

    def describe(self, row: int) -> dict[str, Any]:
        """What a list of videos shows of one."""
        label = self.label(row)
        return {
            "row": row,
            "name": self.name(row),
            "label": label,
            "class": self.class_of(label),
            "frames": _number(self.frames[row]),
            "persons": _number(persons_of(self.store, self.shapes, row)),
        }


def _number(value: Any) -> int | None:
    return None if value == NONE else int(value)


def _converts(source: JointLayout, target: JointLayout) -> bool:
    if source.name == target.name:
        return False
    try:
        convert(np.zeros((len(source), 2), np.float32), None, source, target)
    except SkelstoreError:
        return False
    return True
