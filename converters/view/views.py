"""One video as the page plays it: as stored, decompressed, tracked, or with the joints of another layout."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import Any

import numpy as np

from converters.checks.poses import image_size
from converters.tracking.dense import Form, Settings, dense, recognise_form
from converters.view.answers import key_text, shorten
from converters.view.catalogue import Catalogue
from converters.view.overview import describe_layout
from converters.view.requests import RequestError
from converters.view.skeletons import (
    MOST_READ,
    Skeletons,
    as_skeletons,
    read_annotation,
    read_stored,
    stated_frames,
    window,
)
from skelstore.errors import SkelstoreError
from skelstore.format.schema import Annotation
from skelstore.joints import LAYOUTS, JointLayout, convert
from skelstore.read.store import table_rows
from skelstore.wording import closest, counted, shown

LAYOUT = "layout:"
"""Beginning of the name of a view that converts the joints."""

TRACKED = Settings(max_persons=10, max_gap=30, interpolate=False)
"""How the tracked view follows persons: at most as many as the training view has, with the default gap of ``track``."""

_EXAMPLES = 50
"""Videos from which the form of the detections is recognised, as for ``skelstore track``."""

_EXAMPLE_BYTES = 4 << 20
_KEPT = 2
"""Number of tracked videos that are kept, since a long video is asked for in several answers."""

_MOST_FIELDS = 100
_RATES = ("fps", "frame_rate")
"""Keys of the frames per second; ``fps`` is what .pose files have."""


class Player:
    """The videos of a store for the player. Answers are made in several threads at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._store = catalogue.store
        self._tracked: OrderedDict[int, Annotation] = OrderedDict()
        self._lock = Lock()

    def video(self, row: int, view: str, first: int, last: int) -> tuple[dict[str, Any], Skeletons]:
        """What the page shows beside the skeletons of a video (for JSON), and the skeletons of some frames.

        Raises RequestError for an unknown view, or a video that cannot be shown in it; what reading raises.
        """
        catalogue = self._catalogue
        annotation = read_annotation(self._store, row, int(catalogue.shapes.sizes[row]))
        skeletons = self._read(row, view, annotation, first, last)
        layout = self._layout(view, skeletons)
        label = catalogue.label(row)
        about = {
            "name": catalogue.name(row),
            "label": label,
            "class": catalogue.class_of(label),
            "frames_total": skeletons.total,
            "from": skeletons.first,
            "to": skeletons.first + skeletons.points.shape[1],
            "image": image_size(annotation),
            "rate": frame_rate(annotation),
            "joints": None if layout is None else describe_layout(layout),
            "persons": skeletons.points.shape[0],
            "note": _note(skeletons, first, last),
            "fields": dict(_describe_fields(annotation, self._unread(annotation))),
        }
        return about, skeletons

    def _unread(self, annotation: Mapping[Any, Any]) -> set[Any]:
        """The keys of the arrays of a long video, which are not read to be described."""
        if isinstance(annotation, dict):
            return set()
        reader, _ = table_rows(self._store)
        return {field.path[0] for field in reader.metadata.fields.values() if isinstance(field.path[0], str)}

    def _layout(self, view: str, skeletons: Skeletons) -> JointLayout | None:
        layout = LAYOUTS[view.removeprefix(LAYOUT)] if view.startswith(LAYOUT) else self._catalogue.layout
        return None if layout is None or len(layout) != skeletons.points.shape[2] else layout

    def _read(self, row: int, view: str, annotation: Mapping[Any, Any], first: int, last: int) -> Skeletons:
        if view == "training":
            return self._decompressed(row, annotation, first, last)
        if view == "tracked":
            return self._tracked_part(row, annotation, first, last)
        if view == "stored" or view.startswith(LAYOUT):
            target = self._target(view)
            stored = read_stored(self._store, row, annotation, self._catalogue.shapes.of(row), first, last)
            return stored if target is None else self._converted(stored, target)
        raise RequestError(f"there is no view {shown(view)}{closest(view, ('stored', 'training', 'tracked'))}")

    def _target(self, view: str) -> JointLayout | None:
        name = view.removeprefix(LAYOUT)
        if name == view:
            return None
        known = {layout.name: layout for layout in self._catalogue.layouts}
        if name not in known:
            raise RequestError(
                f"the joints of {self._store.path} cannot be shown as {shown(name)}{closest(name, known)}"
            )
        return known[name]

    def _converted(self, skeletons: Skeletons, target: JointLayout) -> Skeletons:
        source = self._catalogue.layout
        if source is None or len(source) != skeletons.points.shape[2]:
            raise RequestError(
                f"the video has {counted(skeletons.points.shape[2], 'joint')}, not those of the store's layout",
                status=422,
            )
        with np.errstate(all="ignore"):
            points, scores, _ = convert(skeletons.points, skeletons.scores, source, target)
        return skeletons._replace(points=points, scores=scores)

    def _decompressed(self, row: int, annotation: Mapping[Any, Any], first: int, last: int) -> Skeletons:
        detections = self._require_compressed(row, annotation)
        joints = detections[1]
        total = 0

        def choose(frames: int) -> range:
            nonlocal total
            total = frames
            return window(first, last, frames, TRACKED.max_persons * joints * 2)

        made = self._store.decompressed().read_one(row, frames=choose)
        return as_skeletons(made["keypoint"], made["keypoint_score"], min(first, total), total)

    def _tracked_part(self, row: int, annotation: Mapping[Any, Any], first: int, last: int) -> Skeletons:
        made = self._track(row, annotation)
        persons, total, joints, _ = made["keypoint"].shape
        frames = window(first, last, total, persons * joints * 2)
        points, scores = (made[key][:, frames.start : frames.stop] for key in ("keypoint", "keypoint_score"))
        return as_skeletons(points, scores, frames.start, total)

    def _track(self, row: int, annotation: Mapping[Any, Any]) -> Annotation:
        with self._lock:
            if row in self._tracked:
                self._tracked.move_to_end(row)
                return self._tracked[row]
        _, joints, _ = self._require_compressed(row, annotation)
        numbers = annotation["frame_inds"]
        last = int(numbers.max()) if isinstance(numbers, np.ndarray) and numbers.size else 0
        frames = max(last, stated_frames(annotation))
        if frames * joints * 3 * TRACKED.max_persons > MOST_READ:
            raise RequestError(
                f"{counted(frames, 'frame')} are too many to track them for a view: track the store with `skelstore "
                "track`, and view that",
                status=422,
            )
        form = self._form
        if form is None:
            raise RequestError(f"{self._store.path} has no detections that can be tracked", status=422)
        small = {key: annotation[key] for key in annotation}
        made = dense(small, form, TRACKED)
        kept = {key: made[key] for key in ("keypoint", "keypoint_score")}
        with self._lock:
            self._tracked[row] = kept
            while len(self._tracked) > _KEPT:
                self._tracked.popitem(last=False)
        return kept

    @cached_property
    def _form(self) -> Form | None:
        return recognise_form(self._examples())

    def _examples(self) -> Iterator[Annotation]:
        for row in range(min(_EXAMPLES, len(self._store))):
            if self._catalogue.shapes.sizes[row] <= _EXAMPLE_BYTES:
                try:
                    yield self._store[row]
                except SkelstoreError:
                    continue  # reported when it is viewed

    def _require_compressed(self, row: int, annotation: Mapping[Any, Any]) -> tuple[int, int, int]:
        """N, V and C of a compressed keypoint that may be read as a whole. Raises RequestError for others."""
        shape = self._catalogue.shapes.of(row)
        if isinstance(annotation, dict):
            shape = getattr(annotation.get("keypoint"), "shape", None)
        if shape is None or len(shape) != 3 or "frame_inds" not in annotation:
            raise RequestError(
                "the video is not compressed (keypoint [N, V, 3] with frame_inds), so this view is the stored one",
                status=422,
            )
        if math.prod(shape) > MOST_READ:
            raise RequestError(
                f"the {counted(shape[0], 'detection')} of the video have {math.prod(shape):,} numbers, more than the "
                f"{MOST_READ:,} that are read for a view",
                status=422,
            )
        return shape[0], shape[1], shape[2]


