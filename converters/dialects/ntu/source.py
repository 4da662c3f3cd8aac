"""Raw NTU RGB+D: a folder, or a zip file, of ``SsssCcccPpppRrrrAaaa.skeleton`` files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.document import PYSKL_DOCUMENT
from converters.conversion.source import KnownAtOnce, broken_video, storable_name
from converters.dialects.dialect import TASK, Dialect, Option
from converters.dialects.ntu.recipes import RECIPES, apply_recipe, raw
from converters.dialects.ntu.skeleton_file import parse
from converters.inputs import archive
from converters.inputs.archive import Member
from converters.inputs.candidate import Candidate
from converters.inputs.listing import walk
from converters.inputs.ntu_names import TASKS, Recipe, Sample, Task, ignored_names, in_order, sample, splits, task_of
from converters.inputs.recognition import describe_file
from converters.inputs.video_table import SHOWN_PROBLEMS
from skelstore.errors import SourceError
from skelstore.format.files import absolute, open_regular
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import closest, file_name, join_lines

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

NAME = "ntu"
SUFFIX = ".skeleton"
_MAX_BYTES = 32 << 20
"""Bytes of one file: a hundred times the largest of the data set. A zip file may declare any size."""


class _InFolder(NamedTuple):
    """A file by its path in the folder, and its size."""

    path: str
    size: int


_File: TypeAlias = _InFolder | Member


class NtuFiles(KnownAtOnce):
    """Source of all ``*.skeleton`` files below a folder or in a zip file.

    ``recipe``: ``raw`` keeps every value; ``pyskl``, ``mmaction2`` and ``ctrgcn`` make what the scripts of PYSKL,
    MMAction2 and CTR-GCN make. ``task``: ``ntu60`` or ``ntu120``, the data set whose splits are made, and for
    ``ctrgcn`` whose script is followed; by default ``ntu120`` if there is an action above 60. ``ignore``: a file with
    the names of samples to leave out, or the names. ``skip_broken``: leave out and record files that cannot be read, or
    on which the recipe fails, instead of raising an error.

    Raises SourceError if there are no such files; it reports files whose names are not those of NTU RGB+D, or are not
    unique.
    """

    dialect = NAME

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        recipe: Recipe = "raw",
        task: Task | None = None,
        ignore: str | os.PathLike[str] | Collection[str] = (),
        skip_broken: bool = False,
    ) -> None:
        self.path = absolute(path)
        if recipe not in RECIPES:
            raise SourceError(f"recipe {recipe!r}; expected one of {', '.join(RECIPES)}{closest(recipe, RECIPES)}")
        if task is not None and task not in TASKS:
            raise SourceError(f"task {task!r}; expected one of {', '.join(TASKS)}{closest(task, TASKS)}")
        self._recipe: Recipe = recipe
        self._skip_broken = skip_broken
        ignored = ignored_names(Path(ignore)) if isinstance(ignore, str | os.PathLike) else frozenset(ignore)
        files = sorted(self._in_folder() if self.path.is_dir() else self._in_archive())
        if not files:
            raise SourceError(f"{self.path} has no {SUFFIX} file; expected those of NTU RGB+D")
        self._left_out: list[Json] = []
        self._files = self._index(files)
        self._ignored = sorted(ignored & self._files.keys())
        samples = [sample(name) for name in self._files if name not in ignored]
        self._task: Task = task or task_of(samples)
        self._samples = in_order(samples, recipe, self._task)

    def __len__(self) -> int:
        return len(self._samples)

    def sizes(self) -> NDArray[np.int64]:
        return np.array([max(self._file(one).size, 1) for one in self._samples], np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        one = self._samples[index]
        with broken_video(one.name, f"{self.path}: {self.place(index)}", left_out=self._skip_broken):
            annotation = raw(one.name, one.label, parse(self._read(self._file(one))))
            return apply_recipe(self._recipe, annotation, self._task), None

    def files(self, start: int, stop: int) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        return [self.path / self.place(index) for index in range(start, stop)]

    def settings(self) -> Json:
        return [self._recipe, self._task, self._skip_broken]

    def place(self, index: int) -> str:
        return self._file(self._samples[index]).path

    def splits(self) -> dict[Any, Any]:
        return splits(self._samples, self._recipe, self._task)

    def description(self) -> dict[str, Json]:
        """Recipe, task, ``ignored`` samples; and in ``left_out`` the files without the name of a sample."""
        return {
            "name": file_name(self.path),
            "size": int(self.sizes().sum()),
            "document": PYSKL_DOCUMENT,
            "recipe": self._recipe,
            "task": self._task,
            **({"ignored": self._ignored} if self._ignored else {}),
            **({"left_out": self._left_out} if self._left_out else {}),
        }

    def close(self) -> None:
        """Do nothing: no file stays open between samples."""

    def _file(self, one: Sample) -> _File:
        return self._files[one.name]

    def _in_folder(self) -> list[_File]:
        paths = list(walk(self.path, (SUFFIX,)))
        names = [storable_name(path.relative_to(self.path).as_posix(), self.path) for path in paths]
        return [_InFolder(name, path.stat().st_size) for name, path in zip(names, paths, strict=True)]

    def _in_archive(self) -> list[_File]:
        members = archive.members(self.path)
        return [member for member in members if _is_skeleton(storable_name(member.path, self.path))]

    def _index(self, files: list[_File]) -> dict[str, _File]:
        """Name of each sample -> its file.

        Raises SourceError if files have other names, unless ``skip_broken``, or the same name.
        """
        by_name: dict[str, _File] = {}
        problems = []
        for file in files:
            name = PurePosixPath(file.path).stem
            try:
                sample(name)
            except SourceError as error:
                problems.append(f"{self.path}: {file.path}: {error}")
                self._left_out.append({"index": None, "name": file.path, "reason": str(error)})
                continue
            if name in by_name:
                raise SourceError(f"{self.path} has {name} twice: {by_name[name].path} and {file.path}: keep one")
            by_name[name] = file
        if problems and not self._skip_broken:
            more = [f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
            raise SourceError(join_lines([*problems[:SHOWN_PROBLEMS], *more]))
        return by_name

    def _read(self, file: _File) -> bytes:
        """The bytes of a file. Raises SourceError if it is too large, or damaged in a zip file."""
        if file.size > _MAX_BYTES:
            raise SourceError(f"the file has {file.size:,} bytes; expected a few hundred thousand")
        if isinstance(file, Member):
            return archive.read(self.path, file)
        with open(self.path / file.path, "rb", opener=open_regular) as opened:
            return opened.read(_MAX_BYTES)


def _is_skeleton(path: str) -> bool:
    """Whether a file in a zip file is a ``.skeleton`` file, other than the ``._`` files that macOS adds."""
    name = PurePosixPath(path).name
    return name.lower().endswith(SUFFIX) and not name.startswith("._")


def recognise(candidate: Candidate) -> bool:
    """Whether a folder, a folder below it, or a zip file has a ``.skeleton`` file."""
    return candidate.has(SUFFIX) or any(map(_is_skeleton, candidate.members))


def _open(path: Path, **options: Any) -> NtuFiles:
    if path.is_file() and not zipfile.is_zipfile(path) and (description := describe_file(path)):
        raise SourceError(f"{path} {description}")
    return NtuFiles(path, **options)


def recorded(source: Mapping[str, Json]) -> dict[str, Any]:
    """The options with which the source of a store was opened, from its record in the store."""
    options = {key: source.get(key) for key in ("recipe", "task")}
    return {**options, "ignore": source.get("ignored", ()), "skip_broken": bool(source.get("left_out"))}


_HEADING = "NTU RGB+D"
DIALECT = Dialect(
    NAME,
    "raw NTU RGB+D, or what PYSKL, MMAction2 and CTR-GCN make from it",
    "raw `.skeleton` files, in a folder or a zip file",
    recognise=recognise,
    open=_open,
    options=(
        Option("recipe", RECIPES, "What to make from .skeleton files (default: raw).", _HEADING),
        TASK,
        Option("ignore", "file", "File with the names of samples to leave out.", _HEADING),
        Option(
            "skip_broken",
            "flag",
            "Leave out files that cannot be read, or on which the recipe fails; record them.",
            _HEADING,
        ),
    ),
    takes_folder=None,
    suffixes=(SUFFIX,),
    recorded=recorded,
)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    recipe: Recipe = "raw",
    task: Task | None = None,
    ignore: str | os.PathLike[str] | Collection[str] = (),
    skip_broken: bool = False,
    **options: Unpack[ConvertOptions],
) -> None:
    """Convert a folder or a zip file of ``.skeleton`` files, as ``NtuFiles`` describes it.

    Raises SourceError as ``NtuFiles`` does, else what ``convert_source`` raises.
    """
    from converters.conversion.convert import convert_source

    files = NtuFiles(source, recipe=recipe, task=task, ignore=ignore, skip_broken=skip_broken)
    convert_source(files, destination, **options)
