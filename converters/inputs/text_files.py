"""Descriptions of text files that no dialect reads: JSON, CSV, numbers, .skeleton files, web pages.

The functions return the rest of a sentence that begins with the path of the file: ``is …: …``.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from pathlib import Path

from converters.inputs.signatures import CSV_COLUMNS, JSON_TOOLS, NOT_READ, OWN_DATA
from skelstore.format.files import open_regular
from skelstore.wording import kind_of, shown_names

_MOST_PARSED = 1 << 20
"""Bytes of JSON up to which a file is parsed to say why it is no JSON, or what it holds."""
_TAIL = 256
"""Bytes of the end of a longer JSON file that are read."""

_SKELETON_TEXT = re.compile(rb"\d{1,6}\s*\n(0\s*\n)*\d{1,2}\s*\n\d+( \S+){9}\s*\n(\d{1,2})\s*\n")
_UAV_NAME = re.compile(r"P\d{3}S\d{2}G\d{2}B\d{2}H\d{2}UC\d{6}LC\d{6}A\d{3}R\d_\d+")
_UAV_JOINTS = b"17"
_KEYS_OF_JSON = re.compile(rb'"([A-Za-z_0-9]{1,40})"\s*:')
_NUMBERS = re.compile(rb"[-+.\deE \t]+\r?\n")
_PKU_NUMBERS = 2 * 25 * 3
_LEAST_YOLO = 5 + 2 * 5
"""Numbers of a line of YOLO-pose with five joints: class, box, joints."""
_MOST_FRACTION = 2.0
"""A larger number is no fraction of an image."""


def describe_text(path: Path, head: bytes) -> str:
    """What a text file is that begins with ``head``, which has no control characters."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.lower().startswith((b"<!doctype", b"<html", b"<head")):
        return "is a web page, perhaps an error page of the download: get the file itself"
    if text.startswith(b"<?xml"):
        return f"is XML, {NOT_READ}"
    if text.startswith((b"{", b"[")):
        return describe_json(path, text)
    skeleton = _SKELETON_TEXT.match(text)
    if _UAV_NAME.match(path.name) or (skeleton and skeleton[3] == _UAV_JOINTS):
        return "is a file of UAV-Human: convert the folder that it is in with --from uav-human"
    if path.suffix.lower() == ".skeleton" or skeleton:
        return "is a .skeleton file of NTU RGB+D: convert the folder that it is in (docs/sources_ntu.md)"
    if _is_csv(path, text):
        return _describe_csv(text)
    if _NUMBERS.match(text):
        return _describe_numbers(text)
    return "is a text file; expected a pickle, or a folder of pickles, arrays or .skeleton files"


# --- JSON


def describe_json(path: Path, head: bytes) -> str:
    """What a JSON file is that begins with ``head``, or why it is none. Raises OSError if it cannot be read."""
    keys = {key.decode() for key in _KEYS_OF_JSON.findall(head)}
    tool = next((tool for tool in JSON_TOOLS if tool.keys <= keys), None)
    what = f"is JSON{f' of {tool.name}' if tool else ''}"
    if (fault := _fault_of_json(path)) is not None:
        return f"{what}, but {fault}"
    return f"{what}{tool.remedy if tool else f' with {_top_of_json(path)}, of no tool that is known, {NOT_READ}'}"


def _fault_of_json(path: Path) -> str | None:
    """Why a file is not valid JSON, and what to do; None if no fault is found. A large file is not parsed."""
    size = path.stat().st_size
    if size > _MOST_PARSED:
        end = _bytes(path, size - _TAIL, _TAIL).rstrip()[-1:]
        return None if end in (b"}", b"]") else "it is not complete: it does not end with ] or }; write it again"
    try:
        json.loads(_bytes(path, 0, _MOST_PARSED).removeprefix(codecs.BOM_UTF8))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1:
            return "it has several values, one per line (JSON Lines): join them in one list"
        where = f"line {error.lineno:,}, column {error.colno:,}"
        return f"it is not valid, or not complete ({error.msg}, {where}): write it again"
    except UnicodeDecodeError:
        return "it is not text in UTF-8: save it in UTF-8"
    except (ValueError, RecursionError):
        return "its numbers are too long or its lists too deeply nested: it is no data of a pose estimator"
    return None


def _top_of_json(path: Path) -> str:
    """What a valid JSON file holds, by its outermost values."""
    if path.stat().st_size > _MOST_PARSED:
        return "much data"
    value = json.loads(_bytes(path, 0, _MOST_PARSED).removeprefix(codecs.BOM_UTF8))
    if isinstance(value, dict):
        return f"the keys {shown_names(value, 6)}"
    if not value:
        return "an empty list"
    if isinstance(value[0], dict):
        return f"a list of dicts with the keys {shown_names(value[0], 6)}"
    return f"a list whose first element is {kind_of(value[0])}"


def _bytes(path: Path, start: int, count: int) -> bytes:
    with open(path, "rb", opener=open_regular) as file:
        file.seek(start, os.SEEK_SET)
        return file.read(count)


# --- tables and numbers


def _is_csv(path: Path, text: bytes) -> bool:
    """Whether the suffix says so, or the first two lines have the same number of commas, semicolons or tabs."""
    if path.suffix.lower() in (".csv", ".tsv"):
        return True
    first, _, rest = text.partition(b"\n")
    second = rest.partition(b"\n")[0]
    return any(first.count(mark) and first.count(mark) == second.count(mark) for mark in (b",", b";")) or (
        b"\t" in first and first.count(b"\t") == second.count(b"\t") and not _NUMBERS.match(text)
    )


def _describe_csv(text: bytes) -> str:
    first = text.splitlines()[0].decode("utf-8", "replace") if text else ""
    for columns, sentence in CSV_COLUMNS:
        if columns.match(first):
            return sentence
    names = [name.strip(" \"'") for name in re.split("[,;\t]", first)]
    return (
        f"is a CSV file with the columns {shown_names(names, 6)}: if it lists videos, convert their folder and pass it "
        f"with --table; if it holds joints, {OWN_DATA} (docs/own_data.md)"
    )


def _describe_numbers(text: bytes) -> str:
    first = text.split(b"\n", 1)[0].split()
    if len(first) == _PKU_NUMBERS:
        return f"is a text file of {_PKU_NUMBERS} numbers per line, 2 persons of 25 joints as in PKU-MMD, {NOT_READ}"
    if len(first) >= _LEAST_YOLO and first[0].isdigit() and all(map(_is_fraction, first[1:-1])):
        return "is a text file of YOLO-pose, or like one: convert the folder that it is in with --from yolo-pose"
    return f"is a text file of numbers, {NOT_READ}"


def _is_fraction(number: bytes) -> bool:
    try:
        return abs(float(number)) <= _MOST_FRACTION
    except ValueError:
        return False
