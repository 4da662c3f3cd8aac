"""Pushing a store to a data set on the Hugging Face hub: files by Git LFS, in commits, the root in the last one.

Every commit states the commit that it follows. So what was found there is still so when it is made, and two commands
that push different stores do not mix them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from skelstore.errors import RemoteError, StoreError
from skelstore.format.metadata import MAX_JSON_BYTES
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.publish.files import LocalStore, refuse_manifest, refuse_root
from skelstore.remote.hub import HubDataset
from skelstore.remote.hub_commits import HubRepository, is_stored
from skelstore.remote.objects import read_small
from skelstore.remote.transfers import Content, Transfer

CARD = "README.md"
"""What the hub shows on the page of a data set. One that is there belongs to its author, and is kept."""

COMMIT_FILES = 100
"""Maximum number of files of one commit; the hub recommends not to have more."""

_OF_STORES = re.compile(r"(videos|names|splits)\.arrow|[^/]+/(zarr\.json|c(\.[0-9]+)+)")
"""Names that files of a store have, other than the root and the manifest."""

_CONFLICTS = 5
_PAUSE = 0.5

_Found = dict[str, tuple[int, str]]


def push_to_hub(
    local: LocalStore, service: HubDataset, transfer: Transfer, *, force: bool, beside: Mapping[str, Content]
) -> int:
    """Push a store, and files beside it; the number of files that were sent. See ``skelstore.publish.pushing.push``."""
    if not service.folder:
        raise StoreError(f"{service.root} is a whole data set; expected a folder in it, such as {service.root}/a.zarr")
    hub = HubRepository(service)
    contents = {f"{service.folder}/{key}": local.content(key) for key in local.copy.files}
    last = {path: contents.pop(path) for path in [f"{service.folder}/{MANIFEST_KEY}"]}
    last[f"{service.folder}/{ROOT_KEY}"] = local.content(ROOT_KEY)
    counted: set[str] = set()
    sent = conflicts = 0
    while conflicts < _CONFLICTS:
        head = hub.head()
        found = hub.files(head, service.folder)
        if old := _find_old_root(service, found, last, force=force):
            done = hub.commit(f"Remove the old {service.root.name}", _deletions([old]), head)
        else:
            missing = _missing(contents, found)
            _count(transfer, contents, contents.keys() - missing.keys() - counted, counted)
            ending = not missing
            if ending:
                whole = {**last, **beside}
                missing = _missing(whole, found | _found_beside(hub, head, beside))
                _count(transfer, whole, whole.keys() - missing.keys() - counted, counted)
                if not missing:
                    return sent
            some = dict(list(missing.items())[: len(missing) if ending else COMMIT_FILES])
            local.refuse_replaced()
            operations = hub.upload(some, transfer)
            if ending:
                operations += _deletions(_find_stale(service, found, {*contents, *last}))
            done = hub.commit(f"Add {'' if ending else 'files of '}{service.root.name}", operations, head)
            if done:
                counted |= some.keys()
                sent += len(some)
                if ending:
                    return sent
            else:
                transfer.count(-sum(content.size for content in some.values()))
        if not done:
            conflicts += 1
            time.sleep(_PAUSE * 2**conflicts)
    raise RemoteError(f"{service.root}: others change the data set at the same time: push again later")


def _find_old_root(service: HubDataset, found: _Found, last: Mapping[str, Content], *, force: bool) -> str | None:
    """The path of the root of another store, which has to go first.

    Raises StoreExistsError if there is one and ``force`` is not given, or something that is not a store.
    """
    root, manifest = f"{service.folder}/{ROOT_KEY}", f"{service.folder}/{MANIFEST_KEY}"
    if manifest in found and not is_stored(last[manifest], found[manifest]):
        old = read_small(service, MANIFEST_KEY, MAX_JSON_BYTES)
        if old is not None:
            refuse_manifest(old, str(service.root / MANIFEST_KEY))
    if root not in found or is_stored(last[root], found[root]):
        return None
    refuse_root(service, read_small(service, ROOT_KEY, MAX_JSON_BYTES), force=force)
    return root


def _find_stale(service: HubDataset, found: _Found, paths: set[str]) -> list[str]:
    """The files that older stores, or pushes that were ended, have left in the folder."""
    start = len(service.folder) + 1
    return sorted(path for path in found.keys() - paths if _OF_STORES.fullmatch(path[start:]))


def _deletions(paths: list[str]) -> list[dict[str, Any]]:
    return [{"key": "deletedFile", "value": {"path": path}} for path in paths]


def _missing(contents: Mapping[str, Content], found: _Found) -> dict[str, Content]:
    """The files that are not at the hub with their bytes."""
    return {path: content for path, content in contents.items() if not is_stored(content, found.get(path))}


def _found_beside(hub: HubRepository, commit: str, beside: Mapping[str, Content]) -> _Found:
    """What is at the hub of the files beside the store; a card counts as stored if there is any."""
    found: _Found = {}
    for folder in {path.rpartition("/")[0] for path in beside}:
        found |= hub.files(commit, folder, recursive=False)
    if CARD in found and CARD in beside:
        found[CARD] = beside[CARD].size, beside[CARD].measure("sha256").sha256.hex()
    return found


def _count(transfer: Transfer, contents: Mapping[str, Content], paths: set[str], counted: set[str]) -> None:
    """Count files that were at the hub before."""
    transfer.count(sum(contents[path].size for path in paths))
    counted |= paths
