"""The videos of a folder, their order, labels and splits, as a table, file names or subfolders state them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import LIST_DOCUMENT, PYSKL_DOCUMENT
from converters.conversion.source import KnownAtOnce, storable_name
from converters.inputs.naming import LABEL_BY, label_by_class_names, label_by_folders, label_by_ntu
from converters.inputs.video_table import Row, read_table, refuse
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.values import Json
from skelstore.wording import closest, counted, file_name


class Entry(NamedTuple):
    """A video that was found.

    ``file`` is relative to the folder, ``position`` the index in the list if the file holds one, ``size`` in bytes;
    ``name`` is its ``frame_dir``, or its path without suffix if it is an array without ``frame_dir``; None if it has
    neither. ``filename`` is that of its annotation, None if it has none.
    """

    file: str
    position: int | None
    name: str | None
    size: int
    filename: str | None = None

    @property
    def place(self) -> str:
        """File and position, for messages: ``part_0.pkl[17]``."""
        return self.file if self.position is None else f"{self.file}[{self.position}]"


class Video(NamedTuple):
    """A video that is converted, and what the table or the names say about it."""

    entry: Entry
    row: Row

    @property
    def name(self) -> str | None:
        """The ``frame_dir`` of its annotation."""
        return self.row.frame_dir or self.entry.name

    @property
    def filename(self) -> str | None:
        """The ``filename`` of its annotation, as ``filename_of`` returns it."""
        filename = filename_of(self.row.values)
        return self.entry.filename if filename is None else filename

    def identifier(self, key: str) -> str | None:
        """The id of the video in splits that refer to ``key``, which is ``frame_dir`` or ``filename``."""
        return self.filename if key == "filename" else self.name


def filename_of(annotation: Mapping[Any, Any]) -> str | None:
    """The ``filename`` of an annotation; "" if it is not a str, None if there is none."""
    if "filename" not in annotation:
        return None
    return annotation["filename"] if isinstance(annotation["filename"], str) else ""


@dataclass(frozen=True)
class Listing:
    """The videos to convert, in order, and what a store records about them.

    ``classes`` are the names of the classes, if folders or the table give them. ``left_out`` are the rows of the table
    that were skipped because their files are missing; ``unlisted`` is the number of files or list elements that are
    not in the table. ``tables`` has the path of the table, if there is one. ``label_by`` says what the labels are taken
    from instead: ``folders`` or ``ntu``.
    """

    videos: list[Video]
    classes: list[str]
    left_out: list[Json]
    unlisted: int
    tables: list[Path]
    label_by: str | None

    def splits(self) -> dict[str, list[str]]:
        """Split -> ids of its videos, in order; the splits are sorted by name."""
        splits: dict[str, list[str]] = {}
        key = _split_key(self.videos)
        for video in self.videos:
            for split in video.row.splits:
                splits.setdefault(split, []).append(video.identifier(key) or "")
        return dict(sorted(splits.items()))

    def description(self, path: Path) -> dict[str, Json]:
        """What a store records about the source. Its ``document`` is PYSKL's dict if there are splits, else a list."""
        description: dict[str, Json] = {
            "name": file_name(path),
            "size": sum(video.entry.size for video in self.videos),
            "document": PYSKL_DOCUMENT if self.splits() else LIST_DOCUMENT,
        }
        if self.classes:
            description["class_names"] = self.classes
        if self.left_out:
            description["left_out"] = self.left_out
        if self.unlisted:
            description["unlisted"] = self.unlisted
        return description


