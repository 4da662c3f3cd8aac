"""A process that starts commands, for all tests of this folder: it has imported what they need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.forks import Forks, forking


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forking(tmp_path_factory.mktemp("forks")) as started:
        yield started
