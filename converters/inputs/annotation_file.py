"""A pickle that holds a list of annotations, at its top or under a key of its top."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.conversion.source import checked_annotation, index_all
from converters.inputs.recognition import is_annotation, name_file, name_list
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format import values
from skelstore.format.files import absolute
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.wording import file_name, kind_of, shown_names


class AnnotationFile:
    """Source of the annotations of one pickle: ``{'split': …, 'annotations': […], …}`` or a bare list.

    ``tops`` says which of the two the dialect has at the top: ``dict``, ``list``. Raises SourceError if the file is
    not of the dialect.
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
        """Number of annotations, as far as the file is indexed. Raises SourceError if it is not of the dialect."""
        count = None
        if self._pickle.root_kind in self._tops and holds_annotations(self._pickle):
            count = self._pickle.elements(self._key)
        if count is None:
            expected = " or ".join(
                {"dict": "a dict with a list 'annotations'", "list": "a list"}[kind] for kind in self._tops
            )
            raise SourceError(f"{self.path} holds {describe(self._pickle)}; the dialect {self.dialect} is {expected}")
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
        """``document``: the top of the pickle as a layout, in which splits and annotations are only named."""
        return {"name": file_name(self.path), "size": self._pickle.size, "document": self._document()}

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
            whole = (
                {"splits": True}
                if key == "split" and type(value) is dict
                else {"value": values.encode(value, repr(key))}
            )
            entries.append([values.encode(key), whole])
        return {"dict": entries}


def open_pickle(path: str | os.PathLike[str], *, whole: bool = False) -> PickleFile:
    """The pickle, indexed until it is known to hold annotations, or as a ``whole``.

    Raises as ``PickleFile`` does; the SourceError for what is no pickle names what it is instead.
    """
    try:
        pickle = PickleFile(path, whole=whole)
        while not holds_annotations(pickle) and pickle.grow():
            pass
    except SourceError:
        if said := name_file(Path(path)):
            raise SourceError(f"{path} {said}") from None
        raise
    return pickle


def holds_annotations(pickle: PickleFile) -> bool:
    """Whether a pickle, as far as it is indexed, is a list or a dict with annotations."""
    return pickle.root_kind == "list" or (pickle.root_kind == "dict" and "annotations" in pickle.keys)


def describe(pickle: PickleFile) -> str:
    """What a pickle holds at its top, for a message that declines it."""
    if pickle.root_kind == "dict":
        return f"a dict with the keys {shown_names(pickle.keys, 6)}"
    if pickle.root_kind == "list":
        return "a list"
    return kind_of(pickle.root())


def _decline_lookalike(pickle: PickleFile, key: str | None, known: int) -> None:
    """Decline files that are lists too, but of something else."""
    first = pickle.element(0, key)
    if isinstance(first, dict) and is_annotation(first):
        return
    if said := name_list(first, pickle.element(1, key) if known > 1 else None):
        raise SourceError(f"{pickle.path} {said}")
