"""All commands of the command line."""

from __future__ import annotations

import click

from converters.cli import source_commands, store_commands


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look at, verify, merge, cut down, export."""


for _module in (source_commands, store_commands):
    for _command in _module.COMMANDS:
        cli.add_command(_command)
