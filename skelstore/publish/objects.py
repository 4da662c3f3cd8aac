"""Pushing a store to an object store: shards first, the root last.

While files arrive, ``unfinished.json`` says which store they belong to, so that two commands that push different stores
to one URL do not mix them. Without a root there is no store, whatever else is there.
"""

from __future__ import annotations

import time
from functools import partial

from skelstore.errors import RemoteError, StoreError, StoreExistsError
from skelstore.format.metadata import MAX_JSON_BYTES, from_bytes, to_bytes
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.publish.files import LocalStore, is_key, refuse_manifest, refuse_root
from skelstore.remote.objects import ObjectStore, Stored, read_small
from skelstore.remote.transfers import Content, Transfer
from skelstore.remote.transport import CONNECTIONS, run_together

UNFINISHED_KEY = "unfinished.json"
"""A file beside those of an unfinished store: it names the store that is being pushed."""

_TRIES = 3
_PAUSE = 0.2


def push_objects(local: LocalStore, service: ObjectStore, transfer: Transfer, *, force: bool) -> int:
    """Push a store; the number of files that were sent. See ``skelstore.publish.pushing.push``."""
    root = read_small(service, ROOT_KEY, MAX_JSON_BYTES)
    if root == local.copy.root and not _missing(local, service):
        _forget(local, service)
        transfer.count(local.copy.size)
        return 0
    if root not in (None, local.copy.root):
        refuse_root(service, root, force=force)
    stale = _find_old_files(local, service) | _claim(local, service, force=force)
    _refuse_new_root(local, service, root)
    if root not in (None, local.copy.root):
        service.remove(ROOT_KEY)
    _remove_all(sorted(stale - local.copy.files.keys()), service)
    missing = _missing(local, service)
    transfer.count(sum(entry.size for key, entry in local.copy.files.items() if key not in missing))
    shards_first = [key for key in local.copy.files if key in missing and key != MANIFEST_KEY]
    transfer.run(partial(_put, key, local, service, transfer) for key in shards_first)
    if MANIFEST_KEY in missing:
        _put(MANIFEST_KEY, local, service, transfer)
    _refuse_missing(local, service)
    local.refuse_replaced()
    _require_claim(local, service)
    _put_root(local, service, transfer)
    _forget(local, service)
    return len(missing) + (root != local.copy.root)


def _claim(local: LocalStore, service: ObjectStore, *, force: bool) -> set[str]:
    """Write which store is being pushed; all files that pushes which were ended may have left.

    Raises StoreExistsError if another store is being pushed, or a push of it was ended, and ``force`` is not given.
    """
    if service.put(UNFINISHED_KEY, Content.of_bytes(_claim_of(local, set())), absent=True):
        return set()
    store, files = _read_claim(service)
    if store == local.copy.identity:
        return files
    if not force:
        raise StoreExistsError(
            f"another store is being pushed to {service.root}, or a push of it was ended before it was complete "
            f"({UNFINISHED_KEY} is there): repeat that push, choose another URL, or push this store with --force"
        )
    service.put(UNFINISHED_KEY, Content.of_bytes(_claim_of(local, files)))
    return files


def _claim_of(local: LocalStore, left: set[str]) -> bytes:
    """A claim names the store that is pushed, its files, and those that are ``left`` of others."""
    return to_bytes({"store": local.copy.identity, "files": sorted(local.copy.files.keys() | left)})


def _read_claim(service: ObjectStore) -> tuple[str, set[str]]:
    """The identity of the store that is being pushed, empty if there is none, and the files of the claim.

    Raises StoreError if it is not JSON.
    """
    claim = read_small(service, UNFINISHED_KEY, MAX_JSON_BYTES)
    found = {} if claim is None else from_bytes(claim, str(service.root / UNFINISHED_KEY))
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, list):
        return "", set()
    return str(found.get("store")), {key for key in files if isinstance(key, str) and is_key(key)}


def _is_claimed(local: LocalStore, service: ObjectStore) -> bool:
    return _read_claim(service)[0] == local.copy.identity


