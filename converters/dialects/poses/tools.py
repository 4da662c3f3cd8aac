"""Files that libraries of pose tools read: SLEAP, NWB and DeepLabCut with sleap-io, ``.pose`` with pose-format.

Neither library is needed to install skelstore (``skelstore[tools]``). What they do with a file is up to them: the
bounds that hold for other sources do not hold here, and no file is opened with them unless it has one of the suffixes.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.dialects.dialect import POSE_OPTIONS, Dialect, recorded_pose_options
from converters.inputs.candidate import Candidate
from converters.inputs.clip_files import is_zip
from converters.inputs.detections import Detections
from converters.inputs.listing import Entry, Video
from converters.inputs.pixels import Size
from converters.inputs.pose_clips import PoseClips
from converters.inputs.video_table import refuse
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.format.values import Json
from skelstore.joints import LAYOUTS

NAME = "tools"
SLEAP_SUFFIXES = (".slp", ".nwb", ".h5", ".csv")
"""Suffixes of files for sleap-io; ``.h5`` are SLEAP's analysis files, ``.csv`` DeepLabCut's labels."""
POSE_SUFFIX = ".pose"
EXTRA = "skelstore[tools]"
"""The extra that installs both libraries."""

_NOTES = (
    "joints that the file marks as missing are 0, 0 with score 0, and joints of labels by hand have score 1",
    "the skeleton's edges, comments and other metadata of the file are not kept",
)
_ANALYSIS = ".analysis.h5"
_MOST_BYTES = 1 << 30
"""Bytes of a ``.pose`` file."""
_FIELDS = {
    "face_landmarks": "face_keypoint",
    "face_keypoints_2d": "face_keypoint",
    "left_hand_landmarks": "hand_left_keypoint",
    "hand_left_keypoints_2d": "hand_left_keypoint",
    "right_hand_landmarks": "hand_right_keypoint",
    "hand_right_keypoints_2d": "hand_right_keypoint",
    "pose_world_landmarks": "world_keypoint",
}
"""Component of a ``.pose`` file, in lower case -> the field that it becomes. The body becomes ``keypoint``."""


class ToolFiles(PoseClips):
    """Source of one such file, or of all of them below a folder: a clip per video.

    Other ``.csv`` and ``.h5`` files in a folder are passed over. Options and errors are those of ``PoseClips``; raises
    SourceError if the library is not installed, or cannot read the file.
    """

    dialect = NAME
    suffixes = (*SLEAP_SUFFIXES, POSE_SUFFIX)
    notes = _NOTES
    fractions = False

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._loaded: tuple[str, list[_Clip]] | None = None
        if Path(path).is_file() and is_zip(Path(path)):
            raise SourceError(f"{path} is a zip file; the libraries read files on disk: unpack it")
        super().__init__(path, **options)

    def description(self) -> dict[str, Json]:
        """As for all tools; and the names of the joints of the first clip."""
        names = self._load(self._listing.videos[0].entry.file)[0].joint_names
        return super().description() | {"joint_names": list(names)}

    def close(self) -> None:
        """Forget the file in memory; no file stays open."""
        self._loaded = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loaded": None}

    def _clips(self) -> list[Entry]:
        entries = []
        problems = []
        for file, size in self._files.sizes.items():
            if self.path.is_dir() and not _is_of_a_tool(self._folder / file):
                continue
            try:
                clips = self._load(file)
            except SourceError as error:
                if not self.path.is_dir():
                    raise
                problems.append(str(error))
                continue
            stem = PurePosixPath(file).with_suffix("").as_posix()
            for i, clip in enumerate(clips):
                several = len(clips) > 1
                name = f"{stem}/{clip.name or i}" if several else stem
                entries.append(Entry(file, i if several else None, name, max(size // len(clips), 1)))
        refuse(str(self.path), problems)
        if not entries:
            raise SourceError(f"{self.path} has no file of SLEAP, NWB, DeepLabCut or pose-format")
        return entries

    def _layout(self, joints: int) -> str | None:
        names = self._load(self._listing.videos[0].entry.file)[0].joint_names
        found = tuple(name.lower().replace(" ", "_") for name in names)
        return next((name for name, layout in LAYOUTS.items() if layout.joints == found), None)

    def _read(self, entry: Entry, detections: Detections) -> int | None:
        clip = self._load(entry.file)[entry.position or 0]
        if clip.size is not None:
            detections.state_size(clip.size)
        detections.not_kept(clip.not_kept)
        for frame in (0, *clip.frames):  # both libraries count from 0
            detections.see_frame(frame)
        for person in clip.persons():
            detections.add(
                person.place,
                person.frame,
                _row(person.points),
                score=person.score,
                track=person.track,
                fields=person.fields,
            )
        return clip.total_frames

    def _more(self, video: Video) -> dict[str, Any]:
        fps = self._load(video.entry.file)[video.entry.position or 0].fps
        return {} if fps is None else {"fps": fps}

    def _load(self, file: str) -> list[_Clip]:
        """The clips of a file, the only one that is kept in memory."""
        if self._loaded is None or self._loaded[0] != file:
            self._loaded = None
            path = self._folder / file
            self._loaded = file, _read_pose(path) if path.suffix.lower() == POSE_SUFFIX else _read_sleap(path)
        return self._loaded[1]


class _Person(NamedTuple):
    """A person in a frame: ``points`` [V, 3] of x, y, score; ``fields`` as for ``Detections.add``."""

    place: str
    frame: int
    points: NDArray[Any]
    score: float | None
    track: int | None
    fields: dict[str, object]


class _Clip(ABC):
    """A clip of a file. A subclass defines ``persons``."""

    def __init__(self, name: str, joint_names: tuple[str, ...]) -> None:
        self.name = name
        self.joint_names = joint_names
        self.total_frames: int | None = None
        self.size: Size | None = None
        self.fps: float | None = None
        self.frames: list[int] = []
        """The frames that the file lists, with persons or without."""
        self.not_kept: list[str] = []

    @abstractmethod
    def persons(self) -> Iterator[_Person]:
        """The detections, in any order."""


def _row(points: NDArray[Any]) -> list[float]:
    """[V * 3] of joints; missing ones, which are NaN or have no score, are zeros."""
    points = np.array(points, np.float64)
    points[~np.isfinite(points).all(axis=1)] = 0
    values: list[float] = points.reshape(-1).tolist()
    return values


@contextmanager
def _reading(path: Path, library: str) -> Iterator[None]:
    """Turn whatever the library raises in the block into a SourceError, and hide its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SourceError:
        raise
    except Exception as error:  # what a library raises for a damaged file is not documented
        text = str(error).partition("\n")[0][:200]
        raise SourceError(f"{path}: {library} cannot read it ({type(error).__name__}: {text})") from None


