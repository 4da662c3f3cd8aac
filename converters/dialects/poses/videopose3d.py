"""VideoPose3D's and MotionBERT's .npz: 2D or 3D joints of videos, or the output of its detector for one video.

A data set (``data_2d_custom_myvideos.npz``, ``data_2d_h36m_gt.npz``, ``data_3d_h36m.npz``) has ``positions_2d`` or
``positions_3d``, a dict of video -> action -> one array [T, V, 2 or 3], or a list of one per camera; the action of
users' videos is ``custom``. ``metadata`` has the layout of the joints and the sizes of the videos
(facebookresearch/VideoPose3D, data/prepare_data_2d_custom.py and common/custom_dataset.py).

The output of the detector (``video.mp4.npz`` of inference/infer_video_d2.py) has, per frame and class, ``boxes`` [n, 5]
of x1, y1, x2, y2, score, and ``keypoints`` [n, 4, V] of x, y, logit, score; class 1 are persons.

All of these are arrays of Python objects, which contain pickles. They are read as data (`inputs.object_arrays`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.dialects.dialect import LABEL_BY, SKIP_MISSING, TABLE, Dialect, recorded_missing
from converters.inputs.candidate import Candidate
from converters.inputs.listing import Entry, ListedFiles, files_below, list_videos
from converters.inputs.object_arrays import Objects, read_objects
from converters.inputs.recognition import npz_names
from converters.inputs.video_table import refuse
from converters.pickles.arrays import Foreign
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, kind_of, shown

NAME = "videopose3d"
SUFFIX = ".npz"
POSITIONS = ("positions_2d", "positions_3d")
"""The arrays of a data set; a file has one of them."""
DETECTIONS = ("boxes", "keypoints")
"""The arrays of the detector's output."""

_MOST_BYTES = 1 << 30
"""Bytes of the joints of one file, with those that occur several times counted each time."""
_MOST_CLIPS = 1_000_000
_MOST_CAMERAS = 1000
_MOST_CLASSES = 1000
_PERSON = 1
"""The class of persons in the detector's output."""


class VideoPose3DFiles(ListedFiles):
    """Source of one ``.npz``, or of all below a folder. Each holds a data set, or the detector's output for one video.

    ``table`` is a CSV or Parquet file (`inputs.video_table`); ``label_by`` takes label and split from ``folders`` or
    ``ntu`` names instead. A video of a data set is named by its key; action and camera follow if there are several
    (``S1/Walking/0``). One file is in memory at a time. Raises SourceError that reports all files that hold something
    else, and as ``list_videos`` does.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        table: str | os.PathLike[str] | None = None,
        label_by: str | None = None,
        skip_missing: bool = False,
    ) -> None:
        self.path = absolute(path)
        self._folder = self.path if self.path.is_dir() else self.path.parent
        self._loaded: tuple[str, list[Annotation]] | None = None
        self._metadata: dict[str, Json] = {}
        files = files_below(self.path, (SUFFIX,)) if self.path.is_dir() else [self.path.name]
        entries: list[Entry] = []
        problems: list[str] = []
        for file in files:
            try:
                entries += self._entries(file)
            except SourceError as error:
                if not self.path.is_dir():
                    raise
                problems.append(str(error))
        refuse(str(self.path), problems)
        self._listing = list_videos(
            self.path, entries, table=table, label_by=label_by, skip_missing=skip_missing, unique=True
        )

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """One clip of a data set: ``keypoint`` [1, T, V, C] as it is; or all detections, with ``keypoint`` [N, V, 3].

        2D joints with a third coordinate have ``keypoint_score`` [1, T, V].
        """
        entry, row = self._listing.videos[index]
        annotation = {"frame_dir": entry.name} | self._annotations(entry.file)[entry.position or 0] | row.keys()
        annotation = {
            key: value.copy() if isinstance(value, np.ndarray) else value for key, value in annotation.items()
        }
        return annotation, Origin(entry.file, entry.position or 0, len(annotation))

    def description(self) -> dict[str, Json]:
        """As for the listing; and ``metadata``, the rest of the files' metadata by file."""
        description = super().description()
        return description | {"metadata": self._metadata} if self._metadata else description

    def close(self) -> None:
        """Forget the file in memory; no file stays open."""
        self._loaded = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def _entries(self, file: str) -> list[Entry]:
        annotations = self._annotations(file)
        names = [annotation.pop("frame_dir", None) or _name(file) for annotation in annotations]
        sizes = [max(sum(_nbytes(value) for value in annotation.values()), 1) for annotation in annotations]
        if len(annotations) == 1:
            return [Entry(file, None, names[0], sizes[0])]
        return [Entry(file, i, name, size) for i, (name, size) in enumerate(zip(names, sizes, strict=True))]

    def _annotations(self, file: str) -> list[Annotation]:
        """The annotations of a file, the only one that is kept in memory."""
        if self._loaded is None or self._loaded[0] != file:
            self._loaded = None
            annotations, metadata = read(self._folder / file)
            if metadata:
                self._metadata[file] = metadata
            self._loaded = file, annotations
        return self._loaded[1]


