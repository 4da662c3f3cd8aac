"""The parameters of a request, and the errors that are answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from skelstore.errors import SkelstoreError
from skelstore.wording import closest, shown

_INTEGER = re.compile(r"-?[0-9]{1,15}")


class RequestError(SkelstoreError, ValueError):
    """A request that is answered with a sentence and a status of HTTP; ``code`` names cases that the page handles."""

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise RequestError if a parameter that was given is unknown."""
    expected = list(known)
    for name in given:
        if name not in expected:
            raise RequestError(
                f"the parameter {shown(name)} is unknown; expected {', '.join(expected) or 'none'}"
                f"{closest(name, expected)}"
            )


def text(parameters: Mapping[str, str], name: str) -> str | None:
    """A parameter, or None if it is absent or empty."""
    return parameters.get(name) or None


def integer(parameters: Mapping[str, str], name: str, default: Any = None, least: int = 0) -> Any:
    """A parameter as an int; ``default`` if it is absent or empty.

    Raises RequestError if it is not an integer, or below ``least``.
    """
    given = parameters.get(name)
    if not given:
        return default
    return _parse(name, given, least)


def required(parameters: Mapping[str, str], name: str) -> int:
    """A parameter as an int of at least 0. Raises RequestError if it is absent or something else."""
    if not (given := parameters.get(name)):
        raise RequestError(f"the parameter {name} is missing; expected an integer")
    return _parse(name, given, 0)


def integers(parameters: Mapping[str, str], name: str, most: int) -> list[int]:
    """A parameter such as ``3,17`` as ints of at least 0. Raises RequestError if it is something else or too long."""
    given = parameters.get(name, "")
    parts = given.split(",", most)
    if len(parts) > most:
        raise RequestError(f"the parameter {name} has more than {most} integers; ask for the rest separately")
    return [_parse(name, part, 0) for part in parts]


def _parse(name: str, given: str, least: int) -> int:
    if not _INTEGER.fullmatch(given) or int(given) < least:
        raise RequestError(f"the parameter {name} is {shown(given)}; expected an integer of at least {least}")
    return int(given)
