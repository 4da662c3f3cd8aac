"""The command line ``skelstore``.

Exit status 0: success; 1: the data or the store is at fault; 2: the command was used wrongly; 130 and 143: interrupted
by Ctrl-C, ended by SIGTERM.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from converters import source_commands, store_commands
from converters.progress import say
from skelstore.errors import SkelstoreError

_INTERRUPTED = 130
_TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it: everything is put in order as after Ctrl-C."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look at, verify, merge, cut down, export."""


for _module in (source_commands, store_commands):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def _notes(error: BaseException) -> str:
    return "".join(f"; {note}" for note in getattr(error, "__notes__", []))


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
    if isinstance(sys.stdout, io.TextIOWrapper):  # names out of a file may hold lone surrogates
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _termination_raised():
            cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ or error
        terminated = isinstance(cause, _Terminated)
        say(f"{'terminated' if terminated else 'interrupted'}{_notes(cause)}")
        sys.exit(_TERMINATED if terminated else _INTERRUPTED)
    except SkelstoreError as error:
        say(f"skelstore: {error}{_notes(error)}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has left; so do we, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"skelstore: {where}{error.strerror or error}{_notes(error)}")
        sys.exit(1)
    except MemoryError as error:
        say("skelstore: out of memory: convert with fewer --workers, or on a machine with more memory" + _notes(error))
        sys.exit(1)
    except Exception as error:  # a fault of ours, but a person deserves a sentence all the same
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)
