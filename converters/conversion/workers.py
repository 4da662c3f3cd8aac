"""Processes that write parts, as executors of concurrent.futures: on this machine, or on a Dask cluster.

This module imports only the standard library and ``reporting``, since a worker imports it before it can report an
error.
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
from types import FrameType
from typing import Any, NamedTuple

from converters.conversion.reporting import report_through

_Task = tuple[Any, ...]

_POLL_EVERY = 0.5
"""Seconds between two checks of the progress of workers by the parent."""
_FEWER = "use fewer --workers, or allow more processes and memory (ulimit -u, ulimit -v)"


class Workers(NamedTuple):
    """Executors that run tasks.

    Each gets one task at a time or, if they are ``queueing``, all tasks at once. ``died`` are the errors of a worker
    that has died. ``reporting`` are the connections through which they report progress; empty if they do not.
    """

    executors: Sequence[Executor]
    queueing: bool
    died: tuple[type[BaseException], ...]
    reporting: Sequence[connection.Connection] = ()

    def reports(self) -> Iterator[tuple[int, int]]:
        """Yield what workers have reported since the last call: the number of a task, and its progress."""
        for reader in self.reporting:
            with suppress(EOFError, OSError):  # it has died, which its future reports
                while reader.poll():
                    yield reader.recv()


@contextmanager
def local_workers(count: int) -> Iterator[Workers]:
    """Start ``count`` processes on this machine, each with its own executor.

    So the task of a process that died is known. None of them outlives this process, however it ends. Raises WorkerError
    if a process cannot be started.
    """
    from skelstore.errors import WorkerError

    # Spawned, not forked: the parent may have threads, and a fork would copy its locks.
    context = get_context("spawn")
    with ExitStack() as stack:
        executors, reporting = [], []
        try:
            # Workers inherit both: only this process handles interrupts, and users should see neither tracebacks nor
            # what a library prints when it aborts.
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
            raise WorkerError(f"a worker process cannot be started ({error}): {_FEWER}") from error
        yield Workers(executors, False, (BrokenProcessPool,), reporting)


def _end(executor: ProcessPoolExecutor) -> None:
    """Wait for a worker to end; kill it if the thread that would tell it to end has not started or has ended."""
    thread: Any = executor._executor_manager_thread
    processes = dict(executor._processes or {})
    if thread is None or not thread.is_alive():
        for process in processes.values():
            process.kill()
            process.join()
    with suppress(RuntimeError):  # the thread was never started
        executor.shutdown()


def _lost(executor: Executor) -> bool:
    """Whether the task of the worker will never complete, since the thread that manages the worker has ended."""
    if not isinstance(executor, ProcessPoolExecutor):
        return False
    thread: Any = executor._executor_manager_thread
    return thread is not None and not thread.is_alive()


def _begin(writer: connection.Connection) -> None:
    """Initialize a worker: let it end with its parent, and import what tasks need. On an error it exits silently."""
    try:
        report_through(writer)
        _end_with_parent()
        import converters.conversion.jobs  # noqa: F401
    except BaseException:
        os._exit(1)  # which the parent notices and reports


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """Discard standard error, for this process and those that it starts meanwhile."""
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
    """Connect to the workers of the Dask cluster whose scheduler is at ``address`` (``tcp://host:8786``).

    Raises WorkerError if the library is not installed, the address is not valid, the cluster has no workers, or no
    scheduler answers within Dask's ``comm.timeouts.connect``.
    """
    from skelstore.errors import WorkerError

    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise WorkerError(
            "a Dask cluster needs the library distributed: install it with pip install 'skelstore[dask]'"
        ) from error
    if not re.fullmatch(r"\w+://\S+", address):  # otherwise the client would try for a minute
        raise WorkerError(f"{address!r} is not the address of a Dask scheduler: give one such as tcp://host:8786")
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"no Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, and give its address"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise WorkerError(f"the Dask scheduler at {address} has no workers: start one with `dask worker {address}`")
        # All tasks at once: the scheduler knows which worker is free, and workers may join and leave.
        yield Workers([client.get_executor(pure=False)], True, (KilledWorker, CancelledError))


def run_tasks(
    workers: Workers, function: Callable[..., Any], tasks: Iterator[_Task], poll: Callable[[], None]
) -> Generator[tuple[_Task, Future[Any]], None, None]:
    """Call the function with the arguments in each task; yield each task with its future when it has ended.

    A thread gets the tasks from their iterator one by one, since finding the next task may take time; each starts as
    soon as a worker is free. Meanwhile ``poll`` is called twice per second. Raises what the iterator of tasks raises.
    Closing this iterator cancels tasks that have not started, and waits for those that cannot be cancelled.

    Ctrl-C and SIGTERM are handled after ``poll``, so up to half a second late.
    """
    idle = deque(workers.executors)
    waiting: deque[_Task] = deque()
    running: dict[Future[Any], tuple[_Task, Executor]] = {}

    def start_waiting() -> None:
        while waiting and idle:
            executor = idle[0] if workers.queueing else idle.popleft()
            task = waiting.popleft()
            try:
                future = executor.submit(function, *task)
            except BrokenExecutor as error:  # it died before its first task
                future = Future()
                future.set_exception(error)
            running[future] = task, executor

    with _interrupts_deferred() as handle_interrupts, ThreadPoolExecutor(1) as taker:
        taking: Future[_Task | None] | None = taker.submit(next, tasks, None)
        try:
            while running or taking is not None:
                pending = [*running, *([] if taking is None else [taking])]
                done = wait(pending, _POLL_EVERY, FIRST_COMPLETED).done
                poll()
                handle_interrupts()
                for future, (_, executor) in running.items():
                    if _lost(executor) and not future.done():
                        future.set_exception(BrokenProcessPool("the thread that manages it has ended"))
                if taking in done:
                    next_task = taking.result()
                    taking = None if next_task is None else taker.submit(next, tasks, None)
                    waiting.extend([] if next_task is None else [next_task])
                for future in done & running.keys():
                    task, executor = running.pop(future)
                    if not workers.queueing:
                        idle.append(executor)
                    yield task, future
                start_waiting()
        finally:
            # Futures of Dask can always be cancelled: their workers continue with the task, and nothing waits for them.
            wait([future for future in running if not future.cancel()])


def _end_with_parent() -> None:
    """End this process when its parent has ended; otherwise it would wait for tasks forever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # other threads cannot set signal handlers
        yield
        return
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Defer the handlers of SIGINT and SIGTERM until the function that this yields is called, or the block has ended.

    A handler that raises in the middle of ``concurrent.futures`` may leave the lock of a future acquired (its
    ``wait`` acquires them in Python code); then the thread that completes the future, and who waits for it, hang.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: deque[int] = deque()
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def defer(signum: int, _: FrameType | None) -> None:
        received.append(signum)

    def handle() -> None:
        while received:
            signum = received.popleft()
            handlers[signum](signum, None)

    for signum in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(signum)
        if callable(handler):
            handlers[signum] = handler
            signal.signal(signum, defer)
    try:
        yield handle
    finally:
        for deferred, handler in handlers.items():
            if signal.getsignal(deferred) is defer:  # else a handler has replaced it
                signal.signal(deferred, handler)
    handle()
