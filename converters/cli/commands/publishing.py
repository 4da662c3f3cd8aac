"""Commands that copy whole stores to and from URLs."""

from __future__ import annotations

import click

from converters.cli import options
from converters.cli.command import Command
from converters.cli.paths import URL, argument

COMMANDS = (
    Command(
        "push",
        "publish_commands",
        """Publish STORE at URL.

        URL begins with s3://, gs://, az:// or hf://datasets/OWNER/NAME/, and has the path of the store. The root is
        written last, so an interrupted push leaves no store; run the same command again to send the rest. On the hub,
        a data card and a table for its viewer are put beside the store.
        """,
        [argument("store"), click.Argument(["url"], type=URL)],
        lambda: {
            "Output": [
                click.Option(
                    ["--force"],
                    is_flag=True,
                    help="Replace the store at URL: it is removed first, then the new one is sent.",
                )
            ]
        },
        (
            "skelstore push ntu60.zarr s3://bucket/ntu60.zarr",
            "skelstore push ntu60.zarr hf://datasets/me/skeletons/ntu60.zarr",
        ),
    ),
    Command(
        "pull",
        "publish_commands",
        """Copy the store at URL to STORE, the same in every byte.

        Every file is checked. To resume an interrupted copy, run the same command again.
        """,
        [click.Argument(["url"], type=URL), argument("store")],
        lambda: {"Output": [options.FORCE]},
        (
            "skelstore pull https://host/ntu60.zarr ntu60.zarr",
            "skelstore pull hf://datasets/me/skeletons@v1/ntu60.zarr ntu60.zarr",
        ),
    ),
)
