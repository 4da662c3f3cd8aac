"""Pulling a store: an exact copy of all files of a store at a URL, which appears when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from skelstore.errors import DamageError, StoreNotFoundError, StoreReplacedError
from skelstore.format.checksums import FileEntry, has_content
from skelstore.format.files import write_at
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.publish.files import RemoteStore
from skelstore.remote.transfers import Transfer
from skelstore.write import disk
from skelstore.write.workspace import Workspace

_PIECE_BYTES = 4 << 20
"""What one request asks for; ``AT_ONCE`` of them are in memory."""


class _OtherSizeError(Exception):
    """A server has a file in another size than the manifest; never raised to users."""


def pull(
    source: RemoteStore,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> int:
    """Copy a store at a URL to ``path``, which appears only when it is complete; the number of files fetched.

    Every file is the same in every byte, and checked against the manifest. A pull that was ended is continued by the
    next one of the same store. The cache is not used. ``advance`` is called with the bytes since the last call, a
    negative number for those that have to be fetched again.

    Raises StoreExistsError if ``path`` is taken (``force`` replaces a store there), DamageError if the store at the URL
    is damaged, StoreReplacedError if it was replaced meanwhile, and what requests raise.
    """
    workspace = Workspace(path, force=force, resume=True)
    name = f"pulled-{source.copy.identity}"
    try:
        workspace.keep_parts([name])
        fetched = _fetch_all(source, workspace.parts / name, Transfer(advance))
        _assemble(source, workspace.parts / name, workspace.store)
        workspace.commit()
        return fetched
    except BaseException as error:
        _end(workspace, error)
        raise


def _end(workspace: Workspace, error: BaseException) -> None:
    """Keep what was fetched for the next run, and say so; or remove it, if that would not help."""
    workspace.add_place(error)
    if workspace.committed:
        workspace.leave()
        error.add_note(f"{workspace.destination} is complete; {workspace.folder}, beside it, can be deleted")
    elif isinstance(error, StoreReplacedError) or not any(workspace.parts.iterdir()):
        with contextlib.suppress(OSError):  # report the first error; the next run removes what remains
            workspace.discard()
    else:
        workspace.leave()
        error.add_note(f"{workspace.folder} keeps what was fetched: run the same command again to continue")


def _fetch_all(source: RemoteStore, part: Path, transfer: Transfer) -> int:
    """Fetch the files that are not yet in ``part/files``; their number."""
    files, incoming = part / "files", part / "incoming"
    for folder in (files, incoming):
        for parent in {(folder / key).parent for key in source.copy.files}:
            parent.mkdir(parents=True, exist_ok=True)
    transfer.count(len(source.copy.root))
    missing = []
    for key, entry in source.copy.files.items():
        if key == MANIFEST_KEY or ((files / key).exists() and has_content(files / key, entry)):
            transfer.count(entry.size)
        else:
            missing.append(key)
    transfer.run(partial(_fetch, source, key, files / key, incoming / key, transfer) for key in missing)
    return len(missing) + 2


def _fetch(source: RemoteStore, key: str, path: Path, incoming: Path, transfer: Transfer) -> None:
    """Fetch a file and check it: what does not match is fetched once more."""
    entry = source.copy.files[key]
    for attempt in range(2):
        counted = _fill(source, key, entry, incoming, transfer, fresh=attempt > 0)
        if disk.seal_file(incoming) == entry:
            os.replace(incoming, path)
            return
        incoming.unlink()
        transfer.count(-counted)
    if source.is_replaced():
        raise _replaced(source)
    raise DamageError(
        f"{source.url / key} is damaged (its size or checksum does not match the manifest), so the store has to be "
        "published again"
    )


def _fill(source: RemoteStore, key: str, entry: FileEntry, path: Path, transfer: Transfer, *, fresh: bool) -> int:
    """Fetch what a file lacks, from its end on; the number of bytes that were counted for it."""
    counted = 0
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)

    def take(offset: int, data: bytes) -> None:
        nonlocal counted
        if offset + len(data) > entry.size:  # the body may have no end
            raise _OtherSizeError
        if offset < counted:  # the file was sent from its beginning
            transfer.count(offset - counted)
            counted = offset
        transfer.count(len(data))
        counted += len(data)
        write_at(fd, data, offset)

    try:
        begun = os.fstat(fd).st_size
        if begun > entry.size:
            begun = 0
            os.ftruncate(fd, 0)
        transfer.count(begun)
        counted = begun
        while counted < entry.size:
            stop = min(counted + _PIECE_BYTES, entry.size)
            part = source.service.read_range(key, counted, stop, take, fresh=fresh)
            if part.total != entry.size or part.data == b"":
                raise _OtherSizeError
            if part.data is None:  # it was sent whole
                break
            take(counted, part.data)
    except _OtherSizeError:
        os.ftruncate(fd, 0)
    except StoreNotFoundError as error:
        if source.is_replaced():
            raise _replaced(source) from error
        raise DamageError(f"{error}: the store is damaged, so it has to be published again") from error
    finally:
        os.close(fd)
    return counted


def _replaced(source: RemoteStore) -> StoreReplacedError:
    return StoreReplacedError(f"{source.url} was replaced while it was fetched: fetch it again")


def _assemble(source: RemoteStore, part: Path, store: Path) -> None:
    """Link the fetched files into a store; the root is written last."""
    for key in source.copy.files:
        (store / key).parent.mkdir(parents=True, exist_ok=True)
        if key != MANIFEST_KEY:
            disk.link_or_copy(part / "files" / key, store / key)
    disk.write_file(store / MANIFEST_KEY, source.copy.manifest)
    disk.write_file(store / ROOT_KEY, source.copy.root)
