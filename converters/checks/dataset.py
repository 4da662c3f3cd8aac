"""Finding problems that would make training fail or go wrong: ``skelstore check``.

A check reads each video once, one at a time. It keeps only a few numbers per video (the digest of its name, its label)
and the first few examples per kind of problem, so memory does not grow with the arrays or the number of problems.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import skelstore
from converters.checks.problems import SHOWN, Report, Tally
from converters.checks.video import Poses, as_int, poses, video_problems
from converters.choices import MODELS, Model
from converters.conversion.source import SkippedVideoError
from converters.dialects import ntu
from converters.dialects.registry import open_source
from converters.online.location import is_store, locate_source
from skelstore.errors import SkelstoreError, SourceError, StoreError
from skelstore.format import values
from skelstore.joints import JointLayout
from skelstore.remote.url import Url
from skelstore.splits import is_run
from skelstore.wording import counted, full_repr, kind_of, shown, shown_names, shown_title

__all__ = ["MODELS", "Model", "Videos", "check", "opened_for_check"]

_MOST_SHAPES = 64
_ROLE = re.compile(r"(?P<head>.*?)(?P<role>train(ing)?|val(id(ation)?)?|test(ing)?|dev|eval)(?P<tail>[_-]?\d*)", re.I)


@dataclass(frozen=True)
class Videos:
    """A store or a source, as a check sees it.

    ``header`` returns what can be read of a damaged video. ``left_out`` lists (id, reason) of the videos that were left
    out, such as those of a table of contents without skeletons; they are reported as problems if ``complain`` is true.
    """

    path: Path | Url
    count: int
    annotation: Callable[[int], Mapping[Any, Any]]
    place: Callable[[int], str]
    splits: Mapping[Any, Any]
    header: Callable[[int], Mapping[Any, Any]] = lambda i: {}
    left_out: Sequence[tuple[Any, str]] = ()
    complain: bool = False
    layout: JointLayout | None = None
    class_names: Sequence[str] | None = None

    def __len__(self) -> int:
        return self.count


@contextmanager
def opened_for_check(
    path: str | os.PathLike[str] | Url, dialect: str | None = None, **of_source: Any
) -> Iterator[Videos]:
    """Open the videos of a store, or of a source with ``open_source``, which is called with ``of_source``.

    Raises what opening raises, and SourceError for raw NTU RGB+D data (recipe ``raw``), which no pipeline accepts.
    """
    if dialect is None and not any(of_source.values()) and is_store(locate_source(path)):
        with skelstore.open(path) as store:
            if store.source.get("recipe") == "raw":
                raise SourceError(
                    f"{store.path} has raw NTU RGB+D data, which no pipeline accepts: check the store that `skelstore "
                    "derive` makes from it"
                )
            yield Videos(
                store.path,
                len(store),
                store.__getitem__,
                "video {}".format,
                store.splits,
                header=store.lazy,
                left_out=_left_out(store.source, store.path),
                layout=store.joints.layout if store.joints.stated else None,
                class_names=store.class_names,
            )
        return
    source = open_source(path, dialect, skip_missing=of_source.get("kpfiles") is not None, **of_source)
    try:
        about = source.description()
        if about.get("recipe") == "raw":
            remedy = "check it with --recipe pyskl or mmaction2"
            if source.dialect != ntu.NAME:
                remedy = "convert it, and check the store that `skelstore derive` makes from that"
            raise SourceError(f"{source.path} is raw NTU RGB+D data, which no pipeline accepts: {remedy}")
        yield Videos(
            source.path,
            len(source),
            lambda i: source.video(i)[0],
            source.place,
            source.splits(),
            left_out=_left_out(about, source.path),
            complain=True,
        )
    finally:
        source.close()


def _left_out(about: Mapping[str, Any], path: Path | Url) -> list[tuple[Any, str]]:
    try:
        return [(values.decode(entry["name"]), str(entry["reason"])) for entry in about.get("left_out", [])]
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path}: its record of videos that were left out is not as the format says") from error


def check(videos: Videos, model: Model | None = None, advance: Callable[[int], None] | None = None) -> Report:
    """Report all problems of the videos and their splits and, if a model is named, those for its pipeline."""
    report = Report(str(videos.path), len(videos))
    names, labels, shapes = _Names(), _Labels(videos.class_names), _Shapes(videos.layout)
    left_out = list(videos.left_out)
    if not len(videos):
        report.add("no-video", None, "", "the list of annotations is empty")
    for i in range(len(videos)):
        try:
            annotation = videos.annotation(i)
        except SkippedVideoError as error:
            names.skip()
            left_out.append((error.name, error.reason))
            report.add("left-out", error.name, videos.place(i), error.reason)
        except SkelstoreError as error:
            name = None
            if header := videos.header(i):
                with suppress(SkelstoreError):  # the name or the label may be damaged, too
                    name = names.add(header, videos.place(i), False, report)
                    labels.add(header, name, videos.place(i), report)
            else:
                names.skip()
            report.add("unreadable", name, videos.place(i), str(error))
        else:
            name = names.add(annotation, videos.place(i), bool(videos.splits), report)
            with np.errstate(all="ignore"):  # NaN and infinity are reported as problems
                problems = list(video_problems(annotation, model))
            for kind, detail in problems:
                report.add(kind, name, videos.place(i), detail)
            labels.add(annotation, name, videos.place(i), report)
            shapes.add(annotation, name, videos.place(i), report)
        if advance:
            advance(1)
    if videos.complain:
        for left, reason in videos.left_out:
            report.add("skeletons-missing", left if isinstance(left, str) else None, "", reason)
    names.finish(videos, report)
    labels.finish(report)
    shapes.finish(report)
    named = _check_splits(videos.splits, names.digests(left_out), report)
    if named is not None:
        names.report_unsplit(named, videos, report)
    return report


def _digest(name: object) -> int:
    """64 bits of a name: two of a million names collide once in 10^7 data sets."""
    text = name if isinstance(name, str) else f"\0{full_repr(name)}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class _Names:
    """The names by which splits identify videos: as in PYSKL, ``filename`` if the first video has one."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._digests = array("Q")
        self._positions = array("q")
        self._next = 0

    def skip(self) -> None:
        self._next += 1

    def add(self, annotation: Mapping[Any, Any], place: str, needed: bool, report: Report) -> str | None:
        """Add a video's name and return it; None if it has none."""
        if self._key is None:
            self._key = "filename" if "filename" in annotation else "frame_dir"
        position, self._next = self._next, self._next + 1
        name = annotation.get(self._key)
        if isinstance(name, str):
            self._digests.append(_digest(name))
            self._positions.append(position)
            return str(name)
        if needed or self._key in annotation:
            detail = f"{self._key} is {kind_of(name)}" if self._key in annotation else f"{self._key} is missing"
            report.add("name-missing", None, place, detail)
        return None

    def finish(self, videos: Videos, report: Report) -> None:
        """Report duplicate names."""
        digests = np.array(self._digests, np.uint64)
        order = np.argsort(digests, kind="stable")
        again = order[1:][digests[order[1:]] == digests[order[:-1]]]
        again.sort()
        tally = Tally()
        for i in again[:SHOWN].tolist():
            position = self._positions[i]
            first = self._positions[int(np.argmax(digests == digests[i]))]
            tally.add(
                self._name(position, videos), videos.place(position), f"{videos.place(first)} has the same {self._key}"
            )
        tally.count = len(again)
        report.add_all("duplicate-name", tally)

    def report_unsplit(self, named: NDArray[np.uint64], videos: Videos, report: Report) -> None:
        """Report videos that no split names."""
        unsplit = np.flatnonzero(~np.isin(np.array(self._digests, np.uint64), named))
        tally = Tally()
        for i in unsplit[:SHOWN].tolist():
            position = self._positions[i]
            tally.add(
                self._name(position, videos),
                videos.place(position),
                f"in none of {counted(len(videos.splits), 'split')}",
            )
        tally.count = len(unsplit)
        report.add_all("split-none", tally)

    def _name(self, position: int, videos: Videos) -> str:
        return str((videos.header(position) or videos.annotation(position))[self._key])

    def digests(self, left_out: Sequence[tuple[Any, str]]) -> NDArray[np.uint64]:
        return np.array([*self._digests, *(_digest(name) for name, _ in left_out)], np.uint64)


