"""A file or folder whose dialect is to be recognised. What several dialects look at is read once."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from converters.inputs import archive
from converters.inputs.annotation_file import holds_annotations, open_pickle
from converters.inputs.array_file import MAGIC, Header, npy_header
from converters.inputs.listing import names_below, require_file
from converters.inputs.recognition import describe_elements, holds_annotation, is_label_pickle
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import open_regular

Top: TypeAlias = Literal["dict", "list", "annotation"]
"""What a pickle holds: a dict with a list of annotations, a list of them, or one annotation."""

BABEL_NAME = "_ntu_sk_"
"""Is in the names of BABEL's arrays: ``train_ntu_sk_120.npy``."""
HEAD_BYTES = 64 << 10
"""Bytes of the beginning of a file."""
_HEADS = 3
"""Files of a folder or zip file whose beginning is read."""


class Candidate:
    """A file or folder, and the options ``given`` with it, or their names. Everything is read on first use.

    ``suffixes`` are those of the files to list if it is a folder. Every property raises OSError if the path cannot be
    read, SourceError if a folder cannot be listed or a zip file is damaged.
    """

    def __init__(self, path: Path, given: Collection[str] = (), suffixes: Sequence[str] = ()) -> None:
        self.path = path
        self.given = frozenset(given)
        self._values: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        self.is_folder = path.is_dir()
        self._suffixes = suffixes
        self._heads: dict[str, list[bytes]] = {}
        self.refusal: SourceError | None = None
        """The error for which ``pickle`` is None, if the file could not be read. Set by ``pickle``."""

    @property
    def labelled(self) -> bool:
        """Whether the options give labels."""
        return not self.given.isdisjoint({"table", "label_by"})

    def has(self, *suffixes: str) -> bool:
        """Whether the folder, or a folder below it, has files with these suffixes; False for a file."""
        return any(self._names[suffix] for suffix in suffixes)

    def files(self, *suffixes: str) -> list[Path]:
        """The files below the folder with these suffixes, sorted by path; empty for a file.

        Raises SourceError if a path with such a suffix is not a file.
        """
        paths = sorted(path for suffix in suffixes for path in self._names[suffix])
        for path in paths:
            require_file(path)
        return paths

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB of the file; empty for a folder."""
        if self.is_folder:
            return b""
        with open(self.path, "rb", opener=open_regular) as file:
            return file.read(HEAD_BYTES)

    def heads(self, suffix: str) -> list[bytes]:
        """The first 64 KiB of the file; for a folder or zip file, of its first files with this suffix, by path."""
        if suffix not in self._heads:
            self._heads[suffix] = list(self._read_heads(suffix))
        return self._heads[suffix]

    def _read_heads(self, suffix: str) -> Iterator[bytes]:
        if not self.is_folder and not self.head.startswith(b"PK"):
            yield self.head
            return
        if self.is_folder:
            for path in sorted(self._names[suffix])[:_HEADS]:
                require_file(path)
                with open(path, "rb", opener=open_regular) as file:
                    yield file.read(HEAD_BYTES)
            return
        files = [name for name in self.members if name.lower().endswith(suffix)]
        wanted = set(sorted(name for name in files if not name.rpartition("/")[2].startswith("._"))[:_HEADS])
        for member in archive.members(self.path) if wanted else []:
            if member.path in wanted:
                try:
                    yield next(archive.chunks(self.path, member), b"")[:HEAD_BYTES]
                except SourceError as error:
                    raise SourceError(f"{self.path}: {member.path}: {error}") from None

    @cached_property
    def members(self) -> list[str]:
        """The paths in a zip file; empty for other files and for folders."""
        if self.is_folder:
            return []
        with open(self.path, "rb", opener=open_regular) as file:
            is_zip = zipfile.is_zipfile(file)
        return [member.path for member in archive.members(self.path)] if is_zip else []

    @cached_property
    def header(self) -> Header | None:
        """The header of a .npy file, None for other files. Raises SourceError if it is damaged."""
        return npy_header(self.path) if self.head.startswith(MAGIC) else None

    @cached_property
    def is_babel(self) -> bool:
        """Whether an array of five axes is one of BABEL: by its label pickle in ``--table``, else by its name."""
        is_named = BABEL_NAME in self.path.name
        table = self._values.get("table")
        if table is None:
            return is_named
        try:
            with PickleFile(table) as pickle:
                return not is_label_pickle(pickle.root())
        except (SourceError, OSError):  # reported when the source is opened
            return is_named

    @cached_property
    def pickle(self) -> PickleFile | None:
        """The pickle, indexed until it is known what it holds. For a folder, the first pickle, indexed to its end.

        None if there is no pickle, or if it cannot be read; then ``refusal`` is the error. A folder that also has
        arrays is treated as one without pickles.
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
        """What ``pickle`` holds, None if it holds no annotations."""
        pickle = self.pickle
        if pickle is None:
            return None
        if holds_annotations(pickle):
            kind: Top = "list" if pickle.root_kind == "list" else "dict"
            key = None if kind == "list" else "annotations"
            return kind if describe_elements(pickle, key, "") is None else None
        return "annotation" if holds_annotation(pickle) else None

    @cached_property
    def first(self) -> object:
        """The first element of a file that is a pickle of a list; None for other files and for folders."""
        pickle = None if self.is_folder else self.pickle
        return pickle.element(0) if pickle is not None and pickle.root_kind == "list" and pickle.elements() else None

    def close(self) -> None:
        """Close the pickle, if it was opened."""
        if (pickle := self.__dict__.get("pickle")) is not None:
            pickle.close()

    @cached_property
    def _names(self) -> dict[str, list[Path]]:
        """Suffix in lower case -> the paths below the folder that have it."""
        names: dict[str, list[Path]] = defaultdict(list)
        if self.is_folder:
            for path in map(Path, names_below(self.path, self._suffixes)):
                names[path.suffix.lower()].append(path)
        return names