def frame_rate(annotation: Mapping[Any, Any]) -> float | None:
    """Frames per second, if the annotation has a number above 0."""
    for key in _RATES:
        rate = annotation.get(key)
        if isinstance(rate, (int, float, np.number)) and 0 < rate < 1e6:
            return float(rate)
    return None


def _note(skeletons: Skeletons, first: int, last: int) -> str | None:
    """A sentence on what the answer leaves out of the request; None if nothing."""
    parts = []
    persons, frames = skeletons.points.shape[:2]
    if persons < skeletons.most:
        parts.append(f"the first {counted(persons, 'person')} of {skeletons.most:,}")
    if skeletons.first + frames < min(last, skeletons.total):
        parts.append(f"frames {skeletons.first:,} to {skeletons.first + frames:,} of {skeletons.total:,}")
    return f"This answer has only {' and '.join(parts)}." if parts else None


def _describe_fields(annotation: Mapping[Any, Any], unread: set[Any]) -> Iterator[tuple[str, str]]:
    """The values of an annotation beside its skeletons, as text; for the keys in ``unread``, only that there is one."""
    for key in islice(annotation, _MOST_FIELDS):
        if key in ("keypoint", "keypoint_score"):
            continue
        try:
            text = "an array" if key in unread else shown(annotation[key])
        except SkelstoreError as error:
            text = str(error)
        yield key_text(key), shorten(text)