class ListedFiles(KnownAtOnce):
    """Base class of sources of listed files: ``_listing`` has the videos, whose files are in ``_folder``."""

    path: Path
    _folder: Path
    _listing: Listing

    def __len__(self) -> int:
        return len(self._listing.videos)

    def sizes(self) -> NDArray[np.int64]:
        return np.array([video.entry.size for video in self._listing.videos], np.int64)

    def files(self, start: int, stop: int) -> list[Path]:
        videos = self._listing.videos[start:stop]
        return [*self._listing.tables, *(self._folder / video.entry.file for video in videos)]

    def settings(self) -> Json:
        return self._listing.label_by

    def place(self, index: int) -> str:
        return self._listing.videos[index].entry.place

    def splits(self) -> dict[Any, Any]:
        return self._listing.splits()

    def description(self) -> dict[str, Json]:
        """As for the listing: ``class_names``, ``left_out`` and ``unlisted``, in addition to what every source has."""
        return self._listing.description(self.path)


def walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """The files below a folder with these suffixes, in no particular order.

    Nothing is skipped silently: raises as ``names_below`` does, and SourceError if a path with such a suffix is not a
    file.
    """
    for path in names_below(folder, suffixes):
        require_file(path)
        yield Path(path)


def require_file(path: str | os.PathLike[str]) -> None:
    """Raise SourceError if a path that was found in a folder is not a file."""
    if not os.path.isfile(path):
        raise _not_a_file(path)


def _not_a_file(path: str | os.PathLike[str]) -> SourceError:
    return SourceError(f"{os.fspath(path)} is not a file, or is a broken link: remove it, or restore the file")


def names_below(folder: Path, suffixes: Sequence[str]) -> Iterator[str]:
    """The paths below a folder, other than folders, with these suffixes, in no particular order.

    Suffixes match in upper and lower case; ``._`` files of macOS are left out. Raises OSError if a folder cannot be
    read, SourceError for a link to a folder, which is not followed.
    """
    for parent, folders, names in os.walk(folder, onerror=_raised):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                raise SourceError(
                    f"{os.path.join(parent, name)} is a link to a folder, which is not followed: put the folder "
                    "itself there, or convert a folder without links"
                )
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("._"):
                yield os.path.join(parent, name)


def _raised(error: OSError) -> None:
    raise error