def _refuse_new_root(local: LocalStore, service: ObjectStore, seen: bytes | None) -> None:
    """Raise StoreExistsError if another push has ended between the first look at the root and the claim."""
    if read_small(service, ROOT_KEY, MAX_JSON_BYTES) not in (seen, local.copy.root):
        _forget(local, service)
        raise StoreExistsError(f"another store was pushed to {service.root} meanwhile: choose another URL")


def _require_claim(local: LocalStore, service: ObjectStore) -> None:
    """Raise StoreExistsError if another push has taken over."""
    if _is_claimed(local, service):
        return
    root = read_small(service, ROOT_KEY, MAX_JSON_BYTES)
    if root == local.copy.root:  # another process has pushed the same store, and was faster
        return
    raise StoreExistsError(
        f"another process pushes another store to {service.root}, or has removed what is there: push one at a time"
    )


def _find_old_files(local: LocalStore, service: ObjectStore) -> set[str]:
    """The files in the manifest at the URL. Raises StoreExistsError if it is not that of a store."""
    manifest = read_small(service, MANIFEST_KEY, MAX_JSON_BYTES)
    if manifest in (None, local.copy.manifest):
        return set()
    return {*refuse_manifest(manifest, str(service.root / MANIFEST_KEY))}


def _remove_all(keys: list[str], service: ObjectStore) -> None:
    for begin in range(0, len(keys), CONNECTIONS):
        run_together([partial(service.remove, key) for key in keys[begin : begin + CONNECTIONS]])


def _missing(local: LocalStore, service: ObjectStore) -> set[str]:
    """The files that are not at the URL with their size and checksum."""
    keys = list(local.copy.files)
    missing: set[str] = set()
    for begin in range(0, len(keys), CONNECTIONS):
        some = keys[begin : begin + CONNECTIONS]
        for key, stored in zip(some, run_together([partial(service.stored, key) for key in some]), strict=True):
            entry = local.copy.files[key]
            if stored != Stored(entry.size, entry.crc32c):
                missing.add(key)
    return missing


def _put(key: str, local: LocalStore, service: ObjectStore, transfer: Transfer) -> None:
    _require_claim(local, service)
    try:
        service.put(key, local.content(key), transfer)
    except (StoreError, RemoteError):  # the service refuses bytes that have changed since they were measured
        local.refuse_replaced()
        raise


def _refuse_missing(local: LocalStore, service: ObjectStore) -> None:
    """Raise RemoteError if the files that were sent are not there."""
    for key in sorted(_missing(local, service)):
        _require_claim(local, service)
        found, entry = service.stored(key), local.copy.files[key]
        what = "nothing" if found is None else f"{found.size:,} bytes with crc32c {_shown_crc32c(found.crc32c)}"
        raise RemoteError(
            f"{service.root / key}: after it was sent, {what} was found there; expected {entry.size:,} bytes with "
            f"crc32c {entry.crc32c:08x}: push again"
        )


def _shown_crc32c(checksum: int | None) -> str:
    return "not stated" if checksum is None else f"{checksum:08x}"


def _put_root(local: LocalStore, service: ObjectStore, transfer: Transfer) -> None:
    """Write the root if there is none. Raises StoreExistsError if another store's is there."""
    for attempt in range(_TRIES):
        if service.put(ROOT_KEY, local.content(ROOT_KEY), transfer, absent=True):
            return
        root = read_small(service, ROOT_KEY, MAX_JSON_BYTES)
        if root == local.copy.root:  # by another process, or by this one, whose answer was lost
            return
        if root is not None:
            raise StoreExistsError(f"another store was pushed to {service.root} meanwhile: choose another URL")
        time.sleep(_PAUSE * 2**attempt)
    raise RemoteError(f"{service.root / ROOT_KEY} could not be written ({_TRIES} conflicts): push again")


def _forget(local: LocalStore, service: ObjectStore) -> None:
    """Remove the claim of this store, now that it is complete."""
    if _is_claimed(local, service):
        service.remove(UNFINISHED_KEY)
