"""Paths as the commands take them: local ones; a URL is answered as it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skelstore.errors import StoreError
from skelstore.format.files import local_path


class _LocalPath(click.Path):
    """A path that is no URL. What may not be read is told by whoever reads it, as what is not there is."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            local_path(value)
        except StoreError as error:
            raise click.BadParameter(str(error), context, parameter) from None
        return super().convert(value, parameter, context)


PATH = _LocalPath(path_type=Path, readable=False)
FILE = _LocalPath(path_type=Path, exists=True, dir_okay=False, readable=False)
