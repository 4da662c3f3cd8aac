"""Where a source is: a path of this machine, a URL, or a published data set by its name (``pyskl:ntu60_hrnet``)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from converters.online.published import PUBLISHED, PUBLISHERS
from skelstore.errors import SourceError, StoreError
from skelstore.format.files import local_path
from skelstore.format.schema import ROOT_KEY
from skelstore.remote.url import Url, is_url, parse_url
from skelstore.wording import closest, shown

Location: TypeAlias = Path | Url

_NAME = re.compile(rf"({'|'.join(PUBLISHERS)}):.*", re.DOTALL)
_FILES = re.compile(r"\.(pkl|pickle|npy|npz|json|zip|skeleton|txt|slp|nwb|h5|csv|pose)", re.IGNORECASE)
"""The suffixes of the files that can be sources. A store has another one, or none."""


def locate_source(source: str | os.PathLike[str] | Url) -> Location:
    """The path or the URL of a source; a path that exists on this machine is that path, whatever it looks like.

    Raises SourceError if the URL cannot be that of a file, or if no published data set has the name.
    """
    if isinstance(source, Url):
        return source
    text = os.fspath(source)
    if _NAME.fullmatch(text) and not os.path.lexists(text):
        return parse_url(published_url(text))
    if is_url(text) and not os.path.lexists(text.partition("/")[0]):
        try:
            return parse_url(text)
        except StoreError as error:
            raise SourceError(str(error)) from None
    return local_path(source, SourceError)


def published_url(name: str) -> str:
    """The URL of a published data set. Raises SourceError if the name is not one of ``PUBLISHED``."""
    if name not in PUBLISHED:
        raise SourceError(
            f"{shown(name)} is not the name of a published data set, which `skelstore datasets` lists"
            f"{closest(name, PUBLISHED)}"
        )
    return PUBLISHED[name].url


def is_store(location: Location) -> bool:
    """Whether a place is that of a store: a folder with a root, or a URL that does not end as a file does."""
    if isinstance(location, Url):
        return _FILES.fullmatch(os.path.splitext(location.name)[1]) is None
    return Path(location, ROOT_KEY).is_file()
