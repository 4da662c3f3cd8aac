"""The sibling folder in which a store grows until it is complete.

``k400.zarr`` grows in ``k400.zarr.partial``; nothing stands at the final path before ``commit``.
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
from skelstore.format.files import LocalFiles, local_path
from skelstore.format.metadata import MAX_JSON_BYTES, from_bytes, store_attributes, to_bytes
from skelstore.format.schema import PARTIAL_SUFFIX, REPLACING, ROOT_KEY
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
    """Folder of a store in the making: ``parts`` (one folder a part) and ``store`` (the store as it will stand).

    With ``resume`` the parts are kept that stand there already. It ends with ``commit``, with ``discard``, or with
    ``leave``, which keeps the parts for the next one. As a context manager it ends with ``commit`` or ``discard``.

    Nobody but this user can look into it; with ``shared`` the group of the destination's folder can go on with it.

    Raises StoreExistsError if the destination is taken and ``force`` is false, if it is no store (only a store
    is ever replaced), or if this user cannot replace it; StoreError if another process is writing the same store, if
    this user can make nothing beside it, or if what is there already is somebody else's, or a link.
    """

    def __init__(
        self, destination: str | os.PathLike[str], *, force: bool = False, resume: bool = False, shared: bool = False
    ) -> None:
        # The real path: what a link names is replaced, and the link stays.
        self.destination = Path(os.path.realpath(local_path(destination)))
        if not self.destination.name:
            raise StoreError(f"{destination} cannot be a store: name a folder in it that is not there yet")
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
            self._refuse_taken()
            if not self.destination.parent.is_dir():
                raise StoreError(f"{self.destination.parent} is not a folder: make it before writing a store into it")
            require_writable(self.destination.parent)
            if self._lock is None:
                self._enter()
            with as_shared_as(self.folder):
                # The folder of the store is there before that of the parts, and until it gets its final name: see _mend
                self.store.mkdir(exist_ok=True)
                _empty(self.store)
                self.parts.mkdir(exist_ok=True)
            if not resume:
                _empty(self.parts)
        except BaseException:
            self.leave()
            raise

    def _refuse_taken(self) -> None:
        if not self.destination.exists():
            return
        if not self._force:
            raise StoreExistsError(f"{self.destination} exists: choose another destination, or replace it with --force")
        if not _is_store(self.destination):
            raise StoreExistsError(
                f"{self.destination} exists and is not a store, so it is not replaced: choose another destination"
            )
        require_replaceable(self.destination)

    def _enter(self) -> None:
        """Make the folder, or take one over that is ours, and keep other processes out."""
        busy = f"{self.folder} is in use: another process is writing {self.destination.name}, so wait for it or "
        while self._lock is None:
            self._make_folder()
            try:
                self._lock = take_lock(self.folder / "lock", busy + "choose another destination", self._owners)
            except FileNotFoundError:  # the process that had it has removed the folder
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
        """Raise StoreError if something in the folder is no file or folder of ours: it is not ours to go on from."""
        for path in entries_below(self.folder):
            status = os.lstat(path)
            require_kind(path, status, stat.S_IFREG, stat.S_IFDIR)
            self._owners.require(path, status)
            if top.st_mode & stat.S_IXOTH:  # else nobody else gets at it
                require_private(path, status)

    def _mend(self) -> None:
        """Finish what a process that was killed in ``commit`` had begun."""
        aside = schema.aside_of(self.store)
        if self._replacing.exists() and self.store.exists() and not (self.destination / ROOT_KEY).exists():
            self._refuse_another_folder()
            self._remove_and_move()
            self.discard()
        elif aside.exists() and not self.destination.exists():
            os.rename(aside, self.destination)
            disk.sync_folder(self.destination.parent)
        elif not self.store.exists() or self._stands():  # it has got its final name, or nothing was begun
            self.discard()
        else:
            self._replacing.unlink(missing_ok=True)

    def _stands(self) -> bool:
        """Whether the store stands at the destination too: a power cut may bring back a name that it had before."""
        try:
            return (self.store / ROOT_KEY).read_bytes() == (self.destination / ROOT_KEY).read_bytes()
        except OSError:
            return False

    def keep_parts(self, names: Collection[str]) -> None:
        """Remove all that stands among the parts under another name."""
        _empty(self.parts, names)

    def remove_parts(self, names: Iterable[str]) -> None:
        """Remove these parts."""
        for name in names:
            disk.remove_folder(self.parts / name)

    def commit(self) -> None:
        """Bring the store to the disk and give it its final name, in one step; then remove the workspace."""
        disk.sync_tree(self.store)
        disk.sync_folder(self.folder)
        self._refuse_taken()
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
        """Replace a store that can have no other name: the new one is on the disk, so the old one is removed first.

        A process that is killed between leaves a folder without a root, which is no store, and the next one finishes.
        """
        aside = schema.aside_of(self.store)
        os.rename(self.store, aside)  # if the new one cannot be moved either, nothing is removed
        os.rename(aside, self.store)
        old = {"inode": os.stat(self.destination).st_ino, "names": os.listdir(self.destination)}
        disk.write_file(self._replacing, to_bytes(old))
        disk.sync_folder(self.folder)
        (self.destination / ROOT_KEY).unlink()
        self._remove_and_move()

    def _refuse_another_folder(self) -> None:
        """Raise StoreExistsError if the destination is not what is left of the store that was being replaced."""
        if not self.destination.exists():
            return
        old = from_bytes(self._replacing.read_bytes(), str(self._replacing))
        # The number alone says little: a new folder may have that of one that was removed.
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
        """Raise StoreError if another folder, or a link, has taken the place of this one."""
        assert self._status is not None
        if not os.path.lexists(self.folder) or not os.path.samestat(os.lstat(self.folder), self._status):
            raise StoreError(f"{self.folder} was moved away while a store was written there: write it again")

    @property
    def committed(self) -> bool:
        """Whether the store has got its final name."""
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
            with contextlib.suppress(OSError):  # another process has come for the next store
                self.folder.rmdir()
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the workspace, which stays as it is."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tell_place(error)
        self.discard()

    def tell_place(self, error: BaseException | None) -> None:
        """Let an error of writing say where: the one of a full disk does not."""
        if isinstance(error, OSError) and not isinstance(error, SkelstoreError) and error.filename is None:
            error.filename = str(self.folder)


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
