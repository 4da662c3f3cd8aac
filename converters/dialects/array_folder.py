"""Users' own data: a folder of NumPy arrays, one file per video, with a table of labels and splits.

A ``.npy`` file is the ``keypoint`` of a video; a ``.npz`` file has the values of its annotation, as
``numpy.savez("clip.npz", **annotation)`` writes them. The keys are those that PYSKL documents (tools/data/README.md).
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Unpack

import numpy as np

from converters.dialects.dialect import LABEL_BY, SKIP_MISSING, TABLE, Dialect, recorded_missing
from converters.inputs.array_file import SUFFIXES, npy_header, npz_headers, npz_text, read_npy, read_npz
from converters.inputs.axes import Reading, other_reading
from converters.inputs.candidate import Candidate
from converters.inputs.listing import Entry, ListedFiles, Video, files_below, list_videos
from converters.inputs.recognition import describe_array, describe_npz, describe_pair, npz_names
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.wording import counted, kind_of, shown

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "arrays"
_FIRST_KEYS = ("frame_dir", "label", "img_shape", "original_shape", "total_frames", "keypoint", "keypoint_score")
"""The first keys of annotations, in PYSKL's order."""
_SHAPE_KEYS = ("img_shape", "original_shape")
_STATES_AXES = {"frame_inds", "total_frames"}
"""Arrays that must fit the axes of ``keypoint``: with one of them, the order of the axes is not a guess."""
_STATES_LAST_AXIS = "keypoint_score"
"""An array that must fit all axes of ``keypoint`` but the last: with it, the last one is not a guess."""
_EXPECTED = "expected [M, T, V, C], or [T, V, C] for one person, with 2 or 3 coordinates C"


class _MisreadError(SourceError):
    """The axes of an array are probably in another order. The message does not name the file: others may be like it."""

    def __init__(self, shape: tuple[int, ...], reading: Reading) -> None:
        is_possible = shape[-1] in (2, 3) and len(shape) < 5
        otherwise = "; if its axes are [M, T, V, C], save a .npz with keypoint and total_frames" if is_possible else ""
        super().__init__(f"keypoint has the shape {shape}: {reading.sentence()}{otherwise}")
        self.axes = reading.axes


class ArrayFolder(ListedFiles):
    """Source of all ``.npy`` and ``.npz`` files below a folder, or of those that a table lists, in its order.

    ``table`` is a CSV or Parquet file (`inputs.video_table`); ``label_by`` takes label and split from ``folders``
    or ``ntu`` names instead. The name of a video is its ``frame_dir`` in the table, else in the file, else its path
    without suffix. With ``skip_missing``, rows of the table whose files are missing are left out and recorded.
    Raises SourceError that reports all missing files, repeated names and arrays of wrong shapes.
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
        self.path = self._folder = absolute(path)
        entries = [self._entry(file) for file in files_below(self.path, SUFFIXES)]
        self._listing = list_videos(
            self.path,
            entries,
            table=table,
            label_by=label_by,
            skip_missing=skip_missing,
            unique=True,
            check=self._wrong_headers,
        )

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        """One annotation, its keys in PYSKL's order: ``keypoint`` [M, T, V, C], or [N, V, C] with ``frame_inds``."""
        video = self._listing.videos[index]
        file = self.path / video.entry.file
        if file.suffix.lower() == ".npy":
            values: Annotation = {"keypoint": read_npy(file)}
        else:
            values = read_npz(file)
        values |= {"frame_dir": video.name, **video.row.keys()}
        _normalise(file, values)
        annotation = {key: values.pop(key) for key in _FIRST_KEYS if key in values} | values
        return annotation, Origin(video.entry.file, 0, len(annotation))

    def close(self) -> None:
        """Do nothing: no file stays open between annotations."""

    def _entry(self, file: str) -> Entry:
        path = self.path / file
        name = filename = None
        if path.suffix.lower() == ".npz":
            with suppress(SourceError):  # reported with all other problems, if the file is converted
                name, filename = npz_text(path, "frame_dir"), npz_text(path, "filename")
        name = name or PurePosixPath(file).with_suffix("").as_posix()
        return Entry(file, None, name, max(path.stat().st_size, 1), filename)

    def _wrong_headers(self, videos: list[Video]) -> list[str]:
        """A problem per file whose arrays are not joints, or whose V or C differ from most. Reads only headers."""
        problems: list[str] = []
        forms: dict[str, tuple[int, ...]] = {}
        misread: dict[str, list[str]] = {}
        for video in videos:
            path = self.path / video.entry.file
            try:
                forms[video.entry.file] = _form(path, video)
            except _MisreadError as error:
                misread.setdefault(error.axes, []).append(f"{path}: {error}")
            except SourceError as error:
                problems.append(str(error))
        for first, *others in misread.values():
            problems.append(
                first + (f" (and {counted(len(others), 'more file', 'more files')} like it)" if others else "")
            )
        usual = Counter(forms.values()).most_common(1)
        for file, form in forms.items():
            if form != usual[0][0]:
                problems.append(
                    f"{self.path / file}: keypoint has {_describe(form)}; {usual[0][1]:,} of "
                    f"{counted(len(forms), 'file')} have {_describe(usual[0][0])}; expected the same in all files"
                )
        return problems


