"""Downloading the files of a command that are at URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.cli.printing import say
from converters.cli.progress import download_progress
from converters.online.location import is_store
from skelstore.errors import SourceError
from skelstore.remote.cache import CachedFile
from skelstore.remote.url import Url
from skelstore.wording import counted


def fetched(file: Path | Url, sha256: str | None = None) -> Path | CachedFile:
    """The file itself, or what was downloaded from its URL. Raises as ``skelstore.remote.downloads.download`` does."""
    if not isinstance(file, Url):
        if sha256 is not None:
            raise SourceError(f"{file} is a local path; --sha256 goes with the URL of a file")
        return file
    from skelstore.remote.downloads import download  # only here: local files need no HTTP

    with download_progress(f"downloading {file.name}") as report:
        found = download(file, sha256=sha256, report=report)
    verb = "downloaded" if found.downloaded else "in the cache"
    say(f"{verb}: {file}, {counted(found.size, 'byte')}, sha256 {found.sha256}")
    return found


def fetched_unless_store(
    file: Path | Url, dialect: str | None, options: dict[str, Any]
) -> tuple[Path | Url | CachedFile, dict[str, Any]]:
    """A source and its options as ``fetched`` and ``fetched_options`` return them; a store as it is.

    ``options`` are those of a source that are given: with one of them, or a dialect, a URL is not that of a store.
    """
    if dialect is None and not options and is_store(file):
        return file, options
    return fetched(file), fetched_options(options)


def fetched_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a source, with the files that were downloaded in place of their URLs."""
    return {name: fetched(value) if isinstance(value, Url) else value for name, value in options.items()}
