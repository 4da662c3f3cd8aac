"""Calling functions in new interpreters, so that measurements do not depend on what ran before.

``python -m converters.bench.fresh MODULE:FUNCTION ARGUMENTS`` prints the result as JSON; ARGUMENTS is a JSON object.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def start(function: Callable[..., Any], **arguments: Any) -> subprocess.Popen[str]:
    """Start a new process that calls a function of a module with arguments that JSON can represent.

    The function may wait in ``wait_for_go``; ``result`` lets it continue.
    """
    return start_with({}, function, **arguments)


def start_with(environment: Mapping[str, str], function: Callable[..., Any], **arguments: Any) -> subprocess.Popen[str]:
    """`start` with additional environment variables."""
    name = f"{function.__module__}:{function.__name__}"
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "converters.bench.fresh", name, json.dumps(arguments, default=str)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the result of the function. Raises RuntimeError if it failed; the reason is on standard error."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed with status {process.returncode}")
    returned: dict[str, Any] = json.loads(output.splitlines()[-1])
    return returned


def run(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Call a function in a new process and return its result, a dict that JSON can represent."""
    return result(start(function, **arguments))


def wait_for_go() -> None:
    """In the new process: report to the parent that this process is ready, and wait until all processes are."""
    print("ready", flush=True)
    sys.stdin.readline()


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Release processes that wait in ``wait_for_go``, all at the same time."""
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def questions() -> Iterator[Any]:
    """In the new process: what the parent asks, until it waits for the result."""
    yield from map(json.loads, sys.stdin)


def reply(value: Any) -> None:
    """In the new process: answer a question, or report something that the parent waits for."""
    print(json.dumps(value), flush=True)


def answer(process: subprocess.Popen[str], question: Any = None) -> Any:
    """Send a line of JSON to the function, if there is a question, and return the next line that it prints, parsed.

    Raises RuntimeError if the process has ended.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    if question is not None:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended early")
    return json.loads(line)


def main() -> None:
    module, function = sys.argv[1].split(":")
    call = getattr(importlib.import_module(module), function)
    print(json.dumps(call(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
