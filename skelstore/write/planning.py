"""Planning the chunks and shards of a store's arrays from its first videos."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from skelstore.format import chunking
from skelstore.format.codecs import Profile
from skelstore.format.layouts import FieldIdentity, Shredder
from skelstore.format.metadata import ArrayMetadata
from skelstore.format.schema import Annotation
from skelstore.format.values import Json

SAMPLE_VIDEOS = 256
SAMPLE_BYTES = 32 << 20
"""Chunks are planned from the first videos: at most this number of videos, or of bytes of their arrays."""


@dataclass(frozen=True)
class Plan:
    """The chunks, shards and codecs of a store's arrays; they are the same in all parts of the store."""

    profile: Profile
    grids: dict[FieldIdentity, chunking.Grid]
    codings: dict[FieldIdentity, Profile]
    """The profile that encodes each field: the store's, or ``fast`` for a field that is better not compressed."""
    given: dict[FieldIdentity, ArrayMetadata] = dataclasses.field(default_factory=dict)
    """Fields whose shards are also files of other stores; such files are never written to."""

    def to_json(self) -> Json:
        """The plan as JSON for a part record: parts with different plans cannot be joined."""
        arrays = [
            [field.path, field.dtype, field.ragged, list(field.trailing), *grid, self.codings[field]]
            for field, grid in self.grids.items()
        ]
        return {"profile": self.profile, "arrays": arrays}

    def metadata(self, field: FieldIdentity) -> ArrayMetadata:
        """The metadata of a field's array, without rows."""
        if field in self.given:
            return self.given[field]
        grid = self.grids.get(field) or _grid(self.profile, field, chunking.RARE_VIDEO_BYTES, None)
        coding = self.codings.get(field, self.profile)
        return ArrayMetadata.plan(np.dtype(field.dtype), field.trailing, grid, coding)


def _row_bytes(field: FieldIdentity) -> int:
    return math.prod(field.trailing) * np.dtype(field.dtype).itemsize


def _grid(profile: Profile, field: FieldIdentity, video_bytes: float, part_rows: float | None) -> chunking.Grid:
    """The grid of a field's array, from the average bytes per video and the rows per part."""
    row_bytes = _row_bytes(field)
    chunk_bytes = chunking.chunk_bytes(profile, video_bytes)
    return chunking.Grid.of_bytes(
        row_bytes, chunk_bytes, chunking.RARE_SHARD_BYTES / row_bytes if part_rows is None else part_rows
    )


class Planner:
    """Measures the first videos of a data set until ``full``, and plans the arrays from them."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._shredder = Shredder()
        self._rows: dict[FieldIdentity, list[int]] = {}
        self._videos = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        return self._videos >= SAMPLE_VIDEOS or self._bytes >= SAMPLE_BYTES

    def add(self, annotation: Annotation) -> None:
        """Measure a video. Raises UnsupportedValueError for a value that no store can hold."""
        shredded = self._shredder.shred(annotation)
        for target, leaf in zip(shredded.targets, shredded.leaves, strict=True):
            if target < 0:
                field = self._shredder.fields[~target]
                self._rows.setdefault(field, []).append(math.prod(leaf.shape[: field.ragged]))
                self._bytes += leaf.nbytes
        self._videos += 1

    def plan(self) -> Plan:
        parts = max(self._bytes, 1) / chunking.PART_BYTES
        grids: dict[FieldIdentity, chunking.Grid] = {}
        codings: dict[FieldIdentity, Profile] = {}
        for field, rows in self._rows.items():
            video_bytes = float(np.mean(rows)) * _row_bytes(field)
            numbers = not field.trailing and video_bytes < chunking.PLAIN_VIDEO_BYTES
            codings[field] = "fast" if numbers and self._profile == "default" else self._profile
            grid = _grid(codings[field], field, video_bytes, sum(rows) / parts)
            grids[field] = self._limited(grid, sum(rows))
        return Plan(self._profile, grids, codings)

    def _limited(self, grid: chunking.Grid, rows: int) -> chunking.Grid:
        """The grid; if the whole data set was measured, with chunks no larger than all its rows."""
        if self.full or not 0 < rows < grid.chunk_rows:
            return grid
        return chunking.Grid(rows, rows)
