"""The files of a store at a URL: tables as copies in the cache, shards by byte ranges through it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from skelstore.errors import DamageError, RemoteError, StoreError, StoreNotFoundError
from skelstore.format.checksums import FileEntry, measure_file
from skelstore.format.files import write_at
from skelstore.format.local_file import LocalFile
from skelstore.format.partial_files import FileParts
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.format.shards import Shard, ShardFile
from skelstore.format.store_files import StoreFiles, digest_of
from skelstore.remote.cache import PRIVATE_BYTES, Cache, default_folder
from skelstore.remote.connections import CONNECTIONS, run_together, start
from skelstore.remote.copies import ShardCopy
from skelstore.remote.fetching import Fetcher
from skelstore.remote.locks import PATIENCE, try_lock
from skelstore.remote.ranges import plan_pieces
from skelstore.remote.services import service_of
from skelstore.remote.stopping import Group
from skelstore.remote.tables import TableCopy
from skelstore.remote.url import Url
from skelstore.wording import counted

AUTO = "auto"
"""The value of ``cache`` for the cache folder of this account."""

_FIRST_BYTES = 1 << 20
"""What is asked for of a root: mostly all of it, and the answer shows whether the server knows ranges."""

_POLL_SECONDS = 0.01

AHEAD_BYTES = 256 << 20
"""How much is fetched before it is needed, at most: a window, and a part of the next one."""

_AHEAD_SHARE = 4
"""A training fetches this share of the cache's limit ahead, at most: what it has just read is evicted first then, and
several trainings may share the cache."""


class RemoteFiles(StoreFiles):
    """The files of a store at a URL. ``cache`` is a folder, ``auto`` for that of this account, or None.

    It may be used by several threads, and by a forked child.
    """

    root: Url
    has_copies = True

    def __init__(self, url: Url, cache: str | os.PathLike[str] | None) -> None:
        super().__init__()
        self.root = url
        self.service = service_of(url)
        self.cache = _open_cache(self, cache)
        self._private = cache is None
        self.fetcher = Fetcher(self.service, self.refuse_replaced)
        self._root_bytes = b""
        self._early: Future[bytes] | None = None
        self._dropped: set[str] = set()
        self._tables: dict[str, TableCopy] = {}

    def path(self, key: str) -> Url:
        return self.root / key

    def was_replaced(self) -> bool:
        size, digest = self._digests.get(ROOT_KEY, (0, b""))
        if not digest:
            return False
        try:
            return digest_of(self._collect(ROOT_KEY, size + 1, fresh=True)) != digest
        except (StoreNotFoundError, StoreError):  # it is missing, or longer than it was
            return True
        except RemoteError:  # it cannot be read, which proves nothing
            return False

    def read_all(self, key: str, limit: int) -> bytes:
        if key != ROOT_KEY:
            return self._collect(key, limit)
        group, beside = Group(), []
        if self._early is None and not self.cache.tables_path(self._url).is_dir():
            # Nothing of this store is in the cache, so its manifest will be needed next.
            self._early = start(partial(self._collect, MANIFEST_KEY, limit, first_only=True), group=group)
            beside.append(self._early)
        try:
            self._root_bytes = self._collect(key, limit)
        except BaseException:
            group.stop(beside)
            raise
        return self._root_bytes

    def copy(self, key: str, size: int, crc32c: int) -> Path:
        path = self._copy_path(key)
        for _ in range(3):
            if self._has_copy(path, size):
                break
            self.fetch_copies({key: (size, crc32c)})
        self.cache.touch(path)
        return path

    def drop_copy(self, key: str) -> bool:
        if key in self._dropped:
            return False
        self._dropped.add(key)
        with contextlib.suppress(OSError):
            self._copy_path(key).unlink()
        return True

    def fetch_copies(
        self, entries: Mapping[str, tuple[int, int]], parts: Mapping[str, FileEntry] | None = None
    ) -> None:
        """Fetch the files that are not in the cache, all at once, each once by all processes.

        Of ``parts``, tables with checksums of their blocks, only the ends are fetched, if the server knows ranges.
        Raises DamageError if a file is missing or not the one that the manifest names, StoreReplacedError, RemoteError.
        """
        entries = dict(entries)
        if self.fetcher.whole:
            entries |= {key: (entry.size, entry.crc32c) for key, entry in (parts or {}).items()}
            parts = None
        missing = {key: entry for key, entry in entries.items() if not self._has_copy(self._copy_path(key), entry[0])}
        if not missing and not parts:
            return
        self.cache.make_folder(self._copy_path(ROOT_KEY).parent)
        with contextlib.ExitStack() as stack:
            also = [call for key, entry in (parts or {}).items() for call in self._begin_table(key, entry, stack)]
            mine: list[_Incoming] = []
            others: list[tuple[Path, int]] = []
            for key, (size, checksum) in missing.items():
                path = self._copy_path(key)
                lock = stack.enter_context(_lock_file(path, self.cache))
                if not try_lock(lock, 0, 1):
                    others.append((path, size))
                elif not self._has_copy(path, size):
                    mine.append(stack.enter_context(_Incoming(key, path, size, checksum, self.cache)))
            for attempt in range(2):
                calls = [call for incoming in mine for call in self._pieces(incoming, fresh=attempt > 0)]
                calls += also if attempt == 0 else []
                if calls:
                    run_together(calls)
                mine = [incoming for incoming in mine if not incoming.finish()]
            if mine:
                self.refuse_replaced()
                raise DamageError(
                    f"{self.root / mine[0].key} is damaged or from another version of the store (its size or checksum "
                    "does not match the manifest), so the store has to be published again"
                )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not all(self._has_copy(path, size) for path, size in others):
            time.sleep(_POLL_SECONDS)

    def _begin_table(self, key: str, entry: FileEntry, stack: contextlib.ExitStack) -> list[Callable[[], None]]:
        """Open the copy of a table in the cache; return the requests for its ends."""
        if entry.blocks is None:
            raise StoreError(f"{self.root / key} has no checksums of blocks in the manifest")
        copy = self._copy_path(key)
        self._tables[key] = TableCopy(
            url=self.root / key,
            key=key,
            size=entry.size,
            blocks=entry.blocks,
            path=copy.with_name(f"{copy.name}-{entry.blocks.size}"),
            cache=self.cache,
            service=self.service,
            refuse_replaced=self.refuse_replaced,
        )
        calls, locks = self._tables[key].begin()
        stack.enter_context(locks)
        return calls

    def open_parts(self, key: str, mmap: bool) -> FileParts | None:
        table = self._tables.get(key)
        if table is not None:
            table.map(mmap)
        return table

    def shard_file(self, key: str, size: int, crc32c: int, digest: str, chunks: int) -> LocalFile:
        copy = self._shard_copy(key, ShardFile(size, crc32c, digest), chunks)
        if not copy.indexed:
            self.fetcher.provide_indexes([copy])
        return copy

    def fetch_indexes(self, shards: Sequence[tuple[str, ShardFile, int]]) -> None:
        """Fetch the indexes that are missing, all at once. Raises as ``fetch_chunks`` does."""
        copies = [self._shard_copy(*shard) for shard in shards]
        self.fetcher.provide_indexes([copy for copy in copies if not copy.indexed])

    def fetch_chunks(self, wanted: Sequence[tuple[Shard, int, int]]) -> None:
        """Fetch the chunks that are missing, all at once; see ``Fetcher.provide``."""
        self.fetcher.provide(wanted)

    def fetch_ahead(self, wanted: Sequence[tuple[Shard, int, int]], goes_on: Callable[[], bool]) -> None:
        """Fetch missing chunks, one request after another; see ``Fetcher.provide_ahead``."""
        self.fetcher.provide_ahead(wanted, goes_on)

    def ahead_bytes(self) -> int:
        """A part of what the cache may take; nothing if other processes would not find it."""
        return 0 if self._private else min(AHEAD_BYTES, self.cache.limit(0) // _AHEAD_SHARE)

    def compare_sizes(self, sizes: Mapping[str, int]) -> Iterator[str]:
        keys = list(sizes)
        for begin in range(0, len(keys), CONNECTIONS):
            some = keys[begin : begin + CONNECTIONS]
            yield from filter(None, run_together([partial(self._compare_size, key, sizes[key]) for key in some]))

    def _compare_size(self, key: str, size: int) -> str:
        try:
            stated = self.service.send("HEAD", key).headers.get("Content-Length", "")
        except (StoreNotFoundError, RemoteError) as error:
            return f"{error}; the manifest says {counted(size, 'byte')}"
        return (
            ""
            if stated == str(size)
            else f"{self.root / key} has {stated or 'no stated'} bytes; the manifest says {size:,}"
        )

    def _shard_copy(self, key: str, expected: ShardFile, chunks: int) -> ShardCopy:
        return ShardCopy(self.root / key, key, self.cache, self.service.origin, expected, chunks, self._opened)

    @property
    def _url(self) -> str:
        return f"{self.service.origin} {self.root}"

    def _copy_path(self, key: str) -> Path:
        return self.cache.table_path(self._url, self._root_bytes, key)

    def _has_copy(self, path: Path, size: int) -> bool:
        try:
            return path.stat().st_size == size
        except OSError:
            return False

    def _collect(self, key: str, limit: int, *, fresh: bool = False, first_only: bool = False) -> bytes:
        """All bytes of a small file, or its first piece.

        Raises StoreError beyond ``limit``, and what ``Service.read_range`` raises.
        """
        data = bytearray()

        def refuse_beyond(size: int) -> None:
            if size > limit:
                raise StoreError(f"{self.root / key} has more than {limit:,} bytes, which no such file of a store has")

        def take(offset: int, piece: bytes) -> None:
            del data[offset:]
            data.extend(piece)
            refuse_beyond(len(data))

        part = self.service.read_range(key, 0, min(_FIRST_BYTES, limit + 1), take, fresh=fresh)
        if part.data is None:
            self.fetcher.whole = True
            return bytes(data)
        take(0, part.data)
        while len(data) < part.total and not first_only:
            refuse_beyond(part.total)
            begin = len(data)
            more = self.service.read_range(key, begin, min(begin + _FIRST_BYTES, part.total), take, fresh=fresh)
            if more.version != part.version or more.total != part.total or not more.data:
                raise RemoteError(f"{self.root / key} changed while it was read: try again")
            take(begin, more.data)
        return bytes(data)

    def _pieces(self, incoming: _Incoming, *, fresh: bool) -> list[Callable[[], None]]:
        """The requests for a file of a known size."""
        if incoming.key == MANIFEST_KEY and self._early is not None and not fresh:
            early, self._early = self._early, None
            rest = [piece for piece in plan_pieces(incoming.size) if piece[0] >= _FIRST_BYTES]
            return [
                lambda: self._take_early(incoming, early),
                *(partial(self._fetch_piece, incoming, *piece, fresh) for piece in rest),
            ]
        return [partial(self._fetch_piece, incoming, *piece, fresh) for piece in plan_pieces(incoming.size)] or [
            lambda: incoming.take(0, b"")
        ]

    def _take_early(self, incoming: _Incoming, early: Future[bytes]) -> None:
        try:
            incoming.take(0, early.result())
        except StoreNotFoundError as error:
            self._refuse_missing(error)

    def _fetch_piece(self, incoming: _Incoming, begin: int, end: int, fresh: bool) -> None:
        if self.fetcher.whole and begin:
            return  # the first piece brings all
        try:
            part = self.service.read_range(incoming.key, begin, end, incoming.take, fresh=fresh)
        except StoreNotFoundError as error:
            self._refuse_missing(error)
            return
        if part.data is None:
            self.fetcher.whole = True
        else:
            incoming.take(begin, part.data)

    def _refuse_missing(self, error: StoreNotFoundError) -> None:
        self.refuse_replaced()
        raise DamageError(f"{error}: the store is damaged, so it has to be published again") from error


class _Incoming:
    """A file that is fetched into the cache: written under another name, checked, then renamed."""

    def __init__(self, key: str, path: Path, size: int, checksum: int, cache: Cache) -> None:
        self.key = key
        self.size = size
        self._path = path
        self._checksum = checksum
        self._cache = cache
        self._temporary = path.with_name(f".{secrets.token_hex(8)}")
        self._fd = -1

    def __enter__(self) -> _Incoming:
        try:
            self._fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._cache.broken(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def take(self, offset: int, data: bytes) -> None:
        """Write a piece; what is beyond the size is not, and lets ``finish`` fail."""
        view = memoryview(data)[: max(self.size + 1 - offset, 0)]
        try:
            write_at(self._fd, view, offset)
        except OSError as error:
            raise self._cache.broken(error) from error

    def finish(self) -> bool:
        """Put the file into its place if it is the right one."""
        entry = measure_file(self._temporary)
        if (entry.size, entry.crc32c) != (self.size, self._checksum):
            os.ftruncate(self._fd, 0)
            return False
        try:
            os.replace(self._temporary, self._path)
        except OSError as error:
            raise self._cache.broken(error) from error
        self._cache.count_written(self.size)
        return True


@contextlib.contextmanager
def _lock_file(path: Path, cache: Cache) -> Iterator[int]:
    """A file beside another one, open for locking."""
    try:
        fd = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise cache.broken(error) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _open_cache(owner: object, cache: str | os.PathLike[str] | None) -> Cache:
    if cache is not None:
        return Cache(default_folder() if cache == AUTO else Path(cache).absolute())
    folder = tempfile.mkdtemp(prefix="skelstore-")
    weakref.finalize(owner, _remove_private, folder, os.getpid())
    return Cache(Path(folder), PRIVATE_BYTES)


def _remove_private(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child, which still uses it
        shutil.rmtree(folder, ignore_errors=True)
