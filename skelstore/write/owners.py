"""Ownership of files: what is beside a destination is reused only if it belongs to this user or this group."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skelstore.errors import StoreError, StoreExistsError

try:
    import grp
    import pwd
except ImportError:  # Windows has no such owners
    grp = pwd = None  # type: ignore[assignment]

_GROUP = stat.S_IRWXG
_KINDS = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}


class Owners:
    """Whose files in a folder may be reused: this user's and, with ``shared``, those of this user's groups."""

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._folder = folder
        self._shared = shared

    def require(self, path: Path, status: os.stat_result) -> None:
        """Raise StoreError, which names the owner, if a file or folder belongs to someone else."""
        if pwd is None or status.st_uid == os.geteuid() or status.st_uid == self._uid_of_new_file():
            return
        for_us = status.st_gid in _own_groups() and status.st_mode & stat.S_IWGRP
        if self._shared and for_us:
            return
        owner = user_name(status.st_uid)
        shared = "continue it with --shared, " if for_us else ""
        raise StoreError(
            f"{path} belongs to {owner}, so it is not used: {shared}choose another destination, or ask {owner} to end "
            "the command that writes it or to remove it"
        )

    def _uid_of_new_file(self) -> int:
        """The owner of a new file of this user; on network file systems it may be nobody, or the mounting user."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".skelstore-") as file:
                return os.fstat(file.fileno()).st_uid
        except OSError:
            return os.geteuid()


def _own_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}


def user_name(uid: int) -> str:
    """The name of a user, or the number if the user has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, AttributeError):
        return f"user {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, AttributeError):
        return f"group {gid}"


def require_kind(path: Path, status: os.stat_result, *kinds: int) -> None:
    """Raise StoreError unless a path is of one of these kinds (``stat.S_IFREG``, …); a link never is."""
    kind = stat.S_IFMT(status.st_mode)
    if kind not in kinds:
        expected = " or ".join(_KINDS[one] for one in kinds)
        raise StoreError(f"{path} is {_KINDS.get(kind, 'a special file')}, expected {expected}: move it away")


def require_private(path: Path, status: os.stat_result) -> None:
    """Raise StoreError if a file or folder is world-writable."""
    if status.st_mode & stat.S_IWOTH:
        raise StoreError(f"{path} is world-writable, so it is not used: remove it")


def require_writable(folder: Path) -> None:
    """Raise StoreError if this user cannot write to a folder."""
    if not _may_write(folder):
        raise StoreError(
            f"you cannot write to {folder} (it belongs to {user_name(folder.stat().st_uid)}): choose another "
            "destination"
        )


def require_replaceable(path: Path) -> None:
    """Raise StoreExistsError if this user cannot replace what is at a path: a file, or a folder with its content."""
    if pwd is None:
        return
    status, parent = os.lstat(path), os.stat(path.parent)
    if parent.st_mode & stat.S_ISVTX and os.geteuid() not in (0, status.st_uid, parent.st_uid):
        raise _not_replaced(path, f"{path.parent} lets only the owner replace it", status)
    folders = (Path(above, name) for above, below, _ in os.walk(path) for name in ("", *below))
    for folder in folders:
        if not folder.is_symlink() and not _may_write(folder):
            raise _not_replaced(path, f"you may not write to {folder}", os.lstat(folder))


def _not_replaced(path: Path, reason: str, status: os.stat_result) -> StoreExistsError:
    owner = user_name(status.st_uid)
    return StoreExistsError(
        f"{path} belongs to {owner}, and you cannot replace it ({reason}): choose another destination, or ask {owner}"
    )


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def entries_below(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder, without following links. Raises OSError for an unreadable folder."""

    def refuse(error: OSError) -> None:
        raise error

    for above, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(above, name) for name in (*folders, *files))


def share_tree(top: Path) -> None:
    """Give the group of the parent folder access to everything of this user's in ``top``, and to ``top`` itself.

    Raises StoreError if this user is not in that group.
    """
    gid = top.parent.stat().st_gid
    for path in [top, *entries_below(top)]:
        status = path.stat()
        if status.st_uid != os.geteuid():
            continue
        try:
            os.chown(path, -1, gid)
        except PermissionError as error:
            raise StoreError(
                f"{top.parent} belongs to the group {_group_name(gid)}, and you are not in it, so {top} cannot be "
                "shared: give the folder to one of your groups (chgrp), or convert without --shared"
            ) from error
        bits = _GROUP | stat.S_ISGID if path.is_dir() else stat.S_IRGRP | stat.S_IWGRP
        path.chmod(stat.S_IMODE(status.st_mode) | bits)


@contextlib.contextmanager
def as_shared_as(folder: Path) -> Iterator[None]:
    """Set the umask of this process so that files made in the block are as open to the group as ``folder`` is."""
    if not folder.stat().st_mode & stat.S_IWGRP:
        yield
        return
    before = os.umask(0o077)
    os.umask(before & ~_GROUP)
    try:
        yield
    finally:
        os.umask(before)
