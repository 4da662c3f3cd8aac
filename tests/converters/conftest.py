"""Fixtures that several tests of the converters use."""

from __future__ import annotations

from typing import Any

import pytest

from converters.cli import entry
from converters.pickles import spans
from tests.support.processes import Done


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process, through ``main``, as the installed script does."""

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        status = 0
        try:
            entry.main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        captured = capfd.readouterr()
        return Done(status, captured.out, captured.err)

    return call


@pytest.fixture
def indexed_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index a pickle in steps, however small it is."""
    monkeypatch.setattr(spans, "GROWTH_BYTES", 1)
