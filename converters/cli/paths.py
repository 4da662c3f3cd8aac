"""Path arguments of commands: local paths, and stores and sources, which may be at a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converters.cli.command import loading
from skelstore.errors import SourceError, StoreError


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


class _Store(_LocalPath):
    """A store: a folder, or a URL, which is passed on as one that shows no credentials."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        with loading():
            from skelstore.read.location import locate
            from skelstore.remote.url import Url
        if isinstance(value, Url):
            return value
        try:
            location = locate(value)
        except StoreError as error:
            raise click.BadParameter(str(error), context, parameter) from None
        return location if isinstance(location, Url) else super().convert(value, parameter, context)


class _Source(_LocalPath):
    """A source: a local path, a URL, or the name of a published data set, which is passed on as its URL."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        with loading():
            from converters.online.location import locate_source
            from skelstore.remote.url import Url
        try:
            location = locate_source(value)
        except SourceError as error:
            raise click.BadParameter(str(error), context, parameter) from None
        return location if isinstance(location, Url) else super().convert(value, parameter, context)


class _Url(click.ParamType[Any]):
    """The URL of a store, which shows no credentials."""

    name = "url"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        with loading():
            from skelstore.remote.url import Url, parse_url
        try:
            return value if isinstance(value, Url) else parse_url(value)
        except StoreError as error:
            self.fail(str(error), parameter, context)


URL = _Url()
STORE = _Store(path_type=Path, readable=False)
PATH = _LocalPath(path_type=Path, readable=False)
FILE = _LocalPath(path_type=Path, exists=True, dir_okay=False, readable=False)
SOURCE = _Source(path_type=Path, readable=False)
SOURCE_FILE = _Source(path_type=Path, exists=True, dir_okay=False, readable=False)


def store_argument() -> click.Argument:
    """The store that a command reads: a folder or a URL."""
    return click.Argument(["store"], type=STORE)


def argument(name: str, *, required: bool = True) -> click.Argument:
    """An argument that is a path."""
    return click.Argument([name], type=PATH, required=required)
