"""A pickle that holds a list of annotations, at its top or under a key of its top."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.pickle_file import PickleFile
from converters.source import checked_annotation, kind_name, shown_name
from skelstore import values
from skelstore.errors import SourceError
from skelstore.layouts import Annotation
from skelstore.parts import Origin
from skelstore.values import Json

_SCORE_KEYS = frozenset({"pred_score", "pred_scores", "pred_label", "pred_labels"})


class AnnotationFile:
    """Source of the annotations of one pickle: ``{'split': …, 'annotations': […], …}`` or a bare list.

    ``pickle`` is the file, if it has been indexed already.
    """

    def __init__(self, path: str | os.PathLike[str], dialect: str, pickle: PickleFile | None = None) -> None:
        self.path = Path(path)
        self.dialect = dialect
        self._pickle = pickle or PickleFile(path)
        self._key = None if self._pickle.root_kind == "list" else "annotations"
        try:
            self._count = self._find_list()
            if self._count:
                _decline_lookalike(self.path, self._pickle.element(0, self._key))
        except BaseException:
            self._pickle.close()
            raise

    def _find_list(self) -> int:
        """Number of annotations. Raises SourceError if the file is not of the dialect."""
        wanted = {"pyskl": ("dict",), "list": ("list",)}.get(self.dialect, ("dict", "list"))
        found = self._pickle.root_kind
        count = None
        if found in wanted and (found == "list" or self._key in self._pickle.keys):
            count = self._pickle.elements(self._key)
        if count is None:
            expected = " or ".join(
                {"dict": "a dict with a list 'annotations'", "list": "a list"}[kind] for kind in wanted
            )
            raise SourceError(f"{self.path} holds {described(self._pickle)}; the dialect {self.dialect} is {expected}")
        return count

    def __len__(self) -> int:
        return self._count

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
        splits = self._pickle.value("split") if "split" in self._pickle.keys else None
        return splits if isinstance(splits, dict) else {}

    def description(self) -> dict[str, Json]:
        """``document``: the top of the pickle as a layout, in which splits and annotations are only named."""
        return {"name": shown_name(self.path), "size": self._pickle.size, "document": self._document()}

    def close(self) -> None:
        self._pickle.close()

    def _document(self) -> Json:
        if self._key is None:
            return {"annotations": True}
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


def described(pickle: PickleFile) -> str:
    """What a pickle holds at its top, for a message that declines it."""
    if pickle.root_kind == "dict":
        shown = ", ".join(repr(key) for key in pickle.keys[:6])
        return f"a dict with the keys {shown or '(none)'}{' …' if len(pickle.keys) > 6 else ''}"
    if pickle.root_kind == "list":
        return "a list"
    return f"a {kind_name(pickle.root())}"


def _decline_lookalike(path: Path, first: object) -> None:
    """Decline files that are lists too, but of predictions."""
    if isinstance(first, np.ndarray) or (isinstance(first, list) and first and isinstance(first[0], np.ndarray)):
        raise SourceError(
            f"{path} is a list of arrays: it looks like the scores of a test run, not like annotations "
            "(a list of dicts)"
        )
    if isinstance(first, dict) and not _SCORE_KEYS.isdisjoint(first) and "keypoint" not in first:
        found = ", ".join(sorted(_SCORE_KEYS & {key for key in first if isinstance(key, str)}))
        raise SourceError(
            f"{path} is a list of dicts with {found}: it looks like the predictions of a test run, not like annotations"
        )
