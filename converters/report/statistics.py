"""What a report keeps of the videos: counts of bounded size, which can be merged with those of other videos."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checks.poses import as_int, image_size
from converters.report.counts import Histograms, Integers, Tops, Values, place_of
from converters.report.skeletons import Block, Measures, measure
from skelstore.wording import full_repr

__all__ = ["OUTLIERS", "SCORE_BINS", "SCORE_WIDTH", "Joints", "Statistics", "score_quantile"]

SCORE_WIDTH = 0.02
SCORE_BINS = 53
"""Scores are counted in bins of this width from 0; the last one has all that are larger than 1.04."""

_MOST_SHAPES = 8
"""Number of different (V, C) whose joints are described."""
_MOST_CLASSES = 1000
"""Number of different labels whose scores are counted."""
_MOST_FIELDS = 100
_MOST_SIZES = 2000
_LONGEST_KEY = 100

OUTLIERS = ("longest", "shortest", "fastest", "emptiest", "least certain", "most persons", "most swaps", "longest gap")
"""What the videos are ranked by."""
_RANKED = 3
"""Number of videos of each kind of outliers."""


class Joints:
    """The joints of all skeletons with V joints and C coordinates.

    ``missing`` int64 [V] counts the skeletons in which a joint was not found; ``scores`` int64 [V, SCORE_BINS]. What is
    no number is left out.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.videos = 0
        self.skeletons = 0
        self.scored = False
        self.missing = np.zeros(shape[0], np.int64)
        self.scores = np.zeros((shape[0], SCORE_BINS), np.int64)
        self.speeds = Histograms(shape[0])
        self.reaches = Histograms(1)

    def add(self, block: Block) -> None:
        self.skeletons += len(block.found)
        self.missing += len(block.found) - block.found.sum(axis=0)
        if len(block.moved):
            self.speeds.add(block.movers, block.moved)

    def add_scores(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Add the scores of skeletons [S, V]; return how many there are in each bin, int64 [SCORE_BINS]."""
        self.scored = True
        bins = np.clip(np.nan_to_num(scores, nan=-1) / np.float32(SCORE_WIDTH), -1, SCORE_BINS - 1)
        flat = bins.astype(np.int64) + np.arange(self.shape[0]) * SCORE_BINS
        counts = np.bincount(flat[scores >= 0], minlength=self.scores.size).reshape(self.scores.shape)
        self.scores += counts
        total: NDArray[np.int64] = counts.sum(axis=0)
        return total

    def add_video(self, measures: Measures) -> None:
        self.videos += 1
        self.reaches.add(np.zeros(1, np.int64), np.array([measures.reach], np.float32))

    def merge(self, other: Joints) -> None:
        self.videos += other.videos
        self.skeletons += other.skeletons
        self.scored |= other.scored
        self.missing += other.missing
        self.scores += other.scores
        self.speeds.merge(other.speeds)
        self.reaches.merge(other.reaches)


class Statistics:
    """The videos of a share of a data set. It can be pickled, and merged with that of the next share."""

    def __init__(self) -> None:
        self.videos = 0
        self.forms: Counter[str] = Counter()
        self.fields = Fields()
        self.frames = Integers()
        self.persons = Integers()
        self.most_persons = Integers()
        self.sizes = Values(_MOST_SIZES)
        self.joints: dict[tuple[int, int], Joints] = {}
        self.without_joints = 0
        self.tracks = 0
        self.gap_tracks = 0
        self.gap_videos = 0
        self.gaps = Integers()
        self.swaps = 0
        self.swap_videos = 0
        self.swap_checked = 0
        self.class_scores: dict[int, NDArray[np.int64]] = {}
        self.labelled = array("q")
        self.labels = array("q")
        self.outliers = {kind: Tops(_RANKED) for kind in OUTLIERS}

    def add(self, position: int, annotation: Mapping[Any, Any]) -> None:
        """Add the video at a position of the data set."""
        self.videos += 1
        self.fields.add(annotation)
        labels = _labels(annotation.get("label"))
        self.labelled.extend([position] * len(labels))
        self.labels.extend(labels)
        self.sizes.add(image_size(annotation))
        scores = np.zeros(SCORE_BINS, np.int64)

        def see(shape: tuple[int, int], block: Block) -> None:
            if shape in self.joints or len(self.joints) < _MOST_SHAPES:
                joints = self.joints.setdefault(shape, Joints(shape))
                joints.add(block)
                if block.scores is not None:
                    np.add(scores, joints.add_scores(block.scores), out=scores)

        with np.errstate(all="ignore"):  # values that are not finite are left out
            self._add_measures(position, measure(annotation, see))
        if scores.any():
            for label in labels:
                self._add_class_scores(label, scores)

    def _add_class_scores(self, label: int, scores: NDArray[np.int64]) -> None:
        if label in self.class_scores:
            self.class_scores[label] += scores
        elif len(self.class_scores) < _MOST_CLASSES:
            self.class_scores[label] = scores.copy()

    def _add_measures(self, position: int, measures: Measures) -> None:
        self.forms[measures.form] += 1
        if measures.frames is not None:
            self.frames.add(measures.frames)
        if measures.shape in self.joints:
            self.joints[measures.shape].add_video(measures)
        else:
            self.without_joints += 1
        if measures.form == "none":
            return
        self.persons.add_all(measures.persons)
        most = int(measures.persons.max(initial=0))
        self.most_persons.add(most)
        self.tracks += measures.tracks or 0
        self.gap_tracks += measures.gap_tracks
        self.gap_videos += measures.gap_tracks > 0
        self.gaps.add_all(measures.gaps)
        if measures.swaps is not None:
            self.swap_checked += 1
            self.swaps += measures.swaps
            self.swap_videos += measures.swaps > 0
        self._rank(position, measures, most)

    def _rank(self, position: int, measures: Measures, most: int) -> None:
        numbers: dict[str, float | None] = {
            "longest": measures.frames,
            "shortest": -measures.frames if measures.frames else None,
            "fastest": measures.speed,
            "emptiest": measures.emptiness or None,
            "least certain": None if measures.score is None else -measures.score,
            "most persons": most if most > 1 else None,
            "most swaps": measures.swaps or None,
            "longest gap": int(measures.gaps.max(initial=0)) or None,
        }
        for kind, number in numbers.items():
            if number is not None:
                self.outliers[kind].add(number, position)

    def merge(self, later: Statistics) -> None:
        """Add the videos of the next share."""
        self.videos += later.videos
        self.forms.update(later.forms)
        self.fields.merge(later.fields)
        for mine, theirs in (
            (self.frames, later.frames),
            (self.persons, later.persons),
            (self.most_persons, later.most_persons),
            (self.gaps, later.gaps),
        ):
            mine.merge(theirs)
        self.sizes.merge(later.sizes)
        for shape, joints in later.joints.items():
            if shape in self.joints:
                self.joints[shape].merge(joints)
            elif len(self.joints) < _MOST_SHAPES:
                self.joints[shape] = joints
            else:
                self.without_joints += joints.videos
        self.without_joints += later.without_joints
        self.tracks += later.tracks
        self.gap_tracks += later.gap_tracks
        self.gap_videos += later.gap_videos
        self.swaps += later.swaps
        self.swap_videos += later.swap_videos
        self.swap_checked += later.swap_checked
        for label, scores in later.class_scores.items():
            self._add_class_scores(label, scores)
        self.labelled.extend(later.labelled)
        self.labels.extend(later.labels)
        for kind, tops in later.outliers.items():
            self.outliers[kind].merge(tops)


def score_quantile(counts: NDArray[np.int64], share: float) -> float | None:
    """The score up to which ``share`` of the scores in bins [SCORE_BINS] are; None if there are none.

    It is interpolated within a bin, so it differs from the exact one by ``SCORE_WIDTH`` at most.
    """
    if not counts.any():
        return None
    found, part = place_of(counts, share)
    return (found + part) * SCORE_WIDTH


def _labels(label: object) -> list[int]:
    """The labels of a video that can be counted."""
    numbers = [as_int(element) for element in (label if isinstance(label, (list, tuple)) else [label])]
    return [number for number in numbers if number is not None and 0 <= number < 1 << 63]


class Fields:
    """The arrays of the annotations: for each key the number of videos, the bytes, and the dtypes."""

    def __init__(self) -> None:
        self.videos: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.dtypes: dict[str, Values] = {}
        self.others = 0

    def add(self, annotation: Mapping[Any, Any]) -> None:
        for key, value in annotation.items():
            if isinstance(value, np.ndarray):
                name = (key if isinstance(key, str) else full_repr(key))[:_LONGEST_KEY]
                if name not in self.videos and len(self.videos) >= _MOST_FIELDS:
                    self.others += 1
                    continue
                self.videos[name] += 1
                self.bytes[name] += value.nbytes
                self.dtypes.setdefault(name, Values(4)).add(str(value.dtype)[:_LONGEST_KEY])

    def merge(self, later: Fields) -> None:
        for name, count in later.videos.items():
            if name not in self.videos and len(self.videos) >= _MOST_FIELDS:
                self.others += count
                continue
            self.videos[name] += count
            self.bytes[name] += later.bytes[name]
            self.dtypes.setdefault(name, Values(4)).merge(later.dtypes[name])
        self.others += later.others
