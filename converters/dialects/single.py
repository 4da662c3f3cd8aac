"""One annotation a file, or a folder of such files: what MMAction2's ntu_pose_extraction.py writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from converters.conversion.convert import ConvertOptions, convert_source
from converters.conversion.source import KnownAtOnce, checked_annotation, storable_name
from converters.inputs.annotation_file import describe, open_pickle
from converters.inputs.listing import walk
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import file_name

NAME = "single"
FOLDER_NAME = "folder"


class SingleFiles(KnownAtOnce):
    """Source of one pickle that is an annotation, or of all ``*.pkl`` below a folder, by name."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute(path)
        self._in_folder = self.path.is_dir()
        self.dialect = FOLDER_NAME if self._in_folder else NAME
        self._files = [self.path]
        if self._in_folder:
            self._files = sorted(walk(self.path, (".pkl",)))
            if not self._files:
                raise SourceError(f"{self.path} is a folder without a .pkl file; expected one annotation a file")

    def __len__(self) -> int:
        return len(self._files)

    def sizes(self) -> NDArray[np.int64]:
        return np.array([file.stat().st_size for file in self._files], np.int64)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        file = self._files[index]
        with open_pickle(file, whole=True) as pickle:
            if pickle.root_kind != "dict" or "annotations" in pickle.keys:
                raise SourceError(f"{file} holds {describe(pickle)}; expected one annotation (a dict)")
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
        """Nothing is held open between annotations."""

    def _relative(self, index: int) -> str:
        return storable_name(self._files[index].relative_to(self.path).as_posix(), self.path)


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert a file or a folder. Raises SourceError if it is not of this dialect, else as ``convert_source``."""
    convert_source(SingleFiles(source), destination, **options)
