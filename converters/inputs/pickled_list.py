"""A pickle that is a list with an element per video, as the base of sources."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import index_all
from converters.inputs.annotation_file import describe_top, open_pickle
from skelstore.errors import SourceError
from skelstore.format.files import absolute
from skelstore.format.values import Json


class PickledList:
    """Base class of sources that are one list, indexed in steps; ``what`` names its elements in messages.

    Raises SourceError if the pickle is not a list.
    """

    dialect: str

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        self.path = absolute(path)
        self._pickle = open_pickle(self.path)
        try:
            if self._pickle.root_kind != "list":
                raise SourceError(
                    f"{self.path} holds {describe_top(self._pickle)}; the dialect {self.dialect} is a list of {what}"
                )
            self.indexed = self._pickle.elements() or 0
        except BaseException:
            self._pickle.close()
            raise

    def index_more(self) -> bool:
        more = self._pickle.grow()
        if more:
            self.indexed = self._pickle.elements() or 0
        return more

    def __len__(self) -> int:
        index_all(self)  # type: ignore[arg-type]
        return self.indexed

    def sizes(self) -> NDArray[np.int64]:
        return self._pickle.element_sizes()

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.path]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return f"[{index}]"

    def in_order(self) -> str | None:
        return None

    def close(self) -> None:
        self._pickle.close()

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self._pickle.size

    def element(self, index: int) -> Any:
        """An element of the list, as data. Raises SourceError, which names its place in the file."""
        return self._pickle.element(index)
