"""Sources of pose tools: clips of detections, which become compressed annotations."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from converters.inputs.clip_files import ClipFiles
from converters.inputs.detections import DTYPES, Detections, Dtype, Size
from converters.inputs.listing import Entry, ListedFiles, Listing, Video, list_videos
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.joints import LAYOUTS
from skelstore.wording import closest

_SIZE = re.compile(r"(\d{1,6})[xX](\d{1,6})", re.ASCII)
_PEEKED = 20
"""Clips that are looked at, until one has a detection, for the number of joints."""


class PoseClips(ListedFiles):
    """Base class of sources of detections: a clip per file, or per folder of files with one frame each.

    A subclass sets ``dialect`` and ``notes``, and defines ``_clips`` and ``_read``; it may define ``_layout``.
    ``table``, ``label_by`` and ``skip_missing`` are those of ``list_videos``. ``size`` (``1080x1920``) is used if
    neither the table nor the file has one, ``first_frame`` (0 or 1) is the number of the first frame, ``dtype`` that of
    coordinates and scores. Raises SourceError that reports all missing files and repeated names.
    """

    notes: Sequence[str] = ()
    """What a conversion tells about every clip of the dialect: what is computed, and what is not kept."""
    fractions: bool | None = None
    """Whether x and y are fractions of the image; if None, it is recognised."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        suffixes: Sequence[str],
        table: str | os.PathLike[str] | None = None,
        label_by: str | None = None,
        skip_missing: bool = False,
        size: str | None = None,
        first_frame: str | int | None = None,
        dtype: Dtype = "float32",
    ) -> None:
        self._size = None if size is None else parse_size(size)
        if first_frame not in (None, "0", "1", 0, 1):
            raise SourceError(f"first_frame {first_frame!r}; expected 0 or 1")
        if dtype not in DTYPES:
            raise SourceError(f"dtype {dtype!r}; expected one of {', '.join(DTYPES)}{closest(dtype, DTYPES)}")
        self._first_frame = None if first_frame is None else int(first_frame)
        self._dtype: Dtype = dtype
        self._files = ClipFiles(path, suffixes)
        self.path = self._files.path
        self._folder = self.path if self.path.is_dir() else self.path.parent
        entries = self._clips()
        self._listing = self._label(
            list_videos(self.path, entries, table=table, label_by=label_by, skip_missing=skip_missing, unique=True)
        )
        self._joints = self._find_joints()

    @abstractmethod
    def _clips(self) -> list[Entry]:
        """The clips of ``_files``; ``file`` and ``name`` of each, and its bytes."""

    @abstractmethod
    def _read(self, entry: Entry, detections: Detections) -> int | None:
        """Add the detections of a clip; return ``total_frames`` if the tool says it. Raises SourceError."""

    def _label(self, listing: Listing) -> Listing:
        """The listing, with labels and splits that the tool's own files state."""
        return listing

    def _layout(self, joints: int) -> str | None:
        """The name of the joint layout of so many joints, if the tool says it."""
        return None

    def _more(self, video: Video) -> dict[str, Any]:
        """Further keys of the annotation of a clip, for which the table has no value."""
        return {}

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label``, and the keys of ``Detections.annotation``; further columns of the table follow."""
        video = self._listing.videos[index]
        given = video.row.keys()
        detections = self._detections(video)
        total_frames = self._read(video.entry, detections)
        found = detections.annotation(total_frames)
        names = {"frame_dir": video.name}
        first = {key: given.pop(key) for key in ("label", "img_shape", "original_shape") if key in given}
        annotation = names | first | found | self._more(video) | given
        return annotation, Origin(video.entry.file, video.entry.position or 0, len(annotation))

    def files(self, start: int, stop: int) -> list[Path]:
        videos = self._listing.videos[start:stop]
        names = [name for video in videos for name in self._names(video.entry)]
        return [*self._listing.tables, *self._files.files(names)]

    def settings(self) -> Json:
        return [self._listing.label_by, self._size, self._first_frame, self._dtype]

    def description(self) -> dict[str, Json]:
        """As for the listing; and ``notes``, the options, and the joint layout if the tool says it."""
        description = super().description()
        options = {
            "size": None if self._size is None else f"{self._size.height}x{self._size.width}",
            "first_frame": None if self._first_frame is None else str(self._first_frame),
            "dtype": None if self._dtype == DTYPES[0] else self._dtype,
        }
        if given := {name: value for name, value in options.items() if value is not None}:
            description["options"] = given
        if self.notes:
            description["notes"] = list(self.notes)
        if self._joints is not None and (layout := self._layout(self._joints)) in LAYOUTS:
            description["joints"] = {"layout": layout, "derived": []}
        return description

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _names(self, entry: Entry) -> list[str]:
        """The names of the files of a clip."""
        return [entry.file]

    def _where(self, entry: Entry) -> str:
        """The name of a clip in messages."""
        return self._files.where(entry.file)

    def _detections(self, video: Video) -> Detections:
        shape = video.row.values.get("img_shape")
        return Detections(
            self._where(video.entry),
            joints=self._joints,
            size=None if shape is None else Size(*shape),
            other_size=self._size,
            dtype=self._dtype,
            fractions=self.fractions,
            first_frame=self._first_frame,
        )

    def _find_joints(self) -> int | None:
        """V of the first detection, None if there is none in the first clips.

        All clips must have the same. What is wrong with a clip is reported when it is converted.
        """
        for video in self._listing.videos[:_PEEKED]:
            first = _FirstDetection(self._where(video.entry), size=Size(1, 1))
            with suppress(SourceError, _FoundError):
                self._read(video.entry, first)
            if first.joints is not None:
                return first.joints
        return None


class _FoundError(Exception):
    """The first detection was found."""


class _FirstDetection(Detections):
    """Stops at the first detection."""

    def add(self, *arguments: Any, **further: Any) -> None:
        super().add(*arguments, **further)
        raise _FoundError


def parse_size(text: str) -> Size:
    """The size of the image. Raises SourceError if it is not ``HxW``, such as 1080x1920."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]) or not int(match[2]):
        raise SourceError(f"size {text!r}; expected HEIGHTxWIDTH in pixels, such as 1080x1920")
    return Size(int(match[1]), int(match[2]))
