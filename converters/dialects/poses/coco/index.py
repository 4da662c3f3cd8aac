"""The index of a file of COCO's keypoints: its clips, and where their annotations are."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import sub
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.inputs.json_elements import Element, runs
from converters.inputs.json_values import parse
from converters.inputs.pixels import Size
from skelstore.errors import SourceError
from skelstore.format.values import is_utf8
from skelstore.wording import counted, kind_of, shown

_LAST_NUMBER = re.compile(r"(.*?)(\d{1,18})(\D*)", re.ASCII | re.DOTALL)
_IMAGE_ID = re.compile(rb'"image_id"[ \t\r\n]*+:[ \t\r\n]*+(?:(0|[1-9][0-9]{0,17}+)|"([ !#-\[\]-~]*+)")[ \t\r\n]*+[,}]')
"""An id in the text of an annotation: an integer, or ASCII text without escapes."""
_MOST_FRAME = 2**31 - 2
_SPARSE, _FEW = 100, 10_000
"""Images whose numbers span more than ``_SPARSE`` times their count, and more than ``_FEW``, are no frames of a video.
"""


class Clip(NamedTuple):
    """A clip: its annotations in the index, its first and last frame, and what the images say about it."""

    name: str
    start: int
    stop: int
    first: int
    last: int
    size: Size | None
    total_frames: int | None


@dataclass(frozen=True)
class Index:
    """What is where in a file: the annotations, ordered by clip and in the order of the file, and the clips.

    ``frames`` int32, ``starts`` and ``lengths`` in bytes, and ``positions`` in the list ``member`` are those of the
    annotations. ``size`` is that of the file.
    """

    clips: list[Clip]
    frames: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int32]
    positions: NDArray[np.int32]
    member: str
    is_data_set: bool
    joint_names: tuple[str, ...]
    not_kept: tuple[str, ...]
    size: int


@dataclass
class _Images:
    """The images: their number by id, and clip, frame and size by number; -1 if unknown."""

    where: str
    file: str
    pattern: re.Pattern[str] | None
    numbers: dict[int | str, int] = field(default_factory=dict)
    frames: array[int] = field(default_factory=lambda: array("i"))
    clips: array[int] = field(default_factory=lambda: array("i"))
    heights: array[int] = field(default_factory=lambda: array("i"))
    widths: array[int] = field(default_factory=lambda: array("i"))
    of_clip: dict[tuple[str, str], int] = field(default_factory=dict)
    """Folder and text before the number -> number of the clip. A ``vid_id`` has no folder."""
    total_frames: dict[int, int] = field(default_factory=dict)

    def numbers_of(self, ids: Sequence[int | str]) -> list[int]:
        """The numbers of images by their ids; new ones for those that have not been seen yet."""
        numbers = self.numbers
        found = [numbers.setdefault(image, len(numbers)) for image in ids]
        new = array("i", [-1]) * (len(numbers) - len(self.frames))
        for values in (self.frames, self.clips, self.heights, self.widths):
            values.extend(new)
        return found

    def add(self, element: Element) -> None:
        """Add an element of ``images``."""
        image, place = element.value, element.place
        if type(image) is not dict or "id" not in image:
            raise SourceError(f"{self.where}: {place} is {_sized(image)}; expected an object with id and file_name")
        if type(image["id"]) not in (int, str):
            raise SourceError(f"{self.where}: {place}.id is {shown(image['id'])}; expected the id of an image")
        number = self.numbers.setdefault(image["id"], len(self.numbers))
        if number == len(self.frames):
            for values in (self.frames, self.clips, self.heights, self.widths):
                values.append(-1)
        if self.clips[number] >= 0:
            raise SourceError(f"{self.where}: {place} has the id {shown(image['id'])} of another image")
        if "vid_id" in image and "frame_id" in image:
            clip, frame = image["vid_id"], image["frame_id"]
            if type(clip) not in (int, str) or type(frame) is not int or not 0 <= frame <= _MOST_FRAME:
                raise SourceError(f"{self.where}: {place} has vid_id {shown(clip)} and frame_id {shown(frame)}")
            key = "", str(clip)
        else:
            key, frame = self.from_name(image.get("file_name"), f"{place}.file_name")
        self.place(number, key, frame)
        size = image.get("height"), image.get("width")
        if all(type(value) is int and 0 < value < 1 << 31 for value in size):
            self.heights[number], self.widths[number] = size  # type: ignore[assignment]
        total = image.get("nframes")
        if type(total) is int and 0 < total <= _MOST_FRAME:
            clip_number = self.of_clip[key]
            self.total_frames[clip_number] = max(total, self.total_frames.get(clip_number, 0))

    def add_result(self, number: int, image: int | str, place: str) -> None:
        """Add an image that only results name: by the number of its frame, or by its name."""
        if isinstance(image, str):
            self.place(number, *self.from_name(image, place))
        elif 0 <= image <= _MOST_FRAME:
            self.place(number, ("", ""), image)
        else:
            raise SourceError(f"{self.where}: {place} is {shown(image)}; expected the number of a frame")

    def place(self, number: int, key: tuple[str, str], frame: int) -> None:
        """State the clip and the frame of an image."""
        if key not in self.of_clip and not (is_utf8(key[0]) and is_utf8(key[1])):
            raise SourceError(f"{self.where}: {shown(key[1])} is not the name of a clip: it is not UTF-8")
        self.clips[number] = self.of_clip.setdefault(key, len(self.of_clip))
        self.frames[number] = frame

    def from_name(self, name: object, place: str) -> tuple[tuple[str, str], int]:
        """Folder and text before the number, and the number, of the name of an image."""
        if type(name) is not str or not name:
            raise SourceError(f"{self.where}: {place} is {shown(name)}; expected the name of an image")
        name = name[:1000]
        if self.pattern is not None:
            return self._by_pattern(name, place)
        folder, _, file = name.replace("\\", "/").rstrip("/").rpartition("/")
        dot = file.rfind(".", 1, len(file) - 1)
        match = _LAST_NUMBER.fullmatch(file, 0, len(file) if dot < 0 else dot)
        if match is None or int(match[2]) > _MOST_FRAME:
            raise SourceError(
                f"{self.where}: {place} {shown(name)} states no frame; expected a number in it: give --frame-pattern, "
                "a regular expression such as '(?P<clip>.+)_(?P<frame>[0-9]+)'"
            )
        return (_normal(folder), match[1].rstrip("._- ")), int(match[2])

    def _by_pattern(self, name: str, place: str) -> tuple[tuple[str, str], int]:
        assert self.pattern is not None
        match = self.pattern.search(name)
        groups = {} if match is None else match.groupdict()
        frame = groups.get("frame", "0")
        if match is None or frame is None or not (frame.isascii() and frame.isdigit()) or int(frame[:18]) > _MOST_FRAME:
            raise SourceError(
                f"{self.where}: {place} {shown(name)} does not fit --frame-pattern {self.pattern.pattern}"
            )
        return ("", groups.get("clip") or ""), int(frame)


@lru_cache(1000)
def _normal(folder: str) -> str:
    """The path of a folder without slashes at its ends, empty steps and dots for the folder itself."""
    return "" if PurePosixPath(folder) == PurePosixPath() else PurePosixPath(folder).as_posix().strip("/")


def read_index(chunks: Iterator[bytes], where: str, file: str, pattern: re.Pattern[str] | None) -> Index:
    """The index of a file. Raises SourceError if it is not COCO's keypoints."""
    images = _Images(where, file, pattern)
    of_image, starts, lengths, positions = array("i"), array("q"), array("i"), array("i")
    names: tuple[str, ...] = ()
    not_kept: set[str] = set()
    members: set[str | None] = set()
    size = 0

    def counted_chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            size += len(chunk)
            yield chunk

    for run in runs(counted_chunks(), where, unparsed=(None, "annotations")):
        members.update(element.key for element in run)
        if run and run[0].position is not None and run[0].key in (None, "annotations"):
            of_image.extend(_add_annotations(images, run))
            _, places, _, begins, ends = zip(*run, strict=True)
            starts.extend(begins)
            lengths.extend(map(sub, ends, begins))
            positions.extend(places)
            continue
        for element in run:
            if element.key == "images" and element.position is not None:
                images.add(element)
            elif element.key == "categories" and element.position is not None:
                names = names or _joint_names(element.value)
            elif element.value != []:
                not_kept.add(str(element.key))
    if None not in members and not {"images", "annotations"} <= members:
        raise SourceError(f"{where} has no images and annotations; expected COCO's keypoints, or a list of results")
    is_data_set = None not in members
    numbers = np.array(of_image, np.int32)
    _require_images(images, numbers, positions)
    of_clip = np.array(images.clips, np.int32)[numbers]
    order = np.argsort(of_clip, kind="stable")
    bounds = np.searchsorted(of_clip[order], np.arange(len(images.of_clip) + 1))
    return Index(
        _clips_of(images, bounds),
        np.array(images.frames, np.int32)[numbers][order],
        np.array(starts, np.int64)[order],
        np.array(lengths, np.int32)[order],
        np.array(positions, np.int32)[order],
        "annotations" if is_data_set else "",
        is_data_set,
        names,
        tuple(sorted(not_kept)),
        size,
    )


