"""FineGYM with the ground-truth boxes of its athletes: PYSKL's or MMAction2's pickle, and gym_gt_bboxes.pkl.

PYSKL provides both (tools/data/README.md). The boxes are a dict: name of a video -> its boxes, per frame.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import KnownAtOnce
from converters.dialects.dialect import Dialect, Option
from converters.inputs.annotation_file import AnnotationFile, describe_top
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin, video_name
from skelstore.format.values import Json, is_storable_dtype
from skelstore.wording import file_name, kind_of

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "gym"
BOX_KEY = "gt_bbox"
"""The key of the boxes in an annotation."""


class GymSource(KnownAtOnce):
    """Source of a pickle of annotations joined with a pickle of boxes, by ``frame_dir`` (else ``filename``).

    A video without boxes has no key ``gt_bbox``; boxes without a video are left out. Raises SourceError if the boxes
    are not a dict, or if no name in it is that of a video.
    """

    dialect = NAME

    def __init__(self, path: str | os.PathLike[str], boxes: str | os.PathLike[str]) -> None:
        self.path = absolute(path)
        self._annotations = AnnotationFile(path, NAME)
        try:
            self._boxes = PickleFile(boxes)
        except BaseException:
            self._annotations.close()
            raise
        try:
            self._names = self._join()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._annotations)

    def sizes(self) -> NDArray[np.int64]:
        boxes = self._boxes.size // max(len(self._boxes.keys), 1)
        return self._annotations.sizes() + boxes

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """The annotation with its boxes as the last key ``gt_bbox`` [T, 4], in the form and dtype of their file."""
        annotation, origin = self._annotations.video(index)
        name = video_name(annotation)
        if name is None or name not in self._names:
            return annotation, origin
        if BOX_KEY in annotation:
            raise SourceError(f"{self.path}: {self.place(index)} already has a {BOX_KEY}: leave out --boxes")
        return annotation | {BOX_KEY: _box_array(self._boxes.value(name), f"{self._boxes.path}: {name!r}")}, origin

    def files(self, start: int, stop: int) -> list[Path]:
        return [self._boxes.path, *self._annotations.files(start, stop)]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return self._annotations.place(index)

    def splits(self) -> dict[Any, Any]:
        return self._annotations.splits()

    def description(self) -> dict[str, Json]:
        """As for the annotations; ``boxes`` has the file, and counts videos without boxes and boxes without a video."""
        description = self._annotations.description()
        boxes = {"name": file_name(self._boxes.path), **self._unmatched}
        return {**description, "size": description["size"] + self._boxes.size, "boxes": boxes}

    def close(self) -> None:
        self._annotations.close()
        self._boxes.close()

    def _join(self) -> frozenset[str]:
        """The names of the boxes that belong to a video. Raises SourceError if there are none."""
        if self._boxes.root_kind != "dict" or not self._boxes.keys:
            raise SourceError(
                f"{self._boxes.path} holds {describe_top(self._boxes)}; expected the boxes of FineGYM: a dict from the "
                "names of videos to their boxes"
            )
        videos = [video_name(self._annotations.video(i)[0]) for i in range(len(self))]
        names = {key for key in self._boxes.keys if isinstance(key, str)}
        matched = names.intersection(videos)
        if not matched:
            raise SourceError(
                f"{self._boxes.path}: its names, such as {str(self._boxes.keys[0])[:80]!r}, are not those of "
                f"{self.path}, such as {str(videos[0] if videos else '')[:80]!r}; expected boxes of the same videos"
            )
        without = sum(name not in matched for name in videos)
        self._unmatched = {"videos_without": without, "without_video": len(self._boxes.keys) - len(matched)}
        return frozenset(matched)


def _box_array(value: object, place: str) -> NDArray[Any]:
    """Boxes as an array whose last axis has length 4, or 5 with a score. A list of arrays per frame is stacked."""
    try:
        boxes = np.stack([np.asarray(box) for box in value]) if isinstance(value, (list, tuple)) else value
    except (ValueError, TypeError, OverflowError):
        raise SourceError(
            f"{place} is a list of boxes of different shapes; expected the same shape for all frames"
        ) from None
    if not isinstance(boxes, np.ndarray):
        raise SourceError(f"{place} is {kind_of(boxes)}; expected an array with the boxes of each frame")
    if boxes.ndim < 2 or boxes.shape[-1] not in (4, 5) or not is_storable_dtype(boxes.dtype):
        raise SourceError(f"{place} is {kind_of(boxes)}; expected boxes of 4 numbers, or 5 with a score")
    return boxes


DIALECT = Dialect(
    NAME,
    "FineGYM's annotations with the ground-truth boxes of its athletes",
    "a pickle of FineGYM",
    recognise=lambda candidate: "boxes" in candidate.given,
    open=GymSource,
    options=(Option("boxes", "file", "Pickle of FineGYM's ground-truth boxes.", "FineGYM", required=True),),
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    boxes: str | os.PathLike[str],
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a pickle of annotations with the pickle of their boxes.

    Raises SourceError as ``GymSource`` does, else what ``convert_source`` raises.
    """
    from converters.conversion.convert import convert_source

    convert_source(GymSource(source, boxes), destination, **options)
