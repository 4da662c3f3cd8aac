"""The videos of a folder as its table, its names or its subfolders say: which ones, in which order, in which split."""

from __future__ import annotations

import os
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
    """A video that is there: file below the folder, place in it if that is a list, name, bytes, ``filename``."""

    file: str
    position: int | None
    name: str | None
    size: int
    filename: str | None = None

    @property
    def place(self) -> str:
        return self.file if self.position is None else f"{self.file}[{self.position}]"


class Video(NamedTuple):
    """A video that is taken, and what is known of it."""

    entry: Entry
    row: Row

    @property
    def name(self) -> str | None:
        return self.row.frame_dir or self.entry.name

    @property
    def filename(self) -> str | None:
        """The ``filename`` that its annotation gets, as ``filename_of`` gives it."""
        given = filename_of(self.row.values)
        return self.entry.filename if given is None else given

    def identifier(self, key: str) -> str | None:
        """What a split calls it that goes by ``frame_dir`` or by ``filename``."""
        return self.filename if key == "filename" else self.name


def filename_of(annotation: Mapping[Any, Any]) -> str | None:
    """The ``filename`` of an annotation; "" where it is no text, None where there is none."""
    if "filename" not in annotation:
        return None
    return annotation["filename"] if isinstance(annotation["filename"], str) else ""


@dataclass(frozen=True)
class Listing:
    """The videos that are taken, in order; the classes if folders or the table name them; rows that were left out for
    want of a file; how many files or list elements the table does not list; what the labels are from: a table, or
    names."""

    videos: list[Video]
    classes: list[str]
    left_out: list[Json]
    unlisted: int
    tables: list[Path]
    label_by: str | None

    def splits(self) -> dict[str, list[str]]:
        """Split -> ids of its videos, in their order; the splits by name."""
        splits: dict[str, list[str]] = {}
        key = _split_key(self.videos)
        for video in self.videos:
            for split in video.row.splits:
                splits.setdefault(split, []).append(video.identifier(key) or "")
        return dict(sorted(splits.items()))

    def description(self, path: Path) -> dict[str, Json]:
        """What a store keeps of it: with splits, an export is a dict as of PYSKL, else a list."""
        found: dict[str, Json] = {
            "name": file_name(path),
            "size": sum(video.entry.size for video in self.videos),
            "document": PYSKL_DOCUMENT if self.splits() else LIST_DOCUMENT,
        }
        if self.classes:
            found["class_names"] = self.classes
        if self.left_out:
            found["left_out"] = self.left_out
        if self.unlisted:
            found["unlisted"] = self.unlisted
        return found


class ListedFiles(KnownAtOnce):
    """What sources of listed files have in common: ``_listing`` is what is taken of the files in ``_folder``."""

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
        """As of the listing: ``class_names``, and the videos that were left out, beside what every source has."""
        return self._listing.description(self.path)


def walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files below a folder that end so, as ``names_below`` finds them.

    Nothing is passed over in silence: raises what ``names_below`` raises, and SourceError for what bears the name of a
    file and is none.
    """
    for path in names_below(folder, suffixes):
        require_file(path)
        yield path


def require_file(path: Path) -> None:
    """Raise SourceError if a path that was found in a folder is not that of a file."""
    if not path.is_file():
        raise SourceError(f"{path} is no file, or a link to nothing: take it away, or bring the file")


def names_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """What is below a folder, is no folder and ends so, in upper or lower case, in no order; without macOS's own
    ``._`` files.

    Raises OSError for a folder that cannot be read, SourceError for a link to a folder, which is not followed.
    """
    for parent, folders, names in os.walk(folder, onerror=_raised):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                raise SourceError(
                    f"{os.path.join(parent, name)} is a link to a folder, which is not followed: move the folder "
                    "there, or convert a folder without links"
                )
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("._"):
                yield Path(parent, name)


def _raised(error: OSError) -> None:
    raise error


def files_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """The files that ``walk`` finds, relative to the folder, by name. Raises SourceError if there are none."""
    found = sorted(walk(folder, suffixes))
    if not found:
        raise SourceError(f"{folder} is a folder without a {' or '.join(suffixes)} file")
    return [storable_name(file.relative_to(folder).as_posix(), folder) for file in found]


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
    """The entries that the table lists, in its order, or all of them; with label and split as the table or names say.

    A row of a table means the file of its ``path``, or without that column the video of its ``frame_dir``. ``unique``:
    names may not repeat even where there are no splits. ``check`` gives what is wrong with the files that are taken.
    Raises SourceError that tells all problems.
    """
    if label_by is not None and label_by not in LABEL_BY:
        raise SourceError(
            f"{path}: label_by {label_by!r}; expected one of {', '.join(LABEL_BY)}{closest(label_by, LABEL_BY)}"
        )
    if table is not None and label_by is not None:
        raise SourceError(f"{path}: labels are taken from --table or with --label-by, not both")
    problems: list[str] = []
    classes: list[str] = []
    left_out: list[Json] = []
    what = str(path)
    if table is None:
        videos = [Video(entry, Row(entry.place, entry.file)) for entry in entries]
    else:
        what = str(table)
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
    refuse(what, problems)
    if not videos:
        raise SourceError(f"{what}: not one of its videos is in {path}")
    unlisted = len(entries) - len({video.entry.place for video in videos})
    return Listing(videos, classes, left_out, unlisted, [] if table is None else [absolute(table)], label_by)


def _matched(
    path: Path, entries: list[Entry], rows: list[Row], problems: list[str], left_out: list[Json] | None
) -> list[Video]:
    """The entry of each row; what is missing goes to ``left_out`` if given, else to the problems, as all else."""
    by_path = any(row.path is not None for row in rows)
    found: dict[str | None, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.file if by_path else entry.name, []).append(entry)
    used: dict[Entry, str] = {}
    videos = []
    for index, row in enumerate(rows):
        wanted = row.path if by_path else row.frame_dir
        if wanted is None:
            continue  # a problem that has been told
        matching = found.get(wanted, [])
        if not matching and left_out is not None:
            left_out.append({"index": index, "name": wanted, "reason": f"it is not in {file_name(path)}"})
        elif not matching:
            close = "" if problems else closest(wanted, found)  # it takes a while among many names
            problems.append(
                f"{row.place}: {wanted!r} is not in {path}; bring it, or leave it out with --skip-missing{close}"
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
            problems.append(f"{row.place}: {wanted!r} is that of {used[matching[0]]}, too; expected one row for each")
        else:
            used[matching[0]] = row.place
            videos.append(Video(matching[0], row))
    return videos


def _split_key(videos: Sequence[Video]) -> str:
    """By which key splits find the videos: as PYSKL, MMAction2 and ``Store.split``, by that of the first video."""
    return "frame_dir" if not videos or videos[0].filename is None else "filename"


def _unnamed(videos: Iterable[Video], key: str) -> list[str]:
    """A problem for every video without a name and every name of several: a split could not tell them apart."""
    found: dict[str | None, list[str]] = {}
    for video in videos:
        found.setdefault(video.identifier(key), []).append(video.row.place)
    problems = []
    for name, places in found.items():
        first = f"{', '.join(places[:3])}{', …' if len(places) > 3 else ''}"
        if name is None or (key == "filename" and not name):
            text = "" if name is None else " that is a text"
            problems.append(f"{first}: no {key}{text}; give one by a --table with path and {key}")
        elif len(places) > 1:
            problems.append(
                f"{first}: {counted(len(places), 'video')} have the {key} {name!r}; give each its own by a --table"
            )
    return problems
