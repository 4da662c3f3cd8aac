"""The sibling folder in which a store grows until it is complete.

``k400.zarr`` grows in ``k400.zarr.partial``; nothing stands at the final path before ``commit``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType

from skelstore import disk
from skelstore.errors import SkelstoreError, StoreError, StoreExistsError
from skelstore.files import LocalFiles
from skelstore.metadata import MAX_JSON_BYTES, ROOT_KEY, from_bytes, store_attributes

try:
    import fcntl
except ImportError:  # Windows: two writers at once are not detected there
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".partial"


class Workspace:
    """Folder of a store in the making: ``parts`` (one folder a part) and ``store`` (the store as it will stand).

    Raises StoreExistsError if the destination is taken and ``force`` is false, or if it is no store (only a store
    is ever replaced); StoreError if another process is writing the same store.
    """

    def __init__(self, destination: str | os.PathLike[str], *, force: bool = False) -> None:
        # The real path: what a link names is replaced, and the link stays.
        self.destination = Path(os.path.realpath(destination))
        self._force = force
        self._refuse_taken()
        if not self.destination.parent.is_dir():
            raise StoreError(f"{self.destination.parent} is not a folder: make it before writing a store into it")
        self.folder = self.destination.with_name(self.destination.name + SUFFIX)
        self.parts = self.folder / "parts"
        self.store = self.folder / "store"
        self.folder.mkdir(exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            self._take_lock()
            for leftover in (self.parts, self.store):
                if leftover.exists():
                    shutil.rmtree(leftover)
                leftover.mkdir()
        except BaseException:
            self._release()
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
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                f"{self.folder} is in use: another process is writing {self.destination.name}, so wait for it or "
                "choose another destination"
            ) from error

    def commit(self) -> None:
        """Bring the store to the disk and give it its final name, in one step; then remove the workspace."""
        disk.sync_tree(self.store)
        disk.sync_folder(self.folder)
        self._refuse_taken()
        disk.move_into_place(self.store, self.destination, replace=self._force)
        self.discard()

    def discard(self) -> None:
        """Remove the workspace."""
        if self._lock < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def _is_store(path: Path) -> bool:
    try:
        root = LocalFiles(path).read_all(ROOT_KEY, MAX_JSON_BYTES)
        return isinstance(store_attributes(from_bytes(root, ROOT_KEY)), dict)
    except SkelstoreError:
        return False
