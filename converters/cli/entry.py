"""The command line ``skelstore``.

Exit status 0: success; 1: the data or the store is at fault; 2: the command was used wrongly; 130 and 143: interrupted
by Ctrl-C, ended by SIGTERM.

Only the standard library is imported with this module: what else cannot be imported ends in a sentence, too.
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
_TERMINATED = 143
_LEAST_ADDRESS_SPACE = 512 << 20
"""Bytes of address space (``ulimit -v``) below which the libraries end the process when they are imported."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it: everything is put in order as after Ctrl-C."""


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Raise ``_Terminated`` at the first SIGTERM; more of them do not disturb the end."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
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
    """Run the command line and exit. Whatever goes wrong ends in a sentence and an exit status."""
    _open_standard_streams()
    _refuse_small_address_space()
    # We calculate nothing that BLAS does, and its threads take memory, or end the process where there is none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if _address_space() is not None:  # Arrow would reserve 1 GB of it
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        from converters.cli.commands import cli
    except KeyboardInterrupt:
        _end("interrupted", _INTERRUPTED)
    except Exception as error:  # in particular ImportError, MemoryError, OSError; SystemError out of C
        _end(f"skelstore: {_import_sentence(error)}{_limit()}", 1)
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        threading.excepthook = _tell_of_thread
        try:
            _run(cli, arguments)
        finally:
            threading.excepthook = threading.__excepthook__


def _run(cli: click.Group, arguments: list[str] | None) -> None:
    import click

    from converters.cli.command import LoadError
    from converters.cli.printing import say
    from skelstore.errors import SkelstoreError

    if isinstance(sys.stdout, io.TextIOWrapper):  # names out of a file may hold lone surrogates
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _termination_raised():
            cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.UsageError as error:
        say(*_usage_lines(error))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error
        terminated = isinstance(cause, _Terminated)
        say(f"{'terminated' if terminated else 'interrupted'}{_notes(cause)}")
        sys.exit(_TERMINATED if terminated else _INTERRUPTED)
    except LoadError as error:
        say(f"skelstore: {_import_sentence(error.__cause__ or error)}{_limit()}")
        sys.exit(1)
    except SkelstoreError as error:
        first, *lines = str(error).split("\n")  # which are ours: str shows those of names escaped
        lines = [f"skelstore: {first}", *lines]
        say(*lines[:-1], lines[-1] + _notes(error))
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has left; so do we, quietly
        _discard_output()
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"skelstore: {where}{error.strerror or error}{_notes(error)}")
        _discard_output()
        sys.exit(1)
    except MemoryError as error:
        advice = "convert with fewer --workers, or on a machine with more memory"
        say(f"skelstore: out of memory: {advice}{_limit()}{_notes(error)}")
        sys.exit(1)
    except Exception as error:
        if _is_for_want_of_threads(error):
            say(f"skelstore: a thread cannot be started: allow more processes (ulimit -u) and memory{_limit()}")
            sys.exit(1)
        # A fault of ours, but a person deserves a sentence all the same.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)


def _is_for_want_of_threads(error: Exception) -> bool:
    """Whether Python, or Arrow, could start no thread."""
    return any(text in str(error) for text in ("can't start new thread", "Failed to launch worker thread"))


def _notes(error: BaseException) -> str:
    return "".join(f"; {note}" for note in getattr(error, "__notes__", []))


def _usage_lines(error: click.UsageError) -> list[str]:
    """What click prints of a command that was used wrongly; arguments are repeated in it."""
    import click

    message = error.format_message()
    if (
        error.ctx is not None and message == error.ctx.get_help()
    ):  # no command was given: the help is ours, line by line
        return message.split("\n")
    # Only the list of what an option may be has lines, and no text from outside.
    [first, *more] = message.split("\n") if isinstance(error, click.MissingParameter) else [message]
    usage = []
    if error.ctx is not None:
        path = error.ctx.command_path
        usage = [*error.ctx.get_usage().split("\n"), f"Try '{path} {error.ctx.help_option_names[0]}' for help.", ""]
    return [*usage, f"Error: {first}", *(line.expandtabs(4) for line in more)]


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    from converters.cli.printing import say

    say(f"warning: {message}")


def _tell_of_thread(thread: threading.ExceptHookArgs) -> None:
    from converters.cli.printing import say

    say(f"skelstore: a thread of it ended ({thread.exc_type.__name__}: {thread.exc_value})")


def _open_standard_streams() -> None:
    """Let no file of ours take the place of a standard stream that is closed: libraries would write into it."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free


def _discard_output() -> None:
    """Let nothing more be written to standard output: the interpreter would fail on it when it ends."""
    if sys.stdout is None:
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _address_space() -> int | None:
    """Bytes to which the address space is limited, if it is."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _limit() -> str:
    limit = _address_space()
    return "" if limit is None else f"; the address space is limited to {limit >> 20:,} MB (ulimit -v): allow 2 GB"


def _refuse_small_address_space() -> None:
    limit = _address_space()
    if limit is not None and limit < _LEAST_ADDRESS_SPACE:
        _end(f"skelstore: its libraries cannot be loaded{_limit()}", 1)


def _import_sentence(error: BaseException) -> str:
    """Why the commands cannot be imported, and what to do. An error of ours says both itself."""
    if type(error).__module__ == "skelstore.errors":
        return str(error)
    return f"its libraries cannot be loaded ({type(error).__name__}: {error})"


def _end(sentence: str, status: int) -> NoReturn:
    """Exit with a sentence, before there is what else prints one."""
    if sys.stderr is not None:
        print("".join(c if c.isprintable() else "?" for c in sentence), file=sys.stderr)
    sys.exit(status)
