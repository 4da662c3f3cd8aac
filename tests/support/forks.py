"""Commands in processes of their own that start at once: forks of a process that has imported what they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import Done

_CODE = """
import importlib, json, os, sys
import converters.cli.commands, converters.cli.publish_commands
from converters.cli import main

for name in ("session", "auth", "awsrequest", "credentials", "configprovider"):
    try:
        importlib.import_module(f"botocore.{name}")
    except ImportError:
        pass

for line in sys.stdin:
    request = json.loads(line)
    if "wait" in request:
        print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, path in ((1, request["out"]), (2, request["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    for name, value in request["settings"].items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    status = 1
    try:
        main(request["arguments"])
        status = 0
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(status)
"""


class Running(NamedTuple):
    """A process that was started, and the files with its output."""

    pid: int
    out: Path
    err: Path


class Forks:
    """Starts commands of skelstore, with the environment and the working directory that this process has then.

    ``settings`` replace attributes of modules in the new process.
    """

    def __init__(self, parent: subprocess.Popen[str], folder: Path) -> None:
        self._parent = parent
        self._folder = folder
        self._number = 0

    def start(self, *arguments: object, settings: dict[str, Any] | None = None) -> Running:
        self._number += 1
        out, err = (self._folder / f"{kind}{self._number}" for kind in ("out", "err"))
        request = {"arguments": list(map(str, arguments)), "out": str(out), "err": str(err)}
        more = {"settings": settings or {}, "environment": dict(os.environ), "folder": os.getcwd()}
        return Running(self._ask({**request, **more}), out, err)

    def wait(self, running: Running) -> Done:
        """The status and outputs of a command; the status is negative if a signal has ended it."""
        status = self._ask({"wait": running.pid})
        return Done(status, running.out.read_text(), running.err.read_text())

    def run(self, *arguments: object, settings: dict[str, Any] | None = None) -> Done:
        return self.wait(self.start(*arguments, settings=settings))

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(request) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


@contextmanager
def forking(folder: Path) -> Iterator[Forks]:
    """A process that starts commands; their outputs are in ``folder``."""
    command = [sys.executable, "-c", _CODE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as parent:  # type: ignore[call-overload]
        try:
            yield Forks(parent, folder)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
            parent.wait(20)
