"""Writing one part of a conversion, in this process, in a worker process on this machine, or in a worker of a cluster.

A finished part is never written again. Its folder is named after its identity (what it was made from, and how), which
its part record states too, so a run continues from the finished parts of an interrupted one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from converters.conversion.reporting import report_to_parent
from converters.conversion.sending import Sent, received, send
from converters.conversion.shuffling import Order, files_of, read_ahead
from converters.conversion.source import Downloaded, SkippedVideoError, Source, refusal
from skelstore.errors import SkelstoreError, SourceError, UnsupportedValueError, WorkerError
from skelstore.format.schema import FORMAT_VERSION
from skelstore.format.values import Json
from skelstore.remote.url import Url
from skelstore.wording import file_name
from skelstore.write.owners import as_shared_as
from skelstore.write.part_records import find_part, keep_part
from skelstore.write.parts import Part, PartWriter
from skelstore.write.planning import Plan

SEED_KEY = "shuffle"
"""Key of the seed in the identity of a part of a shuffled store."""
SHOWN_PROBLEMS = 20
"""Maximum number of problems that a conversion reports."""


class Job(NamedTuple):
    """The videos ``start`` to ``stop`` of a store, to be written to ``folder`` as part ``number`` (from 0).

    The folder is on disk or in an object store.
    """

    number: int
    start: int
    stop: int
    folder: Path | Url
    identity: Json
    order: Order | None = None
    """Their positions in the source; None if the store has the order of the source."""

    @property
    def positions(self) -> Sequence[int]:
        """The positions of the videos in the source, in the order in which they are written."""
        return range(self.start, self.stop) if self.order is None else self.order.tolist()


class Outcome(NamedTuple):
    """The result of a job: its part, or the problems of its videos; and a record of the videos that were skipped."""

    part: Part | None
    problems: list[str]
    left_out: list[Json]
    taken: bool = False
    """Whether an earlier run had finished the part."""


def identity_of(
    source: Source,
    plan: Plan,
    start: int,
    stop: int,
    order: Order | None = None,
    seed: int | None = None,
    *,
    on_one_disk: bool = True,
) -> Json:
    """What a part is made from, and how; parts with the same identity are the same.

    ``order`` are the positions of its videos in the source, shuffled with ``seed``. If not ``on_one_disk``, each
    machine may have a copy of the source of its own.
    """
    positions: Sequence[int] = range(start, stop) if order is None else order.tolist()
    files = files_of(source, positions)
    digests = {} if on_one_disk else _digests(source)
    named = [digests.get(file) or os.path.abspath(file) for file in files], [source.place(i) for i in positions]
    return {
        **common_identity(source, plan, seed),
        "videos": [start, stop],
        "named": hashlib.blake2b(repr(named).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest(),
        "state": _state(source, files, on_one_disk=on_one_disk),
    }


def common_identity(source: Source, plan: Plan, seed: int | None) -> dict[str, Json]:
    """What the identities of all parts of a conversion have in common."""
    shuffled = {} if seed is None else {SEED_KEY: seed}
    return shuffled | {
        "version": [version("skelstore"), FORMAT_VERSION],
        "dialect": source.dialect,
        "source": file_name(Path(source.path.name)),
        "settings": source.settings(),
        "plan": plan.to_json(),
    }


def _digests(source: Source) -> Mapping[Path, str]:
    return source.digests if isinstance(source, Downloaded) else {}


def _state(source: Source, files: Iterable[Path], *, on_one_disk: bool) -> str:
    """Fingerprint of the files from which videos are read: the size, mtime and ctime of each.

    No content is read. A file that was written to or replaced has another ctime, which no program can set. Copies of
    a file differ in it, so it counts only if all processes read the same file. If not, a downloaded file is known by
    its checksum.
    """
    digest = hashlib.blake2b(digest_size=16)
    digests = {} if on_one_disk else _digests(source)
    for file in files:
        status = os.stat(file)
        changed = status.st_ctime_ns if on_one_disk else 0
        if file in digests:
            digest.update(b"%d %s\n" % (status.st_size, digests[file].encode()))
        else:
            digest.update(b"%d %d %d\n" % (status.st_size, status.st_mtime_ns, changed))
    return digest.hexdigest()


def with_sent_source(source: Source, plan: Plan, jobs: Iterable[Job], folder: Path | Url) -> Iterator[tuple[Sent, Job]]:
    """Yield each job with the sent source, which is sent again if the last one does not have the videos of the job."""
    known = -1
    for job in jobs:
        if job.stop > known:
            known = source.indexed
            sent = send((source, plan), folder)
        yield sent, job


def enough_problems(outcomes: Iterable[Outcome]) -> bool:
    """Whether to stop writing parts, since there are as many problems as are reported."""
    return sum(len(outcome.problems) for outcome in outcomes) >= SHOWN_PROBLEMS


_one_at_a_time = threading.Lock()
"""A Dask worker may have several threads, but only one may use a source at a time."""


@lru_cache(maxsize=1)
def _received_here(sent: Sent) -> tuple[Source, Plan]:
    """The source and the plan, on a machine that may not have the cache of the command."""
    source, plan = received(sent)
    return source.here() if isinstance(source, Downloaded) else source, plan


def write_sent(sent: Sent, job: Job) -> Outcome:
    """Call ``write_part`` in a worker."""
    report = partial(report_to_parent, job.number)
    if isinstance(job.folder, Url):
        with _one_at_a_time:
            source, plan = _received_here(sent)
            last = max(job.positions)
            while source.indexed <= last and source.index_more():
                pass
        return _stage_part(source, plan, job, job.folder, report)
    with _one_at_a_time, as_shared_as(job.folder.parent):
        source, plan = received(sent)
        return write_part(source, plan, job, report)


def write_part(source: Source, plan: Plan, job: Job, report: Callable[[int], None] = lambda videos: None) -> Outcome:
    """Write one part unless it is finished already. Return the part, or the problems of its videos.

    ``report`` is called after each video with the number of videos that are written. Raises SourceError if the files of
    the source changed meanwhile, and what requests raise if the part goes to an object store.
    """
    if isinstance(job.folder, Url):
        return _stage_part(source, plan, job, job.folder, report)
    return _write_part(source, plan, job, job.folder, report, on_one_disk=True)


def _stage_part(source: Source, plan: Plan, job: Job, target: Url, report: Callable[[int], None]) -> Outcome:
    """Write one part to a temporary folder and put it into an object store, unless it is there.

    While one thread sends a part, another one may write the next.
    """
    from skelstore.publish.staging import find_staged, object_store, stage_part  # only here: it needs HTTP

    service = object_store(target)
    kept = find_staged(service, job.identity)
    if kept is not None:
        report(job.stop - job.start)
        return Outcome(kept.part, [], kept.left_out, taken=True)
    with TemporaryDirectory(prefix="skelstore-") as folder:
        try:
            with _one_at_a_time:
                _require_source(source, job)
                outcome = _write_part(source, plan, job, Path(folder, target.name), report, on_one_disk=False)
            if outcome.part is not None:
                stage_part(service, outcome.part.folder, job.identity)
        except OSError as error:
            if not isinstance(error, SkelstoreError) and error.filename is None:
                error.filename = folder
            raise
    return outcome


def _require_source(source: Source, job: Job) -> None:
    """Raise WorkerError if this machine does not have the files from which the videos of a job are read."""
    try:
        same = _state(source, files_of(source, job.positions), on_one_disk=False) == job.identity["state"]
    except FileNotFoundError as error:
        raise WorkerError(
            f"{error.filename} is not on {socket.gethostname()}, where a worker needs it: every worker reads the "
            "source at the same path"
        ) from None
    if not same:
        raise WorkerError(
            f"{source.path} on {socket.gethostname()} has another size or modification time than it had for the "
            "command: copy it to every worker with its time (rsync -a), and change it after the conversion"
        )


def _write_part(
    source: Source, plan: Plan, job: Job, folder: Path, report: Callable[[int], None], *, on_one_disk: bool
) -> Outcome:
    kept = find_part(folder, job.identity)
    if kept is not None:
        report(job.stop - job.start)
        return Outcome(kept.part, [], kept.left_out, taken=True)
    if folder.exists():
        shutil.rmtree(folder)
    # The name is unique, since two processes may write the same part: one that a scheduler believes dead may be alive.
    attempt = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    writer = PartWriter(attempt, plan)
    problems: list[str] = []
    left_out: list[Json] = []
    positions = job.positions
    try:
        ahead = {} if job.order is None else read_ahead(source, positions)
        for written, i in enumerate(positions):
            try:
                annotation, origin = ahead.pop(i) if i in ahead else source.video(i)
                writer.add(annotation, origin, None if job.order is None else i)
            except SkippedVideoError as error:
                left_out.append({"index": i, "name": error.name, "reason": error.reason})
            except (SourceError, UnsupportedValueError) as error:
                problems.append(refusal(source, error, i))
                if len(problems) == SHOWN_PROBLEMS:
                    break
            report(written + 1)
        if problems or not writer.videos:
            return Outcome(None, problems, left_out)
        part = writer.close()
        if _state(source, files_of(source, positions), on_one_disk=on_one_disk) != job.identity["state"]:
            raise SourceError(f"{source.path}: the source has changed while it was converted: convert it again")
        return Outcome(keep_part(part, folder, job.identity, left_out), [], left_out)
    finally:
        writer.abort()
        source.close()
        shutil.rmtree(attempt, ignore_errors=True)
