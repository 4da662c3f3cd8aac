"""Functions called in fresh interpreters: what is measured there owes nothing to what ran before.

``python -m converters.bench.fresh MODULE:FUNCTION ARGUMENTS`` (ARGUMENTS a JSON object) prints the result as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any


def start(function: Callable[..., Any], **arguments: Any) -> subprocess.Popen[str]:
    """Call a function of a module, with arguments that JSON holds, in a new process.

    It may wait for ``wait_for_go``; ``result`` lets it go on.
    """
    name = f"{function.__module__}:{function.__name__}"
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "converters.bench.fresh", name, json.dumps(arguments, default=str)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the function gave. Raises RuntimeError if it failed; it told the reason on standard error."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def run(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Call a function in a new process and give its result, a dict that JSON holds."""
    return result(start(function, **arguments))


def wait_for_go() -> None:
    """In the new process: tell the parent that we are ready, and wait until it has heard that from all."""
    print("ready", flush=True)
    sys.stdin.readline()


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Let processes that wait in ``wait_for_go`` go on at the same time."""
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def main() -> None:
    module, function = sys.argv[1].split(":")
    call = getattr(importlib.import_module(module), function)
    print(json.dumps(call(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
