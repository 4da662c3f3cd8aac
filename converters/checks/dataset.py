"""Finding problems that would make training fail or go wrong: ``skelstore check``.

A check reads each video once, one at a time. It keeps only a few numbers per video (the digest of its name, its label)
and the first few examples per kind of problem, so memory does not grow with the arrays or the number of problems.
A data set can be checked in shares, which other processes may do: ``check_share`` for each, ``conclude`` for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from converters.checks.names import Names, check_splits, name_key
from converters.checks.problems import Report
from converters.checks.values import Labels, Shapes
from converters.checks.video import video_problems
from converters.choices import MODELS, Model
from converters.conversion.source import SkippedVideoError, Source
from converters.dialects import ntu
from converters.dialects.registry import open_source
from converters.online.location import is_store, locate_source
from skelstore import Store
from skelstore.errors import SkelstoreError, SourceError, StoreError
from skelstore.format import values
from skelstore.joints import JointLayout
from skelstore.read.store import reading_in_turn
from skelstore.remote.url import Url

__all__ = [
    "MODELS",
    "Findings",
    "Model",
    "Videos",
    "check",
    "check_share",
    "conclude",
    "first_name_key",
    "open_any",
    "opened_for_check",
    "videos_of",
]


@dataclass(frozen=True)
class Videos:
    """A store or a source, as a check sees it.

    ``header`` returns what can be read of a damaged video. ``left_out`` lists (id, reason) of the videos that were left
    out, such as those of a table of contents without skeletons; they are reported as problems if ``complain`` is true.
    If ``raw``, the videos are raw NTU RGB+D, to which the checks of annotations do not apply.
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
    raw: bool = False

    def __len__(self) -> int:
        return self.count


@contextmanager
def opened_for_check(
    path: str | os.PathLike[str] | Url, dialect: str | None = None, **of_source: Any
) -> Iterator[Videos]:
    """Open the videos of a store, or of a source with ``open_source``, which is called with ``of_source``.

    Raises what opening raises, and SourceError for raw NTU RGB+D data (recipe ``raw``), which no pipeline accepts.
    """
    opened = open_any(path, dialect, **of_source)
    try:
        videos = videos_of(opened)
        if videos.raw:
            raise SourceError(_raw_refusal(opened))
        yield videos
    finally:
        opened.close()


def _raw_refusal(opened: Store | Source) -> str:
    what = "raw NTU RGB+D data, which no pipeline accepts"
    derived = "the store that `skelstore derive` makes from"
    if isinstance(opened, Store):
        return f"{opened.path} has {what}: check {derived} it"
    if opened.dialect == ntu.NAME:
        return f"{opened.path} is {what}: check it with --recipe pyskl or mmaction2"
    return f"{opened.path} is {what}: convert it, and check {derived} that"


def open_any(path: str | os.PathLike[str] | Url, dialect: str | None = None, **of_source: Any) -> Store | Source:
    """Open a store, or a source with ``open_source``, which is called with ``of_source``. Raises what they raise."""
    if dialect is None and not any(of_source.values()) and is_store(locate_source(path)):
        return skelstore.open(path)
    return open_source(path, dialect, skip_missing=of_source.get("kpfiles") is not None, **of_source)


def videos_of(opened: Store | Source) -> Videos:
    """The videos of a store or a source, as a check sees them; a source is indexed to its end."""
    if isinstance(opened, Store):
        return Videos(
            opened.path,
            len(opened),
            reading_in_turn(opened),
            "video {}".format,
            opened.splits,
            header=opened.lazy,
            left_out=_left_out(opened.source, opened.path),
            layout=opened.joints.layout if opened.joints.stated else None,
            class_names=opened.class_names,
            raw=opened.source.get("recipe") == "raw",
        )
    about = opened.description()
    return Videos(
        opened.path,
        len(opened),
        lambda i: opened.video(i)[0],
        opened.place,
        opened.splits(),
        left_out=_left_out(about, opened.path),
        complain=True,
        raw=about.get("recipe") == "raw",
    )