class _Labels:
    """The labels of the videos."""

    def __init__(self, class_names: Sequence[str] | None) -> None:
        self._limit = None if class_names is None else len(class_names)
        self._labels = array("q")
        self._missing = Tally()
        self._seen = 0

    def add(self, annotation: Mapping[Any, Any], name: str | None, place: str, report: Report) -> None:
        self._seen += 1
        label = annotation.get("label")
        if label is None:
            self._missing.add(name, place, "label is missing" if "label" not in annotation else "label is None")
            return
        for element in label if isinstance(label, (list, tuple)) else [label]:
            number = as_int(element)
            if number is None:
                continue  # another type, which is reported by ``video_problems``
            if number < 0 or number >= (1 << 63 if self._limit is None else self._limit):
                known = "" if self._limit is None else f", but there are {counted(self._limit, 'class name')}"
                report.add("label-range", name, place, f"label is {shown(number)}{known}")
            else:
                self._labels.append(number)

    def finish(self, report: Report) -> None:
        if self._seen and self._missing.count == self._seen:
            report.add("labels-none", None, "", counted(self._seen, "video"))
        else:
            report.add_all("label-missing", self._missing)
        there = np.unique(np.array(self._labels, np.int64))
        if not len(there):
            return
        missing = int(there[-1]) + 1 - len(there)
        if missing:
            # Without a gap, the i-th label is i: the first one that is not shows the first gap.
            first = int(np.argmax(there != np.arange(len(there))))
            different = counted(len(there), "different label")
            detail = f"{different} up to {there[-1]}: {missing} below it missing, first {first}"
            report.add("label-gap", None, "", detail)


