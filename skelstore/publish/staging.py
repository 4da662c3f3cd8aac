"""Making a store at the URL of an object store, from parts that any process writes and one process joins.

A finished part is put below ``unfinished/`` at the URL, its record last. The process that joins fetches the tables of
all parts, writes those of the store, and lets the service copy each shard to its place: that place depends on all parts
before. Then the store is pushed like any other, the root last. Until then there is no store at the URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from skelstore.errors import RemoteError, StoreError, StoreExistsError, StoreNotFoundError
from skelstore.format import values
from skelstore.format.checksums import FileEntry
from skelstore.format.metadata import MAX_JSON_BYTES
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY, VIDEOS_KEY
from skelstore.format.store_files import digest_of
from skelstore.format.values import Json
from skelstore.publish.claims import STAGED, UNFINISHED_KEY, Claim, claimed, drop_claim, read_claim, remove_staged
from skelstore.publish.files import LocalStore, StoreCopy, refuse_root
from skelstore.publish.objects import push_objects
from skelstore.remote.connections import CONNECTIONS
from skelstore.remote.objects import ObjectStore, Stored, read_small
from skelstore.remote.service import Service
from skelstore.remote.services import service_of
from skelstore.remote.transfers import Content, Transfer
from skelstore.remote.url import Url
from skelstore.write import disk
from skelstore.write.joining import Shards
from skelstore.write.part_records import PART_RECORD_KEY, KeptPart, parse_record
from skelstore.write.parts import Part


def object_store(url: Url) -> ObjectStore:
    """The object store that a URL is in. Raises StoreError for the hub and for web servers, and as ``service_of``."""
    service: Service = service_of(url)
    if isinstance(service, ObjectStore):
        return service
    what = "the hub" if url.scheme == "hf" else "a web server"
    remedy = "`skelstore push` it" if url.scheme == "hf" else "copy it to the server"
    raise StoreError(
        f"{url} is on {what}; a conversion writes to s3://, gs:// or az://: convert to a folder of this machine, then "
        f"{remedy}"
    )


# --- parts


def stage_part(service: ObjectStore, folder: Path, identity: Json) -> None:
    """Put a finished part of this machine into its folder of an object store; files that are there are not sent again.

    Raises DamageError if a file of the part has changed, and what requests raise.
    """
    data = (folder / PART_RECORD_KEY).read_bytes()
    record = parse_record(data, folder, identity)
    if record is None:
        raise StoreError(f"{folder} is not the part that was written there: run the same command again")
    Transfer().run(partial(_stage_file, service, folder, key, entry) for key, entry in record.files.items())
    service.put(PART_RECORD_KEY, Content.of_bytes(data))


def _stage_file(service: ObjectStore, folder: Path, key: str, entry: FileEntry) -> None:
    if service.stored(key) != Stored(entry.size, entry.crc32c):
        service.put(key, Content(folder / key, entry.size, entry.crc32c))


def find_staged(service: ObjectStore, identity: Json) -> KeptPart | None:
    """The finished part in a folder of an object store; None unless its record has this identity and its files match.

    The files of the part are not on this machine.
    """
    data = read_small(service, PART_RECORD_KEY, MAX_JSON_BYTES)
    record = None if data is None else parse_record(data, Path(service.root.name), identity)
    if record is None:
        return None
    whole = all(service.stored(key) == Stored(entry.size, entry.crc32c) for key, entry in record.files.items())
    return KeptPart(record.part, record.left_out) if whole else None


# --- the store


class StagedStore:
    """A store that is being made at ``url`` by the conversion that ``conversion`` identifies."""

    def __init__(self, url: Url, *, force: bool) -> None:
        """Raises StoreExistsError if something else is at the URL and ``force`` is not given."""
        self.url = url
        self.service = object_store(url)
        self._force = force
        self.conversion = ""
        self._root = read_small(self.service, ROOT_KEY, MAX_JSON_BYTES)
        self._refuse_other_root(read_claim(self.service))

    @property
    def parts(self) -> Url:
        """The folder of the finished parts."""
        return self.url / STAGED

    @property
    def begun(self) -> bool:
        """Whether the URL is claimed."""
        return bool(self.conversion)

    def begin(self, identity: Json) -> bool:
        """Claim the URL for a conversion with this identity; whether an earlier run had begun it.

        Raises StoreExistsError if another one, or a push, has claimed it and ``force`` is not given.
        """
        conversion = digest_of(values.dumps(identity).encode()).hex()
        claim = Claim("", (), conversion)
        other = None
        if not self.service.put(UNFINISHED_KEY, claim.content(), absent=True):
            other = read_claim(self.service) or Claim("", ())
        self._refuse_other_root(other)
        if other is None or other.conversion == conversion:
            self.conversion = conversion
            return other is not None
        if not self._force:
            raise claimed(self.service)
        remove_staged(self.service)
        self.service.put(UNFINISHED_KEY, claim._replace(files=other.files).content())
        self.conversion = conversion
        return False

    def _refuse_other_root(self, claim: Claim | None) -> None:
        """Raise StoreExistsError if there is a store that ``force`` does not replace.

        One that a conversion has made, and that has not removed its parts yet, is looked at when the parts are joined.
        """
        if self._root is None or (claim is not None and claim.store == digest_of(self._root).hex()):
            return
        refuse_root(self.service, self._root, force=self._force)

    def fetch_tables(self, parts: Sequence[Part], folder: Path) -> list[Part]:
        """Fetch the tables of staged parts, each into a folder below ``folder``; the parts, without their shards.

        Raises StoreExistsError if another process has removed one, RemoteError if one is damaged.
        """
        moved = [replace(part, folder=folder / part.folder.name) for part in parts]
        Transfer().run((partial(self._fetch_table, part) for part in moved), CONNECTIONS)
        return moved

    def _fetch_table(self, part: Part) -> None:
        place = f"{STAGED}/{part.folder.name}"
        data = read_small(self.service, f"{place}/{PART_RECORD_KEY}", MAX_JSON_BYTES)
        record = None if data is None else parse_record(data, part.folder)
        if record is None or record.part != part:
            raise self._removed(f"{self.url / place / PART_RECORD_KEY} is missing or has changed")
        part.folder.mkdir()
        self.fetch(f"{place}/{VIDEOS_KEY}", part.folder / VIDEOS_KEY, record.files[VIDEOS_KEY])

    def fetch(self, key: str, path: Path, entry: FileEntry | None) -> None:
        """Fetch a file; what is not as expected is fetched once more."""
        for _ in range(2):
            with open(path, "wb") as file:

                def take(offset: int, data: bytes) -> None:
                    file.seek(offset)
                    file.write(data)

                try:
                    total = self.service.read_all(key, take).total
                except StoreNotFoundError as error:
                    raise self._removed(f"{self.url / key} is missing") from error
                file.truncate(total)
            if entry is None or disk.seal_file(path) == entry:
                return
        raise RemoteError(
            f"{self.url / key} is damaged (its size or checksum does not match {PART_RECORD_KEY}): run the same "
            "command again"
        )

    def _removed(self, what: str) -> StoreExistsError:
        done = read_small(self.service, ROOT_KEY, MAX_JSON_BYTES) is not None
        return StoreExistsError(
            f"{what}: another process {'has completed a store at' if done else 'removes what is at'} {self.url}, so "
            f"{'nothing is left to do, or choose another URL' if done else 'run one command at a time'}"
        )

    def shards(self, parts: Path, store: Path) -> StagedShards:
        """What joins the shards of parts, whose folders are below ``parts``, into a store at ``store``."""
        return StagedShards(self, parts, store)

    def publish(self, folder: Path, shards: StagedShards) -> None:
        """Put the joined store in a folder at the URL, the root last, and remove the parts.

        Raises as ``skelstore.publish.pushing.push``.
        """
        push_objects(JoinedStore(folder, shards.moved, self), self.service, Transfer(), force=self._force)

    def discard(self) -> None:
        """Remove what the conversion has put at the URL, unless another command has claimed it."""
        if self.conversion:
            claim = read_claim(self.service)
            if claim is not None and claim.conversion == self.conversion and not claim.store:
                drop_claim(self.service, claim)


class StagedShards(Shards):
    """Shards that are in an object store. ``moved`` maps their keys in the store to where they are."""

    def __init__(self, staged: StagedStore, parts: Path, store: Path) -> None:
        self.moved: dict[str, str] = {}
        self._staged = staged
        self._parts = parts
        self._store = store

    def take(self, written: Path, target: Path) -> None:
        self.moved[target.relative_to(self._store).as_posix()] = self._key(written)

    def require(self, written: Path) -> None:
        written.parent.mkdir(exist_ok=True)
        self._staged.fetch(self._key(written), written, None)

    def _key(self, written: Path) -> str:
        return f"{STAGED}/{written.relative_to(self._parts).as_posix()}"


class JoinedStore(LocalStore):
    """A store whose tables are in a folder of this machine and whose shards are staged at its URL."""

    def __init__(self, folder: Path, moved: dict[str, str], staged: StagedStore) -> None:
        root, manifest = (folder / ROOT_KEY).read_bytes(), (folder / MANIFEST_KEY).read_bytes()
        self.folder = folder
        self.copy = StoreCopy.of(root, manifest, folder)
        self.moved = moved
        self.conversion = staged.conversion
        self.refuse_replaced = lambda: None  # nobody else knows the folder

    def put(self, key: str, service: ObjectStore, transfer: Transfer) -> None:
        if key not in self.moved:
            super().put(key, service, transfer)
            return
        try:
            service.copy(self.moved[key], key)
        except StoreNotFoundError:
            entry = self.copy.files[key]
            if service.stored(key) != Stored(entry.size, entry.crc32c):
                raise StoreExistsError(
                    f"{service.root / self.moved[key]} is missing: another process removes what is at {service.root}, "
                    "so run one command at a time"
                ) from None
