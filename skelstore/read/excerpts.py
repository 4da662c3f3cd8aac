"""Parts of one video: some of its frames, or some rows of one of its arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import FieldNotFoundError, FrameIndexError, StoreError
from skelstore.format.layouts import Assembler
from skelstore.format.schema import Annotation
from skelstore.read.arrays import ArrayReader
from skelstore.read.frames import FrameNumbers, Frames, plan_runs, positions, read_rows
from skelstore.read.gathering import Gatherer
from skelstore.read.location import Location, placed_at_video
from skelstore.read.places import Places


class Excerpts:
    """Reads parts of the videos of a store; only the chunks that hold them are read.

    ``layout`` returns the layout of the video at a row of the table.
    """

    def __init__(
        self,
        store: Location,
        assembler: Assembler,
        layout: Callable[[int], int],
        arrays: Mapping[str, ArrayReader],
        places: Places,
        gatherer: Gatherer,
    ) -> None:
        self._store = store
        self._assembler = assembler
        self._layout = layout
        self._arrays = arrays
        self._places = places
        self._gatherer = gatherer
        self._frame_numbers: dict[str, FrameNumbers] = {}

    def frames(self, row: int, keys: Iterable[Any], wanted: Frames) -> Annotation:
        """The values of some keys of a video; arrays with one entry per frame are reduced to some frames.

        In a dense video ([M, T, …]), these are the arrays whose second axis is as long as that of ``keypoint``; in a
        compressed video ([N, …] with ``frame_inds``), the arrays that are as long as ``frame_inds``. Other values are
        returned whole. An array whose rows in the store are not frames is read whole and reduced afterwards.

        Raises FrameIndexError if a frame does not exist, FieldNotFoundError if the video has neither form, StoreError
        if the frames do not fit in memory.
        """
        try:
            return self._read_frames(row, list(keys), wanted)
        except (FrameIndexError, StoreError) as error:
            raise placed_at_video(error, self._store, row) from error
        except MemoryError as error:
            raise StoreError(f"{self._store}: the requested frames of video {row} do not fit in memory") from error

    def _read_frames(self, row: int, keys: list[Any], wanted: Frames) -> Annotation:
        layout = self._layout(row)
        entries, names = self._assembler.entries(layout, row), self._assembler.fields(layout)
        shapes = {key: self._places[name].shape(row) for key, name in names.items()}
        starts = {key: int(self._places[name].first[row]) for key, name in names.items()}
        axis, total = self._frame_axis(row, shapes)
        chosen = positions(wanted, total) if axis else self._rows_of_frames(row, names["frame_inds"], total, wanted)
        per_frame = {key for key, shape in shapes.items() if len(shape) == axis + 1 and shape[axis] == total}

        def planned() -> Iterator[tuple[str, int, int]]:
            for key in filter(names.__contains__, keys):
                name, start, shape = names[key], starts[key], shapes[key]
                if key not in per_frame:
                    yield name, start, math.prod(shape)
                    continue
                for run in plan_runs(self._arrays[name], start, math.prod(shape[:axis]), total, chosen):
                    yield name, *run

        self._gatherer.fetch_runs(planned())
        annotation: Annotation = {}
        for key in keys:
            if key not in per_frame:
                value = entries[key](row)
                whole = not isinstance(value, np.ndarray) or value.ndim <= axis or value.shape[axis] != total
                annotation[key] = value if whole else value.take(chosen, axis)
                continue
            outer = shapes[key][:axis]
            rows = read_rows(self._arrays[names[key]], starts[key], math.prod(outer), total, chosen)
            annotation[key] = rows.reshape(*outer, len(chosen), *rows.shape[1:])
        return annotation

    def _frame_axis(self, row: int, shapes: Mapping[Any, list[int]]) -> tuple[int, int]:
        """The axis on which arrays of a video have one entry per frame, and its length."""
        # If keypoint has many shapes in a store, the last of them have ragged axes only: [M, T, V, C] and [N, V, 3].
        ragged = len(shapes.get("keypoint", []))
        if ragged in (2, 4):
            return 1, shapes["keypoint"][1]
        if ragged in (1, 3) and len(shapes.get("frame_inds", [])) == 1:
            return 0, shapes["frame_inds"][0]
        raise FieldNotFoundError(
            f"{self._store}: the video at position {row} has neither keypoint [M, T, V, C] nor keypoint [N, V, C] "
            "with frame_inds, so its frames cannot be selected"
        )

    def _rows_of_frames(self, row: int, name: str, count: int, wanted: Frames) -> NDArray[np.int64]:
        """The rows of a compressed video that belong to some frames; ``name`` is its array of frame numbers."""
        numbers = self._frame_numbers.setdefault(name, FrameNumbers(self._arrays[name]))
        self._gatherer.fetch_fields(row, ["frame_inds"])
        return numbers.rows(wanted, int(self._places[name].first[row]), count)

    def row_count(self, row: int, key: Any) -> int | None:
        """N of a video's array [N, …]; None if the video has no such array with one ragged axis."""
        name = self._assembler.fields(self._layout(row)).get(key)
        shape = self._places[name].shape(row) if name is not None else []
        return shape[0] if len(shape) == 1 else None

    def rows(self, row: int, key: Any, rows: NDArray[Any]) -> NDArray[Any] | None:
        """Rows of a video's array [N, …] at some positions, in that order.

        None if the video has no such array with one ragged axis, or if a position is out of range.
        """
        count = self.row_count(row, key)
        if count is None or (len(rows) and not 0 <= rows.min() <= rows.max() < count):
            return None
        name = self._assembler.fields(self._layout(row))[key]
        array, first = self._arrays[name], int(self._places[name].first[row])
        self._gatherer.fetch_runs((name, *run) for run in plan_runs(array, first, 1, count, rows))
        return read_rows(array, first, 1, count, rows)