def _add_annotations(images: _Images, run: Sequence[Element]) -> list[int]:
    """The numbers of the images of annotations. Raises SourceError if one is no annotation."""
    ids = _ids_in_texts(run)
    if ids is None:
        ids = [_image_id(element, images.where) for element in run]
    known = len(images.numbers)
    numbers = images.numbers_of(ids)
    if run[0].key is None:
        for element, image, number in zip(run, ids, numbers, strict=True):
            if number >= known and images.clips[number] < 0:
                images.add_result(number, image, f"{element.place}.image_id")
    return numbers


def _ids_in_texts(run: Sequence[Element]) -> list[int | str] | None:
    """The ids of the images of annotations of flat text, without parsing them; None if one is anything else."""
    texts = [element.value for element in run]
    if not {bytes}.issuperset(map(type, texts)) or any(text[:1] != b"{" for text in texts):
        return None
    if run[0].key is None and any(b'"keypoints"' not in text for text in texts):
        return None
    text = b"".join(texts)
    found = list(_IMAGE_ID.finditer(text))
    if text.count(b"{") != len(texts) or len(found) != len(texts):
        return None
    stops = np.cumsum(list(map(len, texts)))
    if (np.searchsorted(stops, [match.start() for match in found], "right") != np.arange(len(texts))).any():
        return None  # one has two ids, another has none
    return [int(match[1]) if match[1] else match[2].decode("ascii") for match in found]


