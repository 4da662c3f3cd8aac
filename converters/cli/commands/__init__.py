"""All commands of the command line: their arguments, options and examples. Other modules do their work."""

from __future__ import annotations

import click

from converters.cli.command import CommandGroup
from converters.cli.commands import changing, converting, looking, publishing

__all__ = ["cli"]


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look, check, merge, subset, export, publish."""


for command in (*converting.COMMANDS, *looking.COMMANDS, *changing.COMMANDS, *publishing.COMMANDS):
    cli.add_command(command)
