"""Writing a store, one video at a time."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

from skelstore.errors import StoreError, UnsupportedValueError
from skelstore.format import values
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.schema import Annotation
from skelstore.format.values import Json
from skelstore.wording import closest
from skelstore.write.joining import join
from skelstore.write.parts import Part, PartWriter
from skelstore.write.planning import Planner
from skelstore.write.tables import splits_table
from skelstore.write.workspace import Workspace


class Writer:
    """Writes a store to ``path``; it appears there only on ``close``, or when a ``with`` block exits without an error.

    ::

        with skelstore.Writer("mine.zarr") as writer:
            writer.add({"frame_dir": "clip1", "label": 3, "total_frames": 90, "keypoint": keypoint})
            writer.splits["train"] = ["clip1"]

    ``profile`` selects how chunks are compressed: ``fast`` (not at all), ``default`` (blosc lz4) or ``small`` (blosc
    zstd). ``force`` replaces a store at ``path`` once the new one is complete. ``source`` becomes ``Store.source``:
    JSON with the members that docs/format.md lists under source; ``{"dialect": "writer"}`` if None. ``splits`` maps
    names of splits to lists of ids. Memory holds a buffer per field and the table of one part, whatever the size of
    the data; before that, copies of the first videos, from which the chunks are planned.

    Raises StoreExistsError if ``path`` is taken, StoreError if its folder is missing, another process is writing it or
    the profile is unknown. An exception inside the ``with`` block leaves nothing behind.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        profile: Profile = "default",
        force: bool = False,
        source: dict[str, Json] | None = None,
    ) -> None:
        if profile not in PROFILES:
            raise StoreError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}{closest(profile, PROFILES)}")
        self.splits: dict[Any, Any] = {}
        self._source = source or {"dialect": "writer"}
        self._planner = Planner(profile)
        self._first: list[Annotation] | None = []
        self._parts: list[Part] = []
        self._part: PartWriter | None = None
        self._closed = False
        self._workspace = Workspace(path, force=force)

    def add(self, annotation: Annotation) -> None:
        """Append a video: a dict as PYSKL documents it, with any further keys.

        Raises UnsupportedValueError, with the place of the value, for a value that no store can hold; the video is
        then skipped, and the writer can continue. Any other exception aborts the writer, which leaves nothing behind.
        Raises StoreError if the writer was closed or aborted.
        """
        if self._closed:
            raise StoreError(f"the writer of {self._workspace.destination} was closed or aborted: make a new one")
        try:
            self._add(annotation)
        except UnsupportedValueError:
            raise
        except BaseException as error:  # videos added before may be written only partly
            self._workspace.add_place(error)
            self.abort()
            raise

    def close(self) -> None:
        """Complete the store and rename it to its final name. Does nothing if the writer was closed or aborted.

        Raises UnsupportedValueError for splits that no store can hold; the writer can then continue. Any other
        exception aborts the writer, which leaves nothing behind; StoreExistsError if ``path`` was taken meanwhile.
        """
        if self._closed:
            return
        splits_table(self.splits)  # raises for unsupported splits before anything is written
        try:
            self._begin()
            self._end_part()
            join(self._parts, self._planner.plan(), self.splits, self._source, self._workspace.store)
            self._workspace.commit()
        except BaseException as error:
            self._workspace.add_place(error)
            self.abort()
            raise
        self._closed = True

    def abort(self) -> None:
        """Abort the writer and remove everything that it has written."""
        self._closed = True
        if self._part is not None:
            self._part.abort()
        self._workspace.discard()

    def _add(self, annotation: Annotation) -> None:
        if self._first is None:
            self._write(annotation)
            return
        self._planner.add(annotation)
        self._first.append(values.copy_value(annotation))  # the caller may reuse its arrays before they are written
        if self._planner.full:
            self._begin()

    def _begin(self) -> None:
        first, self._first = self._first, None
        for annotation in first or []:
            self._write(annotation)

    def _write(self, annotation: Annotation) -> None:
        if self._part is None:
            self._part = PartWriter(self._workspace.parts / f"{len(self._parts):05}", self._planner.plan())
        self._part.add(annotation)
        if self._part.full:
            self._end_part()

    def _end_part(self) -> None:
        if self._part is not None:
            self._parts.append(self._part.close())
            self._part = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise
