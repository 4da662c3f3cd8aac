"""A store of raw NTU RGB+D as the source of another store, equal to what a recipe makes from the files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import PYSKL_DOCUMENT
from converters.conversion.source import broken_video
from converters.conversion.stored import FromStore
from converters.dialects import ntu
from converters.dialects.ntu.recipes import BODY_FIELDS, MOTION, apply_recipe
from converters.dialects.ntu.skeleton_file import JOINTS
from converters.inputs.ntu_names import Recipe, Task, in_order, sample, splits, task_of
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.remote.url import Url

_POSITION_BYTES = JOINTS * 3 * 8
"""Bytes of the positions of one body in one frame."""
_BODIES_COLUMN = "body_id.dim0"
"""The column of the number of bodies in all frames of a video."""
_KEYS = ("frame_dir", "label", "total_frames", *BODY_FIELDS, MOTION)


class RawStore(FromStore):
    """Source of the annotations that a recipe makes from a store of raw NTU RGB+D.

    It was converted with the recipe ``raw``, or from raw_skes_data.pkl, of which ``mmaction2`` makes nothing.
    ``recipe``, ``task`` and ``skip_broken`` are those of ``NtuFiles``. Raises SourceError if the store does not hold
    raw NTU RGB+D, and as ``skelstore.open`` does.
    """

    dialect = ntu.NAME

    def __init__(
        self,
        path: str | os.PathLike[str] | Url,
        *,
        recipe: Recipe,
        task: Task | None = None,
        skip_broken: bool = False,
    ) -> None:
        super().__init__(path)
        self._recipe: Recipe = recipe
        self._skip_broken = skip_broken
        try:
            self._about = self._store.source
            if self._about.get("recipe") != "raw":
                raise SourceError(
                    f"{self.path} does not hold raw NTU RGB+D: convert the {ntu.SUFFIX} files with --recipe raw first"
                )
            if recipe == "mmaction2" and MOTION in self._store.fields:
                raise SourceError(
                    f"{self.path} has videos of raw_skes_data.pkl, which lacks what the recipe mmaction2 needs, frames "
                    f"without a body and the order of the bodies in a frame: convert the {ntu.SUFFIX} files"
                )
            names = [self._store.name(row) or "" for row in range(len(self._store))]
            rows = {name: row for row, name in enumerate(names)}
            samples = [sample(name) for name in names]
            self._task: Task = task or task_of(samples)
            self._samples = in_order(samples, recipe, self._task)
            self._rows = [rows[one.name] for one in self._samples]
            bodies = np.zeros(len(names), np.int64)
            if _BODIES_COLUMN in self._store.videos.column_names:
                bodies = self._store.videos[_BODIES_COLUMN].fill_null(0).to_numpy()
        except BaseException:
            self.close()
            raise
        self._sizes: NDArray[np.int64] = np.maximum(bodies[self._rows] * _POSITION_BYTES, 1).astype(np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def sizes(self) -> NDArray[np.int64]:
        return self._sizes

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        name = self.place(index)
        with broken_video(name, f"{self.path}: {name}", left_out=self._skip_broken):
            annotation = _read_bodies(self._store.lazy(self._rows[index]))
            return apply_recipe(self._recipe, annotation, self._task), None

    def settings(self) -> Json:
        return [self._recipe, self._task, self._skip_broken, *(super().settings() or [])]

    def place(self, index: int) -> str:
        return self._samples[index].name

    def splits(self) -> dict[Any, Any]:
        return splits(self._samples, self._recipe, self._task)

    def description(self) -> dict[str, Json]:
        """As in the raw store, but with this recipe and task."""
        keys = ("name", "size", "class_names", "ignored", "left_out")
        kept: dict[str, Json] = {key: self._about[key] for key in keys if key in self._about}
        return {**kept, "document": PYSKL_DOCUMENT, "recipe": self._recipe, "task": self._task}


def _read_bodies(video: Mapping[Any, Any]) -> Annotation:
    """What the recipes use of a raw annotation. Raises SourceError if it is not one: any program can write a store."""
    found = {key: video[key] for key in _KEYS if key in video}
    frames, ids, position, motions = (found.get(key, _NOTHING) for key in (*BODY_FIELDS, MOTION))
    count = len(frames) if frames.ndim else -1
    is_raw = (
        found.keys() >= set(_KEYS) - {MOTION}
        and frames.dtype.kind == ids.dtype.kind == "i"
        and frames.shape == ids.shape == (count,)
        and position.dtype.kind == "f"
        and position.shape == (count, JOINTS, 3)
        and isinstance(found["total_frames"], int)
        and (not count or 0 <= frames.min() <= frames.max() < max(found["total_frames"], count))
        and (motions is _NOTHING or (motions.dtype == np.float32 and motions.ndim == 1))
    )
    if not is_raw:
        raise SourceError("the video is not a raw annotation of NTU RGB+D (docs/sources_ntu.md)")
    return found


_NOTHING = np.zeros(())
