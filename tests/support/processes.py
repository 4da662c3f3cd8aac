"""Run code and commands in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

COMMAND = Path(sys.executable).with_name("skelstore")
"""The installed command."""


class Done(NamedTuple):
    """Exit status and both outputs of a command."""

    status: int
    out: str
    err: str


def run(arguments: Sequence[object], **options: Any) -> Done:
    """Run a program."""
    done = subprocess.run(
        list(map(str, arguments)), capture_output=True, text=True, timeout=120, check=False, **options
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_python(code: str, *arguments: object, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new interpreter."""
    program = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, timeout=timeout, **options)


def run_until_interrupted(arguments: Sequence[object], beginning: str) -> tuple[int, str]:
    """Run a program until it prints a line with this beginning, interrupt it; its exit status and standard error."""
    program = list(map(str, arguments))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, env={**os.environ, "BROWSER": "true"}, **pipes) as process:  # it opens no browser
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert line.startswith(beginning), (line, err)
    return process.returncode, err
