"""Processes that write parts, as executors of concurrent.futures: those of this machine, those of a Dask cluster.

Only the standard library, and ``reporting``, are imported with this module, since a worker imports it before it can
report an error.
"""

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
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any, NamedTuple

from converters.conversion.reporting import report_through

_Task = tuple[Any, ...]

_LOOK_EVERY = 0.5
"""Seconds after which the parent looks how far its workers are."""
_FEWER = "use fewer --workers, or allow more processes and memory (ulimit -u, ulimit -v)"


class Workers(NamedTuple):
    """``executors``, each to be given one task at a time, or all at once if they are ``queueing`` them.

    ``died`` are the errors of one that has died. ``reporting`` is where they report how far a task is, if they do.
    """

    executors: Sequence[Executor]
    queueing: bool
    died: tuple[type[BaseException], ...]
    reporting: Sequence[connection.Connection] = ()

    def reports(self) -> Iterator[tuple[int, int]]:
        """What workers have reported since the last call: the number of a task, and how far it is."""
        for reader in self.reporting:
            with suppress(EOFError, OSError):  # it has died, which its future says
                while reader.poll():
                    yield reader.recv()


@contextmanager
def local_workers(count: int) -> Iterator[Workers]:
    """So many processes of this machine, each an executor of its own: so it is known what one was at when it died.

    None of them outlives this process, however that ends.
    """
    from skelstore.errors import WorkerError

    # Spawned, not forked: the parent may have threads, and a fork would copy its locks.
    context = get_context("spawn")
    with ExitStack() as stack:
        executors, reporting = [], []
        try:
            # Workers inherit both: interrupts are for this process to handle, and a traceback, or what a library says
            # when it aborts, is no sentence.
            with _standard_error_closed(), _interrupts_ignored():
                for _ in range(count):
                    reader, writer = context.Pipe(duplex=False)
                    reporting.append(stack.enter_context(reader))
                    with writer:
                        executor = ProcessPoolExecutor(1, context, _begin, (writer,))
                        stack.callback(_end, executor)
                        executor.submit(os.getpid)
                    executors.append(executor)
        except (RuntimeError, OSError, MemoryError) as error:  # RuntimeError: can't start new thread
            raise WorkerError(f"a process that is to write parts cannot be started ({error}): {_FEWER}") from error
        yield Workers(executors, False, (BrokenProcessPool,), reporting)


def _end(executor: ProcessPoolExecutor) -> None:
    """Wait for a worker to end; kill it where nothing can tell it to: the thread that does may not have started."""
    thread: Any = executor._executor_manager_thread
    processes = dict(executor._processes or {})
    if thread is None or not thread.is_alive():
        for process in processes.values():
            process.kill()
            process.join()
    with suppress(RuntimeError):  # the thread was never started
        executor.shutdown()


def _lost(executor: Executor) -> bool:
    """Whether nobody will ever complete what the worker was given: the thread that looks after it has ended."""
    if not isinstance(executor, ProcessPoolExecutor):
        return False
    thread: Any = executor._executor_manager_thread
    return thread is not None and not thread.is_alive()


def _begin(writer: connection.Connection) -> None:
    """Begin to be a worker: end with the parent, and import what a task needs, or end at once without a word."""
    try:
        report_through(writer)
        _end_with_parent()
        import converters.conversion.jobs  # noqa: F401
    except BaseException:
        os._exit(1)  # which the parent sees, and says


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """Let standard error lead nowhere, for this process and those that it starts meanwhile."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


@contextmanager
def cluster_workers(address: str) -> Iterator[Workers]:
    """The workers of the Dask cluster whose scheduler is at ``address`` (``tcp://host:8786``).

    Raises WorkerError if the library is not installed, or nobody answers in Dask's ``comm.timeouts.connect``.
    """
    from skelstore.errors import WorkerError

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


def run_tasks(
    workers: Workers, function: Callable[..., Any], tasks: Iterator[_Task], look: Callable[[], None]
) -> Generator[tuple[_Task, Future[Any]], None, None]:
    """Call the function with each of the tasks, which are its arguments; give each task, and its future, as it ends.

    Tasks are taken in a thread, one after the other, and begun as soon as they are there: it may take time to find out
    what is to be done. Meanwhile ``look`` is called twice a second. Raises what taking a task raises. Closing the
    iterator cancels what has not begun, and waits for the rest where it can.
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
                ended = [*running, *([] if taking is None else [taking])]
                done = wait(ended, _LOOK_EVERY, FIRST_COMPLETED).done
                look()
                for future, (_, executor) in running.items():
                    if _lost(executor) and not future.done():
                        future.set_exception(BrokenProcessPool("the thread that looks after it has ended"))
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