def _image_id(element: Element, where: str) -> int | str:
    """The id of the image of an annotation. Raises SourceError if it is no annotation."""
    text = element.value
    annotation = parse(text, f"{where}: {element.place}") if type(text) is bytes else text
    if type(annotation) is not dict or "image_id" not in annotation:
        raise SourceError(f"{where}: {element.place} is {_sized(annotation)}; expected an object with image_id")
    if element.key is None and "keypoints" not in annotation:
        raise SourceError(f"{where}: {element.place} has no keypoints; expected results in COCO's form")
    image = annotation["image_id"]
    if type(image) not in (int, str):
        raise SourceError(f"{where}: {element.place}.image_id is {shown(image)}; expected the id of an image")
    return image  # type: ignore[no-any-return]


def _require_images(images: _Images, of_image: NDArray[np.int32], positions: array[int]) -> None:
    """Raise SourceError if an annotation of a data set refers to no image."""
    unknown = np.array(images.clips, np.int32)[of_image] < 0
    if unknown.any():
        first = int(unknown.argmax())
        image = next(image for image, number in images.numbers.items() if number == of_image[first])
        raise SourceError(
            f"{images.where}: annotations[{positions[first]}].image_id is {shown(image)}; expected the id of an image"
        )


def _clips_of(images: _Images, bounds: NDArray[np.intp]) -> list[Clip]:
    """The clips. Raises SourceError if the images of one differ in size, or are not the frames of a video."""
    clips = np.array(images.clips, np.int32)
    order = np.argsort(clips, kind="stable")
    starts = np.searchsorted(clips[order], np.arange(len(images.of_clip) + 1))
    frames, heights, widths = (np.array(values)[order] for values in (images.frames, images.heights, images.widths))
    names = _names(images)
    found = []
    for clip in range(len(images.of_clip)):
        of = slice(int(starts[clip]), int(starts[clip + 1]))
        first, last = int(frames[of].min()), int(frames[of].max())
        count = of.stop - of.start
        if count > 1 and last - first > max(_SPARSE * count, _FEW):
            raise SourceError(
                f"{images.where}: clip {names[clip]} would have {counted(count, 'image')} with numbers from {first:,} "
                f"to {last:,}, which are not the frames of a video: if each image is a clip, give --frame-pattern "
                r"'(?P<clip>[^/]+)\.\w+$'"
            )
        sizes = set(zip(heights[of].tolist(), widths[of].tolist(), strict=True)) - {(-1, -1)}
        if len(sizes) > 1:
            one, other = sorted(sizes)[:2]
            raise SourceError(
                f"{images.where}: clip {names[clip]} has images of {one[0]}x{one[1]} and {other[0]}x{other[1]} pixels; "
                "expected one size per clip: give --frame-pattern if they are several clips"
            )
        size = Size(*sizes.pop()) if sizes else None
        total = images.total_frames.get(clip)
        found.append(Clip(names[clip], int(bounds[clip]), int(bounds[clip + 1]), first, last, size, total))
    return found


def _names(images: _Images) -> list[str]:
    """The names of the clips: folder, or text before the number, or both if a folder has several clips."""
    in_folder: dict[str, int] = {}
    for folder, _ in images.of_clip:
        in_folder[folder] = in_folder.get(folder, 0) + 1
    stem = PurePosixPath(images.file).stem
    names = []
    for folder, prefix in images.of_clip:
        several = in_folder[folder] > 1
        own = "/".join(filter(None, (folder, prefix or "_"))) if several else folder or prefix or stem
        names.append(own)
    return names


def _joint_names(category: object) -> tuple[str, ...]:
    names = category.get("keypoints") if isinstance(category, Mapping) else None
    if type(names) is not list or len(names) > 1000 or not all(type(name) is str for name in names):
        return ()
    return tuple(name[:80] for name in names)


def _sized(value: object) -> str:
    return f"{kind_of(value)} of length {len(value)}" if isinstance(value, list | dict) else shown(value)
