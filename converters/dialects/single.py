"""One annotation in a file, or a folder of such files, as MMAction2's ntu_pose_extraction.py writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import KnownAtOnce, checked_annotation, storable_name
from converters.dialects.dialect import Dialect
from converters.inputs.annotation_file import describe_top, open_pickle
from converters.inputs.listing import walk
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import counted, file_name

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions
    from skelstore import Store

NAME = "single"
FOLDER_NAME = "folder"


class SingleFiles(KnownAtOnce):
    """Source of one pickle that is an annotation, or of all ``*.pkl`` below a folder, sorted by path.

    Raises SourceError if a folder has none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute(path)
        self._in_folder = self.path.is_dir()
        self.dialect = FOLDER_NAME if self._in_folder else NAME
        self._files = [self.path]
        if self._in_folder:
            self._files = sorted(walk(self.path, (".pkl",)))
            if not self._files:
                raise SourceError(f"{self.path} is a folder without a .pkl file; expected one annotation per file")

    def __len__(self) -> int:
        return len(self._files)

    def sizes(self) -> NDArray[np.int64]:
        return np.array([file.stat().st_size for file in self._files], np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        file = self._files[index]
        with open_pickle(file, whole=True) as pickle:
            if pickle.root_kind != "dict" or "annotations" in pickle.keys:
                raise SourceError(f"{file} holds {describe_top(pickle)}; expected one annotation (a dict)")
            annotation = checked_annotation(pickle.root(), file, "the file")
        return annotation, Origin(self._relative(index), 0, len(annotation)) if self._in_folder else None

    def files(self, start: int, stop: int) -> list[Path]:
        return self._files[start:stop]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return self._relative(index) if self._in_folder else ""

    def splits(self) -> dict[Any, Any]:
        return {}

    def description(self) -> dict[str, Json]:
        return {"name": file_name(self.path), "size": int(self.sizes().sum()), "document": {"annotation": True}}

    def close(self) -> None:
        """Do nothing: no file stays open between annotations."""

    def _relative(self, index: int) -> str:
        return storable_name(self._files[index].relative_to(self.path).as_posix(), self.path)


def _export_file(store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None) -> None:
    from converters.outputs.document import write_value
    from converters.outputs.output import new_file

    if len(store) != 1:
        raise SourceError(
            f"{store.path} has {counted(len(store), 'video')}; a file of one annotation holds one: use --format"
        )
    with new_file(out, force=force) as file:
        write_value(file, store[0])


def _export_folder(
    store: Store, out: Path, *, force: bool = False, advance: Callable[[int], None] | None = None
) -> None:
    from converters.outputs.document import write_value
    from converters.outputs.video_files import write_video_files
    from skelstore.read.store import reading_in_turn

    read = reading_in_turn(store)
    write_video_files(store, out, lambda file, i: write_value(file, read(i)), force=force, advance=advance)


DIALECT = Dialect(
    NAME,
    "one annotation",
    "a pickle that is one annotation",
    recognise=lambda candidate: candidate.top == "annotation" and not candidate.is_folder and not candidate.labelled,
    open=SingleFiles,
    export=_export_file,
)
FOLDER_DIALECT = Dialect(
    FOLDER_NAME,
    "one annotation per file",
    "a folder of such pickles",
    recognise=lambda candidate: candidate.top == "annotation" and candidate.is_folder and not candidate.labelled,
    open=SingleFiles,
    takes_folder=True,
    suffixes=(".pkl",),
    export=_export_folder,
)


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert a file or a folder. Raises SourceError if it is not of this dialect, else as ``convert_source``."""
    from converters.conversion.convert import convert_source

    convert_source(SingleFiles(source), destination, **options)
