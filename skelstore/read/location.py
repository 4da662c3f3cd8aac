"""Where a store is: in a folder of this machine, or at a URL; and errors that say in which place of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias, TypeVar

from skelstore.errors import SkelstoreError
from skelstore.format.files import absolute, local_path
from skelstore.format.schema import VIDEOS_KEY
from skelstore.format.store_files import LocalFiles, StoreFiles
from skelstore.remote.url import Url, is_url, parse_url

Location: TypeAlias = Path | Url

Cache: TypeAlias = str | os.PathLike[str] | None
"""``auto`` for the cache folder of this account, another folder, or None for none that outlives the store."""

E = TypeVar("E", bound=SkelstoreError)


def locate(path: str | os.PathLike[str] | Url) -> Location:
    """The place of a store. Raises StoreError for a URL of a scheme that is not supported."""
    if isinstance(path, Url):
        return path
    text = os.fspath(path)
    if is_url(text) and not os.path.lexists(text.partition("/")[0]):
        return parse_url(text)
    return absolute(local_path(path))


def open_files(location: Location, cache: Cache) -> StoreFiles:
    """The files of a store. Raises MissingPackageError if it is at a URL and what that needs is not installed."""
    if isinstance(location, Path):
        return LocalFiles(location)
    from skelstore.remote.files import RemoteFiles  # only here: a local store needs no HTTP

    return RemoteFiles(location, cache)


def placed(error: E, location: Location, place: object) -> E:
    """The error; if its message names no file of the store, with the place in front of it."""
    return error if str(location) in str(error.args[0]) else type(error)(f"{place}: {error}")


def placed_at_video(error: E, location: Location, row: int) -> E:
    """An error from reading the video at a row of the table, ``placed`` there."""
    return placed(error, location, f"{location / VIDEOS_KEY}: video {row}")
