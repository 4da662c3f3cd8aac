"""The files of a store that is copied as a whole: a local one that is pushed, or one at a URL that is pulled."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skelstore.errors import DamageError, StoreError, StoreExistsError, StoreNotFoundError
from skelstore.format.checksums import FileEntry, crc32c
from skelstore.format.metadata import MAX_JSON_BYTES, Manifest, StoreMetadata, from_bytes, store_attributes
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.format.store_files import digest_of
from skelstore.read.reader import Reader
from skelstore.remote.objects import ObjectStore, read_small
from skelstore.remote.service import Service
from skelstore.remote.services import service_of
from skelstore.remote.transfers import Content, Transfer
from skelstore.remote.url import Url
from skelstore.wording import shown

_KEY = re.compile(r"[A-Za-z0-9_.@~-]{1,255}(/[A-Za-z0-9_.@~-]{1,255})?")
"""Keys of files are the names of tables, or those of a field and of a file of its array (docs/format.md)."""


@dataclass(frozen=True)
class StoreCopy:
    """All files of one version of a store. ``files`` has every file but the root, the manifest last.

    ``identity`` distinguishes it from other stores.
    """

    root: bytes = field(repr=False)
    manifest: bytes = field(repr=False)
    files: dict[str, FileEntry] = field(repr=False)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return len(self.root) + sum(entry.size for entry in self.files.values())

    @property
    def identity(self) -> str:
        return digest_of(self.root).hex()

    @classmethod
    def of(cls, root: bytes, manifest: bytes, path: object) -> StoreCopy:
        """Raises StoreError if the manifest names a file that no store has."""
        place = f"{path}/{MANIFEST_KEY}"
        files = listed_files(manifest, place)
        return cls(root, manifest, files | {MANIFEST_KEY: FileEntry(len(manifest), crc32c(manifest))})


class LocalStore:
    """A store of this machine that is pushed. Raises what ``skelstore.open`` raises."""

    conversion = ""
    """Identifies the conversion that makes the store, if it is made where it is pushed to."""

    moved: Mapping[str, str] = {}
    """The shards that are at the URL under other keys: their keys in the store -> where they are."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        reader = Reader(Path(path), "first")
        self.refuse_replaced: Callable[[], None] = reader.refuse_replaced
        self.folder = reader.folder
        root = reader.files.read_all(ROOT_KEY, MAX_JSON_BYTES)
        manifest = reader.files.read_all(MANIFEST_KEY, MAX_JSON_BYTES)
        reader.refuse_replaced()
        reader.close()
        self.copy = StoreCopy.of(root, manifest, self.folder)

    def content(self, key: str) -> Content:
        """The bytes of a file, which are checked when they are measured."""
        if key == ROOT_KEY:
            return Content.of_bytes(self.copy.root)
        if key == MANIFEST_KEY:
            return Content.of_bytes(self.copy.manifest)
        entry = self.copy.files[key]
        return Content(self.folder / key, entry.size, entry.crc32c)

    def put(self, key: str, service: ObjectStore, transfer: Transfer) -> None:
        """Put a file at the URL. Raises what ``ObjectStore.put`` raises."""
        service.put(key, self.content(key), transfer)


class RemoteStore:
    """A store at a URL that is pulled.

    Raises StoreNotFoundError if there is none, StoreError or DamageError if it is not one, and what requests raise.
    """

    def __init__(self, url: Url) -> None:
        self.url = url
        self.service: Service = service_of(url)
        root = read_small(self.service, ROOT_KEY, MAX_JSON_BYTES)
        if root is None:
            raise StoreNotFoundError(f"{url / ROOT_KEY} does not exist, so there is no store at this URL")
        expected = StoreMetadata.from_bytes(root, str(url / ROOT_KEY)).manifest
        manifest = read_small(self.service, MANIFEST_KEY, MAX_JSON_BYTES)
        if manifest is None or (len(manifest), crc32c(manifest)) != (expected.size, expected.crc32c):
            raise DamageError(
                f"{url / MANIFEST_KEY} is missing or not the one that {ROOT_KEY} names: if the store is being "
                "replaced, try again later, else it has to be published again"
            )
        self.copy = StoreCopy.of(root, manifest, url)

    def is_replaced(self) -> bool:
        """Whether another store, or none, is at the URL by now."""
        return read_small(self.service, ROOT_KEY, MAX_JSON_BYTES) != self.copy.root


def listed_files(manifest: bytes, place: str) -> dict[str, FileEntry]:
    """The files in a manifest, shards first. Raises StoreError if it is none, or names a file that no store has."""
    found = Manifest.from_bytes(manifest, place)
    shards: Mapping[str, FileEntry] = {key: FileEntry(one.size, one.crc32c) for key, one in found.shards.items()}
    files = {**shards, **found.files}
    folders = {key.rpartition("/")[0] for key in files}  # none of them is a file, too
    for key, entry in files.items():
        if not is_key(key) or key in folders:
            raise StoreError(f"{place} names the file {shown(key)}, which no store has")
        if not entry.size:
            raise StoreError(f"{place}: {shown(key)} has no bytes, as no file of a store")
    return files


def is_key(key: str) -> bool:
    """Whether a file of a store, other than its root and its manifest, may have this key."""
    parts = {*key.split("/")}
    return _KEY.fullmatch(key) is not None and not {".", ".."} & parts and key not in (ROOT_KEY, MANIFEST_KEY)


def _is_store_root(data: bytes) -> bool:
    """Whether the bytes of a ``zarr.json`` are the root of a store, perhaps of another version of the format."""
    try:
        return isinstance(store_attributes(from_bytes(data, ROOT_KEY)), dict)
    except StoreError:
        return False


def refuse_root(service: Service, root: bytes | None, *, force: bool) -> None:
    """Raise StoreExistsError unless the root at the URL is that of a store, which ``force`` replaces."""
    if root is not None and not _is_store_root(root):
        raise StoreExistsError(
            f"{service.root / ROOT_KEY} exists and is not that of a store, so it is not replaced: choose another URL"
        )
    if not force:
        raise StoreExistsError(
            f"another store is at {service.root}: choose another URL, or replace it with --force, which takes it away "
            "from its readers first"
        )


def refuse_manifest(manifest: bytes, place: str) -> dict[str, FileEntry]:
    """The files in the manifest of an old store. Raises StoreExistsError if it is not that of a store."""
    try:
        return listed_files(manifest, place)
    except StoreError as error:
        raise StoreExistsError(
            f"{place} exists and is not that of a store, so it is not replaced: choose another URL"
        ) from error
