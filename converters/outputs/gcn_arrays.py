"""What the arrays of the GCN code bases have in common on export: their form, their rows, and clips filled up.

Nothing but one clip is in memory, and a few integers per video: the forms of the clips are columns of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.inputs.ntu_names import ACTIONS
from converters.outputs.origins import origins
from skelstore import Store
from skelstore.errors import SourceError, StoreError
from skelstore.format.schema import PERSON_ROWS, Annotation
from skelstore.format.values import Json
from skelstore.read.split_members import in_split, split_positions
from skelstore.read.store import table_rows
from skelstore.train.clips import MOST_BYTES, PERSONS, person_rows
from skelstore.wording import counted, shown


class Form(NamedTuple):
    """The form of every clip in an array: [M, T, V, C] and dtype. With ``scored``, the last channel is the score."""

    persons: int
    frames: int
    joints: int
    channels: int
    dtype: np.dtype[Any]
    scored: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(M, T, V, C)."""
        return self.persons, self.frames, self.joints, self.channels


class Rows(NamedTuple):
    """The rows of an array: the positions of their videos in the store, in order; ``name`` is that of the split."""

    name: str
    positions: Sequence[int]


def form_of(store: Store) -> Form | None:
    """The smallest form that has room for every video of a store, or of a view; None if it has no videos.

    The dtype is that of the values, or one that can hold them all. Raises SourceError if a video is compressed, has no
    ``keypoint`` [M, T, V, C], or differs from others in V, C or in having ``keypoint_score``.
    """
    if not len(store):
        return None
    shapes, dtypes = _shapes(store)
    scores, score_dtypes = _has(store, "keypoint_score")
    first = shapes[0]
    other = np.flatnonzero((shapes[:, 2:] != first[2:]).any(axis=1) | (scores != scores[0]))
    if len(other):
        one, two = (_describe(shapes[i], scores[i]) for i in (0, int(other[0])))
        raise SourceError(
            f"{store.path}: the video at position 0 has {one}, that at position {other[0]} has {two}; expected the "
            "same in all videos of an array: export a subset"
        )
    persons, frames = (int(shapes[:, axis].max()) for axis in (0, 1))
    scored = bool(scores[0])
    if scored and first[3] != 2:
        raise SourceError(
            f"{store.path} has keypoint of {first[3]} coordinates and keypoint_score; an array of clips has room for "
            "scores beside x and y only: write the store without keypoint_score"
        )
    dtype = np.result_type(*dtypes, *(score_dtypes if scored else ()))
    return Form(persons, frames, int(first[2]), int(first[3]) + scored, dtype, scored)


def _shapes(store: Store) -> tuple[NDArray[np.int64], list[np.dtype[Any]]]:
    """The shape of ``keypoint`` of each video, int64 [videos, 4], and the dtypes that occur."""
    reader, rows = table_rows(store)
    shapes = np.zeros((reader.metadata.videos, 4), np.int64)
    has_shape = np.zeros(len(shapes), bool)
    compressed, _ = _has(store, "frame_inds")
    dtypes = []
    for name, field in reader.metadata.fields.items():
        array = reader.arrays[name].metadata
        if field.path == ("keypoint",) and field.ragged + len(array.trailing) == 4:
            there = np.asarray(reader.table[f"{name}.row"].is_valid())
            dims = [reader.table[f"{name}.dim{axis}"].drop_null().to_numpy() for axis in range(field.ragged)]
            for axis, length in enumerate([*dims, *array.trailing]):
                shapes[there, axis] = length
            has_shape |= there
            if there[rows].any():
                dtypes.append(array.dtype)
    wrong = np.flatnonzero(~has_shape[rows] | compressed)
    if len(wrong):
        what = "is compressed: its detections are no persons over time" if compressed[wrong[0]] else "has no such array"
        raise SourceError(
            f"{store.path}: an array of clips needs keypoint [M, T, V, C]; the video at position {wrong[0]} {what}"
            + (", so make persons of them with `skelstore track`" if compressed[wrong[0]] else "")
        )
    return shapes[rows], dtypes


def _has(store: Store, key: str) -> tuple[NDArray[np.bool_], list[np.dtype[Any]]]:
    """For each video whether it has an array under a key, bool [videos]; and the dtypes that occur."""
    reader, rows = table_rows(store)
    found = np.zeros(len(rows), bool)
    dtypes = []
    for name, field in reader.metadata.fields.items():
        if field.path == (key,):
            there = np.asarray(reader.table[f"{name}.row"].is_valid())[rows]
            found |= there
            if there.any():
                dtypes.append(reader.arrays[name].metadata.dtype)
    return found, dtypes


def _describe(shape: NDArray[np.int64], scored: bool) -> str:
    joints, coordinates = (int(length) for length in shape[2:])
    scores = "with" if scored else "without"
    return f"{counted(joints, 'joint')} of {counted(coordinates, 'coordinate')} {scores} keypoint_score"


def default_form(store: Store, frames: int | None) -> Form | None:
    """The form of the clips of a store that was not made from arrays; None if it has no videos.

    M is at least 2, which feeders expect. T is ``frames`` if it is given, else that of the longest clip. The dtype is
    float32, or float64 where float32 cannot hold the values. Raises SourceError as ``form_of`` and ``with_frames`` do.
    """
    form = form_of(store)
    if form is None:
        return None
    dtype = np.result_type(np.float32, form.dtype)
    return with_frames(store, form, frames)._replace(persons=max(form.persons, PERSONS), dtype=dtype)