def _missing(path: Path, library: str, what: str) -> SourceError:
    return SourceError(
        f"{path} is a file of {what}, which the library {library} reads, and it is not installed: pip install '{EXTRA}'"
    )


# --------------------------------------------------------------------------------------------- sleap-io


def _read_sleap(path: Path) -> list[_Clip]:
    """The videos of a file, each with its labelled frames."""
    try:
        import sleap_io as sleap
    except ImportError:
        raise _missing(path, "sleap-io", "SLEAP, NWB or DeepLabCut") from None
    with _reading(path, "sleap-io"):
        options = {"open_videos": False} if path.suffix.lower() == ".slp" else {}
        labels = sleap.load_file(str(path), **options)
        frames: dict[int, list[Any]] = {}
        for frame in labels.labeled_frames:
            frames.setdefault(id(frame.video), []).append(frame)
        tracks = {id(track): number for number, track in enumerate(labels.tracks)}
        clips: list[_Clip] = [
            _Sleap(video, frames[id(video)], tracks) for video in labels.videos if id(video) in frames
        ]
    if not clips:
        raise SourceError(
            f"{path}: sleap-io finds no labelled frame in it; DeepLabCut's labels need the images that they are of, "
            "and its predictions are not read: convert them with its own tools"
        )
    return clips


class _Sleap(_Clip):
    """A video of SLEAP with its frames. ``tracks`` are the numbers of tracks by the ids of their objects."""

    def __init__(self, video: Any, frames: list[Any], tracks: dict[int, int]) -> None:
        first = next((instance for frame in frames for instance in frame.instances), None)
        filename = video.filename if isinstance(video.filename, str) else video.filename[0]
        super().__init__(Path(filename).stem, () if first is None else tuple(first.skeleton.node_names))
        self._frames = frames
        self._tracks = tracks
        self.frames = [int(frame.frame_idx) for frame in frames]
        if any(len(_without_corrected(frame.instances)) < len(frame.instances) for frame in frames):
            self.not_kept.append("predictions that were corrected by hand")
        shape = None
        with suppress(Exception):  # it may look for the video file
            shape = video.shape
        if shape is not None and all(isinstance(length, int | np.integer) and length > 0 for length in shape[:3]):
            self.total_frames, self.size = int(shape[0]), Size(int(shape[1]), int(shape[2]))

    def persons(self) -> Iterator[_Person]:
        for frame in self._frames:
            for i, instance in enumerate(_without_corrected(frame.instances)):
                points = instance.points
                predicted = hasattr(instance, "score")
                scores = points["score"] if predicted else np.ones(len(points))
                xy = np.where(points["visible"][:, None], points["xy"], np.nan)
                yield _Person(
                    f"frame {frame.frame_idx}: instance {i}",
                    int(frame.frame_idx),
                    np.concatenate([xy, scores[:, None]], axis=1),
                    float(instance.score) if predicted else None,
                    None if instance.track is None else self._tracks.get(id(instance.track)),
                    {},
                )