def read(path: Path) -> tuple[list[Annotation], dict[str, Json]]:
    """The annotations in a file, and its metadata without the sizes of videos.

    Those of a data set have ``frame_dir``. Raises SourceError if it is neither a data set nor the detector's output.
    """
    names = npz_names(path)
    stated = [name for name in POSITIONS if name in names]
    if len(stated) == 2:
        raise SourceError(f"{path} has positions_2d and positions_3d; expected one of them: save them in two files")
    if stated:
        metadata = _metadata(path, names)
        sizes = metadata.pop("video_metadata", {})
        clips = _clips(f"{path}: {stated[0]}", read_objects(path, stated[0]))
        is_2d = stated[0] == "positions_2d"
        made = [_of_clip(f"{path}: {clip}", clip, video, array, sizes, is_2d) for clip, video, array in clips]
        if not made:
            raise SourceError(f"{path}: {stated[0]} has no video")
        return made, _storable(metadata)
    if set(DETECTIONS) <= set(names):
        return [_of_detections(path, _metadata(path, names))], {}
    raise SourceError(
        f"{path} has the arrays {', '.join(map(str, names[:6]))}; expected positions_2d or positions_3d, or boxes and "
        "keypoints of VideoPose3D's detector"
    )


def _name(file: str) -> str:
    """The name of a video: the path of its file without ``.npz``, and without the suffix of the video."""
    path = PurePosixPath(file).with_suffix("")
    return (path.with_suffix("") if path.suffix.lower() in (".mp4", ".avi", ".mov", ".mkv") else path).as_posix()


def _nbytes(value: object) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else 0


def _metadata(path: Path, names: Sequence[str]) -> dict[Any, Any]:
    """The dict ``metadata`` of a file, a copy; empty if there is none."""
    if "metadata" not in names:
        return {}
    shape, elements = read_objects(path, "metadata")
    if shape or not isinstance(elements[0], dict):
        raise SourceError(f"{path}: metadata is {kind_of(elements[0]) if elements else 'empty'}; expected a dict")
    return dict(elements[0])


def _storable(metadata: Mapping[Any, Any]) -> dict[str, Json]:
    """The metadata as JSON; arrays as lists, and anything else as text."""

    def convert(value: object, depth: int = 0) -> Json:
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if isinstance(value, list | tuple) and depth < 4:
            return [convert(item, depth + 1) for item in value[:1000]]
        return value if isinstance(value, int | float | str | bool | None) else shown(value)

    return {str(key)[:80]: convert(value) for key, value in list(metadata.items())[:100]}


# ------------------------------------------------------------------------------------------- data sets


