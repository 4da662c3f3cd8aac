"""Pushing a store to an object store: shards first, the root last.

While files arrive, ``unfinished.json`` says which store they belong to, so that two commands that push different stores
to one URL do not mix them. Without a root there is no store, whatever else is there.
"""

from __future__ import annotations

import time
from functools import partial

from skelstore.errors import RemoteError, StoreError, StoreExistsError
from skelstore.format.metadata import MAX_JSON_BYTES
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.publish.claims import Claim, drop_claim, is_claimed, remove_all, take_claim
from skelstore.publish.files import LocalStore, refuse_manifest, refuse_root
from skelstore.remote.connections import CONNECTIONS, run_together
from skelstore.remote.objects import ObjectStore, Stored, read_small
from skelstore.remote.transfers import Transfer

_TRIES = 3
_PAUSE = 0.2


def push_objects(local: LocalStore, service: ObjectStore, transfer: Transfer, *, force: bool) -> int:
    """Push a store; the number of files that were sent. See ``skelstore.publish.pushing.push``."""
    root = read_small(service, ROOT_KEY, MAX_JSON_BYTES)
    claim = Claim(local.copy.identity, tuple(local.copy.files), local.conversion)
    if root == local.copy.root and not _missing(local, service):
        drop_claim(service, claim)
        transfer.count(local.copy.size)
        return 0
    if root not in (None, local.copy.root):
        refuse_root(service, root, force=force)
    stale = _find_old_files(local, service)
    claim = take_claim(service, claim, force=force)
    stale |= {*claim.files}
    _refuse_new_root(local, service, root, claim)
    if root not in (None, local.copy.root):
        service.remove(ROOT_KEY)
    remove_all(service, stale - local.copy.files.keys())
    missing = _missing(local, service)
    transfer.count(sum(entry.size for key, entry in local.copy.files.items() if key not in missing))
    shards_first = [key for key in local.copy.files if key in missing and key != MANIFEST_KEY]
    here = [key for key in shards_first if key not in local.moved]
    transfer.run(
        (partial(_put, key, local, service, transfer, claim) for key in shards_first if key in local.moved), CONNECTIONS
    )
    transfer.run(partial(_put, key, local, service, transfer, claim) for key in here)
    if MANIFEST_KEY in missing:
        _put(MANIFEST_KEY, local, service, transfer, claim)
    _refuse_missing(local, service, claim)
    local.refuse_replaced()
    _require_claim(local, service, claim)
    _put_root(local, service, transfer)
    drop_claim(service, claim)
    return len(missing) + (root != local.copy.root)


def _refuse_new_root(local: LocalStore, service: ObjectStore, seen: bytes | None, claim: Claim) -> None:
    """Raise StoreExistsError if another push has ended between the first look at the root and the claim."""
    if read_small(service, ROOT_KEY, MAX_JSON_BYTES) not in (seen, local.copy.root):
        drop_claim(service, claim)
        raise StoreExistsError(f"another store was pushed to {service.root} meanwhile: choose another URL")


def _require_claim(local: LocalStore, service: ObjectStore, claim: Claim) -> None:
    """Raise StoreExistsError if another push has taken over."""
    if is_claimed(service, claim):
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


def _put(key: str, local: LocalStore, service: ObjectStore, transfer: Transfer, claim: Claim) -> None:
    _require_claim(local, service, claim)
    try:
        local.put(key, service, transfer)
    except (StoreError, RemoteError):  # the service refuses bytes that have changed since they were measured
        local.refuse_replaced()
        raise


def _refuse_missing(local: LocalStore, service: ObjectStore, claim: Claim) -> None:
    """Raise RemoteError if the files that were sent are not there."""
    for key in sorted(_missing(local, service)):
        _require_claim(local, service, claim)
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
