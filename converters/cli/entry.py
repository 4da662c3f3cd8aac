"""The command line ``skelstore``.

Exit status 0: success; 1: an error in the data, the store or the system; 2: a usage error; 130: interrupted by Ctrl-C;
143: terminated by SIGTERM.

This module imports only the standard library, so that it can report failed imports of others in one sentence.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import click

_INTERRUPTED = 130
"""Exit status after Ctrl-C."""
_TERMINATED = 143
"""Exit status after SIGTERM."""
_LEAST_ADDRESS_SPACE = 512 << 20
"""Bytes of address space (``ulimit -v``) below which importing the libraries kills the process."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it. The command cleans up as after Ctrl-C."""


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Raise ``_Terminated`` in the block at the first SIGTERM, and ignore further ones."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Every error ends the process with a sentence and an exit status."""
    _open_standard_streams()
    _refuse_small_address_space()
    # BLAS is not used, and its threads take memory, or kill the process if there is none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if _address_space() is not None:  # Arrow would reserve 1 GB of it
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        from converters.cli.commands import cli
    except KeyboardInterrupt:
        _end("interrupted", _INTERRUPTED)
    except Exception as error:  # in particular ImportError, MemoryError, OSError; SystemError from C
        _end(f"skelstore: {_import_sentence(error)}{_limit()}", 1)
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        threading.excepthook = _report_thread
        try:
            _run(cli, arguments)
        finally:
            threading.excepthook = threading.__excepthook__


def _run(cli: click.Group, arguments: list[str] | None) -> None:
    import click

    from converters.cli.command import LoadError
    from converters.cli.printing import complain
    from skelstore.errors import SkelstoreError

    if isinstance(sys.stdout, io.TextIOWrapper):  # names in a file may contain lone surrogates
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _termination_raised():
            cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.UsageError as error:
        complain(*_usage_lines(error))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error
        terminated = isinstance(cause, _Terminated)
        complain(f"{'terminated' if terminated else 'interrupted'}{_notes(cause)}")
        sys.exit(_TERMINATED if terminated else _INTERRUPTED)
    except LoadError as error:
        complain(f"skelstore: {_import_sentence(error.__cause__ or error)}{_limit()}")
        sys.exit(1)
    except SkelstoreError as error:
        first, *lines = str(error).split("\n")  # lines are ours: line breaks in names are escaped
        lines = [f"skelstore: {first}", *lines]
        complain(*lines[:-1], lines[-1] + _notes(error))
        sys.exit(1)
    except BrokenPipeError:  # the reader of the pipe has exited: exit silently
        _discard_output()
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"skelstore: {where}{error.strerror or error}{_notes(error)}")
        _discard_output()
        sys.exit(1)
    except MemoryError as error:
        advice = "convert with fewer --workers, or on a machine with more memory"
        complain(f"skelstore: out of memory: {advice}{_limit()}{_notes(error)}")
        sys.exit(1)
    except Exception as error:
        if _is_thread_failure(error):
            complain(f"skelstore: a thread cannot be started: allow more processes (ulimit -u) and memory{_limit()}")
            sys.exit(1)
        # A bug of ours: the user gets a sentence instead of a traceback.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)


def _is_thread_failure(error: Exception) -> bool:
    """Whether Python or Arrow could not start a thread."""
    return any(text in str(error) for text in ("can't start new thread", "Failed to launch worker thread"))


def _notes(error: BaseException) -> str:
    """The notes of an error, to append to its message."""
    return "".join(f"; {note}" for note in getattr(error, "__notes__", []))


def _usage_lines(error: click.UsageError) -> list[str]:
    """The lines that click prints for a usage error. They repeat arguments."""
    import click

    message = error.format_message()
    if error.ctx is not None and message == error.ctx.get_help():  # no command was given: the message is our help
        return message.split("\n")
    # Only a list of choices has several lines, and it contains no text of the user.
    [first, *more] = message.split("\n") if isinstance(error, click.MissingParameter) else [message]
    usage = []
    if error.ctx is not None:
        path = error.ctx.command_path
        usage = [*error.ctx.get_usage().split("\n"), f"Try '{path} {error.ctx.help_option_names[0]}' for help.", ""]
    return [*usage, f"Error: {first}", *(line.expandtabs(4) for line in more)]


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    from converters.cli.printing import complain

    complain(f"warning: {message}")


def _report_thread(thread: threading.ExceptHookArgs) -> None:
    from converters.cli.printing import complain

    complain(f"skelstore: one of its threads failed ({thread.exc_type.__name__}: {thread.exc_value})")


def _open_standard_streams() -> None:
    """Open closed standard streams, so that no file of ours gets their number: libraries would write into it."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


def _discard_output() -> None:
    """Redirect standard output to nowhere: the interpreter would fail to flush it at exit."""
    if sys.stdout is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _address_space() -> int | None:
    """The limit of the address space in bytes, None if there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _limit() -> str:
    """The limit of the address space, to append to a message."""
    limit = _address_space()
    return "" if limit is None else f"; the address space is limited to {limit >> 20:,} MB (ulimit -v): allow 2 GB"


def _refuse_small_address_space() -> None:
    """Exit if the libraries cannot be imported within the limit of the address space."""
    limit = _address_space()
    if limit is not None and limit < _LEAST_ADDRESS_SPACE:
        _end(f"skelstore: its libraries cannot be loaded{_limit()}", 1)


def _import_sentence(error: BaseException) -> str:
    """Why the commands cannot be imported. The message of an error of ours is complete."""
    if type(error).__module__ == "skelstore.errors":
        return str(error)
    return f"its libraries cannot be loaded ({type(error).__name__}: {error})"


def _end(sentence: str, status: int) -> NoReturn:
    """Exit with a sentence, before the module that prints others is imported."""
    if sys.stderr is not None:
        print("".join(c if c.isprintable() else "?" for c in sentence), file=sys.stderr)
    sys.exit(status)
