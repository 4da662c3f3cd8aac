"""When a request is tried again, and after which pause."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

TRIES = 5
"""Maximum number of attempts for one request."""

LONGEST_PAUSE = 60.0
"""Seconds that ``Retry-After`` is heeded for. A server that asks for more is given up at once."""

FIRST_PAUSE = 0.2
"""Seconds before the second attempt, doubled for each further one, and varied by half of it either way."""

BUSY = frozenset((429, 503))
"""Status codes of a server that asks to come back later."""

TEMPORARY = frozenset((408, 500, 502, 504)) | BUSY
"""Status codes after which the same request may succeed."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After``, a number or a date (RFC 9110, 10.2.3); None without a valid one."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def pause_before(attempt: int, asked: float | None) -> float:
    """Seconds to wait before an attempt (2 is the first repetition), if the server has ``asked`` for some or not.

    They vary, so that many workers that failed together do not come back together.
    """
    varied: float = FIRST_PAUSE * 2 ** (attempt - 2) * random.uniform(0.5, 1.5)
    return varied if asked is None else asked + min(varied, 1.0)
