"""``unfinished.json``: which store is being pushed to a URL of an object store, or converted there.

It is put only if there is none, so two commands that make different stores at one URL do not mix them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from skelstore.errors import StoreError, StoreExistsError
from skelstore.format.metadata import MAX_JSON_BYTES, from_bytes, to_bytes
from skelstore.publish.files import is_key
from skelstore.remote.connections import CONNECTIONS, run_together
from skelstore.remote.objects import ObjectStore, Stored, read_small
from skelstore.remote.transfers import Content

UNFINISHED_KEY = "unfinished.json"
"""A file beside those of an unfinished store: it names the store that is being pushed."""

STAGED = "unfinished"
"""A folder beside them: the finished parts of a conversion that makes its store at the URL."""


class Claim(NamedTuple):
    """What ``unfinished.json`` says.

    ``store`` is the identity of the store, empty before it is known. ``files`` are those that were sent, or that are
    still to be removed. ``conversion`` identifies the conversion that makes the store, if one does.
    """

    store: str
    files: tuple[str, ...]
    conversion: str = ""

    def content(self) -> Content:
        more = {"conversion": self.conversion} if self.conversion else {}
        return Content.of_bytes(to_bytes({"store": self.store, "files": sorted(self.files), **more}))


def read_claim(service: ObjectStore) -> Claim | None:
    """The claim at a URL; None if there is none. What is not as we write it counts as nothing."""
    data = read_small(service, UNFINISHED_KEY, MAX_JSON_BYTES)
    if data is None:
        return None
    try:
        found = from_bytes(data, UNFINISHED_KEY)
    except StoreError:
        found = None
    found = found if isinstance(found, dict) else {}
    store, files, conversion = (found.get(name) for name in ("store", "files", "conversion"))
    keys = [key for key in files if isinstance(key, str) and is_key(key)] if isinstance(files, list) else []
    return Claim(
        store if isinstance(store, str) else "", tuple(keys), conversion if isinstance(conversion, str) else ""
    )


def take_claim(service: ObjectStore, claim: Claim, *, force: bool) -> Claim:
    """Put a claim; as it is now, also with the files that what was ended before may have left.

    One of the same conversion is replaced, and with ``force`` any other, whose finished parts are removed. Raises
    StoreExistsError if there is one for another store and ``force`` is not given.
    """
    if service.put(UNFINISHED_KEY, claim.content(), absent=True):
        return claim
    other = read_claim(service) or Claim("", ())
    if other.store == claim.store:
        return other
    if other.conversion != claim.conversion or not claim.conversion:
        if not force:
            raise claimed(service)
        if other.conversion:
            remove_staged(service)
    claim = claim._replace(files=tuple({*claim.files, *other.files}))
    service.put(UNFINISHED_KEY, claim.content())
    return claim


def claimed(service: ObjectStore) -> StoreExistsError:
    """The error for a URL that is claimed for another store."""
    return StoreExistsError(
        f"another store is being pushed to {service.root} or converted there, or that was ended before it was complete "
        f"({UNFINISHED_KEY} is there): repeat that command, choose another URL, or give --force"
    )


def is_claimed(service: ObjectStore, claim: Claim) -> bool:
    """Whether a URL is claimed for the store of this claim, or, before that is known, for its conversion."""
    content = claim.content()
    if service.stored(UNFINISHED_KEY) == Stored(content.size, content.crc32c):
        return True
    there = read_claim(service)
    return there is not None and _is_same(there, claim)


def _is_same(claim: Claim, other: Claim) -> bool:
    return claim.store == other.store and (bool(claim.store) or claim.conversion == other.conversion)


def drop_claim(service: ObjectStore, claim: Claim) -> None:
    """Remove a claim, if it is this one or for the same store, and the finished parts of its conversion."""
    there = read_claim(service)
    if there is not None and not _is_same(there, claim):
        return
    if claim.conversion or (there is not None and there.conversion):
        remove_staged(service)
    if there is not None:
        service.remove(UNFINISHED_KEY)


def remove_staged(service: ObjectStore) -> None:
    """Remove the finished parts at a URL."""
    remove_all(service, list(service.keys(STAGED)))


def remove_all(service: ObjectStore, keys: Iterable[str]) -> None:
    """Remove files, many at once."""
    left = sorted(keys)
    for begin in range(0, len(left), CONNECTIONS):
        run_together([partial(service.remove, key) for key in left[begin : begin + CONNECTIONS]])