def _without_corrected(instances: list[Any]) -> list[Any]:
    """The instances without the predictions that a user has corrected, as ``Labels.numpy`` of SLEAP leaves them out."""
    by_hand = [instance for instance in instances if not hasattr(instance, "score")]
    corrected = {id(instance.from_predicted) for instance in by_hand if instance.from_predicted is not None}
    tracks = {id(instance.track) for instance in by_hand if instance.track is not None}
    return [
        instance
        for instance in instances
        if not hasattr(instance, "score") or (id(instance) not in corrected and id(instance.track) not in tracks)
    ]


# -------------------------------------------------------------------------------------------- pose-format


def _read_pose(path: Path) -> list[_Clip]:
    """The one clip of a ``.pose`` file."""
    try:
        import pose_format as module
    except ImportError:
        raise _missing(path, "pose-format", "pose-format") from None
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise SourceError(f"{path} has {size:,} bytes; expected at most {_MOST_BYTES:,}")
    with open(path, "rb", opener=open_regular) as file:
        data = file.read(_MOST_BYTES)
    with _reading(path, "pose-format"):
        return [_Pose(module.Pose.read(data))]


class _Pose(_Clip):
    """A ``.pose`` file: ``data`` [T, M, V, C] and ``confidence`` [T, M, V] of all components one after the other."""

    def __init__(self, pose: Any) -> None:
        components = pose.header.components
        names = [component.name.lower() for component in components]
        body = next((i for i, name in enumerate(names) if name.startswith(("pose", "body")) and "world" not in name), 0)
        super().__init__("", tuple(map(str, components[body].points)))
        self._data = np.ma.getdata(pose.body.data)
        self._scores = np.ma.getdata(pose.body.confidence)
        self.total_frames = len(self._data)
        self.fps = float(pose.body.fps)
        size = pose.header.dimensions
        if size.height > 0 and size.width > 0:
            self.size = Size(int(size.height), int(size.width))
        stops = np.cumsum([len(component.points) for component in components]).tolist()
        self._parts = {
            "keypoint" if i == body else _FIELDS.get(name, f"{_word(name)}_keypoint"): slice(start, stop)
            for i, (name, start, stop) in enumerate(zip(names, [0, *stops], stops, strict=False))
        }

    def persons(self) -> Iterator[_Person]:
        for t, m in np.argwhere(self._scores.any(axis=2)).tolist():
            points, scores = self._data[t, m], self._scores[t, m]
            fields: dict[str, object] = {}
            for name, part in self._parts.items():
                if not scores[part].any():
                    continue
                if name != "keypoint":
                    fields[name] = _row(_joined(points[part], scores[part]))
                if points.shape[1] > 2 and points[part, 2].any():
                    fields[f"{name}_z"] = np.where(scores[part] > 0, points[part, 2], 0).astype(np.float64).tolist()
            body = self._parts["keypoint"]
            yield _Person(f"frame {t}: person {m}", t, _joined(points[body], scores[body]), None, None, fields)


def _joined(points: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """[V, 3] of x, y, score; NaN where the score is 0, as the format marks what is missing."""
    joined = np.concatenate([points[:, :2], scores[:, None]], axis=1).astype(np.float64)
    joined[scores <= 0] = np.nan
    return joined


def _word(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:40]


# -------------------------------------------------------------------------------------------- recognition


def _is_of_a_tool(path: Path) -> bool:
    """Whether a file is of a tool: by its suffix; a ``.csv`` by its first line, an ``.h5`` by the end of its name."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        with open(path, "rb", opener=open_regular) as file:
            return _begins_like_labels(file.read(64 << 10))
    return path.name.lower().endswith(_ANALYSIS) if suffix == ".h5" else True


def _begins_like_labels(head: bytes) -> bool:
    lines = head.lower().split(b"\n", 4)[:4]
    return lines[0].startswith(b"scorer,") and any(line.startswith(b"coords,") for line in lines)


def recognise(candidate: Candidate) -> bool:
    """Whether it is such a file, or a folder with one and without pickles and arrays."""
    if candidate.is_folder:
        if candidate.has(".pkl", ".npy", ".npz", ".skeleton", ".json"):
            return False
        return any(map(_is_of_a_tool, candidate.files(*ToolFiles.suffixes)))
    return candidate.path.suffix.lower() in ToolFiles.suffixes and _is_of_a_tool(candidate.path)


DIALECT = Dialect(
    NAME,
    "files of SLEAP, NWB, DeepLabCut and pose-format, through their libraries",
    "`.slp`, `.nwb`, `.analysis.h5`, DeepLabCut's `.csv` of labels, or `.pose`, or a folder of them",
    recognise=recognise,
    open=ToolFiles,
    options=POSE_OPTIONS,
    takes_folder=None,
    suffixes=ToolFiles.suffixes,
    recorded=recorded_pose_options,
)
