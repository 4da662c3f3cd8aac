"""The folder beside the destination in which a store is written until it is complete.

``k400.zarr`` is written in ``k400.zarr.partial`` and appears at its final path only on ``commit``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType

from skelstore.errors import SkelstoreError, StoreError, StoreExistsError
from skelstore.format import schema
from skelstore.format.files import local_path
from skelstore.format.metadata import MAX_JSON_BYTES, from_bytes, store_attributes, to_bytes
from skelstore.format.schema import PARTIAL_SUFFIX, REPLACING, ROOT_KEY
from skelstore.format.store_files import LocalFiles
from skelstore.write import disk
from skelstore.write.locks import Lock, take_lock
from skelstore.write.owners import (
    Owners,
    as_shared_as,
    entries_below,
    require_kind,
    require_private,
    require_replaceable,
    require_writable,
    share_tree,
)


class Workspace:
    """The folder of an unfinished store: ``parts`` (one folder per part) and ``store`` (the store to be committed).

    With ``resume``, parts that already exist are kept. A workspace ends with ``commit``, with ``discard``, or with
    ``leave``, which keeps the parts for the next workspace. As a context manager it ends with ``commit`` or
    ``discard``.

    Only this user can access the folder; with ``shared``, the group of the destination's folder can continue the work.

    Raises StoreExistsError if the destination is taken and ``force`` is false, if it is not a store (only a store is
    ever replaced), or if this user cannot replace it. Raises StoreError if another process is writing the same store,
    if this user cannot write beside it, or if something that is already there is a link or belongs to another user.
    """

    def __init__(
        self, destination: str | os.PathLike[str], *, force: bool = False, resume: bool = False, shared: bool = False
    ) -> None:
        # The real path: the target of a link is replaced, and the link stays.
        self.destination = Path(os.path.realpath(local_path(destination)))
        if not self.destination.name:
            raise StoreError(f"{destination} cannot be a store: name a new folder in it")
        self._force = force
        self._shared = shared
        self._owners = Owners(self.destination.parent, shared=shared)
        self.folder = self.destination.with_name(self.destination.name + PARTIAL_SUFFIX)
        self.parts = self.folder / "parts"
        self.store = self.folder / "store"
        self._replacing = self.folder / REPLACING
        self._lock: Lock | None = None
        self._status: os.stat_result | None = None
        self._moved = False
        try:
            if os.path.lexists(self.folder):
                self._enter()
                self._mend()
            refuse_taken(self.destination, force=self._force)
            require_writable(self.destination.parent)
            if self._lock is None:
                self._enter()
            with as_shared_as(self.folder):
                # ``store`` exists before ``parts`` does, and until it is renamed: ``_mend`` relies on that.
                self.store.mkdir(exist_ok=True)
                _empty(self.store)
                self.parts.mkdir(exist_ok=True)
            if not resume:
                _empty(self.parts)
        except BaseException:
            self.leave()
            raise

    def _enter(self) -> None:
        """Create the folder, or take over our own, and lock it against other processes."""
        busy = f"{self.folder} is in use: another process is writing {self.destination.name}, so wait for it or "
        while self._lock is None:
            self._make_folder()
            try:
                self._lock = take_lock(self.folder / "lock", busy + "choose another destination", self._owners)
            except FileNotFoundError:  # the process that held the lock has removed the folder
                if not self.destination.parent.is_dir():
                    raise
        self._status = os.lstat(self.folder)
        self._require_own_entries(self._status)
        if self._shared and self._status.st_uid == os.geteuid():
            share_tree(self.folder)

    def _make_folder(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(0o700)
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self.folder)
            require_kind(self.folder, status, stat.S_IFDIR)
            self._owners.require(self.folder, status)
            require_private(self.folder, status)

    def _require_own_entries(self, top: os.stat_result) -> None:
        """Raise StoreError if anything in the folder is not a file or folder of ours: then it must not be reused."""
        for path in entries_below(self.folder):
            status = os.lstat(path)
            require_kind(path, status, stat.S_IFREG, stat.S_IFDIR)
            self._owners.require(path, status)
            if top.st_mode & stat.S_IXOTH:  # else other users cannot access it
                require_private(path, status)

    def _mend(self) -> None:
        """Finish the ``commit`` of a process that was killed during it."""
        aside = schema.aside_of(self.store)
        if self._replacing.exists() and self.store.exists() and not (self.destination / ROOT_KEY).exists():
            self._refuse_another_folder()
            self._remove_and_move()
            self.discard()
        elif aside.exists() and not self.destination.exists():
            os.rename(aside, self.destination)
            disk.sync_folder(self.destination.parent)
        elif not self.store.exists() or self._is_committed():  # it has its final name, or nothing was started
            self.discard()
        else:
            self._replacing.unlink(missing_ok=True)

    def _is_committed(self) -> bool:
        """Whether the store is at the destination too: a power cut may bring back its earlier name."""
        try:
            return (self.store / ROOT_KEY).read_bytes() == (self.destination / ROOT_KEY).read_bytes()
        except OSError:
            return False

    def keep_parts(self, names: Collection[str]) -> None:
        """Remove everything in ``parts`` that has another name."""
        _empty(self.parts, names)

    def remove_parts(self, names: Iterable[str]) -> None:
        """Remove these parts."""
        for name in names:
            disk.remove_folder(self.parts / name)

    def commit(self) -> None:
        """Sync the store to disk and rename it to its final name, in one step; then remove the workspace."""
        disk.sync_tree(self.store)
        disk.sync_folder(self.folder)
        refuse_taken(self.destination, force=self._force)
        self._require_in_place()
        try:
            disk.move_into_place(self.store, self.destination, replace=self._force)
        except OSError as error:
            if error.errno != errno.EXDEV or not self.destination.exists():
                raise
            self._replace_by_removal()
        self._moved = True
        self.discard()

    def _replace_by_removal(self) -> None:
        """Replace a store that cannot be renamed: the new store is on disk, so the old one is removed first.

        A process that is killed in between leaves a folder without a root, which is not a store; the next process
        finishes.
        """
        aside = schema.aside_of(self.store)
        os.rename(self.store, aside)  # if the new store cannot be renamed either, nothing is removed
        os.rename(aside, self.store)
        old = {"inode": os.stat(self.destination).st_ino, "names": os.listdir(self.destination)}
        disk.write_file(self._replacing, to_bytes(old))
        disk.sync_folder(self.folder)
        (self.destination / ROOT_KEY).unlink()
        self._remove_and_move()

    def _refuse_another_folder(self) -> None:
        """Raise StoreExistsError if the destination is not the rest of the store that was being replaced."""
        if not self.destination.exists():
            return
        old = from_bytes(self._replacing.read_bytes(), str(self._replacing))
        # The inode number alone is not enough: a new folder may have the number of a removed one.
        if os.stat(self.destination).st_ino != old["inode"] or not {*os.listdir(self.destination)} <= {*old["names"]}:
            raise StoreExistsError(
                f"{self.destination} is not the store that an earlier command was replacing: move it away, then run "
                "the same command again"
            )

    def _remove_and_move(self) -> None:
        if self.destination.exists():
            disk.sync_folder(self.destination)
            disk.remove_folder(self.destination)
        os.rename(self.store, self.destination)
        disk.sync_folder(self.destination.parent)

    def _require_in_place(self) -> None:
        """Raise StoreError if this folder was moved away or replaced by another folder or a link."""
        assert self._status is not None
        if not os.path.lexists(self.folder) or not os.path.samestat(os.lstat(self.folder), self._status):
            raise StoreError(f"{self.folder} was moved away while a store was written there: write the store again")

    @property
    def committed(self) -> bool:
        """Whether the store has its final name."""
        return self._moved or not self.store.exists()

    def discard(self) -> None:
        """Remove the workspace."""
        if self._lock is None:
            return
        try:
            self._require_in_place()
            for folder in (self.parts, self.store, schema.aside_of(self.store)):
                if folder.exists():
                    disk.remove_folder(folder)
            self._replacing.unlink(missing_ok=True)
            self._lock.remove()
            with contextlib.suppress(OSError):  # another process is already using it for the next store
                self.folder.rmdir()
        finally:
            self.leave()

    def leave(self) -> None:
        """Release the lock; the workspace stays as it is."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.add_place(error)
        self.discard()

    def add_place(self, error: BaseException | None) -> None:
        """Add the folder to an OSError that names no file, such as that of a full disk."""
        if isinstance(error, OSError) and not isinstance(error, SkelstoreError) and error.filename is None:
            error.filename = str(self.folder)


def refuse_taken(destination: Path, *, force: bool) -> None:
    """Raise StoreExistsError if a store may not be written at a destination, StoreError if its folder is missing."""
    if not destination.exists():
        if not destination.parent.is_dir():
            raise StoreError(f"{destination.parent} is not a folder: make it before writing a store into it")
        return
    if not force:
        raise StoreExistsError(f"{destination} exists: choose another destination, or replace it with --force")
    if not _is_store(destination):
        raise StoreExistsError(
            f"{destination} exists and is not a store, so it is not replaced: choose another destination"
        )
    require_replaceable(destination)


def _empty(folder: Path, keep: Collection[str] = ()) -> None:
    for entry in folder.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            disk.remove_folder(entry)
        else:
            entry.unlink()


def _is_store(path: Path) -> bool:
    try:
        root = LocalFiles(path).read_all(ROOT_KEY, MAX_JSON_BYTES)
        return isinstance(store_attributes(from_bytes(root, ROOT_KEY)), dict)
    except SkelstoreError:
        return False