def _clips(where: str, objects: Objects) -> list[tuple[str, str, NDArray[Any]]]:
    """Name, video and joints of each clip. Raises SourceError if it is not video -> action -> arrays."""
    tree = objects.elements[0] if objects.shape == () and objects.elements else None
    if not isinstance(tree, dict):
        raise SourceError(f"{where} is not one dict of videos; expected {{video: {{action: [array [T, V, 2]]}}}}")
    clips: list[tuple[str, str, NDArray[Any]]] = []
    size = 0
    for video, actions in tree.items():
        if not isinstance(video, str) or not video:
            raise SourceError(f"{where}: the key {shown(video)} is not the name of a video")
        actions = actions if isinstance(actions, dict) else {"custom": actions}
        for action, cameras in actions.items():
            name = video if len(actions) == 1 and action == "custom" else f"{video}/{action}"
            arrays = [cameras] if isinstance(cameras, np.ndarray) else _listed(cameras, _MOST_CAMERAS)
            if arrays is None:
                raise SourceError(
                    f"{where}: {name[:200]} is {kind_of(cameras)}; expected a list of arrays, one a camera"
                )
            for camera, array in enumerate(arrays):
                full = f"{name}/{camera}" if len(arrays) > 1 else name
                if not isinstance(array, np.ndarray):
                    raise SourceError(f"{where}: {full[:200]} is {kind_of(array)}; expected an array [T, V, 2 or 3]")
                size += array.nbytes
                clips.append((full, video, array))
            if size > _MOST_BYTES or len(clips) > _MOST_CLIPS:
                raise SourceError(f"{where} has more than {_MOST_BYTES:,} bytes of joints or {_MOST_CLIPS:,} clips")
    return clips


def _of_clip(where: str, name: str, video: str, array: NDArray[Any], sizes: object, is_2d: bool) -> Annotation:
    if array.ndim != 3 or array.dtype.kind not in "iuf" or array.shape[2] not in (2, 3) or not array.shape[1]:
        raise SourceError(f"{where[:300]} is {array.dtype} {array.shape}; expected joints [T, V, 2 or 3]")
    annotation: Annotation = {"frame_dir": name}
    stated = sizes.get(video) if isinstance(sizes, dict) else None
    if isinstance(stated, dict):
        annotation |= _shape(where, stated)
    annotation["total_frames"] = len(array)
    if array.shape[2] == 3 and is_2d:
        return annotation | {"keypoint": array[None, ..., :2], "keypoint_score": array[None, ..., 2]}
    return annotation | {"keypoint": array[None]}


def _shape(where: str, stated: Mapping[Any, Any]) -> Annotation:
    """``img_shape`` and ``original_shape`` from a dict of w and h, or none if it has neither."""
    if "w" not in stated and "h" not in stated:
        return {}
    size = []
    for key in ("h", "w"):
        value = stated.get(key)
        value = value.item() if isinstance(value, np.generic) else value
        if type(value) is not int or not 0 < value < 1 << 31:
            raise SourceError(f"{where[:300]}: {key} of its metadata is {shown(value)}; expected a number of pixels")
        size.append(value)
    return {"img_shape": tuple(size), "original_shape": tuple(size)}


# --------------------------------------------------------------------------------- the detector's output


def _listed(value: object, most: int) -> list[Any] | None:
    """The items of a list, a tuple or the first axis of an array; None for anything else, and beyond ``most`` of them.

    Few bytes of a pickle can hold the same array many times, so its elements are counted before they are copied.
    """
    if isinstance(value, Foreign) and value.elements is not None and value.elements[0]:
        return _rows(Objects(*value.elements)) if len(value.elements[1]) <= most else None
    is_list = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
    return list(value) if is_list and len(value) <= most else None  # type: ignore[call-overload, arg-type]


def _rows(objects: Objects) -> list[Any]:
    """The elements of an array of objects along its first axis; rows of further axes are lists."""
    shape, elements = objects
    if len(shape) <= 1:
        return elements
    if not elements:  # a shape of no elements may have any length
        return [_rows(Objects(shape[1:], []))] * shape[0] if shape[0] <= _MOST_CLIPS else []
    step = len(elements) // shape[0]
    rows = [elements[i * step : i * step + step] for i in range(shape[0])]
    return rows if len(shape) == 2 else [_rows(Objects(shape[1:], row)) for row in rows]


