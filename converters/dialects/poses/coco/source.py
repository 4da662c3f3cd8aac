"""COCO's keypoints as JSON: a data set of annotated frames, or results, with any number of clips in a file.

A data set is ``{"images": [{"id", "file_name", "height", "width"}], "annotations": [{"image_id", "keypoints": [x, y, v]
* V, "bbox": [x, y, width, height], "iscrowd", "num_keypoints"}], "categories": [{"keypoints": names}]}``; v is 0 for a
joint without a position, 1 for one that is not visible, 2 for a visible one. Results are a list of ``{"image_id",
"category_id", "keypoints": [x, y, score] * V, "score"}`` (https://cocodataset.org/#format-data, #format-results).
PoseTrack's images also have ``vid_id``, ``frame_id`` and ``nframes``, and its annotations ``track_id``.

A file is indexed when it is opened: the index has the frame of each image, and the bytes of each annotation. Then one
clip at a time is read.
"""

from __future__ import annotations

import codecs
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any

from converters.dialects.dialect import POSE_OPTIONS, Dialect, Option, recorded_pose_options
from converters.dialects.poses.coco.blocks import KEYS, add_block
from converters.dialects.poses.coco.index import Index, read_index
from converters.inputs.candidate import Candidate
from converters.inputs.detections import Detections
from converters.inputs.json_values import parse_all
from converters.inputs.listing import Entry
from converters.inputs.number_rows import require_numbers
from converters.inputs.pose_clips import PoseClips
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.files import open_regular, pread
from skelstore.format.values import Json
from skelstore.joints import LAYOUTS
from skelstore.wording import counted, shown

NAME = "coco"
SUFFIX = ".json"
_NOTES = (
    "a joint of a data set has score 1 if its visibility is above 0, and keypoint_visibility keeps the visibility",
    "box is bbox: x, y, width, height",
)
_GAP, _READ_BYTES, _BLOCK_BYTES = 4 << 10, 1 << 20, 256 << 10
"""Bytes between two annotations that are read together, of all that are read together, and of the annotations that are
parsed at once."""
_VISIBILITIES, _INTEGERS = frozenset({0, 1, 2}), frozenset({int})


