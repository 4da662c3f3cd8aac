"""Which file of its source each video of a store is from."""

from __future__ import annotations

from pathlib import PurePosixPath

from skelstore import Store
from skelstore.errors import StoreError
from skelstore.format.schema import Origin


def origins(store: Store) -> list[Origin | None]:
    """The origin of each video, None where the source was one file.

    Raises StoreError if one leads outside of the folder that it is relative to: a store is data from strangers too.
    """
    found: list[Origin | None] = []
    for origin in store.origins():
        if origin is not None:
            path = PurePosixPath(origin.file)
            if path.is_absolute() or ".." in path.parts or "\0" in origin.file or not path.parts:
                raise StoreError(f"{store.path}: a video is said to be from {origin.file!r}, which is no file name")
        found.append(origin)
    return found