def _form(file: Path, video: Video) -> tuple[int, ...]:
    """V and C of the joints in a file. Raises SourceError if its arrays do not fit each other, or the table."""
    if columns := sorted({"keypoint_score", "frame_inds"} & video.row.values.keys()):
        raise SourceError(f"{file}: {columns[0]!r} is a column of the table; expected an array in a .npz")
    if file.suffix.lower() == ".npy":
        headers = {"keypoint": npy_header(file)}
    elif "keypoint" in (names := npz_names(file)):
        headers = npz_headers(file)
    else:
        raise SourceError(f"{file} {describe_npz(names)}")
    keypoint = headers["keypoint"].shape
    compressed = "frame_inds" in headers
    if compressed:
        frame_inds = headers["frame_inds"]
        if len(keypoint) != 3 or frame_inds.shape != keypoint[:1] or frame_inds.dtype.kind not in "iu":
            raise SourceError(
                f"{file}: keypoint has the shape {keypoint} and frame_inds {frame_inds.dtype} {frame_inds.shape}; "
                "expected [N, V, 3] and N integers"
            )
    stated = headers["keypoint"].dtype.kind not in "iuf" or not headers.keys().isdisjoint(_STATES_AXES)
    reading = None if stated else other_reading(keypoint)
    if reading is not None and (_STATES_LAST_AXIS not in headers or reading.axes.endswith("C]")):
        raise _MisreadError(keypoint, reading)
    if headers["keypoint"].dtype.kind not in "iuf" or len(keypoint) not in (3, 4) or keypoint[-1] not in (2, 3):
        description = describe_array(keypoint, headers["keypoint"].dtype.kind)
        hint = f": {description}" if description else ""
        raise SourceError(f"{file}: keypoint has {headers['keypoint'].dtype} {keypoint}; {_EXPECTED}{hint}")
    score = headers.get("keypoint_score")
    if score is not None and score.shape != keypoint[:-1]:
        raise SourceError(
            f"{file}: keypoint_score has the shape {score.shape}; expected {keypoint[:-1]}, like keypoint"
        )
    if "filename" in headers and headers["filename"].dtype.kind != "U":
        raise SourceError(f"{file}: filename is {headers['filename'].dtype}; expected a str")
    for key in video.row.values:
        if key in headers and key not in _SHAPE_KEYS and headers[key].shape:
            raise SourceError(f"{file}: {key!r} is an array and also a column of the table: leave out one of the two")
    return keypoint[-2:]


def _describe(form: tuple[int, ...]) -> str:
    return f"{counted(form[0], 'joint')} of {counted(form[1], 'coordinate')}"


def _normalise(file: Path, annotation: Annotation) -> None:
    """Bring the values of a file into PYSKL's form: an axis of persons, tuples of int, the number of frames."""
    for key in _SHAPE_KEYS:
        if isinstance(shape := annotation.get(key), np.ndarray):
            if shape.shape != (2,) or shape.dtype.kind not in "iu":
                raise SourceError(f"{file}: {key} is {kind_of(shape)}; expected height and width")
            annotation[key] = tuple(shape.tolist())
    keypoint = annotation["keypoint"]
    total = annotation.get("total_frames", 0)
    if type(total) is not int:
        raise SourceError(f"{file}: total_frames is {shown(total)}; expected an integer")
    if "frame_inds" in annotation:
        frames = int(annotation["frame_inds"].max()) + 1 if len(keypoint) else 0
        annotation.setdefault("total_frames", frames)
        return
    if keypoint.ndim == 3:
        for key in {"keypoint", "keypoint_score"} & annotation.keys():
            annotation[key] = annotation[key][None]
    frames = annotation["keypoint"].shape[1]
    if annotation.setdefault("total_frames", frames) != frames:
        raise SourceError(
            f"{file}: total_frames is {annotation['total_frames']!r}, but keypoint has {counted(frames, 'frame')}"
        )


def recognise(candidate: Candidate) -> bool:
    """Whether it is a folder with arrays and without pickles, other than one array of all clips and one of labels."""
    if "channels" in candidate.given or not candidate.has(*SUFFIXES) or candidate.has(".pkl"):
        return False
    return describe_pair(candidate.files(*SUFFIXES)) is None


DIALECT = Dialect(
    NAME,
    "a folder of NumPy arrays, a file per video",
    "a folder of .npy and .npz",
    recognise=recognise,
    open=ArrayFolder,
    options=(TABLE, LABEL_BY, SKIP_MISSING),
    takes_folder=True,
    suffixes=SUFFIXES,
    recorded=recorded_missing,
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    table: str | os.PathLike[str] | None = None,
    label_by: str | None = None,
    skip_missing: bool = False,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a folder of arrays. Raises SourceError as ``ArrayFolder`` does, else what ``convert_source`` raises."""
    from converters.conversion.convert import convert_source

    folder = ArrayFolder(source, table=table, label_by=label_by, skip_missing=skip_missing)
    convert_source(folder, destination, **options)