class _Shapes:
    """The number of joints (V) and coordinates (C) of the videos' keypoints."""

    def __init__(self, layout: JointLayout | None) -> None:
        self._layout = layout
        self._tallies: dict[tuple[int, int], Tally] = {}

    def add(self, annotation: Mapping[Any, Any], name: str | None, place: str, report: Report) -> None:
        skeletons = poses(annotation)
        if not isinstance(skeletons, Poses):
            return
        shape: tuple[int, int] = skeletons.points.shape[-2:]
        if self._layout is not None and shape[0] != len(self._layout):
            report.add("joints-layout", name, place, f"V is {shape[0]}, but {self._layout.name} was stated")
        if shape in self._tallies or len(self._tallies) < _MOST_SHAPES:
            tally = self._tallies.setdefault(shape, Tally())
            tally.add(name, place, f"{counted(shape[0], 'joint')} in {shape[1]}D")

    def finish(self, report: Report) -> None:
        if len(self._tallies) < 2:
            return
        usual = max(self._tallies.items(), key=lambda entry: entry[1].count)[0]
        for shape, tally in self._tallies.items():
            if shape != usual:
                for name, place, detail in tally.examples:
                    report.add("joints-mixed", name, place, f"{detail}; most videos have {usual[0]} in {usual[1]}D")
                report.problems["joints-mixed"].count += tally.count - len(tally.examples)


def _check_splits(splits: Mapping[Any, Any], names: NDArray[np.uint64], report: Report) -> NDArray[np.uint64] | None:
    """Report ids without a video, repeated ids, and ids in two splits that belong together.

    Returns the digests of all ids, or None if there are no ids.
    """
    digests: dict[Any, NDArray[np.uint64]] = {}
    for title, ids in splits.items():
        if not isinstance(ids, dict) and not is_run(ids):
            report.add("split-form", shown_title(title), "split", f"it is {kind_of(ids)}")
            continue
        own = np.array([_digest(name) for name in ids], np.uint64)
        digests[title] = np.unique(own)
        _add_ids(report, "split-unknown", shown_title(title), ids, ~np.isin(own, names))
        _add_ids(report, "split-repeated", shown_title(title), ids, _repeats(own))
    for first, second in combinations(digests, 2):
        if kind := _relation(shown_title(first), shown_title(second)):
            common = np.isin(digests[first], digests[second])
            if common.any():
                own = np.array([_digest(name) for name in splits[first]], np.uint64)
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


def _relation(first: str, second: str) -> str | None:
    """The kind of problem if an id is in both splits; None unless their names differ only in train, val or test."""
    a, b = _ROLE.fullmatch(first), _ROLE.fullmatch(second)
    if a is None or b is None or (a["head"].lower(), a["tail"]) != (b["head"].lower(), b["tail"]):
        return None
    training = [match["role"].lower().startswith("train") for match in (a, b)]
    if training == [True, True]:
        return None
    return "split-overlap" if any(training) else "split-shared"
