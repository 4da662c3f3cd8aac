"""Lines on standard output and standard error.

All output of the command line is printed here. Names come from files, so every line is escaped.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress

import click

from skelstore.wording import escape


def show(*lines: str) -> None:
    """Print the result of a command to standard output. Raises OSError if it cannot be written."""
    try:
        if sys.stdout is None:
            raise OSError(9, "it is closed")
        click.echo("\n".join(map(escape, lines)))
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"cannot be written ({error.strerror}); the command itself has finished its work"
        raise OSError(error.errno, reason, "standard output") from error


def say(*lines: str) -> None:
    """Print lines to standard error, if it can be written."""
    with suppress(OSError, ValueError):
        click.echo("\n".join(map(escape, lines)), err=True)


def complain(*lines: str) -> None:
    """Print the lines of an error to standard error, without names, passwords and queries of URLs.

    Our own errors show none, but those of libraries repeat what was typed.
    """
    say(*(re.sub(r"\S+", lambda word: _without_secrets(word[0]), line) for line in lines))


def _without_secrets(word: str) -> str:
    start, is_url, rest = word.partition(":/")
    if not is_url:
        return word
    place, _, query = rest.partition("?")
    slash = "/" * place.startswith("/")
    host, end, path = place.removeprefix("/").partition("/")
    after = query[len(query.rstrip(")'\".,;:")) :]
    return f"{start}:/{slash}{host.rpartition('@')[2]}{end}{path}{after}"
