"""The pictures of the documents: all that ``make pictures`` and ``make figures`` make, and no others."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.documents import PLOT
from tests.support.document_pictures import DRAWN, ROWS, STRIP, strip, write_stores
from tests.support.repository import REPOSITORY

DOCUMENTS = REPOSITORY / "docs"
MADE = {STRIP, *DRAWN, Path(PLOT).name}
LARGEST = {".gif": 300_000, ".png": 300_000, ".svg": 150_000}
"""Bytes of a file: pictures are in the repository, and on the front page."""


def test_every_picture_is_there_and_is_made() -> None:
    found = {path.name for path in DOCUMENTS.iterdir() if path.suffix in LARGEST}
    assert found == MADE
    for name in MADE:
        path = DOCUMENTS / name
        assert 0 < path.stat().st_size < LARGEST[path.suffix], name


def test_pictures_of_documents_are_made() -> None:
    for document in [REPOSITORY / "README.md", *DOCUMENTS.glob("*.md")]:
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
            assert Path(target).name in MADE, f"{document.name}: {target}"
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def shape(text: str) -> list[tuple[str, str | None, str]]:
    """Tags, texts and colours of an svg, in order: what does not depend on the last digit of a number."""
    return [(element.tag, element.text, element.get("stroke", "")) for element in ET.fromstring(text).iter()]


def test_the_strip_is_that_of_the_sample_data(tmp_path: Path) -> None:
    write_stores(tmp_path)
    made, kept = strip(tmp_path), (DOCUMENTS / STRIP).read_text(encoding="utf-8")
    assert shape(made) == shape(kept)
    numbers, before = ([float(n) for n in re.findall(r"\d+\.\d", text)] for text in (made, kept))
    assert max(abs(one - other) for one, other in zip(numbers, before, strict=True)) < 1
    assert all(f">{title}</text>" in kept for title in ROWS)
    assert "<script" not in kept
