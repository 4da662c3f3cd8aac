"""Sources of pose tools: clips of detections, which become compressed annotations."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from converters.inputs.clip_files import ClipFiles, FrameFile, group_frames
from converters.inputs.detections import DTYPES, Detections, Dtype
from converters.inputs.listing import Entry, ListedFiles, Listing, Video, list_videos
from converters.inputs.pixels import Size
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.joints import LAYOUTS
from skelstore.wording import closest

_SIZE = re.compile(r"(\d{1,6})[xX](\d{1,6})", re.ASCII)
_PEEKED = 20
"""Clips that are looked at, until one has a detection, for the number of joints."""
_FIRST_KEYS = ("frame_dir", "label", "img_shape", "original_shape")
"""The first keys of annotations, in PYSKL's order."""
_KEPT_CLIPS, _KEPT_BYTES = 256, 32 << 20
"""Annotations, and bytes of their arrays, that are kept: those from which a conversion plans chunks."""


class PoseClips(ListedFiles):
    """Base class of sources of detections: a clip per file, or per folder of files with one frame each.

    A subclass sets ``dialect`` and ``notes``, and defines ``_read``; it may define ``_clips`` and ``_layout``.
    ``table``, ``label_by`` and ``skip_missing`` are those of ``list_videos``. ``size`` (``1080x1920``) is used if
    neither the table nor the file has one, ``first_frame`` (0 or 1) is the number of the first frame, ``dtype`` that of
    coordinates and scores. Raises SourceError that reports all missing files and repeated names.
    """

    dialect: str
    suffixes: Sequence[str] = (".json",)
    """The suffixes of files."""
    notes: Sequence[str] = ()
    """What a conversion tells about every clip of the dialect: what is computed, and what is not kept."""
    scores_persons = True
    """Whether the tool scores persons; if not, ``notes`` say what ``box_score`` is."""
    lists_frames = False
    """Whether the files list every frame, also those without persons."""
    fractions: bool | None = None
    """Whether x and y are fractions of the image; if None, it is recognised."""
    names = ("", "")
    """What the tool calls the lists of joints and of their scores, if it has both."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
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
        self._kept: dict[int, tuple[list[tuple[int, int, int]], Annotation]] | None = {}
        """The first annotations that were read, with the states of their files; None once one was read again."""
        self._kept_bytes = 0
        self._files = ClipFiles(path, self.suffixes)
        self.path = self._files.path
        self._folder = self.path if self.path.is_dir() else self.path.parent
        entries = self._clips()
        listed = list_videos(self.path, entries, table=table, label_by=label_by, skip_missing=skip_missing, unique=True)
        self._listing = self._label(listed)
        self._joints = self._find_joints()

    def _clips(self) -> list[Entry]:
        """The clips of ``_files``; by default each file is one, and its name is the path without suffix."""
        sizes = self._files.sizes.items()
        return [Entry(file, None, PurePosixPath(file).with_suffix("").as_posix(), max(size, 1)) for file, size in sizes]

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
        """Further keys of the annotation of a clip, after it was read; those of the table replace them."""
        return {}

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label``, and the keys of ``Detections.annotation``; further columns of the table follow."""
        video = self._listing.videos[index]
        annotation = self._annotation(video) if self._kept is None else self._kept_annotation(index, video)
        return annotation, Origin(video.entry.file, video.entry.position or 0, len(annotation))

    def _annotation(self, video: Video) -> Annotation:
        detections = self._detections(video)
        total_frames = self._read(video.entry, detections)
        found = detections.annotation(total_frames)
        values = self._more(video) | video.row.keys() | {"frame_dir": video.name}
        first = {key: values.pop(key) for key in _FIRST_KEYS if key in values}
        return first | found | values

    def _kept_annotation(self, index: int, video: Video) -> Annotation:
        """The annotation of a clip, which is kept if it is one of the first, in arrays that cannot be written to.

        A conversion reads the first clips twice: to plan the chunks, and to write them. Each is kept until it is read
        again, unless its files have changed.
        """
        assert self._kept is not None
        states = self._files.states(self._names(video.entry))
        if index in self._kept:
            self._kept_bytes = _KEPT_BYTES  # no more are kept
            kept_states, annotation = self._kept.pop(index)
            if kept_states == states:
                return annotation
        if not self._kept and self._kept_bytes >= _KEPT_BYTES:
            self._kept = None
        annotation = self._annotation(video)
        if self._kept is not None and len(self._kept) < _KEPT_CLIPS and self._kept_bytes < _KEPT_BYTES:
            self._kept[index] = states, annotation
            for value in annotation.values():
                if isinstance(value, np.ndarray):
                    value.flags.writeable = False
                    self._kept_bytes += value.nbytes
            annotation = dict(annotation)
        return annotation

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def files(self, start: int, stop: int) -> list[Path]:
        videos = self._listing.videos[start:stop]
        names = dict.fromkeys(chain.from_iterable(self._names(video.entry) for video in videos))
        return [*self._listing.tables, *self._files.files(names)]

    def settings(self) -> Json:
        return [self._listing.label_by, self._size and list(self._size), self._first_frame, self._dtype]

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
        if self.lists_frames:
            description["lists_frames"] = True
        if self._joints is not None and (layout := self._layout(self._joints)) in LAYOUTS:
            description["joints"] = {"layout": layout, "derived": []}
        return description

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _names(self, entry: Entry) -> list[str]:
        """The names of the files of a clip."""
        return [entry.file]

    def _paths(self, video: Video) -> list[Path]:
        return self._files.files(self._names(video.entry))

    def _where(self, entry: Entry) -> str:
        """The name of a clip in messages."""
        return self._files.where(self._names(entry)[0])

    def _detections(self, video: Video) -> Detections:
        shape = video.row.values.get("img_shape")
        return Detections(
            self._where(video.entry),
            joints=self._joints,
            size=None if shape is None else Size(*shape),
            other_size=self._size,
            dtype=self._dtype,
            scores_persons=self.scores_persons,
            fractions=self.fractions,
            first_frame=self._first_frame,
            names=self.names,
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


class FrameClips(PoseClips):
    """Base class of sources in which each file is a frame: a clip is a folder, as ``group_frames`` describes.

    A subclass defines ``_read``. All files of a clip are frames, also those without a person.
    """

    lists_frames = True
    ending = ""
    """What may follow the number in the name of a file."""
    _frames: dict[str, list[FrameFile]]

    def _clips(self) -> list[Entry]:
        sizes = self._files.sizes
        self._frames, problems = group_frames(self.path.stem or "clip", sizes, self.ending)
        refuse(str(self.path), problems)
        return [
            Entry(clip, None, clip, sum(sizes[name] for _, name in frames) or 1)
            for clip, frames in self._frames.items()
        ]

    def _names(self, entry: Entry) -> list[str]:
        return [name for _, name in self._frames[entry.file]]

    def _where(self, entry: Entry) -> str:
        return f"{self.path}: {entry.file}"


class _FoundError(Exception):
    """The first detection was found."""


class _FirstDetection(Detections):
    """Stops at the first detection."""

    def add(self, *arguments: Any, **further: Any) -> None:
        super().add(*arguments, **further)
        raise _FoundError

    def add_arrays(self, *arguments: Any, **further: Any) -> None:
        super().add_arrays(*arguments, **further)
        raise _FoundError


def parse_size(text: str) -> Size:
    """The size of the image. Raises SourceError if it is not ``HxW``, such as 1080x1920."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]) or not int(match[2]):
        raise SourceError(f"size {text!r}; expected HEIGHTxWIDTH in pixels, such as 1080x1920")
    return Size(int(match[1]), int(match[2]))
