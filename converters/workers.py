"""Processes that write parts, as executors of concurrent.futures: those of this machine, those of a Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any, NamedTuple

from skelstore.errors import WorkerError

_Task = tuple[Any, ...]


class Workers(NamedTuple):
    """``executors``, each to be given one task at a time, or all at once if they are ``queueing`` them.

    ``died`` are the errors of one that has died.
    """

    executors: Sequence[Executor]
    queueing: bool
    died: tuple[type[BaseException], ...]


@contextmanager
def local_workers(count: int) -> Iterator[Workers]:
    """So many processes of this machine, each an executor of its own: so it is known what one was at when it died.

    None of them outlives this process, however that ends.
    """
    # Spawned, not forked: the parent may have threads, and a fork would copy its locks.
    with ExitStack() as stack:
        executors = [
            stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent)) for _ in range(count)
        ]
        with _interrupts_ignored():  # by the workers, which start here: they are for this process to handle
            for executor in executors:
                executor.submit(os.getpid)
        yield Workers(executors, False, (BrokenProcessPool,))


@contextmanager
def cluster_workers(address: str) -> Iterator[Workers]:
    """The workers of the Dask cluster whose scheduler is at ``address`` (``tcp://host:8786``).

    Raises WorkerError if the library is not installed, or nobody answers in Dask's ``comm.timeouts.connect``.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise WorkerError(
            "a Dask cluster needs the library distributed: install it with pip install 'skelstore[dask]'"
        ) from error
    if not re.fullmatch(r"\w+://\S+", address):  # or the client tries for a minute
        raise WorkerError(f"{address!r} is no address of a Dask scheduler: give one such as tcp://host:8786")
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"no Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, and give its address"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise WorkerError(f"the Dask scheduler at {address} has no workers: start one with `dask worker {address}`")
        # Every task at once: the scheduler knows which worker is free, and workers may come and go.
        yield Workers([client.get_executor(pure=False)], True, (KilledWorker, CancelledError))


def finished(
    workers: Workers, function: Callable[..., Any], tasks: Iterator[_Task]
) -> Generator[tuple[_Task, Future[Any]], None, None]:
    """Call the function with each of the tasks, which are its arguments; give each task, and its future, as it ends.

    Tasks are taken in a thread, one after the other, and begun as soon as they are there: it may take time to find out
    what is to be done. Raises what taking one raises. Closing the iterator cancels what has not begun, and waits for
    the rest where it can.
    """
    idle = deque(workers.executors)
    waiting: deque[_Task] = deque()
    running: dict[Future[Any], tuple[_Task, Executor]] = {}

    def begin() -> None:
        while waiting and idle:
            executor = idle[0] if workers.queueing else idle.popleft()
            task = waiting.popleft()
            try:
                future = executor.submit(function, *task)
            except BrokenExecutor as error:  # it died before it had anything to do
                future = Future()
                future.set_exception(error)
            running[future] = task, executor

    with ThreadPoolExecutor(1) as taker:
        taking: Future[_Task | None] | None = taker.submit(next, tasks, None)
        try:
            while running or taking is not None:
                done = wait([*running, *([] if taking is None else [taking])], return_when=FIRST_COMPLETED).done
                if taking in done:
                    found = taking.result()
                    taking = None if found is None else taker.submit(next, tasks, None)
                    waiting.extend([] if found is None else [found])
                for future in done & running.keys():
                    task, executor = running.pop(future)
                    if not workers.queueing:
                        idle.append(executor)
                    yield task, future
                begin()
        finally:
            # Dask's can always be cancelled, and what their workers are at goes on there; they are not waited for.
            wait([future for future in running if not future.cancel()])


def _end_with_parent() -> None:
    """Let this process end when its parent is gone: it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where signals cannot be set
        yield
        return
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
