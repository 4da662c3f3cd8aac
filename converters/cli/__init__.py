"""The command line ``skelstore``: its commands, their options, and their progress."""

from converters.cli.entry import main

__all__ = ["main"]
