"""Where a conversion makes its store: in a folder of this machine, or at a URL of an object store."""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.conversion.jobs import SEED_KEY, Job, Outcome
from converters.conversion.shuffling import Order
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError, StoreError, UnsupportedValueError
from skelstore.format.files import local_path
from skelstore.format.values import Json
from skelstore.remote.url import Url, is_url, parse_url
from skelstore.write.joining import join
from skelstore.write.owners import as_shared_as
from skelstore.write.part_records import PART_RECORD_KEY, part_name, recorded_identity
from skelstore.write.planning import Plan
from skelstore.write.workspace import Workspace, refuse_taken

if TYPE_CHECKING:
    from skelstore.publish.staging import StagedStore


class Place(ABC):
    """Where the parts of a conversion are kept, and where they are joined.

    ``parts`` is the folder of the finished parts. ``on_one_disk``: all processes read the same files of the source.
    """

    parts: Path | Url
    on_one_disk: bool

    @abstractmethod
    def begin(self, identity: Json) -> None:
        """Prepare to write parts of a conversion; ``identity`` is what all of its parts have in common."""

    @abstractmethod
    def shared(self) -> contextlib.AbstractContextManager[None]:
        """The context in which files are written."""

    def job(self, number: int, start: int, stop: int, identity: Json, order: Order | None) -> Job:
        """The job of writing a part. Those with a job are kept."""
        return Job(number, start, stop, self.parts / part_name(number, identity), identity, order)

    @abstractmethod
    def drop_others(self) -> None:
        """Remove the parts of earlier runs that have no job."""

    @abstractmethod
    def join(self, outcomes: Sequence[Outcome], plan: Plan, splits: Mapping[Any, Any], source: dict[str, Json]) -> None:
        """Join the finished parts, in order."""

    @abstractmethod
    def commit(self) -> None:
        """Let the joined store appear at its destination, and remove the parts."""

    @abstractmethod
    def give_up(self, error: BaseException) -> None:
        """Keep the finished parts if the same command can continue from them; else remove them. Add a note on it.

        An error in the source does not remove the parts of a run that was resumed: the source was right before, and
        may only be a folder that is not mounted now.
        """


class FolderPlace(Place):
    """A folder of this machine: parts are in a workspace beside it, and their shards are linked."""

    parts: Path
    on_one_disk = True

    def __init__(self, destination: str | os.PathLike[str], *, force: bool, shared: bool, seed: int | None) -> None:
        """Raises as ``Workspace``, and StoreError if there are parts of a conversion with another order of videos."""
        self._workspace = Workspace(destination, force=force, resume=True, shared=shared)
        self.parts = self._workspace.parts
        self._others = self._finished_parts()
        self._require_same_seed(seed)
        self._resumed = bool(self._others)

    def begin(self, identity: Json) -> None:
        self._workspace.keep_parts(self._others)

    def shared(self) -> contextlib.AbstractContextManager[None]:
        return as_shared_as(self._workspace.folder)

    def job(self, number: int, start: int, stop: int, identity: Json, order: Order | None) -> Job:
        made = super().job(number, start, stop, identity, order)
        self._others.discard(made.folder.name)
        return made

    def drop_others(self) -> None:
        self._workspace.remove_parts(self._others)

    def join(self, outcomes: Sequence[Outcome], plan: Plan, splits: Mapping[Any, Any], source: dict[str, Json]) -> None:
        parts = [outcome.part for outcome in outcomes if outcome.part is not None]
        join(parts, plan, splits, source, self._workspace.store)

    def commit(self) -> None:
        self._workspace.commit()

    def give_up(self, error: BaseException) -> None:
        workspace = self._workspace
        workspace.add_place(error)
        if workspace.committed:
            workspace.leave()
            error.add_note(f"{workspace.destination} is complete; {workspace.folder}, beside it, can be deleted")
        elif not _is_at_fault(error, self._resumed) and self._finished_parts():
            workspace.leave()
            error.add_note(
                f"{workspace.folder} keeps the finished parts: run the {_again(error)} to continue from them"
            )
        else:
            with contextlib.suppress(OSError):  # report the first error; the next run removes what remains
                workspace.discard()

    def _finished_parts(self) -> set[str]:
        """Names of the parts with a part record; the folder of a part that is being written has a dot in its name."""
        found = (path.parent.name for path in self._workspace.parts.glob(f"*/{PART_RECORD_KEY}"))
        return {name for name in found if "." not in name}

    def _require_same_seed(self, seed: int | None) -> None:
        """Raise StoreError, and leave the workspace, if it has parts of a conversion with another order of videos."""
        for name in sorted(self._others):
            identity = recorded_identity(self.parts / name)
            if identity is not None and (begun := identity.get(SEED_KEY)) != seed:
                self._workspace.leave()
                before, now = ("without --shuffle" if s is None else f"with --shuffle {s}" for s in (begun, seed))
                raise StoreError(
                    f"{self._workspace.folder} keeps parts of a conversion {before}, and this one is {now}: continue "
                    "that one, or delete the folder to begin again"
                )


