"""The work of the command draw."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import skelstore
from converters.cli.printing import say, show
from converters.drawing import draw_file, kind_of_file, parse_frames, parse_persons, terminal_lines
from converters.showing import located
from skelstore.drawing.scene import Options
from skelstore.errors import SkelstoreError
from skelstore.remote.url import Url
from skelstore.wording import Lines

T = TypeVar("T")


def draw_command(
    store: Path | Url,
    key: str | None,
    out: Path,
    frames: str | None,
    persons: str | None,
    force: bool,
    **options: Any,
) -> None:
    for option, value in (("--scale", options["scale"]), ("--fps", options["rate"])):
        if value is not None and not math.isfinite(value):
            raise click.BadParameter(f"{value} is not a number; expected one, such as 2", param_hint=repr(option))
    selected = None if frames is None else _parse(parse_frames, frames, "--frames")
    only = None if persons is None else _parse(parse_persons, persons, "--persons")
    if str(out) != "-":
        _parse(kind_of_file, out, "--output")
        with skelstore.open(store) as opened:
            position = located(opened, key)
            notes = draw_file(opened, position, out, selected, Options(persons=only, **options), force=force)
        show(str(out))
        for note in notes:
            say(f"note: {note}")
        return
    if any(value is not None for value in options.values()):
        raise click.UsageError("-o - draws in the terminal: --scale, --fps, --heatmap and --video are for files")
    size = shutil.get_terminal_size()
    with skelstore.open(store) as opened:
        lines = terminal_lines(
            opened,
            located(opened, key),
            selected,
            (size.columns, size.lines),
            coloured=sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
            braille=_has_unicode(),
            persons=only,
        )
    show(Lines("\n".join(lines)))


def _has_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")


def _parse(parse: Callable[[Any], T], value: object, option: str) -> T:
    """The value of an option. Raises BadParameter if it is invalid."""
    try:
        return parse(value)
    except SkelstoreError as error:
        raise click.BadParameter(str(error), param_hint=repr(option)) from None
