"""The command line ``skelstore``: its commands, their options, and how far they are."""

from converters.cli.entry import main

__all__ = ["main"]
