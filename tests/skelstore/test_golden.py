"""Stores that were committed when a format version was released: every later version reads them as described."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from skelstore.format.schema import FORMAT_VERSION
from skelstore.read.verification import verify
from tests.skelstore.golden.make import DTYPES, FOLDER, SCALARS, description, make
from tests.support.contracts import check_store
from tests.support.exact import assert_exact

GOLDEN = ["v1-fast", "v1-default", "v1-small"]
"""One store per profile and released format version. Names are added here and never removed."""


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_store_reads_as_described(name: str) -> None:
    assert (FOLDER / name / "zarr.json").is_file(), f"{name} is missing: it must be committed, and never made again"
    annotations, splits = description()
    with skelstore.open(FOLDER / name, check="always") as store:
        assert store.profile == name.removeprefix("v1-")
        assert store.source == {"dialect": "golden", "version": 1}
        check_store(store, annotations, splits)
    assert verify(FOLDER / name, level="decode") == []


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_store_is_small_enough_to_be_committed(name: str) -> None:
    assert 0 < sum(file.stat().st_size for file in (FOLDER / name).rglob("*") if file.is_file()) < 75_000


def test_there_is_a_golden_store_of_the_current_version() -> None:
    assert any(name.startswith(f"v{FORMAT_VERSION}-") for name in GOLDEN)
    there = sorted(path.name for path in FOLDER.iterdir() if (path / "zarr.json").exists())
    assert there == sorted(GOLDEN)


def test_the_description_covers_what_matters() -> None:
    annotations, splits = description()
    assert sorted({array.dtype.str for array in leaves(annotations) if isinstance(array, np.ndarray)}) == sorted(DTYPES)
    kinds = {type(value) for value in leaves(annotations)}
    assert {type(None), bool, int, float, str, bytes, np.str_} <= kinds
    assert {np.dtype(name).type for name in SCALARS} <= kinds
    assert {} in annotations
    assert len(splits) == 6
    assert_exact(description(), (annotations, splits))  # including NaN: always the same


def leaves(value: Any) -> Iterator[Any]:
    """Everything in a value except containers."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    if children is None:
        yield value
    for child in children or ():
        yield from leaves(child)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_store_has_runs_over_chunks_and_shards(name: str) -> None:
    assert len(list((FOLDER / name / "keypoint").glob("c.*"))) >= 2, "one shard is too easy for a reader"


def test_stores_made_now_read_as_the_golden_stores_do(tmp_path: Path) -> None:
    for made in make(tmp_path):
        assert_exact(list(skelstore.open(made)), list(skelstore.open(FOLDER / made.name)))
        assert_exact(skelstore.open(made).splits, skelstore.open(FOLDER / made.name).splits)
    shutil.rmtree(tmp_path)
