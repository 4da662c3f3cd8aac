"""NW-UCLA: a folder of JSON files ``aAA_sSS_eEE_vVV.json``, one per clip, as CTR-GCN's feeder reads them.

A file holds ``{"file_name": "a01_s01_e00_v01", "skeletons": [T][20][3], "label": 1 … 10}``: the joints of Kinect v1 in
metres (`skelstore.joints`, ``kinect-20``), and the class, counted from 1 (Uason-Chen/CTR-GCN, feeders/feeder_ucla.py).
The name of the file states action, subject, environment and view. The classes and the split by view are those of Wang
et al., Cross-view Action Modeling, Learning and Recognition (CVPR 2014): views 1 and 2 train, view 3 tests.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.dialects.dialect import Dialect, Option
from converters.inputs.candidate import HEAD_BYTES, Candidate
from converters.inputs.listing import Entry, ListedFiles, files_below, list_videos
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.files import absolute, open_regular
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json, crowded
from skelstore.wording import closest, kind_of, shown, shown_names, shown_sized

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "nwucla"
SUFFIX = ".json"
"""The suffix of clips."""
CLASSES = (
    *("pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down"),
    *("stand up", "donning", "doffing", "throw", "carry"),
)
"""The names of the classes, by label from 0: actions 1 to 6, 8, 9, 11 and 12 in the names of files."""
SPLIT_BY = ("view",)
"""The words that ``--split-by`` accepts."""
JOINTS, COORDINATES = 20, 3
"""V and C."""

_NAME = re.compile(r"a\d\d_s\d\d_e\d\d_v(\d\d)", re.ASCII)
_EXPECTED = "expected aAA_sSS_eEE_vVV.json, such as a01_s01_e00_v01.json"
_SPLITS = {1: "xview_train", 2: "xview_train", 3: "xview_val"}
"""View -> the split of its clips."""
_MOST_BYTES = 4 << 20
"""Bytes of one file: ten times the longest clip."""


class NwUclaFiles(ListedFiles):
    """Source of all ``.json`` files below a folder, or of one such file.

    ``split_by``: ``view`` makes the splits ``xview_train`` and ``xview_val``; by default there are none. Raises
    SourceError that reports all files whose names are not those of NW-UCLA, or are not unique.
    """

    dialect = NAME

    def __init__(self, path: str | os.PathLike[str], *, split_by: str | None = None) -> None:
        if split_by not in (None, *SPLIT_BY):
            raise SourceError(
                f"split_by {split_by!r}; expected one of {', '.join(SPLIT_BY)}{closest(split_by, SPLIT_BY)}"
            )
        self.path = absolute(path)
        self._folder = self.path if self.path.is_dir() else self.path.parent
        self._split_by = split_by
        files = files_below(self.path, (SUFFIX,)) if self.path.is_dir() else [self.path.name]
        problems = [problem for file in files if (problem := _wrong_name(file, split_by))]
        refuse(str(self.path), problems or _repeated_names(files))
        entries = [self._entry(file) for file in files]
        listing = list_videos(self.path, entries, table=None, label_by=None, skip_missing=False)
        videos = [
            video._replace(row=replace(video.row, splits=(_SPLITS[_view(video.entry.file)],) if split_by else ()))
            for video in listing.videos
        ]
        self._listing = replace(listing, videos=videos, classes=list(CLASSES))

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """``frame_dir``, ``label`` from 0, ``keypoint`` float64 [1, T, 20, 3] in metres, ``total_frames`` T."""
        entry = self._listing.videos[index].entry
        file = self._folder / entry.file
        clip = _read(file)
        if (stated := PurePosixPath(clip["file_name"]).name.partition(".")[0]) != entry.name:
            raise SourceError(f"{file}: file_name is {stated[:80]!r}; expected {entry.name!r}, the name of the file")
        keypoint = _keypoint(file, clip["skeletons"])
        annotation = {
            "frame_dir": entry.name,
            "label": clip["label"] - 1,
            "keypoint": keypoint,
            "total_frames": keypoint.shape[1],
        }
        return annotation, Origin(entry.file, 0, len(annotation))

    def description(self) -> dict[str, Json]:
        """As for the listing; and ``split_by`` if splits were made."""
        description = super().description()
        return description | {"split_by": self._split_by} if self._split_by else description

    def close(self) -> None:
        """Do nothing: no file stays open between clips."""

    def _entry(self, file: str) -> Entry:
        return Entry(file, None, PurePosixPath(file).stem, max((self._folder / file).stat().st_size, 1))


def _wrong_name(file: str, split_by: str | None) -> str | None:
    """The problem of the name of a file, None if there is none."""
    match = _NAME.fullmatch(PurePosixPath(file).stem)
    if match is None:
        return f"{file}: the name is not one of NW-UCLA; {_EXPECTED}"
    if split_by and int(match[1]) not in _SPLITS:
        return f"{file}: the view is {int(match[1])}; expected 1, 2 or 3 for --split-by view"
    return None


def _view(file: str) -> int:
    return int(PurePosixPath(file).stem[-2:])


def _read(file: Path) -> dict[str, Any]:
    """The object in a file: ``file_name`` is a str, ``label`` an int from 1 to 10; ``skeletons`` is not checked.

    Raises SourceError if it is anything else.
    """
    with open(file, "rb", opener=open_regular) as opened:
        data = opened.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SourceError(f"{file} has more than {_MOST_BYTES:,} bytes; expected the JSON of one clip")
    if reason := crowded(data):
        raise SourceError(f"{file} is not a clip of NW-UCLA: {reason}")
    try:
        clip = json.loads(data)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError, too
        raise SourceError(f"{file} is not JSON ({error}): get the file again") from None
    if not isinstance(clip, dict):
        raise SourceError(f"{file} holds {kind_of(clip)}; expected an object with file_name, skeletons and label")
    for key in ("file_name", "skeletons", "label"):
        if key not in clip:
            raise SourceError(f"{file} has no {key!r}; expected an object with file_name, skeletons and label")
    if not isinstance(clip["file_name"], str):
        raise SourceError(f"{file}: file_name is {kind_of(clip['file_name'])}; expected the name of the clip")
    label = clip["label"]
    if type(label) is not int or not 1 <= label <= len(CLASSES):
        raise SourceError(f"{file}: label is {shown(label)}; expected an integer from 1 to {len(CLASSES)}")
    return clip


def _keypoint(file: Path, skeletons: object) -> NDArray[np.float64]:
    """The joints [1, T, 20, 3]. Raises SourceError for the first invalid frame, joint or coordinate."""
    if not isinstance(skeletons, list) or not skeletons:
        raise SourceError(f"{file}: skeletons is {shown_sized(skeletons)}; expected a list of frames")
    for t, frame in enumerate(skeletons):
        if not isinstance(frame, list) or len(frame) != JOINTS:
            raise SourceError(f"{file}: skeletons[{t}] is {shown_sized(frame)}; expected a list of {JOINTS} joints")
        for v, joint in enumerate(frame):
            if not isinstance(joint, list) or len(joint) != COORDINATES:
                raise SourceError(f"{file}: skeletons[{t}][{v}] is {shown_sized(joint)}; expected [x, y, z] in metres")
            for c, value in enumerate(joint):
                if type(value) not in (int, float):
                    raise SourceError(f"{file}: skeletons[{t}][{v}][{c}] is {shown(value)}; expected a number")
    try:
        return np.array([skeletons], np.float64)
    except OverflowError:
        raise SourceError(f"{file}: skeletons has an integer beyond float64; expected metres") from None


def _repeated_names(files: list[str]) -> list[str]:
    """A problem per name that several files have, in different folders: a clip is found by its name."""
    files_of: dict[str, list[str]] = {}
    for file in files:
        files_of.setdefault(PurePosixPath(file).stem, []).append(file)
    return [
        f"{shown_names(same)}: {len(same):,} files have the name {name}; keep one of them"
        for name, same in files_of.items()
        if len(same) > 1
    ]


def recognise(candidate: Candidate) -> bool:
    """Whether it is a file that begins like a clip, or a folder whose first file with a clip's name begins so."""
    if not candidate.is_folder:
        return _begins_like_a_clip(candidate.head)
    first = next((file for file in candidate.files(SUFFIX) if _NAME.fullmatch(file.stem)), None)
    if first is None:
        return False
    with open(first, "rb", opener=open_regular) as file:
        return _begins_like_a_clip(file.read(HEAD_BYTES))


def _begins_like_a_clip(head: bytes) -> bool:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    return text[:1] == b"{" and b'"file_name"' in head and b'"skeletons"' in head


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    return {"split_by": source.get("split_by")}


DIALECT = Dialect(
    NAME,
    "NW-UCLA's clips as JSON, as CTR-GCN's feeder reads them",
    "a folder of NW-UCLA's `aAA_sSS_eEE_vVV.json`, or one of them",
    recognise=recognise,
    open=NwUclaFiles,
    options=(
        Option("split_by", SPLIT_BY, "Make splits: views 1 and 2 for training, view 3 for validation.", "NW-UCLA"),
    ),
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded,
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    split_by: str | None = None,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a folder of files, or one. Raises SourceError as ``NwUclaFiles`` does, else as ``convert_source``."""
    from converters.conversion.convert import convert_source

    convert_source(NwUclaFiles(source, split_by=split_by), destination, **options)
