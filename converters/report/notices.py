"""What needs attention before a training: problems that a check finds, and what stands out in the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from converters.checks.names import pairs_of_splits
from converters.report.charts import number, percent
from converters.report.classes import Classes
from converters.report.gathering import Gathered
from converters.report.joints import joint_name, median_scores
from converters.report.origin import Origin
from converters.report.statistics import score_quantile
from skelstore.wording import counted

__all__ = ["Notice", "notices"]

IMBALANCE = 10
"""Ratio of the largest to the smallest class from which it is worth a notice."""
_FEW_VIDEOS = 10
_MISSING = 0.2
"""Share of skeletons without a joint from which it is worth a notice."""
_LOW_SCORE = 0.3
_EMPTY_FRAMES = 0.02
_GAPS = 0.05
_USUAL_PERSONS = 2
"""Persons that most pipelines keep."""
_SPREAD = 10
_SHOWN = 3


class Notice(NamedTuple):
    """One line at the top of a report, with the section that has more about it."""

    severity: Literal["error", "warning", "note"]
    text: str
    section: str


def notices(gathered: Gathered, origin: Origin, classes: Classes) -> list[Notice]:
    """What needs attention, errors first."""
    found: list[Notice] = []
    for kind, about, tally in gathered.problems.ordered():
        found.append(Notice(about.severity, f"{about.title}: {counted(tally.count, 'case')}", f"finding-{kind}"))
    found += [
        *_of_classes(classes),
        *_of_videos(gathered),
        *_of_joints(gathered, origin),
        *_of_class_scores(gathered, classes),
        *_of_tracks(gathered),
        *(Notice("note", text, "origin") for text in origin.notes),
    ]
    return found


def _of_classes(classes: Classes) -> Iterator[Notice]:
    if not len(classes.counts):
        return
    most, fewest = int(classes.counts.argmax()), int(classes.counts.argmin())
    ratio = classes.counts[most] / classes.counts[fewest]
    if ratio >= IMBALANCE:
        yield Notice(
            "note",
            f"The largest class has {number(round(float(ratio), 1))} times as many videos as the smallest: "
            f"{classes.counts[most]:,} of {classes.title(most)}, {classes.counts[fewest]:,} of {classes.title(fewest)}",
            "classes",
        )
    by_title = {split.title: split for split in classes.splits}
    for train, evaluation in pairs_of_splits(by_title):
        without = np.flatnonzero((by_title[train].counts == 0) & (by_title[evaluation].counts > 0))
        if len(without):
            yield Notice(
                "warning",
                f"{counted(len(without), 'class', 'classes')} of {evaluation} have no video in {train}: "
                f"{', '.join(classes.title(i) for i in without[:_SHOWN].tolist())}{' …' * (len(without) > _SHOWN)}",
                "classes",
            )
        rare = np.flatnonzero((by_title[train].counts > 0) & (by_title[train].counts < _FEW_VIDEOS))
        if len(rare):
            yield Notice(
                "note",
                f"{counted(len(rare), 'class', 'classes')} of {train} have fewer than {_FEW_VIDEOS} videos",
                "classes",
            )


def _of_videos(gathered: Gathered) -> Iterator[Notice]:
    statistics = gathered.statistics
    if statistics.frames.total:
        low, high = statistics.frames.quantile(0.05), statistics.frames.quantile(0.95)
        if high > _SPREAD * max(low, 1):
            yield Notice(
                "note",
                f"Lengths differ much: one video in twenty has at most {low:,} frames, one in twenty {high:,} or more",
                "lengths",
            )
    if statistics.persons.total:
        empty = statistics.persons.counts[0]
        if empty >= _EMPTY_FRAMES * statistics.persons.total:
            yield Notice("note", f"{percent(empty, statistics.persons.total)} of the frames have no person", "persons")
        crowded = sum(count for most, count in statistics.most_persons.counts.items() if most > _USUAL_PERSONS)
        if crowded:
            yield Notice(
                "note",
                f"{counted(crowded, 'video has', 'videos have')} more than {_USUAL_PERSONS} persons in a frame, up to "
                f"{statistics.most_persons.range()[1]:,}: many pipelines keep the first {_USUAL_PERSONS}",
                "persons",
            )
    if statistics.forms["compressed"]:
        yield Notice(
            "note",
            f"{counted(statistics.forms['compressed'], 'video holds', 'videos hold')} detections, not persons: their "
            "order within a frame is that of the detector (skelstore track makes persons of them)",
            "persons",
        )
    if statistics.forms["raw"]:
        yield Notice(
            "note", "The bodies are raw NTU RGB+D: a training needs what skelstore derive makes of them", "origin"
        )
    sizes = [size for size in statistics.sizes.counts if size is not None]
    if len(sizes) > 1:
        yield Notice(
            "note", f"There are {len(sizes):,}{'+' * (statistics.sizes.others > 0)} different image sizes", "images"
        )


def _of_joints(gathered: Gathered, origin: Origin) -> Iterator[Notice]:
    for shape, joints in sorted(gathered.statistics.joints.items()):
        if not joints.skeletons:
            continue
        share = joints.missing / joints.skeletons
        worst = [i for i in np.argsort(-share, kind="stable").tolist() if share[i] >= _MISSING]
        if worst:
            named = ", ".join(
                f"{joint_name(origin.layout, shape, i)} {percent(joints.missing[i], joints.skeletons)}"
                for i in worst[:_SHOWN]
            )
            yield Notice(
                "note",
                f"{counted(len(worst), 'joint is', 'joints are')} missing in a fifth of the skeletons or more: {named}"
                f"{' …' * (len(worst) > _SHOWN)}",
                "joints",
            )
        if joints.scored:
            low = [i for i, median in enumerate(median_scores(joints)) if median is not None and median < _LOW_SCORE]
            if low:
                named = ", ".join(joint_name(origin.layout, shape, i) for i in low[:_SHOWN])
                yield Notice(
                    "note",
                    f"The median score of {counted(len(low), 'joint')} is below {_LOW_SCORE}: {named}"
                    f"{' …' * (len(low) > _SHOWN)}",
                    "joints",
                )


def _of_class_scores(gathered: Gathered, classes: Classes) -> Iterator[Notice]:
    medians = {label: score_quantile(counts, 0.5) for label, counts in gathered.statistics.class_scores.items()}
    low = [i for i, label in enumerate(classes.labels.tolist()) if (medians.get(label) or 1) < _LOW_SCORE]
    if low:
        yield Notice(
            "note",
            f"The median score of {counted(len(low), 'class', 'classes')} is below {_LOW_SCORE}: "
            f"{', '.join(classes.title(i) for i in low[:_SHOWN])}{' …' * (len(low) > _SHOWN)}",
            "joints",
        )


def _of_tracks(gathered: Gathered) -> Iterator[Notice]:
    statistics = gathered.statistics
    if statistics.gap_tracks and statistics.gap_tracks >= _GAPS * statistics.tracks:
        yield Notice(
            "note",
            f"{percent(statistics.gap_tracks, statistics.tracks)} of the persons are missing for some frames between "
            "others (skelstore track --interpolate fills gaps)",
            "tracks",
        )
