"""People's own data: a folder of NumPy arrays, a video a file, with a table of their labels and splits.

A ``.npy`` is the ``keypoint`` of a video; a ``.npz`` has the values of its annotation, as ``numpy.savez("clip.npz",
**annotation)`` writes them. The keys are those that PYSKL documents (tools/data/README.md).
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
from converters.inputs.recognition import name_array, name_npz, name_pair, npz_names
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.wording import counted, kind_of, shown

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "arrays"
_FIRST_KEYS = ("frame_dir", "label", "img_shape", "original_shape", "total_frames", "keypoint", "keypoint_score")
_SHAPE_KEYS = ("img_shape", "original_shape")
_STATES_AXES = {"keypoint_score", "frame_inds", "total_frames"}
"""What must fit the axes of ``keypoint``, so that they are no guess."""
_EXPECTED = "expected [M, T, V, C], or [T, V, C] for one person, of 2 or 3 coordinates C"


class _MisreadError(SourceError):
    """The axes of an array are likelier in another order. The message is without its file: others will be like it."""

    def __init__(self, shape: tuple[int, ...], reading: Reading) -> None:
        stated = "; if its axes are [M, T, V, C], save a .npz of keypoint and total_frames"
        kept = stated if shape[-1] in (2, 3) and len(shape) < 5 else ""
        super().__init__(f"keypoint has the shape {shape}: {reading.sentence()}{kept}")
        self.axes = reading.axes


class ArrayFolder(ListedFiles):
    """Source of all ``.npy`` and ``.npz`` below a folder, or those that a table lists, in its order.

    ``table`` is a CSV or Parquet file (`inputs.video_table`); ``label_by`` takes label and split from ``folders``
    or ``ntu`` names instead. A video's name is its ``frame_dir`` in the table, else in the file, else its path without
    suffix.
    Raises SourceError that tells all missing files, repeated names and arrays of a wrong shape at once.
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
        """One annotation: ``keypoint`` [M, T, V, C], or [N, V, C] beside ``frame_inds``; the keys in PYSKL's order."""
        video = self._listing.videos[index]
        file = self.path / video.entry.file
        if file.suffix.lower() == ".npy":
            found: Annotation = {"keypoint": read_npy(file)}
        else:
            found = read_npz(file)
        found |= {"frame_dir": video.name, **video.row.keys()}
        _settle(file, found)
        annotation = {key: found.pop(key) for key in _FIRST_KEYS if key in found} | found
        return annotation, Origin(video.entry.file, 0, len(annotation))

    def close(self) -> None:
        """Nothing is held open between annotations."""

    def _entry(self, file: str) -> Entry:
        path = self.path / file
        name = filename = None
        if path.suffix.lower() == ".npz":
            with suppress(SourceError):  # told with all others like it, if the file is taken
                name, filename = npz_text(path, "frame_dir"), npz_text(path, "filename")
        name = name or PurePosixPath(file).with_suffix("").as_posix()
        return Entry(file, None, name, max(path.stat().st_size, 1), filename)

    def _wrong_headers(self, videos: list[Video]) -> list[str]:
        """A problem for arrays that are no skeletons, or of another form than most: by their headers alone."""
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
                    f"{counted(len(forms), 'file')} have {_describe(usual[0][0])}: a data set has one form"
                )
        return problems


def _form(file: Path, video: Video) -> tuple[int, ...]:
    """V and C of the skeletons in a file. Raises SourceError if its arrays do not fit each other, or the table."""
    if columns := sorted({"keypoint_score", "frame_inds"} & video.row.values.keys()):
        raise SourceError(f"{file}: {columns[0]!r} is a column of the table; expected it as an array of an .npz")
    if file.suffix.lower() == ".npy":
        headers = {"keypoint": npy_header(file)}
    elif "keypoint" in (names := npz_names(file)):
        headers = npz_headers(file)
    else:
        raise SourceError(f"{file} {name_npz(names)}")
    keypoint = headers["keypoint"].shape
    compressed = "frame_inds" in headers
    if compressed:
        frame_inds = headers["frame_inds"]
        if len(keypoint) != 3 or frame_inds.shape != keypoint[:1] or frame_inds.dtype.kind not in "iu":
            raise SourceError(
                f"{file}: keypoint has the shape {keypoint} and frame_inds {frame_inds.dtype} {frame_inds.shape}; "
                "expected [N, V, 3] and N whole numbers"
            )
    stated = headers["keypoint"].dtype.kind not in "iuf" or not headers.keys().isdisjoint(_STATES_AXES)
    if not stated and (reading := other_reading(keypoint)):
        raise _MisreadError(keypoint, reading)
    if headers["keypoint"].dtype.kind not in "iuf" or len(keypoint) not in (3, 4) or keypoint[-1] not in (2, 3):
        said = name_array(keypoint, headers["keypoint"].dtype.kind)
        hint = f": {said}" if said else ""
        raise SourceError(f"{file}: keypoint has {headers['keypoint'].dtype} {keypoint}; {_EXPECTED}{hint}")
    score = headers.get("keypoint_score")
    if score is not None and score.shape != keypoint[:-1]:
        raise SourceError(f"{file}: keypoint_score has the shape {score.shape}; expected {keypoint[:-1]}, as keypoint")
    if "filename" in headers and headers["filename"].dtype.kind != "U":
        raise SourceError(f"{file}: filename is {headers['filename'].dtype}; expected a text")
    for key in video.row.values:
        if key in headers and key not in _SHAPE_KEYS and headers[key].shape:
            raise SourceError(f"{file}: {key!r} is an array, and a column of the table, too: leave it out of one")
    return keypoint[-2:]


def _describe(form: tuple[int, ...]) -> str:
    return f"{counted(form[0], 'joint')} of {counted(form[1], 'coordinate')}"


def _settle(file: Path, found: Annotation) -> None:
    """Bring the values of a file into PYSKL's form: a persons' axis, tuples of int, the number of frames."""
    for key in _SHAPE_KEYS:
        if isinstance(shape := found.get(key), np.ndarray):
            if shape.shape != (2,) or shape.dtype.kind not in "iu":
                raise SourceError(f"{file}: {key} is {kind_of(shape)}; expected height and width")
            found[key] = tuple(shape.tolist())
    keypoint = found["keypoint"]
    total = found.get("total_frames", 0)
    if type(total) is not int:
        raise SourceError(f"{file}: total_frames is {shown(total)}; expected a whole number")
    if "frame_inds" in found:
        last = int(found["frame_inds"].max()) + 1 if len(keypoint) else 0
        found.setdefault("total_frames", last)
        return
    if keypoint.ndim == 3:
        for key in {"keypoint", "keypoint_score"} & found.keys():
            found[key] = found[key][None]
    frames = found["keypoint"].shape[1]
    if found.setdefault("total_frames", frames) != frames:
        raise SourceError(
            f"{file}: total_frames is {found['total_frames']!r}, but keypoint has {counted(frames, 'frame')}"
        )


def recognise(candidate: Candidate) -> bool:
    """Whether it is a folder of arrays without pickles, and not of one array of all clips and one of their labels."""
    return candidate.has(*SUFFIXES) and not candidate.has(".pkl") and name_pair(candidate.files(*SUFFIXES)) is None


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