class CocoFiles(PoseClips):
    """Source of a file of COCO's keypoints, or of all of them below a folder or in a zip file.

    The clip and the frame of an image are its ``vid_id`` and ``frame_id``. Without them, the frame is the last number
    in ``file_name``, and the clip its folder and the text before that number; ``frame_pattern`` is a regular expression
    whose groups ``clip`` and ``frame`` state them instead. Without a group ``frame``, each image is frame 0. A file in
    a zip file is unpacked to a temporary file. Other options and errors are those of ``PoseClips``.
    """

    dialect = NAME
    notes = _NOTES

    def __init__(self, path: str | os.PathLike[str], *, frame_pattern: str | None = None, **options: Any) -> None:
        self._pattern = None if frame_pattern is None else _compile(frame_pattern)
        self._indexes: dict[str, Index] = {}
        self._open: tuple[str, IO[bytes]] | None = None
        try:
            super().__init__(path, **options)
        finally:
            self.close()

    def settings(self) -> Json:
        """As for all tools, with the pattern."""
        return [super().settings(), None if self._pattern is None else self._pattern.pattern]

    def description(self) -> dict[str, Json]:
        """As for all tools; and the names of the joints, if a category of the first file with one has them."""
        description = super().description()
        if self._pattern is not None:
            options = description.get("options")
            given = dict(options) if isinstance(options, dict) else {}
            description["options"] = {**given, "frame_pattern": self._pattern.pattern}
        if names := self._joint_names():
            description["joint_names"] = list(names)
        return description

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_open": None}

    def _clips(self) -> list[Entry]:
        entries = []
        problems: list[str] = []
        for file in self._files.sizes:
            try:
                index = self._indexes[file] = read_index(
                    self._files.chunks(file), self._files.where(file), file, self._pattern
                )
            except SourceError as error:
                if len(self._files.sizes) == 1:
                    raise
                problems.append(str(error))
                continue
            folder = "" if len(self._files.sizes) == 1 else f"{PurePosixPath(file).with_suffix('').as_posix()}/"
            for i, clip in enumerate(index.clips):
                position = i if len(index.clips) > 1 else None
                size = int(index.lengths[clip.start : clip.stop].sum())
                entries.append(Entry(file, position, folder + clip.name, max(size, 1)))
        refuse(str(self.path), problems)
        return entries

    def _joint_names(self) -> tuple[str, ...]:
        return next((index.joint_names for index in self._indexes.values() if index.joint_names), ())

    def _layout(self, joints: int) -> str | None:
        names = self._joint_names()
        return next((name for name, layout in LAYOUTS.items() if layout.joints == names), None)

    def _where(self, entry: Entry) -> str:
        return super()._where(entry) if entry.position is None else f"{super()._where(entry)}: clip {entry.name}"

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        index = self._indexes[entry.file]
        clip = index.clips[entry.position or 0]
        where = self._where(entry)
        if clip.size is not None:
            detections.state_size(clip.size)
        if index.is_data_set:
            detections.see_frame(clip.first)
            detections.see_frame(clip.last)
        detections.not_kept(index.not_kept)
        with self._opened(entry.file) as file:
            of = slice(clip.start, clip.stop)
            places = [f"{index.member}[{position}]" for position in index.positions[of].tolist()]
            frames = index.frames[of].tolist()
            blocks = _parsed(file, index.starts[of].tolist(), index.lengths[of].tolist(), where, places)
            at = 0
            for block in blocks:
                those = slice(at, at + len(block))
                at += len(block)
                if not add_block(places[those], frames[those], block, detections, is_data_set=index.is_data_set):
                    for place, frame, annotation in zip(places[those], frames[those], block, strict=True):
                        _add(where, place, frame, annotation, detections, is_data_set=index.is_data_set)
        return clip.total_frames

    @contextmanager
    def _opened(self, file: str) -> Iterator[IO[bytes]]:
        """The file, the only one that is open; one in a zip file is unpacked. Raises SourceError if it has changed."""
        if self._open is None or self._open[0] != file:
            self.close()
            self._open = file, self._unpacked(file)
        opened = self._open[1]
        if os.fstat(opened.fileno()).st_size != self._indexes[file].size:
            raise SourceError(f"{self._files.where(file)} has changed since it was indexed: convert it again")
        yield opened

    def _unpacked(self, file: str) -> IO[bytes]:
        paths = self._files.files([file])
        if paths != [self.path] or self.path.name == file:
            return open(paths[0], "rb", opener=open_regular)
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115
        for chunk in self._files.chunks(file):
            unpacked.write(chunk)
        unpacked.flush()
        return unpacked


def _parsed(
    file: IO[bytes], starts: list[int], lengths: list[int], where: str, places: Sequence[str]
) -> Iterator[list[Any]]:
    """The values of the texts at these bytes, ascending, in blocks that are parsed at once."""
    first = size = 0
    for i, length in enumerate(lengths):
        if size and size + length > _BLOCK_BYTES:
            yield _parsed_block(file, starts[first:i], lengths[first:i], where, places[first:i])
            first, size = i, 0
        size += length
    if first < len(starts):
        yield _parsed_block(file, starts[first:], lengths[first:], where, places[first:])


def _parsed_block(
    file: IO[bytes], starts: list[int], lengths: list[int], where: str, places: Sequence[str]
) -> list[Any]:
    """The values of a block of texts. Those that are close to each other are read together."""
    texts = []
    first = 0
    while first < len(starts):
        begins, stop = starts[first], starts[first] + lengths[first]
        last = first + 1
        while (
            last < len(starts) and starts[last] - stop <= _GAP and starts[last] + lengths[last] - begins <= _READ_BYTES
        ):
            stop = starts[last] + lengths[last]
            last += 1
        block = pread(file.fileno(), stop - begins, begins)
        of = slice(first, last)
        texts += [
            block[start - begins : start - begins + length]
            for start, length in zip(starts[of], lengths[of], strict=True)
        ]
        first = last
    return parse_all(texts, (f"{where}: {place}" for place in places))


