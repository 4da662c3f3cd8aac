"""Files of data sets on the Hugging Face hub: ``hf://datasets/OWNER/NAME[@REVISION]/PATH``.

The URLs are those that https://huggingface.co/docs/hub documents: ``/datasets/OWNER/NAME/resolve/REVISION/PATH``, which
redirects to where the bytes are. ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_TOKEN_PATH`` and ``HF_HOME`` are those of
huggingface_hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from skelstore.errors import StoreError
from skelstore.remote.service import Service
from skelstore.remote.transport import Request
from skelstore.remote.url import Url, parse_endpoint

_PATH = re.compile(r"/([^/@]+)/([^/@]+)(?:@(refs/(?:convert|pr)/[^/]+|[^/]+))?((?:/.*)?)", re.DOTALL)


class HubDataset(Service):
    """A folder of a data set on the hub. The revision is ``main`` unless the URL states one."""

    def __init__(self, root: Url) -> None:
        super().__init__(root)
        match = _PATH.fullmatch(root.path)
        if root.host != "datasets" or match is None:
            raise StoreError(f"{root} is not a data set on the hub; expected hf://datasets/OWNER/NAME/PATH")
        self.repository = f"{match[1]}/{match[2]}"
        self.revision = unquote(match[3] or "main")
        self.folder = match[4].strip("/")
        self.endpoint = parse_endpoint(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", "HF_ENDPOINT")

    @property
    def origin(self) -> str:
        return f"{self.endpoint}/datasets/{self.repository}"

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        path = quote(f"{self.folder}/{key}".strip("/"))
        address = f"{self.origin}/resolve/{quote(self.revision, safe='')}/{path}"
        if self.root.query:
            address += f"?{self.root.query}"
        token = find_token()
        if token:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        return Request(method, address, headers, self.root / key, body)


def find_token() -> str:
    """The token for the hub, where huggingface_hub looks for it; empty if there is none."""
    token = os.environ.get("HF_TOKEN", "")
    if not token:
        home = os.environ.get("HF_HOME") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
        )
        try:
            token = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).read_text("utf-8")
        except (OSError, ValueError):
            return ""
    return "".join(token.split())
