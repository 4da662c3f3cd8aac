"""Arrays of Python objects in a .npz, read as data. They contain pickles, which are never loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from converters.inputs.array_file import npz_pickle
from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.wording import kind_of


class Objects(NamedTuple):
    """The elements of an array of objects, in C order, and its shape, which is () for one object."""

    shape: tuple[int, ...]
    elements: list[object]


def read_objects(path: Path, name: str) -> Objects:
    """The array of objects that a .npz has under a name.

    Its elements are those that ``PickleFile`` returns: anything that is not data is a ``Foreign``. Raises SourceError
    if there is no such array, or its pickle is damaged.
    """
    data = npz_pickle(path, name)
    with tempfile.TemporaryDirectory(prefix="skelstore-") as folder:
        unpacked = Path(folder, "objects.pkl")
        unpacked.write_bytes(data)
        try:
            with PickleFile(unpacked) as pickle:
                value = pickle.root()
        except SourceError as error:
            raise SourceError(str(error).replace(str(unpacked), f"{path}: {name}")) from None
    if isinstance(value, Foreign) and value.elements is not None:
        return Objects(*value.elements)
    raise SourceError(f"{path}: {name} is {kind_of(value)}; expected an array of Python objects")
