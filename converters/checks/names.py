"""The names of the videos, and the splits that name them."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checks.problems import SHOWN, Report, Tally
from skelstore.splits import is_run
from skelstore.wording import counted, full_repr, kind_of, shown_names, shown_title

__all__ = ["Names", "check_splits", "digest_of", "name_key", "pairs_of_splits"]

_ROLE = re.compile(r"(?P<head>.*?)(?P<role>train(ing)?|val(id(ation)?)?|test(ing)?|dev|eval)(?P<tail>[_-]?\d*)", re.I)


def digest_of(name: object) -> int:
    """64 bits of a name: two of a million names collide once in 10^7 data sets."""
    text = name if isinstance(name, str) else f"\0{full_repr(name)}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def name_key(annotation: Mapping[Any, Any]) -> str:
    """The key of the names by which splits identify videos: as in PYSKL, ``filename`` if the first video has one."""
    return "filename" if "filename" in annotation else "frame_dir"


class Names:
    """Digests of the names of videos, and the positions of the videos; ``key`` is that of ``name_key``."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.digests = array("Q")
        self.positions = array("q")

    def add(self, annotation: Mapping[Any, Any], position: int, place: str, needed: bool, report: Report) -> str | None:
        """Add a video's name and return it; None if it has none."""
        name = annotation.get(self.key)
        if isinstance(name, str):
            self.digests.append(digest_of(name))
            self.positions.append(position)
            return str(name)
        if needed or self.key in annotation:
            detail = f"{self.key} is {kind_of(name)}" if self.key in annotation else f"{self.key} is missing"
            report.add("name-missing", None, place, detail)
        return None

    def merge(self, later: Names) -> None:
        self.digests.extend(later.digests)
        self.positions.extend(later.positions)

    def report_duplicates(self, name: Callable[[int], str], place: Callable[[int], str], report: Report) -> None:
        """Report duplicate names; ``name`` and ``place`` are those of the video at a position."""
        digests = np.array(self.digests, np.uint64)
        order = np.argsort(digests, kind="stable")
        again = order[1:][digests[order[1:]] == digests[order[:-1]]]
        again.sort()
        tally = Tally()
        for i in again[:SHOWN].tolist():
            position = self.positions[i]
            first = self.positions[int(np.argmax(digests == digests[i]))]
            tally.add(name(position), place(position), f"{place(first)} has the same {self.key}")
        tally.count = len(again)
        report.add_all("duplicate-name", tally)

    def report_unsplit(
        self,
        named: NDArray[np.uint64],
        splits: int,
        name: Callable[[int], str],
        place: Callable[[int], str],
        report: Report,
    ) -> None:
        """Report videos that none of the ``splits``, which have the ids ``named``, names."""
        unsplit = np.flatnonzero(~np.isin(np.array(self.digests, np.uint64), named))
        tally = Tally()
        for i in unsplit[:SHOWN].tolist():
            position = self.positions[i]
            tally.add(name(position), place(position), f"in none of {counted(splits, 'split')}")
        tally.count = len(unsplit)
        report.add_all("split-none", tally)

    def all_digests(self, left_out: Iterable[tuple[Any, str]]) -> NDArray[np.uint64]:
        """The digests of all names, and of the names of videos that were left out."""
        return np.array([*self.digests, *(digest_of(name) for name, _ in left_out)], np.uint64)


def check_splits(splits: Mapping[Any, Any], names: NDArray[np.uint64], report: Report) -> NDArray[np.uint64] | None:
    """Report ids without a video, repeated ids, and ids in two splits that belong together.

    Returns the digests of all ids, or None if there are no ids.
    """
    digests: dict[Any, NDArray[np.uint64]] = {}
    for title, ids in splits.items():
        if not isinstance(ids, dict) and not is_run(ids):
            report.add("split-form", shown_title(title), "split", f"it is {kind_of(ids)}")
            continue
        own = np.array([digest_of(name) for name in ids], np.uint64)
        digests[title] = np.unique(own)
        _add_ids(report, "split-unknown", shown_title(title), ids, ~np.isin(own, names))
        _add_ids(report, "split-repeated", shown_title(title), ids, _repeats(own))
    for first, second in combinations(digests, 2):
        if kind := _relation(shown_title(first), shown_title(second)):
            common = np.isin(digests[first], digests[second])
            if common.any():
                own = np.array([digest_of(name) for name in splits[first]], np.uint64)
                both = np.isin(own, digests[second]) & ~_repeats(own)
                _add_ids(report, kind, f"{first} and {second}", splits[first], both)
    named = np.concatenate([np.empty(0, np.uint64), *digests.values()])
    return named if len(named) else None


def _add_ids(report: Report, kind: str, title: str, ids: Any, which: NDArray[np.bool_]) -> None:
    if not which.any():
        return
    places = np.flatnonzero(which)
    listed = list(ids)
    first = shown_names([listed[i] for i in places[:6].tolist()])
    report.add(kind, title, "split", f"{len(places):,} of {counted(len(listed), 'id')}: {first}", len(places))


def _repeats(digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each digest has occurred before."""
    again = np.ones(len(digests), bool)
    again[np.unique(digests, return_index=True)[1]] = False
    return again


def pairs_of_splits(titles: Iterable[str]) -> list[tuple[str, str]]:
    """The splits for training and for evaluation whose names differ only in train, val or test."""
    pairs = []
    for first, second in combinations(titles, 2):
        if _relation(first, second) == "split-overlap":
            match = _ROLE.fullmatch(first)
            trains = match is not None and match["role"].lower().startswith("train")
            pairs.append((first, second) if trains else (second, first))
    return pairs


def _relation(first: str, second: str) -> str | None:
    """The kind of problem if an id is in both splits; None unless their names differ only in train, val or test."""
    a, b = _ROLE.fullmatch(first), _ROLE.fullmatch(second)
    if a is None or b is None or (a["head"].lower(), a["tail"]) != (b["head"].lower(), b["tail"]):
        return None
    training = [match["role"].lower().startswith("train") for match in (a, b)]
    if training == [True, True]:
        return None
    return "split-overlap" if any(training) else "split-shared"
