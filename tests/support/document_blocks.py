"""Run the fenced code blocks of a document in order, as its reader would."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support import processes
from tests.support.repository import REPOSITORY

NOT_RUN = ("pip install ", "git clone ")
"""Beginnings of commands that documents may show and that are not run here."""


class Block(NamedTuple):
    line: int
    language: str
    text: str
    needs: str = ""


def blocks(document: str) -> list[Block]:
    """The fenced code blocks of a document."""
    text = (REPOSITORY / document).read_text()
    assert text.count("```") % 2 == 0
    found = re.finditer(r"^```(\w*) ?(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("\n```") % 2 == 0
    return [Block(text.count("\n", 0, match.start()) + 2, match[1], match[3], match[2]) for match in found]


def commands(block: Block) -> Iterator[str]:
    """The commands of a block; in a console block, those after a prompt."""
    for line in block.text.splitlines():
        if block.language == "sh" and line and not line.startswith("#"):
            yield line
        elif block.language == "console" and line.startswith("$ "):
            yield line.removeprefix("$ ")


def check_blocks(document: str, *frameworks: str) -> dict[str, Any]:
    """Run the blocks of a document that need one of these frameworks in one namespace, and return it."""
    namespace: dict[str, Any] = {"__name__": "document"}
    for block in (block for block in blocks(document) if block.needs in frameworks):
        place = f"{document}:{block.line}"
        assert block.language, f"{place}: a block without a language"
        if block.language == "python":
            padding = "\n" * (block.line - 1)  # so that a traceback names the line of the document
            exec(compile(padding + block.text, str(REPOSITORY / document), "exec"), namespace)
        elif block.language == "json":
            json.loads(block.text)
        for command in commands(block):
            run(command, place)
    return namespace


def run(command: str, place: str) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), f"{place}: {command}"
    elif program == "skelstore" and arguments[0] == "view":
        status, err = processes.run_until_interrupted([processes.COMMAND, *arguments], "http://")
        assert (status, err.strip()) == (130, "interrupted"), f"{place}: {command}: {err}"
    elif program == "skelstore":
        done = processes.run([processes.COMMAND, *arguments])
        assert done.status == 0, f"{place}: {command}: {done.err}"
    else:
        assert command.startswith(NOT_RUN), f"{place}: {command} is neither run nor known"