def _add(where: str, place: str, frame: int, annotation: Any, detections: Detections, *, is_data_set: bool) -> None:
    """Add one annotation or result."""
    if type(annotation) is not dict:
        raise SourceError(f"{where}: {place} is {shown(annotation)}; expected an object with image_id and keypoints")
    if not annotation.keys() <= KEYS:
        detections.not_kept(annotation.keys() - KEYS)
    row = _flat(where, place, annotation.get("keypoints"))
    if not any(row):
        require_numbers(row, f"{where}: {place}.keypoints")
        detections.leave_out()
        return
    fields: dict[str, object] = {"box": _box(where, place, annotation.get("bbox"))}
    third = row[2::3]
    if is_data_set and _INTEGERS.issuperset(map(type, third)) and _VISIBILITIES.issuperset(third):
        fields["keypoint_visibility"] = third
        row = list(row)
        row[2::3] = [1 if value else 0 for value in third]
    track = annotation.get("track_id")
    if track is not None and (type(track) is not int or track < -1):
        raise SourceError(f"{where}: {place}.track_id is {shown(track)}; expected an integer from 0")
    detections.add(
        f"{place}.keypoints",
        frame,
        row,
        score=annotation.get("score"),
        track=None if track == -1 else track,
        fields=fields,
    )


def _flat(where: str, place: str, keypoints: object) -> list[Any]:
    """``keypoints`` as [V * 3], which may be nested, [V][3]. Raises SourceError if it is no such list."""
    place = f"{place}.keypoints"
    if type(keypoints) is list and keypoints and type(keypoints[0]) is list:
        if any(type(joint) is not list or len(joint) != 3 for joint in keypoints):
            raise SourceError(f"{where}: {place} is not a list of joints [x, y, v]")
        keypoints = [value for joint in keypoints for value in joint]
    if keypoints is None:
        return []
    if type(keypoints) is not list:
        raise SourceError(f"{where}: {place} is {shown(keypoints)}; expected a list of numbers")
    if len(keypoints) % 3:
        raise SourceError(f"{where}: {place} has {counted(len(keypoints), 'number')}; expected x, y, v of each joint")
    return keypoints


def _box(where: str, place: str, box: object) -> object:
    if box not in (None, []) and (type(box) is not list or len(box) != 4):
        raise SourceError(f"{where}: {place}.bbox is {shown(box)}; expected [x, y, width, height]")
    return box


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SourceError(f"frame_pattern {pattern!r} is not a regular expression ({error})") from None
    if not {"clip", "frame"} & compiled.groupindex.keys():
        raise SourceError(f"frame_pattern {pattern!r} has no group; expected (?P<clip>…), (?P<frame>[0-9]+), or both")
    return compiled


def recognise(candidate: Candidate) -> bool:
    """Whether it is a file that begins like a data set of COCO, or a folder or zip file with such a file.

    A list of results may be AlphaPose's, too, and is not recognised.
    """
    return any(map(_begins_like_a_data_set, candidate.heads(SUFFIX)))


def _begins_like_a_data_set(head: bytes) -> bool:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    has_images = b'"images"' in text and b'"file_name"' in text
    has_annotations = b'"annotations"' in text and b'"image_id"' in text and b'"keypoints"' in text
    return text.startswith(b"{") and (has_images or has_annotations)


DIALECT = Dialect(
    NAME,
    "COCO's keypoints: annotated frames of videos, or results",
    "JSON in COCO's form, with any number of clips, a folder or a zip file of them",
    recognise=recognise,
    open=CocoFiles,
    options=(
        *POSE_OPTIONS,
        Option(
            "frame_pattern",
            "text",
            "Regular expression whose groups clip and frame are found in file_name.",
            "Pose tools",
            metavar="REGEX",
        ),
    ),
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_pose_options,
)
