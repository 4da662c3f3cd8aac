"""A file or folder whose dialect is looked for: what the dialects look at to recognise it, each thing read once."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from converters.inputs import archive
from converters.inputs.annotation_file import holds_annotations, open_pickle
from converters.inputs.array_file import MAGIC, Header, npy_header
from converters.inputs.listing import names_below, require_file
from converters.inputs.recognition import holds_annotation, name_elements
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import open_regular

Top: TypeAlias = Literal["dict", "list", "annotation"]
"""What a pickle holds: a dict with a list of annotations, a list of them, or one annotation."""

_HEAD = 64 << 10


class Candidate:
    """A file or folder, and the names of the options that are given with it. Nothing is read before it is asked for.

    ``suffixes`` are those of the files that are listed if it is a folder. Every property raises OSError if the path
    cannot be read, SourceError if a folder cannot be listed or a zip file is damaged.
    """

    def __init__(self, path: Path, given: Collection[str] = (), suffixes: Sequence[str] = ()) -> None:
        self.path = path
        self.given = frozenset(given)
        self.is_folder = path.is_dir()
        self._suffixes = suffixes
        self.refusal: SourceError | None = None
        """Why ``pickle`` cannot be read; known when that was asked for."""

    @property
    def labelled(self) -> bool:
        """Whether labels are given beside it."""
        return not self.given.isdisjoint({"table", "label_by"})

    def has(self, *suffixes: str) -> bool:
        """Whether there are files that end so below the folder; False if it is a file."""
        return any(self._names[suffix] for suffix in suffixes)

    def files(self, *suffixes: str) -> list[Path]:
        """The files below the folder that end so, by path; none if it is a file.

        Raises SourceError for what bears the name of such a file and is none.
        """
        found = sorted(path for suffix in suffixes for path in self._names[suffix])
        for path in found:
            require_file(path)
        return found

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB of the file; nothing of a folder."""
        if self.is_folder:
            return b""
        with open(self.path, "rb", opener=open_regular) as file:
            return file.read(_HEAD)

    @cached_property
    def members(self) -> list[str]:
        """The paths in a zip file; none if it is another file, or a folder."""
        if self.is_folder:
            return []
        with open(self.path, "rb", opener=open_regular) as file:
            is_zip = zipfile.is_zipfile(file)
        return [member.path for member in archive.members(self.path)] if is_zip else []

    @cached_property
    def header(self) -> Header | None:
        """The header of a .npy file, None if it is another file. Raises SourceError if it is damaged."""
        return npy_header(self.path) if self.head.startswith(MAGIC) else None

    @cached_property
    def pickle(self) -> PickleFile | None:
        """The file as a pickle, indexed as far as it takes to see what it holds; of a folder the first of its pickles.

        None if there is none, or it cannot be read, for which ``refusal`` is the reason. A folder that has arrays too
        counts as one without pickles.
        """
        path = self.path
        if self.is_folder:
            if self.has(".npy", ".npz") or not self.has(".pkl"):
                return None
            path = self.files(".pkl")[0]
        elif self.header is not None:
            return None
        try:
            return open_pickle(path, whole=self.is_folder)
        except SourceError as error:
            self.refusal = error
            return None

    @cached_property
    def top(self) -> Top | None:
        """What ``pickle`` holds, None if that are no annotations."""
        pickle = self.pickle
        if pickle is None:
            return None
        if holds_annotations(pickle):
            kind: Top = "list" if pickle.root_kind == "list" else "dict"
            key = None if kind == "list" else "annotations"
            return kind if name_elements(pickle, key, "") is None else None
        return "annotation" if holds_annotation(pickle) else None

    def close(self) -> None:
        """Close the pickle, if it was opened."""
        if (pickle := self.__dict__.get("pickle")) is not None:
            pickle.close()

    @cached_property
    def _names(self) -> dict[str, list[Path]]:
        """Suffix, in lower case -> what in the folder bears such a name."""
        names: dict[str, list[Path]] = defaultdict(list)
        if self.is_folder:
            for path in names_below(self.path, self._suffixes):
                names[path.suffix.lower()].append(path)
        return names
