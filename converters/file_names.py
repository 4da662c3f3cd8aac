"""Names of videos as file names: readable where they can be, reversible always.

A ``frame_dir`` is data and may hold anything. What is not plainly safe becomes ``%`` and two hexadecimal digits for
each byte of its UTF-8 form, as in a URL (RFC 3986, section 2.1).
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(rb"[^A-Za-z0-9_\-.]")
_MAX_BYTES = 240


def escaped(name: str) -> str:
    """The name as a file name without directories. Of ``A-Z a-z 0-9 _ - .`` only, no dot first, it stays."""
    text = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], name.encode("utf-8", "surrogatepass")).decode("ascii")
    return "%2E" + text[1:] if text.startswith(".") else text or "%"


def unescaped(file_name: str) -> str:
    """The name that ``escaped`` was given."""
    data = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), file_name.encode("ascii"))
    return "" if data == b"%" else data.decode("utf-8", "surrogatepass")


def is_too_long(file_name: str) -> bool:
    """Whether file systems refuse a name of that length."""
    return len(file_name) > _MAX_BYTES
