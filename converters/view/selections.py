"""Selections of the videos of a store: the criteria, the rows that meet them in their order, and their groups."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from converters.selection import where
from converters.view.answers import as_plain, well_formed
from converters.view.catalogue import Catalogue
from converters.view.columns import NONE
from converters.view.requests import RequestError
from skelstore.errors import SkelstoreError
from skelstore.read.store import table_rows

SORTS = ("stored", "name", "label", "split", "frames", "persons")

MOST_GROUPS = 5_000
"""A selection with more groups is shown without headings."""

_KEPT_SELECTIONS = 24
_KEPT_EXPRESSIONS = 32
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


class Selections:
    """The last selections, by their ids: rows int32 [n], in order."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, NDArray[np.int32]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> NDArray[np.int32] | None:
        with self._lock:
            if key in self._rows:
                self._rows.move_to_end(key)
            return self._rows.get(key)

    def put(self, key: str, rows: NDArray[np.int32]) -> None:
        with self._lock:
            self._rows[key] = rows
            self._rows.move_to_end(key)
            while len(self._rows) > _KEPT_SELECTIONS:
                self._rows.popitem(last=False)


class Selector:
    """Selects videos of a store. The orders of all videos, and the results of the last expressions, are kept."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._orders: dict[tuple[str, bool], NDArray[np.int32]] = {}
        self._expressions: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def select(self, criteria: Criteria, problem: NDArray[np.bool_] | None) -> NDArray[np.int32]:
        """The rows of the videos that meet the criteria, in their order, int32 [n].

        ``problem`` bool [videos] are the videos with the problem, if the criteria name one. Raises RequestError if a
        criterion cannot be applied.
        """
        catalogue = self._catalogue
        keep = np.ones(len(catalogue), bool) if problem is None else problem.copy()
        if criteria.split is not None:
            keep &= catalogue.splits.mask(criteria.split)
        if criteria.labels:
            keep &= self._labelled(criteria.labels)
        if criteria.name is not None:
            keep &= self._named_like(criteria.name)
        if criteria.names:
            keep &= self._named(criteria.names)
        if criteria.persons_min is not None or criteria.persons_max is not None:
            keep &= _between(catalogue.persons, criteria.persons_min, criteria.persons_max)
        keep &= _between(catalogue.frames, criteria.frames_min, criteria.frames_max)
        if criteria.where is not None:
            keep &= self._meeting(criteria.where)
        order = self._order(criteria.sort, criteria.descending)
        chosen: NDArray[np.int32] = order[keep[order]]
        return chosen

    def groups(self, rows: NDArray[np.int32], sort: str) -> list[dict[str, Any]] | None:
        """The runs of equal labels, or sets of splits, in rows that are sorted by them, for JSON; else None.

        Also None if there are more than ``MOST_GROUPS``.
        """
        if sort not in ("label", "split") or not len(rows):
            return None
        catalogue = self._catalogue
        values, codes = catalogue.labels if sort == "label" else catalogue.splits.sets
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
            {"label": label, "class": catalogue.class_of(label), "videos": count}
            for label, count in zip(labels, counts, strict=True)
        ]

    def _labelled(self, texts: tuple[str, ...]) -> NDArray[np.bool_]:
        wanted = set(texts)
        values, codes = self._catalogue.labels
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
        found = pc.match_substring(self._catalogue.names, well_formed(text), ignore_case=True)
        mask: NDArray[np.bool_] = np.asarray(pc.fill_null(found, False))
        return mask

    def _named(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        reader, _ = table_rows(self._catalogue.store)
        mask = np.zeros(len(self._catalogue), bool)
        for name in names:
            mask[reader.rows_named(name)] = True
        return mask

    def _meeting(self, expression: str) -> NDArray[np.bool_]:
        with self._lock:
            bits = self._expressions.get(expression)
            if bits is not None:
                self._expressions.move_to_end(expression)
        if bits is None:
            bits = np.packbits(self._evaluate(expression))
            with self._lock:
                self._expressions[expression] = bits
                while len(self._expressions) > _KEPT_EXPRESSIONS:
                    self._expressions.popitem(last=False)
        return np.unpackbits(bits, count=len(self._catalogue)).astype(bool)

    def _evaluate(self, expression: str) -> NDArray[np.bool_]:
        try:
            view = where(self._catalogue.store, expression)
        except SkelstoreError as error:
            raise RequestError(str(error)) from error
        mask = np.zeros(len(self._catalogue), bool)
        mask[table_rows(view)[1]] = True
        return mask

    def _order(self, sort: str, descending: bool) -> NDArray[np.int32]:
        """The rows of all videos in an order; videos without the value come last."""
        kept = self._orders.get((sort, descending))
        if kept is not None:
            return kept
        if sort == "name":
            keys = [("", "descending" if descending else "ascending")]
            table = pa.table({"": self._catalogue.names})
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
            return self._catalogue.frames
        if sort == "persons":
            return self._catalogue.persons
        if sort == "stored":
            return np.arange(len(self._catalogue))
        if sort == "split":
            return self._catalogue.splits.sets.codes.astype(np.int64)
        values, codes = self._catalogue.labels
        ranks = np.full(len(values) + 1, NONE, np.int64)
        ranks[np.array(sorted(range(len(values)), key=lambda code: _label_key(values[code])), np.int64)] = np.arange(
            len(values)
        )
        return ranks[codes]


def _between(column: NDArray[np.int64], least: int | None, most: int | None) -> NDArray[np.bool_]:
    """Where a column is within bounds; a bound leaves out videos without the value."""
    inside = np.ones(len(column), bool)
    if least is not None:
        inside &= column >= max(least, 0)
    if most is not None:
        inside &= (column <= most) & (column != NONE)
    return inside


def _label_text(label: int | str) -> str:
    """A label as text, as the page sends it back in a filter."""
    return well_formed(str(as_plain(label)))


def _label_key(value: Any) -> tuple[int, int, str]:
    if isinstance(value, int):
        return 0, value, ""
    return (1, 0, value) if isinstance(value, str) else (2, 0, str(value))
