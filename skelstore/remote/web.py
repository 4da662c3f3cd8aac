"""Files on web servers: http and https. The query of the URL goes with every request."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from skelstore.remote.service import Service
from skelstore.remote.transport import Request
from skelstore.remote.url import Url


class WebFolder(Service):
    """A folder on a web server. A name and password in the URL are sent as HTTP's basic authentication."""

    @property
    def origin(self) -> str:
        return str(self.root.parent)

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        place: Url = self.root / key
        address = f"{place}?{place.query}" if place.query else str(place)
        if place.user:
            token = base64.b64encode(unquote(place.user).encode()).decode()
            headers = {**headers, "Authorization": f"Basic {token}"}
        return Request(method, address, headers, place, body)