def with_frames(store: Store, form: Form, frames: int | None) -> Form:
    """The form with T as stated by ``frames``. Raises SourceError if the longest clip has more."""
    if frames is not None and frames < form.frames:
        raise SourceError(
            f"{store.path}: --frames {frames} is less than the longest clip has, {counted(form.frames, 'frame')}: give "
            f"at least {form.frames}, or export shorter clips only, as of `skelstore subset --where`"
        )
    return form if frames is None else form._replace(frames=frames)


def refuse_large(store: Store, form: Form) -> None:
    """Raise StoreError if a clip of a form does not fit in memory, as a damaged record of the source may state."""
    if int(np.prod(form.shape, dtype=object)) * form.dtype.itemsize > MOST_BYTES:
        raise StoreError(f"{store.path}: a clip of {form.shape} values is larger than {MOST_BYTES:,} bytes")


def filled_clips(store: Store, form: Form, positions: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Each video as an array [M, T, V, C] of the form, filled up with zeros; a new array every time.

    Raises SourceError if persons do not fit into M.
    """
    for position, video in zip(positions, store.at(positions), strict=True):
        yield filled_clip(video, form, f"{store.path}: the video at position {position}")


def filled_clip(video: Annotation, form: Form, place: str) -> NDArray[Any]:
    """A video as an array [M, T, V, C] of the form, filled up with zeros; ``place`` names it in messages.

    Raises SourceError if persons do not fit into M.
    """
    keypoint = video["keypoint"]
    clip = np.zeros(form.shape, form.dtype)
    persons = person_rows(video.get(PERSON_ROWS), len(keypoint))
    if len(persons) and int(persons[-1]) >= form.persons:
        raise SourceError(
            f"{place} has {PERSON_ROWS} {persons.tolist()}, which do not fit into {counted(form.persons, 'person')}"
        )
    target = clip[:, : keypoint.shape[1]]
    target[persons, ..., : keypoint.shape[3]] = keypoint
    if form.scored:
        target[persons, ..., -1] = video["keypoint_score"]
    return clip


# ----------------------------------------------------------------------------------------------------- rows


def rows_of_splits(store: Store, splits: Mapping[str, str | None]) -> list[Rows]:
    """The rows of parts, part -> the name of its split in the store, or None for a part without rows.

    They follow the list of the split, as described at ``split_positions``, and it raises what that raises.
    """
    reader, rows = table_rows(store)
    return [
        Rows(part, [] if split is None else split_positions(reader, rows, split).tolist())
        for part, split in splits.items()
    ]


def rows_as_they_came(store: Store, arrays: Mapping[str, str | None]) -> dict[str, Rows] | None:
    """The rows of each array of the source, in its order; ``arrays`` are array -> its split, None if it was none.

    None if videos do not come from these arrays, or if the store has been given other splits since.
    """
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in arrays}
    for position, origin in enumerate(origins(store)):
        if origin is None or origin.file not in found:
            return None
        found[origin.file].append((origin.position, position))
    came = {name: Rows(name, [position for _, position in sorted(rows)]) for name, rows in found.items()}
    return came if all(_is_split(store, split, came[name].positions) for name, split in arrays.items()) else None


def _is_split(store: Store, split: str | None, positions: Sequence[int]) -> bool:
    """Whether a split has exactly the videos at these positions; a subset without any of them has no such split."""
    if split is None or split not in store.splits:
        return not len(positions) if split is not None else not store.splits
    reader, rows = table_rows(store)
    return np.flatnonzero(in_split(reader, split)[rows]).tolist() == sorted(positions)


def usual_splits(store: Store, splits: Mapping[str, str | None], tests: Sequence[str]) -> list[Rows]:
    """The rows of parts, where no options say which splits are meant and the store does not have its source's arrays.

    ``splits`` are the parts: one for training, one for tests, whose split may be named by any of ``tests``. If the
    store has no splits, all its videos are the training part, in the order of the store. Raises SourceError if it has
    splits of other names.
    """
    train, test = splits
    if not store.splits:
        return [Rows(train, range(len(store))), Rows(test, [])]
    found = {
        part: next((name for name in names if name in store.splits), None)
        for part, names in ((train, ("train",)), (test, tests))
    }
    if set(store.splits) - set(found.values()):
        known = ", ".join(map(shown, store.splits))
        raise SourceError(
            f"{store.path} has the splits {known}: say which to export with --split-train and --split-test"
        )
    return rows_of_splits(store, found)


# --------------------------------------------------------------------------------------------------- records


def recorded_arrays(store: Store, dialect: str) -> list[dict[str, Json]]:
    """What the store records about the arrays of its source, if it is of the dialect; else an empty list.

    Raises StoreError if the record does not follow the format.
    """
    arrays = store.source.get("arrays", []) if store.source.get("dialect") == dialect else []
    if not isinstance(arrays, list) or not all(
        isinstance(array, dict) and all(isinstance(array.get(key), str) for key in ("name", "head")) for array in arrays
    ):
        raise StoreError(f"{store.path}: the arrays in its source do not follow the format")
    return arrays


def classes_of(store: Store, recorded: int = 0) -> int:
    """The number of classes: the named ones, as recorded of the source, or those of the task; else largest label + 1.

    Raises SourceError if a label is negative or beyond the classes; FieldNotFoundError if a video has no integer label.
    """
    labels = store.labels
    names = store.class_names
    task = store.source.get("task")
    most = int(labels.max(initial=-1)) + 1
    recorded = recorded if recorded >= most else 0  # the labels are others since
    classes = len(names or ()) or recorded or (ACTIONS.get(task, 0) if isinstance(task, str) else 0) or most
    if len(labels) and (int(labels.min()) < 0 or most > classes):
        position = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
        raise SourceError(
            f"{store.path}: the video at position {position} has the label {labels[position]}; expected 0 to "
            f"{classes - 1}, of {counted(classes, 'class', 'classes')}"
        )
    return classes
