"""Sources whose files, or some of them, are downloaded from URLs."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from converters.conversion.source import Around, SkippedVideoError, Source
from converters.online.location import locate_source
from skelstore.errors import SkelstoreError, SourceError
from skelstore.format.schema import Annotation, Origin
from skelstore.format.values import Json
from skelstore.remote.cache import CachedFile, default_folder
from skelstore.remote.url import Url, parse_url


def fetch_file(file: object, sha256: str | None = None) -> CachedFile | None:
    """The copy in the cache of a file that is at a URL, or that has the name of a published one; None for others.

    Raises SourceError if ``sha256`` goes with a local file, and as ``skelstore.remote.downloads.download`` does.
    """
    if isinstance(file, CachedFile) or not isinstance(file, str | os.PathLike | Url):
        return file if isinstance(file, CachedFile) else None
    location = locate_source(file)
    if isinstance(location, Url):
        from skelstore.remote.downloads import download  # only here: local files need no HTTP

        return download(location, sha256=sha256)
    if sha256 is not None:
        raise SourceError(f"{location} is a local path; a SHA-256 goes with the URL of a file")
    return None


@contextmanager
def urls_in_messages(copies: Collection[CachedFile]) -> Iterator[None]:
    """Let errors that are raised in the block name the URLs of downloaded files, in place of paths in the cache."""
    try:
        yield
    except SkelstoreError as error:
        error.args = tuple(_with_urls(each, copies) if isinstance(each, str) else each for each in error.args)
        if isinstance(error, SkippedVideoError):
            error.reason = _with_urls(error.reason, copies)
        raise


def _with_urls(text: str, copies: Collection[CachedFile]) -> str:
    for copy in copies:
        text = text.replace(str(copy.path), copy.url)
    return text


class OnlineSource(Around):
    """A source with the record of where its files are from; its messages name their URLs.

    ``copies`` are the downloaded files by the option that they were given with, "source" for the source itself. They
    stay in the cache as long as this object exists. ``open_again`` opens the source with other copies of them.
    """

    def __init__(
        self,
        source: Source,
        copies: Mapping[str, CachedFile],
        open_again: Callable[[Mapping[str, CachedFile]], Source],
    ) -> None:
        super().__init__(source)
        self.dialect = source.dialect
        self._copies = dict(copies)
        if "source" in self._copies:
            self.path = parse_url(self._copies["source"].url)
        self._open_again = open_again

    @property
    def digests(self) -> Mapping[Path, str]:
        return {copy.path: copy.sha256 for copy in self._copies.values()}

    def here(self) -> Source:
        own = default_folder()  # a file in another folder may be evicted by those who use that folder
        if all(copy.path.is_relative_to(own) and copy.path.exists() for copy in self._copies.values()):
            return self
        from skelstore.remote.downloads import download

        copies = {option: download(parse_url(copy.url), sha256=copy.sha256) for option, copy in self._copies.items()}
        with urls_in_messages(copies.values()):
            return OnlineSource(self._open_again(copies), copies, self._open_again)

    def index_more(self) -> bool:
        with urls_in_messages(self._copies.values()):
            return super().index_more()

    def __len__(self) -> int:
        with urls_in_messages(self._copies.values()):
            return super().__len__()

    def video(self, index: int) -> tuple[Annotation, Origin | None]:
        with urls_in_messages(self._copies.values()):
            return super().video(index)

    def splits(self) -> dict[Any, Any]:
        with urls_in_messages(self._copies.values()):
            return super().splits()

    def in_order(self) -> str | None:
        reason = super().in_order()
        return None if reason is None else _with_urls(reason, self._copies.values())

    def description(self) -> dict[str, Json]:
        """As in the source, and ``downloaded``: the URL, without name, password and query, and SHA-256 of each file."""
        found: dict[str, Json] = {
            option: {"url": copy.url, "sha256": copy.sha256} for option, copy in self._copies.items()
        }
        with urls_in_messages(self._copies.values()):
            return {**super().description(), "downloaded": found}