def _left_out(about: Mapping[str, Any], path: Path | Url) -> list[tuple[Any, str]]:
    try:
        return [(values.decode(entry["name"]), str(entry["reason"])) for entry in about.get("left_out", [])]
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path}: its record of videos that were left out is not as the format says") from error


@dataclass
class Findings:
    """What was found in a share of the videos. It can be pickled, and merged with that of the next share.

    ``skipped`` are (id, reason) of the videos that the source skipped.
    """

    report: Report
    names: Names
    labels: Labels
    shapes: Shapes
    skipped: list[tuple[Any, str]] = field(default_factory=list)

    def merge(self, later: Findings) -> None:
        self.report.merge(later.report)
        self.names.merge(later.names)
        self.labels.merge(later.labels)
        self.shapes.merge(later.shapes)
        self.skipped += later.skipped


def check(videos: Videos, model: Model | None = None, advance: Callable[[int], None] | None = None) -> Report:
    """Report all problems of the videos and their splits and, if a model is named, those for its pipeline."""
    return conclude(videos, check_share(videos, range(len(videos)), first_name_key(videos), model, advance))


def first_name_key(videos: Videos) -> str:
    """The key of the names: ``filename`` if the first video that can be read has one, else ``frame_dir``."""
    for i in range(len(videos)):
        with suppress(SkelstoreError):
            return name_key(videos.header(i) or videos.annotation(i))
    return "frame_dir"


def check_share(
    videos: Videos,
    share: range,
    key: str,
    model: Model | None = None,
    advance: Callable[[int], None] | None = None,
    see: Callable[[int, Mapping[Any, Any]], None] | None = None,
) -> Findings:
    """Check the videos at the positions ``share``, whose names have the ``key`` of ``first_name_key``.

    ``see`` is called with the position of each video that could be read, and its annotation, so that others need not
    read it again.
    """
    report = Report(str(videos.path), len(videos))
    found = Findings(report, Names(key), Labels(videos.class_names), Shapes(videos.layout))
    for i in share:
        try:
            annotation = videos.annotation(i)
        except SkippedVideoError as error:
            found.skipped.append((error.name, error.reason))
            report.add("left-out", error.name, videos.place(i), error.reason)
        except SkelstoreError as error:
            name = None
            if header := videos.header(i):
                with suppress(SkelstoreError):  # the name or the label may be damaged, too
                    name = found.names.add(header, i, videos.place(i), False, report)
                    found.labels.add(header, name, videos.place(i), report)
            report.add("unreadable", name, videos.place(i), str(error))
        else:
            _check_annotation(videos, i, annotation, model, found)
            if see:
                see(i, annotation)
        if advance:
            advance(1)
    return found


def _check_annotation(
    videos: Videos, i: int, annotation: Mapping[Any, Any], model: Model | None, found: Findings
) -> None:
    place = videos.place(i)
    name = found.names.add(annotation, i, place, bool(videos.splits), found.report)
    if not videos.raw:
        with np.errstate(all="ignore"):  # NaN and infinity are reported as problems
            problems = list(video_problems(annotation, model))
        for kind, detail in problems:
            found.report.add(kind, name, place, detail)
        found.shapes.add(annotation, name, place, found.report)
    found.labels.add(annotation, name, place, found.report)


def conclude(videos: Videos, found: Findings) -> Report:
    """The report of a check, from what was found in all videos; changes ``found``."""
    report = found.report
    if not len(videos):
        report.add("no-video", None, "", "the list of annotations is empty")
    if videos.complain:
        for left, reason in videos.left_out:
            report.add("skeletons-missing", left if isinstance(left, str) else None, "", reason)

    def name(position: int) -> str:
        return str((videos.header(position) or videos.annotation(position))[found.names.key])

    found.names.report_duplicates(name, videos.place, report)
    found.labels.finish(report)
    found.shapes.finish(report)
    known = found.names.all_digests([*videos.left_out, *found.skipped])
    named = check_splits(videos.splits, known, report)
    if named is not None:
        found.names.report_unsplit(named, len(videos.splits), name, videos.place, report)
    return report
