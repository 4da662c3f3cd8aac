"""What servers send in place of a file: web pages, forms to log in, pointers of Git LFS."""

from __future__ import annotations

import html
import re

from skelstore.wording import counted, shown

HEAD_BYTES = 64 << 10
"""Bytes of the beginning of a file that are looked at."""

_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,400})", re.IGNORECASE)
_PASSWORD = re.compile(rb"<input[^>]{0,400}type\s*=\s*[\"']?password", re.IGNORECASE)
_LOGIN = re.compile(r"\b(log|sign)[ -]?in\b|\blogin\b|登录|登入", re.IGNORECASE)
_POINTER = re.compile(rb"version https://git-lfs[^\n]{0,100}\n(?:[^\n]{0,200}\n)*?size (\d{1,18})\r?\n")
_LONGEST_TITLE = 80


def describe_page(head: bytes, content_type: str, path: str) -> str | None:
    """What a file is that begins with ``head`` if it is a stand-in for another; else None.

    It is the rest of a sentence that begins with the URL: ``is a web page …: …``. ``content_type`` is the header that
    came with it, ``path`` that of the URL.
    """
    if pointer := _POINTER.match(head):
        return (
            f"is a pointer of Git LFS to a file of {counted(int(pointer[1]), 'byte')}, not the file: give the address "
            "of the file itself, on GitHub https://media.githubusercontent.com/media/OWNER/NAME/BRANCH/PATH"
        )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_page = text[:20].lower().startswith(_BEGINNINGS)
    if not is_page and not (content_type.lower().startswith("text/html") and text.startswith(b"<")):
        return None
    found = _TITLE.search(text)
    title = " ".join(html.unescape(found[1].decode("utf-8", "replace")).split()) if found else ""
    named = f" ({shown(title[:_LONGEST_TITLE])})" if title else ""
    if _PASSWORD.search(text) or _LOGIN.search(title):
        return (
            f"is a web page{named} that asks for a login, not a file: download the file with a browser, and give its "
            "path here"
        )
    if "/blob/" in path:
        return f"is a web page{named} about a file: write /raw/ (GitHub) or /resolve/ (the hub) in place of /blob/"
    return f"is a web page{named}, not a file: give the address that its download link has"
