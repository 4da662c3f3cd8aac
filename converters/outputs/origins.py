"""The file of the source from which each video of a store comes."""

from __future__ import annotations

from pathlib import PurePosixPath

from skelstore import Store
from skelstore.errors import StoreError
from skelstore.format.schema import Origin


def origins(store: Store) -> list[Origin | None]:
    """The origin of each video, None if the source was a single file.

    Raises StoreError if a file name leads outside the folder that it is relative to: a store may be untrusted.
    """
    checked: list[Origin | None] = []
    for origin in store.origins():
        if origin is not None:
            path = PurePosixPath(origin.file)
            if path.is_absolute() or ".." in path.parts or "\0" in origin.file or not path.parts:
                raise StoreError(
                    f"{store.path}: {origin.file!r} is recorded as the origin of a video, but is not a file name"
                )
        checked.append(origin)
    return checked
