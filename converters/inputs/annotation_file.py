"""A pickle that holds a list of annotations, at its top or under a key of its top."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import checked_annotation, index_all
from converters.inputs.recognition import describe_file, describe_list, is_annotation
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format import values
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import file_name, kind_of, shown_names


class AnnotationFile:
    """Source of the annotations of one pickle: ``{'split': …, 'annotations': […], …}`` or a bare list.

    ``tops`` are the types that the dialect allows at the top of the pickle: ``dict``, ``list``. Raises SourceError if
    the file is not of the dialect.
    """

    def __init__(
        self, path: str | os.PathLike[str], dialect: str, tops: tuple[Literal["dict", "list"], ...] = ("dict", "list")
    ) -> None:
        self.path = absolute(path)
        self.dialect = dialect
        self._tops = tops
        self._pickle = open_pickle(path)
        self._key = None if self._pickle.root_kind == "list" else "annotations"
        try:
            self.indexed = self._find_list()
            if self.indexed:
                _decline_lookalike(self._pickle, self._key, self.indexed)
        except BaseException:
            self.close()
            raise

    def index_more(self) -> bool:
        try:
            more = self._pickle.grow()
            if more:
                self.indexed = self._find_list()
        except BaseException:
            self.close()
            raise
        return more

    def _find_list(self) -> int:
        """The number of annotations indexed so far. Raises SourceError if the file is not of the dialect."""
        count = None
        if self._pickle.root_kind in self._tops and holds_annotations(self._pickle):
            count = self._pickle.elements(self._key)
        if count is None:
            expected = " or ".join(
                {"dict": "a dict with a list 'annotations'", "list": "a list"}[kind] for kind in self._tops
            )
            raise SourceError(
                f"{self.path} holds {describe_top(self._pickle)}; the dialect {self.dialect} is {expected}"
            )
        return count

    def __len__(self) -> int:
        index_all(self)
        return self.indexed

    def sizes(self) -> NDArray[np.int64]:
        return self._pickle.element_sizes(self._key)

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        return checked_annotation(self._pickle.element(index, self._key), self.path, self.place(index)), None

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.path]

    def settings(self) -> Json:
        return None

    def place(self, index: int) -> str:
        return f"{self._key or ''}[{index}]"

    def splits(self) -> dict[Any, Any]:
        index_all(self)
        splits = self._pickle.value("split") if "split" in self._pickle.keys else None
        return splits if isinstance(splits, dict) else {}

    def description(self) -> dict[str, Json]:
        """``name``, ``size`` in bytes, and ``document``: the top of the pickle without splits and annotations."""
        return {"name": file_name(self.path), "size": self._pickle.size, "document": self._document()}

    def in_order(self) -> str | None:
        return None

    def close(self) -> None:
        self._pickle.close()

    def _document(self) -> Json:
        if self._key is None:
            return {"annotations": True}
        index_all(self)
        entries: list[Json] = []
        for key in self._pickle.keys:
            if key == "annotations":
                entries.append([key, {"annotations": True}])
                continue
            value = self._pickle.value(key)
            node = (
                {"splits": True}
                if key == "split" and type(value) is dict
                else {"value": values.encode(value, repr(key))}
            )
            entries.append([values.encode(key), node])
        return {"dict": entries}


def open_pickle(path: str | os.PathLike[str], *, whole: bool = False) -> PickleFile:
    """Open a pickle and index it until its annotations are found, or to its end if ``whole``.

    Raises as ``PickleFile`` does. If the file is not a pickle, the SourceError says what it is.
    """
    try:
        pickle = PickleFile(path, whole=whole)
        while not holds_annotations(pickle) and pickle.grow():
            pass
    except SourceError:
        if description := describe_file(Path(path)):
            raise SourceError(f"{path} {description}") from None
        raise
    return pickle


def holds_annotations(pickle: PickleFile) -> bool:
    """Whether the indexed part of a pickle is a list, or a dict with ``annotations``."""
    return pickle.root_kind == "list" or (pickle.root_kind == "dict" and "annotations" in pickle.keys)


def describe_top(pickle: PickleFile) -> str:
    """What a pickle holds at its top, for messages."""
    if pickle.root_kind == "dict":
        return f"a dict with the keys {shown_names(pickle.keys, 6)}"
    if pickle.root_kind == "list":
        return "a list"
    return kind_of(pickle.root())


def _decline_lookalike(pickle: PickleFile, key: str | None, known: int) -> None:
    """Raise SourceError if the list holds something else than annotations."""
    first = pickle.element(0, key)
    if isinstance(first, dict) and is_annotation(first):
        return
    if description := describe_list(first, pickle.element(1, key) if known > 1 else None):
        raise SourceError(f"{pickle.path} {description}")
