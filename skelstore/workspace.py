"""The sibling folder in which a store grows until it is complete.

``k400.zarr`` grows in ``k400.zarr.partial``; nothing stands at the final path before ``commit``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType

from skelstore import disk
from skelstore.errors import SkelstoreError, StoreError, StoreExistsError
from skelstore.files import LocalFiles, local_path
from skelstore.metadata import MAX_JSON_BYTES, ROOT_KEY, from_bytes, store_attributes

try:
    import fcntl
except ImportError:  # Windows: two writers at once are not detected there
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".partial"


class Workspace:
    """Folder of a store in the making: ``parts`` (one folder a part) and ``store`` (the store as it will stand).

    With ``resume`` the parts are kept that stand there already. It ends with ``commit``, with ``discard``, or with
    ``leave``, which keeps the parts for the next one. As a context manager it ends with ``commit`` or ``discard``.

    Raises StoreExistsError if the destination is taken and ``force`` is false, or if it is no store (only a store
    is ever replaced); StoreError if another process is writing the same store.
    """

    def __init__(self, destination: str | os.PathLike[str], *, force: bool = False, resume: bool = False) -> None:
        # The real path: what a link names is replaced, and the link stays.
        self.destination = Path(os.path.realpath(local_path(destination)))
        if not self.destination.name:
            raise StoreError(f"{destination} cannot be a store: name a folder in it that is not there yet")
        self._force = force
        self.folder = self.destination.with_name(self.destination.name + SUFFIX)
        self.parts = self.folder / "parts"
        self.store = self.folder / "store"
        self._lock = -1
        self._moved = False
        if self.folder.is_dir():
            self._take_lock()
            try:
                self._mend()
            except BaseException:
                self.leave()
                raise
        try:
            self._refuse_taken()
            if not self.destination.parent.is_dir():
                raise StoreError(f"{self.destination.parent} is not a folder: make it before writing a store into it")
            if self._lock < 0:
                self._take_lock()
            # The folder of the store is there before that of the parts, and until it gets its final name: see _mend.
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

    def _take_lock(self) -> None:
        busy = f"{self.folder} is in use: another process is writing {self.destination.name}, so wait for it or "
        self._lock = take_lock(self.folder / "lock", busy + "choose another destination")

    def _mend(self) -> None:
        """Finish what a process that was killed in ``commit`` had begun."""
        aside = disk.aside_of(self.store)
        if aside.exists() and not self.destination.exists():
            os.rename(aside, self.destination)
            disk.sync_folder(self.destination.parent)
        elif not self.store.exists() or self._stands():  # it has got its final name, or nothing was begun
            self.discard()

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
        disk.move_into_place(self.store, self.destination, replace=self._force)
        self._moved = True
        self.discard()

    @property
    def committed(self) -> bool:
        """Whether the store has got its final name."""
        return self._moved or not self.store.exists()

    def discard(self) -> None:
        """Remove the workspace."""
        if self._lock < 0:
            return
        try:
            for folder in (self.parts, self.store, disk.aside_of(self.store)):
                if folder.exists():
                    disk.remove_folder(folder)
            (self.folder / "lock").unlink()
            with contextlib.suppress(OSError):  # another process has come for the next store
                self.folder.rmdir()
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the workspace, which stays as it is."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

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


def take_lock(file: Path, busy: str) -> int:
    """Make a file, and its folder, and lock it until the descriptor that is returned is closed.

    Raises StoreError, which says ``busy``, if another process has locked it; StoreError if the folder is a file.
    """
    while True:
        lock = -1
        try:
            file.parent.mkdir(exist_ok=True)
            lock = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed the file, and the folder with it.
            if os.path.samestat(os.fstat(lock), os.stat(file)):
                taken, lock = lock, -1
                return taken
        except BlockingIOError as error:
            raise StoreError(busy) from error
        except FileExistsError as error:
            if os.path.lexists(file.parent) and not file.parent.is_dir():
                raise StoreError(f"{file.parent} is a file: move it away") from error
        except FileNotFoundError:
            if not file.parent.parent.is_dir():
                raise
        finally:
            if lock >= 0:
                os.close(lock)


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
