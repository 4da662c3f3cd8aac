"""Fixtures that several tests of the converters use."""

from __future__ import annotations

import pytest

from converters.pickles import spans


@pytest.fixture
def indexed_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index a pickle in steps, however small it is."""
    monkeypatch.setattr(spans, "GROWTH_BYTES", 1)
