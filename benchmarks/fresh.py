"""Functions called in fresh interpreters: what is measured there owes nothing to what ran before.

``python -m benchmarks.fresh MODULE:FUNCTION ARGUMENTS`` (ARGUMENTS a JSON object) prints the result as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


def start(function: str, **arguments: Any) -> subprocess.Popen[str]:
    """Call a function (``opening:open_store``, of this package) in a new process.

    It may wait for ``wait_for_go``; ``result`` lets it go on.
    """
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fresh", function, json.dumps(arguments, default=str)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the function gave. Raises RuntimeError if it failed; it told the reason on standard error."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(process.args[2:])} failed with status {process.returncode}")  # type: ignore[index]
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def run(function: str, **arguments: Any) -> dict[str, Any]:
    """Call a function in a new process and give its result."""
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
    call = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    print(json.dumps(call(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
