"""The videos of one store: which ones meet conditions, in which order, and what a list of them shows."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from converters.selection import where
from converters.view.answers import LONGEST_NAME, as_plain, shorten, well_formed
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
from skelstore import Store
from skelstore.errors import SkelstoreError, SplitNotFoundError, StoreReplacedError
from skelstore.joints import LAYOUTS, JointLayout, convert
from skelstore.read.split_members import in_split
from skelstore.read.store import table_rows
from skelstore.wording import closest, shown, shown_title

SORTS = ("stored", "name", "label", "split", "frames", "persons")

MOST_SPLITS = 200
"""Splits beyond this number are not offered."""

MOST_LABELS = 5_000
"""A store with more different labels does not list them."""

MOST_GROUPS = 5_000
"""A selection with more groups is shown without headings."""

MOST_CLASSES = 10_000
"""Class names beyond this number are not listed."""

_KEPT_MASKS = 32
"""Number of expressions whose results are kept: one bit per video."""


class Criteria(NamedTuple):
    """The conditions that videos have to meet, and their order. None, or an empty tuple, is no condition."""

    split: str | None = None
    labels: tuple[str, ...] = ()
    name: str | None = None
    names: tuple[str, ...] = ()
    persons_min: int | None = None
    persons_max: int | None = None
    frames_min: int | None = None
    frames_max: int | None = None
    where: str | None = None
    problem: str | None = None
    sort: str = "stored"
    descending: bool = False


class Catalogue:
    """The table of a whole store. Columns are read on first use, as arrays."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._reader, _ = table_rows(store)
        self._masks: dict[tuple[str, str], NDArray[np.uint8]] = {}
        self._orders: dict[tuple[str, bool], NDArray[np.int32]] = {}
        self._lock = Lock()

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

    @cached_property
    def splits(self) -> dict[str, Any]:
        """The splits as they are shown -> their names in the store. None if they are damaged: see ``damage``."""
        titles: dict[str, Any] = {}
        for name in () if self.damage else self._reader.split_ids:
            titles.setdefault(well_formed(shorten(shown_title(name))), name)
            if len(titles) == MOST_SPLITS:
                break
        return titles

    @cached_property
    def damage(self) -> str | None:
        """A sentence if the splits cannot be read, so that the videos are shown without them."""
        try:
            _ = self._reader.split_ids
        except StoreReplacedError:
            raise
        except SkelstoreError as error:
            return str(error)
        return None

    def split(self, title: str) -> NDArray[np.bool_]:
        """For each video whether it is in a split, bool [videos]. Raises RequestError if there is no such split."""
        if title not in self.splits:
            raise RequestError(
                f"{self.store.path} has no split {shown(title)}{closest(title, self.splits)}", status=404
            )
        return self._kept("split", title)

    def _kept(self, kind: str, what: str) -> NDArray[np.bool_]:
        """A mask of the videos [videos]; the last ones are kept."""
        with self._lock:
            bits = self._masks.pop((kind, what), None)
            if bits is not None:
                self._masks[kind, what] = bits
        if bits is None:
            bits = np.packbits(self._in_split(what) if kind == "split" else self._where(what))
            with self._lock:
                self._masks[kind, what] = bits
                of_kind = [key for key in self._masks if key[0] == "where"]
                for key in of_kind[:-_KEPT_MASKS]:
                    del self._masks[key]
        return np.unpackbits(bits, count=len(self)).astype(bool)

    def _in_split(self, title: str) -> NDArray[np.bool_]:
        try:
            return in_split(self._reader, self.splits[title])
        except SplitNotFoundError:  # it is not a list of ids
            return np.zeros(len(self), bool)

    def _where(self, text: str) -> NDArray[np.bool_]:
        try:
            view = where(self.store, text)
        except SkelstoreError as error:
            raise RequestError(str(error)) from error
        mask = np.zeros(len(self), bool)
        mask[table_rows(view)[1]] = True
        return mask

    def select(self, criteria: Criteria, problem: NDArray[np.bool_] | None) -> NDArray[np.int32]:
        """The rows of the videos that meet the criteria, in their order, int32 [n].

        ``problem`` bool [videos] are the videos with the problem, if the criteria name one. Raises RequestError if a
        criterion cannot be applied.
        """
        keep = np.ones(len(self), bool) if problem is None else problem.copy()
        if criteria.split is not None:
            keep &= self.split(criteria.split)
        if criteria.labels:
            keep &= self._labelled(criteria.labels)
        if criteria.name is not None:
            keep &= self._named_like(criteria.name)
        if criteria.names:
            keep &= self._named(criteria.names)
        if criteria.persons_min is not None or criteria.persons_max is not None:
            keep &= _between(self.persons, criteria.persons_min, criteria.persons_max)
        keep &= _between(self.frames, criteria.frames_min, criteria.frames_max)
        if criteria.where is not None:
            keep &= self._kept("where", criteria.where)
        order = self._order(criteria.sort, criteria.descending)
        chosen: NDArray[np.int32] = order[keep[order]]
        return chosen

    def _labelled(self, texts: tuple[str, ...]) -> NDArray[np.bool_]:
        wanted = set(texts)
        values, codes = self.labels
        chosen = [
            code
            for code, value in enumerate(values)
            if any(_label_text(one) in wanted for one in (value if isinstance(value, tuple) else (value,)))
        ]
        # The code of videos without a label is that of the last place.
        table = np.zeros(len(values) + 1, bool)
        table[chosen] = True
        return table[codes]

    def _named_like(self, text: str) -> NDArray[np.bool_]:
        found = pc.match_substring(self.names, well_formed(text), ignore_case=True)
        mask: NDArray[np.bool_] = np.asarray(pc.fill_null(found, False))
        return mask

    def _named(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        mask = np.zeros(len(self), bool)
        for name in names:
            mask[self._reader.rows_named(name)] = True
        return mask

    def _order(self, sort: str, descending: bool) -> NDArray[np.int32]:
        """The rows of all videos in an order; videos without the value come last."""
        kept = self._orders.get((sort, descending))
        if kept is not None:
            return kept
        if sort == "name":
            keys = [("", "descending" if descending else "ascending")]
            table = pa.table({"": self.names})
            order = np.asarray(pc.sort_indices(table, keys)).astype(np.int32)  # nulls come last
        else:
            key = self._sort_key(sort)
            missing = key == NONE
            key = np.where(missing, np.iinfo(np.int64).max, -key if descending else key)
            order = np.argsort(key, kind="stable").astype(np.int32)
        self._orders[sort, descending] = order
        return order

    def _sort_key(self, sort: str) -> NDArray[np.int64]:
        if sort == "frames":
            return self.frames
        if sort == "persons":
            return self.persons
        if sort == "stored":
            return np.arange(len(self))
        if sort == "split":
            return self._split_sets.codes.astype(np.int64)
        values, codes = self.labels
        ranks = np.full(len(values) + 1, NONE, np.int64)
        ranks[np.array(sorted(range(len(values)), key=lambda code: _label_key(values[code])), np.int64)] = np.arange(
            len(values)
        )
        return ranks[codes]

    @cached_property
    def _split_sets(self) -> Labels:
        """The sets of splits that videos are in, as tuples of titles: like labels, and in order.

        If there are more than ``MOST_GROUPS`` sets, the last splits do not count.
        """
        codes, sets = np.zeros(len(self), np.int64), list[tuple[int, ...]]([()])
        for number, title in enumerate(self.splits):
            pairs, refined = np.unique(2 * codes + self.split(title), return_inverse=True)
            if len(pairs) > MOST_GROUPS:
                break
            codes = refined
            sets = [(*sets[pair // 2], number) if pair % 2 else sets[pair // 2] for pair in pairs.tolist()]
        order = sorted((code for code, numbers in enumerate(sets) if numbers), key=sets.__getitem__)
        ranks = np.full(len(sets), NONE, np.int32)
        ranks[np.array(order, np.int64)] = np.arange(len(order))
        titles = list(self.splits)
        return Labels([tuple(titles[number] for number in sets[code]) for code in order], ranks[codes])

    def groups(self, rows: NDArray[np.int32], sort: str) -> list[dict[str, Any]] | None:
        """The runs of equal labels, or sets of splits, in rows that are sorted by them, for JSON; else None.

        Also None if there are more than ``MOST_GROUPS``.
        """
        if sort not in ("label", "split") or not len(rows):
            return None
        values, codes = self.labels if sort == "label" else self._split_sets
        inside = codes[rows]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(inside)) + 1])
        if len(starts) > MOST_GROUPS:
            return None
        counts = np.diff(starts, append=len(rows)).tolist()
        found = [None if code == NONE else values[code] for code in inside[starts].tolist()]
        if sort == "split":
            return [{"splits": value or (), "videos": count} for value, count in zip(found, counts, strict=True)]
        labels = [None if value is None else as_plain(value) for value in found]
        return [
            {"label": label, "class": self.class_of(label), "videos": count}
            for label, count in zip(labels, counts, strict=True)
        ]

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


def _between(column: NDArray[np.int64], least: int | None, most: int | None) -> NDArray[np.bool_]:
    """Where a column is within bounds; a bound leaves out videos without the value."""
    inside = np.ones(len(column), bool)
    if least is not None:
        inside &= column >= max(least, 0)
    if most is not None:
        inside &= (column <= most) & (column != NONE)
    return inside


def _number(value: Any) -> int | None:
    return None if value == NONE else int(value)


def _label_text(label: int | str) -> str:
    """A label as text, as the page sends it back in a filter."""
    return well_formed(str(as_plain(label)))


def _label_key(value: Any) -> tuple[int, int, str]:
    if isinstance(value, int):
        return 0, value, ""
    return (1, 0, value) if isinstance(value, str) else (2, 0, str(value))


def _converts(source: JointLayout, target: JointLayout) -> bool:
    if source.name == target.name:
        return False
    try:
        convert(np.zeros((len(source), 2), np.float32), None, source, target)
    except SkelstoreError:
        return False
    return True
