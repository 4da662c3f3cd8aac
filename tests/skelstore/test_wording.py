"""Counted nouns are in the singular or the plural."""

from __future__ import annotations

from skelstore.wording import counted


def test_one_and_many() -> None:
    assert [counted(n, "video") for n in (0, 1, 2, 1234)] == ["0 videos", "1 video", "2 videos", "1,234 videos"]
    assert [counted(n, "video has", "videos have") for n in (1, 3)] == ["1 video has", "3 videos have"]
