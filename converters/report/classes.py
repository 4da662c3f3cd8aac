"""How many videos each class has, in all and in each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.checks.names import digest_of
from converters.report.gathering import Gathered
from skelstore.splits import is_run
from skelstore.wording import shown_title

__all__ = ["Classes", "Split", "classes_of"]

MOST_SPLITS = 40
"""Number of splits that are counted by class."""


@dataclass(frozen=True)
class Split:
    """A split: the number of its ids, of the videos that they name, and of those of each class, int64 [classes]."""

    title: str
    ids: int
    videos: int
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """The labels that occur, ascending, int64 [classes], and the number of videos with each, int64 [classes]."""

    labels: NDArray[np.int64]
    counts: NDArray[np.int64]
    splits: list[Split]
    more_splits: int
    names: Sequence[str]

    def title(self, index: int) -> str:
        """The label and the name of a class; ``class 3`` if it has no name."""
        label = int(self.labels[index])
        return f"{label} {self.names[label]}" if label < len(self.names) else f"class {label}"


def classes_of(gathered: Gathered, names: Sequence[str]) -> Classes:
    """Count the classes of all videos; ``names`` are the names of the labels from 0 on, perhaps none."""
    statistics = gathered.statistics
    owners = np.array(statistics.labelled, np.int64)
    labels, index = np.unique(np.array(statistics.labels, np.int64), return_inverse=True)
    counts = np.bincount(index, minlength=len(labels))
    digests = np.array(gathered.findings.names.digests, np.uint64)
    positions = np.array(gathered.findings.names.positions, np.int64)
    splits = []
    runs = [(title, ids) for title, ids in gathered.videos.splits.items() if isinstance(ids, dict) or is_run(ids)]
    for title, ids in runs[:MOST_SPLITS]:
        named = np.isin(digests, np.array([digest_of(name) for name in ids], np.uint64))
        member = np.zeros(len(gathered.videos), np.bool_)
        member[positions[named]] = True
        own = np.bincount(index[member[owners]], minlength=len(labels))
        splits.append(Split(shown_title(title), len(ids), int(member.sum()), own))
    return Classes(labels, counts, splits, len(runs) - len(splits), names)
