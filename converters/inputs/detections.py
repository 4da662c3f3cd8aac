"""The detections of a clip as PYSKL's compressed annotation: one row per person and frame, in the order of frames.

``keypoint`` [N, V, 3] of x, y, score; ``frame_inds`` int32 [N] from 0; ``box_score`` float32 [N]. Rows of a large clip
are kept in temporary files that have no name and are mapped, so they take no memory of the process (`field_rows`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from converters.inputs.field_rows import Form, Rows, form_of
from converters.inputs.number_rows import NUMBERS, as_rows, require_numbers
from converters.inputs.pixels import Pixels, Size
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation
from skelstore.wording import counted, shown

Dtype: TypeAlias = Literal["float32", "float64"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
"""The dtypes of coordinates and scores."""

NO_TRACK = -1
"""The ``track`` of a person without an id, in clips in which others have one."""

_BLOCK = 256
"""Rows that are checked and converted together: few enough for the lists of numbers to stay in the cache of a core."""
_MOST_FRAME = 2**31 - 2


class Detections:
    """Collects the detections of one clip.

    ``where`` is the name of the clip for messages, ``joints`` V if it is known, ``size`` that of the image, and
    ``other_size`` the one to use if the file states none (``state_size``). Unless ``scores_persons``, means of the
    scores of joints are not counted. ``fractions`` says whether x and y are fractions of the image, which are scaled to
    pixels; if it is None, that is recognised from the first joints. ``first_frame`` is the number of the first frame, 0
    or 1; by default the smallest number that occurs, if it is 0 or 1, else 0. ``names`` are those that the file gives
    the lists of joints and of their scores, for messages.
    """

    def __init__(
        self,
        where: str,
        *,
        joints: int | None = None,
        size: Size | None = None,
        other_size: Size | None = None,
        dtype: Dtype = "float32",
        scores_persons: bool = True,
        fractions: bool | None = None,
        first_frame: int | None = None,
        names: tuple[str, str] = ("", ""),
    ) -> None:
        self._where = where
        self._given_size = size
        self._dtype = np.dtype(dtype)
        self._first_frame = first_frame
        self._pixels = Pixels(where, fractions, size or other_size)
        self._scores_persons = scores_persons
        self._joints = joints
        self._frames = array("i")
        self._tracks = array("i")
        self._tracked = False
        self._seen: tuple[int, int] | None = None  # the smallest and the largest number of a frame
        self._names = names
        self._is_split = False
        """Whether the scores of the joints in the block are in lists of their own, ``_joint_scores``."""
        self._block: list[Sequence[float]] = []
        self._joint_scores: list[list[float]] = []
        self._scores: list[float] = []
        self._places: list[str] = []
        self._pending: dict[str, dict[int, Sequence[float]]] = {}  # field -> position in the block -> row
        self._forms: dict[str, Form] = {}
        self._rows: dict[str, Rows] = {}
        self._stored = 0
        self._box_scores = Rows((), np.dtype(np.float32))
        self._empty = 0
        self._mean_scores = 0
        self._dropped: set[str] = set()

    def add(
        self,
        place: str,
        frame: int,
        keypoint: object,
        *,
        joint_scores: object = None,
        score: object = None,
        track: int | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Add a detection: ``keypoint`` is a list [V * 3] of x, y, score; ``place`` is where it is, for messages.

        With ``joint_scores``, a list [V], ``keypoint`` is [V * 2] of x, y. That all are numbers is checked later, with
        those of other detections: SourceError is raised here, by a later ``add``, or by ``annotation``.

        ``score`` is that of the person; if it is None, the mean of the scores of the joints is used. ``track`` is the
        id that a tracker gave. ``fields`` are further points of the person, [K * 3] like ``keypoint``, by the name that
        they have in the annotation, which ends in ``keypoint``; of 4 numbers under one that ends in ``3d``; a box x, y,
        width, height under one that ends in ``box``; numbers [K] under any other. An empty list or None is a row of
        zeros.
        """
        if not 0 <= frame <= _MOST_FRAME:
            raise SourceError(f"{self._where}: {place}: frame {shown(frame)}; expected 0 to {_MOST_FRAME:,}")
        is_split = joint_scores is not None
        if is_split is not self._is_split:
            self._flush()
            self._is_split = is_split
        row = keypoint if type(keypoint) is list else self._numbers(keypoint, place, self._names[0])
        width = 2 if is_split else 3
        if self._joints is None:
            self._joints = len(row) // width
        if len(row) != width * self._joints or not row:
            self._refuse_width(place, row, width)
        if is_split:
            if type(joint_scores) is not list or len(joint_scores) != self._joints:
                self._refuse_scores(place, row, joint_scores)
            self._joint_scores.append(joint_scores)
        if score is None:
            score = float("nan")
            self._mean_scores += 1
        elif type(score) not in NUMBERS:
            raise SourceError(f"{self._where}: {place}: the score is {shown(score)}; expected a number")
        if track is None:
            track = NO_TRACK
        elif 0 <= track < 2**31:
            self._tracked = True
        else:
            raise SourceError(f"{self._where}: {place}: the id is {shown(track)}; expected 0 to 2**31 - 1")
        if fields:
            for name, values in fields.items():
                if values is not None and values != []:
                    self._add_field(name, values, place)
        self._frames.append(frame)
        self._tracks.append(track)
        self._block.append(row)
        self._scores.append(score)  # type: ignore[arg-type]
        self._places.append(place)
        if len(self._block) == _BLOCK:
            self._flush()

    def add_arrays(
        self,
        places: Sequence[str],
        frames: Sequence[int],
        points: NDArray[np.float64],
        *,
        scores: NDArray[np.float64] | None,
        tracks: Sequence[int] | None,
        fields: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Add n detections, as ``add`` does one by one: ``points`` [n, V, 3], and a row of each of ``fields`` per
        detection. V, and the width of a field, must be those of earlier detections (``fits``), frames and ids in range.
        """
        self._flush()
        count = len(points)
        self._joints = points.shape[1]
        self._frames.extend(frames)
        self._tracks.extend([NO_TRACK] * count if tracks is None else tracks)
        self._tracked = self._tracked or tracks is not None
        self._mean_scores += count if scores is None else 0
        self._places = list(places)
        for name, rows in fields.items():
            self._forms.setdefault(name, form_of(name, rows.shape[1]))
        given = np.full(count, np.nan) if scores is None else scores
        self._store_block(points, given, {name: (rows, range(count)) for name, rows in fields.items()})
        self._places = []

    def fits(self, joints: int, fields: Mapping[str, NDArray[np.float64]]) -> bool:
        """Whether ``add_arrays`` accepts so many joints and these fields."""
        forms = ((self._forms.get(name), rows.shape[1]) for name, rows in fields.items())
        return self._joints in (None, joints) and all(form is None or form.width == width for form, width in forms)

    @property
    def joints(self) -> int | None:
        """V; None if it is not known and there is no detection."""
        return self._joints

    def state_size(self, size: Size) -> None:
        """The size of the image that the file states, before the first detection is added."""
        self._pixels.size = self._given_size or size

    def see_frame(self, frame: int) -> None:
        """Say that the clip has a frame of this number, perhaps without persons. ``add`` needs no such call."""
        if not 0 <= frame <= _MOST_FRAME:
            raise SourceError(f"{self._where} has frame {shown(frame)}; expected 0 to {_MOST_FRAME:,}")
        self._seen = (min(self._seen[0], frame), max(self._seen[1], frame)) if self._seen else (frame, frame)

    def leave_out(self, count: int = 1) -> None:
        """Count persons without joints."""
        self._empty += count

    def not_kept(self, names: Iterable[str]) -> None:
        """Record that what the file has under these names is not kept."""
        if len(self._dropped) < 100:
            self._dropped.update(name[:80] for name in names)

    def __len__(self) -> int:
        return len(self._frames)

    def annotation(self, total_frames: int | None = None) -> Annotation:
        """The keys of the annotation. ``total_frames`` is what the tool says; by default the last frame that was
        seen + 1.

        ``track`` is there if any person has an id. ``first_frame`` is the number that the file gives frame 0.
        ``empty_persons``, ``mean_box_scores`` and ``not_kept`` count and name what was left out or computed, if
        anything was.
        """
        self._flush()
        self._pixels.check()
        frames = np.frombuffer(self._frames, np.int32) if len(self) else np.zeros(0, np.int32)
        for frame in (frames.min(), frames.max()) if len(self) else ():
            self.see_frame(int(frame))
        first = self._find_first()
        order = None if (frames[1:] >= frames[:-1]).all() else np.argsort(frames, kind="stable")
        ordered = frames if order is None else frames[order]
        last = self._seen[1] - first + 1 if self._seen else 0
        annotation: Annotation = {}
        if self._pixels.size is not None:
            shape = tuple(self._pixels.size)
            annotation |= {"img_shape": shape, "original_shape": shape}
        annotation["total_frames"] = last if total_frames is None else max(last, total_frames)
        joints = self._joints or 0
        if len(self):
            annotation["keypoint"] = self._rows.pop("keypoint").finish(order)
        else:
            annotation["keypoint"] = np.zeros((0, joints, 3), self._dtype)
        annotation["frame_inds"] = ordered - np.int32(first)
        annotation["box_score"] = self._box_scores.finish(order)
        if self._tracked:
            tracks = np.array(self._tracks, np.int32)
            annotation["track"] = tracks if order is None else tracks[order]
        for name, rows in sorted(self._rows.items()):  # the further fields
            rows.pad(len(self))
            annotation[name] = rows.finish(order)
        annotation["first_frame"] = first
        if self._empty:
            annotation["empty_persons"] = self._empty
        if self._mean_scores and self._scores_persons:
            annotation["mean_box_scores"] = self._mean_scores
        if self._dropped:
            annotation["not_kept"] = ", ".join(sorted(self._dropped))
        return annotation

    def _add_field(self, name: str, values: object, place: str) -> None:
        row = values if type(values) is list else self._numbers(values, place, name)
        form = self._forms.get(name)
        if form is None:
            form = self._forms[name] = form_of(name, len(row))
        if len(row) != form.width or not form.width:
            raise SourceError(
                f"{self._where}: {place}.{name} has {counted(len(row), 'number')}; expected {form.trailing} of them, "
                "as in the first detection"
            )
        self._pending.setdefault(name, {})[len(self._block)] = row

    def _flush(self) -> None:
        """Check, convert and store the rows of the block."""
        count = len(self._block)
        if not count:
            return
        places = self._places
        of_joints, of_scores = self._names
        if self._is_split:
            points = np.empty((count, self._joints or 0, 3))
            points[..., :2] = self._as_array(self._block, places, of_joints).reshape(count, -1, 2)
            points[..., 2] = self._as_array(self._joint_scores, places, of_scores)
        else:
            points = self._as_array(self._block, places, of_joints).reshape(count, -1, 3)
        fields = {
            name: (self._as_array(list(rows.values()), [places[at] for at in rows], name), list(rows))
            for name, rows in self._pending.items()
        }
        self._store_block(points, np.array(self._scores, np.float64), fields)
        self._block, self._joint_scores, self._scores, self._places = [], [], [], []
        self._pending = {}

    def _store_block(
        self,
        points: NDArray[np.float64],
        given: NDArray[np.float64],
        fields: Mapping[str, tuple[NDArray[np.float64], Sequence[int]]],
    ) -> None:
        """Check, convert and store a block: joints [n, V, 3], scores [n] (NaN without one), and the rows of fields,
        each with the detections that they are of.
        """
        count = len(points)
        self._pixels.see(points)
        with np.errstate(over="ignore"):
            scores = np.where(np.isnan(given), points[..., 2].mean(axis=1), given).astype(np.float32)
        self._require_finite(scores, "", "the score")
        self._box_scores.append(scores)
        self._store("keypoint", form_of("keypoint", 3 * points.shape[1]), points, range(count), count)
        for name, (rows, at) in fields.items():
            self._store(name, self._forms[name], rows, at, count)
        self._stored += count

    def _store(self, name: str, form: Form, values: NDArray[np.float64], at: Sequence[int], count: int) -> None:
        """Append the rows of a block of ``count``, which are those of the detections ``at``; others are zeros."""
        if name not in self._rows:
            self._rows[name] = Rows(form.trailing, self._dtype)
            self._rows[name].pad(self._stored)
        block = np.zeros((count, *form.trailing), self._dtype)
        with np.errstate(over="ignore"):
            block[at] = self._pixels.scale(form, values.reshape(-1, *form.trailing))
        self._require_finite(block.reshape(len(block), -1), "" if name == "keypoint" else f".{name}", "a coordinate")
        self._rows[name].pad(self._stored)
        self._rows[name].append(block)

    def _as_array(self, lists: Sequence[Sequence[float]], places: Sequence[str], name: str) -> NDArray[np.float64]:
        """Lists of the same length, of the detections at these places, as an array.

        Raises SourceError if they have anything but numbers.
        """
        rows = as_rows(lists)
        if rows is not None:
            return rows
        for values, place in zip(lists, places, strict=True):
            self._numbers(values, place, name)
        raise SourceError(
            f"{self._where}: near {places[0]}{name and '.'}{name} there is a number beyond float64; expected pixels"
        )

    def _numbers(self, values: object, place: str, name: str) -> Sequence[float]:
        """The list of a field at a place, if it has nothing but numbers. Raises SourceError if not."""
        return require_numbers(values, f"{self._where}: {place}{name and '.'}{name}")

    def _refuse_width(self, place: str, row: Sequence[float], width: int) -> NoReturn:
        name, joints = self._names[0], self._joints or 0
        self._numbers(row, place, name)
        raise SourceError(
            f"{self._where}: {place} has {len(row):,} numbers of joints; expected {width * joints:,}, "
            f"{'x and y' if width == 2 else 'x, y and score'} of {joints} joints, as in the first detection"
        )

    def _refuse_scores(self, place: str, row: Sequence[float], scores: object) -> NoReturn:
        found = self._numbers(scores, place, self._names[1])
        raise SourceError(
            f"{self._where}: {place} has {counted(len(row), 'coordinate')} and {counted(len(found), 'score')}; "
            "expected x and y for each score"
        )

    def _require_finite(self, block: NDArray[Any], name: str, what: str) -> None:
        finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if not finite.all():
            place = self._places[int(np.argmin(finite))]
            raise SourceError(
                f"{self._where}: {place}{name}: {what} is beyond {block.dtype}; expected pixels, and scores near 0 to 1"
            )

    def _find_first(self) -> int:
        """The number of the first frame."""
        smallest = self._seen[0] if self._seen else 0
        if self._first_frame is None:
            return smallest if smallest <= 1 else 0
        if self._seen and smallest < self._first_frame:
            raise SourceError(
                f"{self._where} has frame {smallest}; with --first-frame {self._first_frame} there is none before it"
            )
        return self._first_frame
