"""The label pickle of ST-GCN and 2s-AGCN: (names, labels), or these and a third list, one element per clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from converters.inputs.recognition import is_label_pickle
from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.values import Json
from skelstore.wording import counted, kind_of, shown

LABEL_INFO = "label_info"
"""Key of an annotation for the element of the third list."""

_CONTAINERS: dict[type, str] = {list: "list", tuple: "tuple"}
_EXPECTED = "expected ST-GCN's (names, labels): a list of str and a list of integers"


class Labels(NamedTuple):
    """Names, labels and, if the pickle has a third list, its elements; each of length N.

    ``form`` says what the pickle is made of, for a store: ``tuple`` or ``list``, and for each column one of these or,
    for an array, its dtype.
    """

    names: list[str]
    labels: list[Any]
    info: list[Any] | None
    form: list[Json]


def read_labels(path: Path) -> Labels:
    """Read a label pickle, as data. Raises SourceError that names what is not a name or a label."""
    with PickleFile(path) as pickle:
        root: Any = pickle.root()
    if not is_label_pickle(root):
        raise SourceError(f"{path} does not hold the names and labels of clips; {_EXPECTED}")
    names, labels, *info = root
    for position, name in enumerate(names):
        if isinstance(name, Foreign):
            raise SourceError(f"{path}: the name at position {position} is {kind_of(name)}; {_EXPECTED}")
    for position, label in enumerate(labels):
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)):
            raise SourceError(f"{path}: the label at position {position} is {shown(label)}; {_EXPECTED}")
    form: list[Json] = [_container(path, root), *(_container(path, column) for column in root)]
    values = [column.tolist() if isinstance(column, np.ndarray) else column for column in (names, labels)]
    return Labels(list(values[0]), list(values[1]), list(info[0]) if info else None, form)


def _container(path: Path, value: object) -> str:
    if type(value) in _CONTAINERS:
        return _CONTAINERS[type(value)]
    if isinstance(value, np.ndarray) and value.ndim:
        return str(value.dtype.str)
    raise SourceError(f"{path} holds {kind_of(value)}; {_EXPECTED}")


def check_count(path: Path, labels: Labels, array: object, count: int) -> None:
    """Raise SourceError if a pickle has labels of another number of clips than the ``array`` has."""
    if len(labels.names) != count:
        raise SourceError(f"{path} has {counted(len(labels.names), 'label')}; {array} has {counted(count, 'clip')}")