def files_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The files that ``walk`` finds, relative to the folder and sorted. Raises SourceError if there are none."""
    return list(sizes_below(folder, suffixes))


def sizes_below(folder: Path, suffixes: Sequence[str]) -> dict[str, int]:
    """The sizes in bytes of the files that ``files_below`` returns. Raises SourceError if there are none."""
    beginning = os.path.join(folder, "")
    sizes = {}
    for path in names_below(folder, suffixes):
        try:
            status = os.stat(path)
        except OSError:
            status = None
        if status is None or not stat.S_ISREG(status.st_mode):
            raise _not_a_file(path)
        sizes[storable_name(path.removeprefix(beginning), folder)] = status.st_size
    if not sizes:
        raise SourceError(f"{folder} is a folder without a {' or '.join(suffixes)} file")
    return {name: sizes[name] for name in sorted(sizes, key=lambda name: name.split("/"))}


def list_videos(
    path: Path,
    entries: list[Entry],
    *,
    table: str | os.PathLike[str] | None,
    label_by: str | None,
    skip_missing: bool,
    unique: bool = False,
    check: Callable[[list[Video]], list[str]] | None = None,
) -> Listing:
    """The entries that the table lists, in its order, or all entries; labels and splits come from the table or names.

    A row of the table refers to a file by ``path`` or, if there is no such column, to a video by ``frame_dir``. With
    ``unique``, names must be unique even without splits. ``check`` returns the problems of the listed files. Raises
    SourceError that reports all problems.
    """
    if label_by is not None and label_by not in LABEL_BY:
        raise SourceError(
            f"{path}: label_by {label_by!r}; expected one of {', '.join(LABEL_BY)}{closest(label_by, LABEL_BY)}"
        )
    if table is not None and label_by is not None:
        raise SourceError(f"{path}: labels come from --table or from --label-by, not from both")
    problems: list[str] = []
    classes: list[str] = []
    left_out: list[Json] = []
    origin = str(path)
    if table is None:
        videos = [Video(entry, Row(entry.place, entry.file)) for entry in entries]
    else:
        origin = str(table)
        rows, problems = read_table(table)
        rows, classes = label_by_class_names(rows)
        videos = _matched(path, entries, rows, problems, left_out if skip_missing else None)
    rows = [video.row for video in videos]
    if label_by == "ntu":
        rows, wrong = label_by_ntu(rows, [video.name or video.entry.file for video in videos])
        problems += wrong
    elif label_by == "folders":
        rows, classes, wrong = label_by_folders(rows)
        problems += wrong
    by_place = {row.place: row for row in rows}
    videos = [video._replace(row=row) for video in videos if (row := by_place.get(video.row.place))]
    keys = ["frame_dir"] if unique else []
    if any(row.splits for row in rows):
        keys.append(_split_key(videos))
    for key in dict.fromkeys(keys):
        problems += _unnamed(videos, key)
    if check is not None:
        problems += check(videos)
    refuse(origin, problems)
    if not videos:
        raise SourceError(f"{origin}: none of its videos is in {path}")
    unlisted = len(entries) - len({video.entry.place for video in videos})
    return Listing(videos, classes, left_out, unlisted, [] if table is None else [absolute(table)], label_by)


def _matched(
    path: Path, entries: list[Entry], rows: list[Row], problems: list[str], left_out: list[Json] | None
) -> list[Video]:
    """The video of each row. Missing ones are appended to ``left_out`` if it is given, else to ``problems``."""
    by_path = any(row.path is not None for row in rows)
    entries_of: dict[str | None, list[Entry]] = {}
    for entry in entries:
        entries_of.setdefault(entry.file if by_path else entry.name, []).append(entry)
    used: dict[Entry, str] = {}
    videos = []
    for index, row in enumerate(rows):
        wanted = row.path if by_path else row.frame_dir
        if wanted is None:
            continue  # already among the problems
        matching = entries_of.get(wanted, [])
        if not matching and left_out is not None:
            left_out.append({"index": index, "name": wanted, "reason": f"it is not in {file_name(path)}"})
        elif not matching:
            hint = "" if problems else closest(wanted, entries_of)  # slow among many names
            problems.append(
                f"{row.place}: {wanted!r} is not in {path}; add it, or leave it out with --skip-missing{hint}"
            )
        elif len(matching) > 1:
            problems.append(
                f"{row.place}: {wanted!r} is a list of {counted(len(matching), 'annotation')}; list them by "
                "frame_dir, not path"
                if by_path
                else f"{row.place}: {counted(len(matching), 'video')} have the frame_dir {wanted!r}; list their "
                "files by path"
            )
        elif matching[0] in used:
            problems.append(
                f"{row.place}: {wanted!r} is also listed at {used[matching[0]]}; expected one row per video"
            )
        else:
            used[matching[0]] = row.place
            videos.append(Video(matching[0], row))
    return videos


def _split_key(videos: Sequence[Video]) -> str:
    """The key of ids in splits: ``filename`` if the first video has one, as in PYSKL, MMAction2 and ``Store.split``."""
    return "frame_dir" if not videos or videos[0].filename is None else "filename"


def _unnamed(videos: Iterable[Video], key: str) -> list[str]:
    """A problem per id that is missing or that several videos have: a split could not refer to these videos."""
    places_of: dict[str | None, list[str]] = {}
    for video in videos:
        places_of.setdefault(video.identifier(key), []).append(video.row.place)
    problems = []
    for name, places in places_of.items():
        first = f"{', '.join(places[:3])}{', …' if len(places) > 3 else ''}"
        if name is None or (key == "filename" and not name):
            missing = f"no {key}" if name is None else f"the {key} is not a str, or is empty"
            problems.append(f"{first}: {missing}; give one in a --table with path and {key}")
        elif len(places) > 1:
            problems.append(
                f"{first}: {counted(len(places), 'video')} have the {key} {name!r}; give each its own in a --table"
            )
    return problems