class BucketPlace(Place):
    """A URL of an object store: each worker puts its parts there, and this process joins their tables.

    This machine needs space for the tables, each machine for the parts that it is writing.
    """

    parts: Url
    on_one_disk = False

    def __init__(self, url: Url, *, force: bool) -> None:
        """Raises as ``StagedStore``."""
        from skelstore.publish.staging import StagedStore  # only here: it needs HTTP

        self.url = url
        self._staged: StagedStore = StagedStore(url, force=force)
        self.parts = self._staged.parts
        self._resumed = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, identity: Json) -> None:
        self._resumed = self._staged.begin(identity)

    def drop_others(self) -> None:
        """They are removed with the parts of this run."""

    def shared(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def join(self, outcomes: Sequence[Outcome], plan: Plan, splits: Mapping[Any, Any], source: dict[str, Json]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="skelstore-")
        parts, store = (Path(self._folder.name, name) for name in ("parts", "store"))
        for folder in (parts, store):
            folder.mkdir()
        finished = [outcome.part for outcome in outcomes if outcome.part is not None]
        shards = self._staged.shards(parts, store)
        join(self._staged.fetch_tables(finished, parts), plan, splits, source, store, shards)
        self._publish = partial(self._staged.publish, store, shards)

    def commit(self) -> None:
        self._publish()
        self._remove_folder()

    def give_up(self, error: BaseException) -> None:
        if isinstance(error, OSError) and not isinstance(error, SkelstoreError) and error.filename is None:
            error.filename = tempfile.gettempdir()
        self._remove_folder()
        if not self._staged.begun:
            return
        if _is_at_fault(error, self._resumed):
            with contextlib.suppress(OSError):  # report the first error
                self._staged.discard()
        else:
            error.add_note(f"{self.parts} keeps the finished parts: run the {_again(error)} to continue from them")

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _is_at_fault(error: BaseException, resumed: bool) -> bool:
    """Whether the data is the reason of an error, so that the same command would fail again."""
    return isinstance(error, UnsupportedValueError) or (isinstance(error, SourceError) and not resumed)


def _again(error: BaseException) -> str:
    return "command again with the right layout" if isinstance(error, JointLayoutError) else "same command again"


def place_of(destination: str | os.PathLike[str] | Url, *, force: bool, shared: bool, seed: int | None) -> Place:
    """The place for a destination, of videos in order or shuffled with a seed.

    Raises as ``FolderPlace`` and ``BucketPlace``, which tells seeds apart in ``begin``.
    """
    where = _located(destination, shared=shared)
    if isinstance(where, Url):
        return BucketPlace(where, force=force)
    return FolderPlace(where, force=force, shared=shared, seed=seed)


def refuse_destination(destination: str | os.PathLike[str] | Url, *, force: bool = False, shared: bool = False) -> None:
    """Raise what ``place_of`` raises if no store may be written at a destination. Nothing is written.

    For use before a download that takes long.
    """
    where = _located(destination, shared=shared)
    if isinstance(where, Url):
        BucketPlace(where, force=force)
    else:
        refuse_taken(Path(os.path.realpath(local_path(where))), force=force)


def _located(destination: str | os.PathLike[str] | Url, *, shared: bool) -> str | os.PathLike[str] | Url:
    """The URL that a destination is, or the path as it was given. Raises StoreError if ``shared`` goes with a URL."""
    if not isinstance(destination, Url):
        text = os.fspath(destination)
        if not is_url(text) or os.path.lexists(text.partition("/")[0]):
            return destination
        destination = parse_url(text)
    if shared:
        raise StoreError(f"{destination} is a URL; --shared (shared) goes with a folder of this machine")
    return destination
