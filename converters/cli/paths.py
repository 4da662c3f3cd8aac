"""Path arguments of commands: local paths. URLs are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converters.cli.command import loading
from skelstore.errors import StoreError


class _LocalPath(click.Path):
    """A path that is not a URL. Unreadable paths are reported by the code that opens them, as missing ones are."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        with loading():
            from skelstore.format.files import local_path
        try:
            local_path(value)
        except StoreError as error:
            raise click.BadParameter(str(error), context, parameter) from None
        return super().convert(value, parameter, context)


PATH = _LocalPath(path_type=Path, readable=False)
FILE = _LocalPath(path_type=Path, exists=True, dir_okay=False, readable=False)


def argument(name: str, *, required: bool = True) -> click.Argument:
    """An argument that is a path."""
    return click.Argument([name], type=PATH, required=required)
