"""Files at URLs that are downloaded as a whole, such as the sources of conversions, and kept in the cache.

Each version of a file has a folder below ``Cache.sources_path``. A download that was interrupted goes on where it was.
A file is never changed: what has another version is another file.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from skelstore.errors import RemoteError, SkelstoreError, SourceError, StoreNotFoundError
from skelstore.remote.cache import LOCK, RECORD, Cache, CachedFile, default_folder
from skelstore.remote.connections import start
from skelstore.remote.incoming import PARTIAL, Incoming, Record, forget, is_damaged, read_record, safe_name
from skelstore.remote.locks import has_locks, try_lock
from skelstore.remote.pages import HEAD_BYTES, describe_page
from skelstore.remote.ranges import plan_pieces
from skelstore.remote.service import Glance, Part, Service
from skelstore.remote.services import service_of
from skelstore.remote.stopping import Group
from skelstore.remote.url import Url
from skelstore.wording import counted, shown

Report = Callable[[int, int], None]
"""Takes the bytes that are there, and those of the whole file, 0 if they are not known."""

AT_ONCE = 4
"""Number of pieces that are requested at the same time. Far servers send one much slower than the network could."""

_VERSIONS = 3
"""How many versions of a file that changes meanwhile are begun."""

_POLL_SECONDS = 0.1


class _ChangedError(Exception):
    """The file at the URL is not the one that was begun."""


class _NoRangesError(Exception):
    """The server sent the whole file in place of a part."""


def download(url: Url, *, sha256: str | None = None, report: Report | None = None) -> CachedFile:
    """Download a file into the cache, unless the version that the server has is there already.

    With ``sha256`` the file must have this checksum, and the server is not asked if the cache has such a file from the
    URL. Processes that need the same file wait for the one that downloads it.

    Raises SourceError if there is no such file, if its checksum is another, or if the server sends a web page or a
    pointer of Git LFS in its place; RemoteError and those below it if the server does not send it, or if the cache
    cannot be written.
    """
    try:
        return _Download(url, _checked(sha256), report or (lambda done, total: None)).run()
    except StoreNotFoundError as error:
        raise SourceError(str(error)) from error


def _checked(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    stated = sha256.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", stated):
        raise SourceError(f"the SHA-256 {shown(sha256)} is not valid; expected 64 hexadecimal digits")
    return stated


class _Download:
    """The download of one file."""

    def __init__(self, url: Url, sha256: str | None, report: Report) -> None:
        self._url = url
        self._sha256 = sha256
        self._report = report
        self._service: Service = service_of(url)
        self._cache = Cache(default_folder())
        self._folder = self._cache.sources_path(f"{self._service.origin} {url}")

    def run(self) -> CachedFile:
        known = sorted(filter(None, map(read_record, self._folders())), key=lambda record: -record.used)
        for record in known:
            if record.sha256 == self._sha256 and (copy := self._take(record.path.parent)):
                if _digest(record.path) == self._sha256:
                    return copy
                forget(record)
        for _ in range(_VERSIONS):
            try:
                return self._newest(known)
            except _ChangedError:
                continue
        raise RemoteError(f"{self._url} changed again and again while it was downloaded: try again later")

    def _newest(self, known: list[Record]) -> CachedFile:
        """The version of the file that the server has now."""
        ask = known[0].version if known and self._sha256 is None else ""
        try:
            glance = self._service.glance("", HEAD_BYTES, ask)
        except RemoteError as error:
            if known:
                error.add_note(
                    f"the cache has a copy of it: give --sha256 {known[0].sha256} to use it without asking the server"
                )
            raise
        if glance is None:
            return self._take(known[0].path.parent) or self._newest([])
        if page := describe_page(glance.head, glance.content_type, self._url.path):
            raise SourceError(f"{self._url} {page}")
        self._service.refuse_encoded("", glance.encoding)
        same = [record for record in known if (record.version, record.size) == (glance.version, glance.total)]
        if not glance.version:
            return self._known_or(self._fetch(self._new_folder(), glance, fresh=False), known)
        if self._sha256 is None:
            for record in same:
                if copy := self._take(record.path.parent):
                    return copy
        identity = hashlib.blake2b(f"{glance.version} {glance.total}".encode(), digest_size=16)
        folder = self._folder / identity.hexdigest()
        if same or is_damaged(folder, safe_name(self._url)):  # a process may still read what is there
            folder = self._new_folder()
        return self._fetch(folder, glance, fresh=bool(same))

    def _new_folder(self) -> Path:
        return self._folder / secrets.token_hex(16)

    def _known_or(self, copy: CachedFile, known: list[Record]) -> CachedFile:
        """A known file with the same bytes, in place of one whose version the server does not state, or that one."""
        for record in known:
            if record.sha256 == copy.sha256 and (old := self._take(record.path.parent)):
                shutil.rmtree(copy.path.parent, ignore_errors=True)
                old.downloaded = True
                return old
        return copy

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if path.is_dir()]
        except OSError:
            return []

    # --- locks

    def _take(self, folder: Path) -> CachedFile | None:
        """The file in a folder, held; None if it is not complete, or being evicted."""
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        if try_lock(lock, 0, 1, shared=True) and (record := read_record(folder)):
            return self._copy(record, lock, downloaded=False)
        os.close(lock)
        return None

    def _copy(self, record: Record, lock: int, *, downloaded: bool) -> CachedFile:
        self._cache.touch(record.path.with_name(RECORD))
        return CachedFile(str(self._url), record.path, record.size, record.sha256, downloaded, lock)

    def _fetch(self, folder: Path, glance: Glance, *, fresh: bool) -> CachedFile:
        """Download a version into its folder, or wait until another process has done so."""
        try:
            if not self._has_locks():  # processes that do not know of each other would spoil each other's file
                folder = self._new_folder()
            while True:
                self._cache.make_folder(folder)
                lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    copy = self._fetch_locked(folder, glance, lock, fresh)
                except BaseException:
                    os.close(lock)
                    raise
                if copy is not None:
                    return copy
                os.close(lock)
                self._report(_size(folder / PARTIAL), glance.total or 0)
                time.sleep(_POLL_SECONDS)
        except OSError as error:
            if isinstance(error, SkelstoreError):
                raise
            raise self._cache.broken(error) from error

    def _has_locks(self) -> bool:
        self._cache.make_folder(self._folder)
        fd = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            return has_locks(fd)
        finally:
            os.close(fd)

    def _fetch_locked(self, folder: Path, glance: Glance, lock: int, fresh: bool) -> CachedFile | None:
        """None if another process holds the lock, or has removed the folder."""
        alone = try_lock(lock, 0, 1)
        if not alone and not try_lock(lock, 0, 1, shared=True):
            return None
        if not _is_at(lock, folder / LOCK):
            return None
        record, downloaded = read_record(folder), False
        if record is None:
            if not alone:
                return None
            record, downloaded = self._fetch_alone(folder, glance, fresh), True
        if self._sha256 not in (None, record.sha256):
            raise SourceError(
                f"{self._url} has the SHA-256 {record.sha256}; expected {self._sha256}: it is another file, or the "
                "checksum is that of another"
            )
        try_lock(lock, 0, 1, shared=True)
        return self._copy(record, lock, downloaded=downloaded)

    # --- the download

    def _fetch_alone(self, folder: Path, glance: Glance, fresh: bool) -> Record:
        name = safe_name(self._url)
        with Incoming(folder) as incoming:
            resumed = glance.ranges and bool(glance.version) and incoming.resume(glance.total or 0)
            self._fetch_rest(incoming, glance, fresh)
            if resumed and self._sha256 not in (None, incoming.sha256):
                incoming.restart()
                self._fetch_rest(incoming, glance, True)
            return incoming.finish(name, glance.version)

    def _fetch_rest(self, incoming: Incoming, glance: Glance, fresh: bool) -> None:
        self._refuse_too_large(incoming, glance.total)
        if glance.ranges and glance.total is not None and glance.version:
            try:
                self._fetch_pieces(incoming, glance, glance.total, fresh)
                return
            except _NoRangesError:
                pass
        self._fetch_whole(incoming, glance)

    def _refuse_too_large(self, incoming: Incoming, total: int | None) -> None:
        needed = (total or 0) - incoming.done
        free = shutil.disk_usage(self._cache.path).free
        if needed > free:
            raise RemoteError(
                f"{self._url} has {counted(total or 0, 'byte')}, but the cache {self._cache.path} is on a disk with "
                f"{counted(free, 'free byte')}: set SKELSTORE_CACHE to a folder on another one, or run `skelstore "
                "cache clear`"
            )

    def _fetch_whole(self, incoming: Incoming, glance: Glance) -> None:
        """Fetch all bytes by one request, for a server that knows no ranges, or does not say what version it has."""

        def take(offset: int, piece: bytes) -> None:
            if offset == 0:
                incoming.restart()
            incoming.add(piece)
            if glance.total is not None and incoming.done > glance.total:
                raise _ChangedError
            self._cache.count_written(len(piece))
            self._report(incoming.done, glance.total or 0)

        try:
            part = self._service.read_all("", take)
        except BaseException:
            incoming.restart()  # it cannot go on, so it takes no space
            raise
        if not part.total:
            incoming.restart()
        if part.version != glance.version or glance.total not in (None, part.total):
            raise _ChangedError

    def _fetch_pieces(self, incoming: Incoming, glance: Glance, total: int, fresh: bool) -> None:
        """Fetch the rest by ranges, several at once, and write them in order."""
        rest = [piece for piece in plan_pieces(total, most=incoming.piece_bytes) if piece[0] >= incoming.done]
        coming: deque[tuple[Future[Part], list[int]]] = deque()
        group = Group()
        try:
            for piece in [*rest, *[None] * AT_ONCE]:
                if piece is not None:
                    received = [0]
                    coming.append((start(self._fetch_piece, *piece, received, fresh, group=group), received))
                if coming and (piece is None or len(coming) == AT_ONCE):
                    part = self._await(incoming, coming, total)
                    if part.version != glance.version or part.total != total:
                        raise _ChangedError
                    incoming.add(part.data or b"")
                    self._cache.count_written(len(part.data or b""))
        except BaseException as error:
            if incoming.done:
                error.add_note("what has arrived is kept: run the same command again to continue from it")
            raise
        finally:
            group.stop([future for future, _ in coming])
        if incoming.done != total:
            raise _ChangedError
        self._report(total, total)

    def _await(self, incoming: Incoming, coming: deque[tuple[Future[Part], list[int]]], total: int) -> Part:
        """The next piece; what has been received of all is reported meanwhile."""
        done = False
        while not done:
            done = bool(wait([coming[0][0]], _POLL_SECONDS).done)
            self._report(min(incoming.done + sum(received[0] for _, received in coming), total), total)
        return coming.popleft()[0].result()

    def _fetch_piece(self, begin: int, end: int, received: list[int], fresh: bool) -> Part:
        def see(count: int) -> None:
            received[0] = count

        def refuse(offset: int, piece: bytes) -> None:
            raise _NoRangesError

        return self._service.read_range("", begin, end, refuse, fresh=fresh, seen=see)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False