def _of_detections(path: Path, metadata: Mapping[Any, Any]) -> Annotation:
    """The annotation of a video: ``keypoint`` float32 [N, V, 3] of x, y, score; ``box`` [N, 4] of x, y, w, h."""
    boxes, keypoints = (_rows(read_objects(path, name)) for name in DETECTIONS)
    if len(boxes) != len(keypoints):
        raise SourceError(
            f"{path}: boxes has {counted(len(boxes), 'frame')} and keypoints {len(keypoints):,}; expected the same"
        )
    found = list(_persons(path, boxes, keypoints))
    joints = {array.shape[2] for _, _, array in found}
    if len(joints) > 1:
        raise SourceError(f"{path}: keypoints has persons with {sorted(joints)[:5]} joints; expected one number")
    count = joints.pop() if joints else 17
    frame_inds = np.repeat(
        np.array([t for t, _, _ in found], np.int32), np.array([len(array) for _, _, array in found], np.intp)
    )
    points = np.concatenate([np.zeros((0, 4, count), np.float32), *(array for _, _, array in found)]).transpose(0, 2, 1)
    of_boxes = np.concatenate([np.zeros((0, 5), np.float32), *(box for _, box, _ in found)])
    annotation: Annotation = {
        **_shape(str(path), metadata),
        "total_frames": len(boxes),
        "keypoint": points[..., [0, 1, 3]].astype(np.float32),
        "frame_inds": frame_inds,
        "box_score": of_boxes[:, 4].astype(np.float32),
        "box": np.concatenate([of_boxes[:, :2], of_boxes[:, 2:4] - of_boxes[:, :2]], axis=1).astype(np.float32),
    }
    if points[..., 2].any():  # newer versions write zeros
        annotation["keypoint_logit"] = points[..., 2].astype(np.float32)
    return annotation


def _persons(path: Path, boxes: list[Any], keypoints: list[Any]) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """The frames with persons: their number, the boxes [n, 5] and the keypoints [n, 4, V]."""
    for t, (of_boxes, of_keypoints) in enumerate(zip(boxes, keypoints, strict=True)):
        box, joints = (
            _of_class(path, name, t, value) for name, value in zip(DETECTIONS, (of_boxes, of_keypoints), strict=True)
        )
        if box is None and joints is None:
            continue
        if (
            box is None
            or joints is None
            or len(box) != len(joints)
            or box.shape[1:] != (5,)
            or joints.shape[1:2] != (4,)
            or joints.ndim != 3
        ):
            shapes = [None if array is None else array.shape for array in (box, joints)]
            raise SourceError(
                f"{path}: frame {t} has boxes {shapes[0]} and keypoints {shapes[1]}; expected [n, 5] and [n, 4, V]"
            )
        yield t, box, joints


def _of_class(path: Path, name: str, t: int, value: object) -> NDArray[Any] | None:
    """What a frame has of persons; None if nothing. Raises SourceError if it has another class, or no array."""
    classes = _listed(value, _MOST_CLASSES)
    if classes is None or len(classes) <= _PERSON:
        raise SourceError(
            f"{path}: {name}[{t}] is {kind_of(value)}; expected a list of classes, of which 1 are persons"
        )
    for number, of_class in enumerate(classes):
        if isinstance(of_class, np.ndarray) and of_class.dtype.kind in "iuf":
            if number != _PERSON and len(of_class):
                raise SourceError(f"{path}: {name}[{t}] has detections of class {number}; expected persons, class 1")
        elif _listed(of_class, 0) != []:
            raise SourceError(f"{path}: {name}[{t}][{number}] is {kind_of(of_class)}; expected an array or []")
    person = classes[_PERSON]
    return person if isinstance(person, np.ndarray) and len(person) else None


def recognise(candidate: Candidate) -> bool:
    """Whether it is a .npz with VideoPose3D's arrays, or a folder whose first .npz has them."""
    path = candidate.path
    if candidate.is_folder:
        if candidate.has(".pkl", ".npy") or not candidate.has(SUFFIX):
            return False
        path = candidate.files(SUFFIX)[0]
    elif not candidate.head.startswith(b"PK\x03\x04") or not candidate.members:
        return False
    try:
        names = set(npz_names(path))
    except SourceError:
        return False
    return not names.isdisjoint(POSITIONS) or set(DETECTIONS) <= names


DIALECT = Dialect(
    NAME,
    "2D and 3D joints of VideoPose3D and MotionBERT, and the output of its detector",
    "a `.npz` with `positions_2d`, `positions_3d`, or `boxes` and `keypoints`, or a folder of them",
    recognise=recognise,
    open=VideoPose3DFiles,
    options=(TABLE, LABEL_BY, SKIP_MISSING),
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded_missing,
)
