"""Arrow files: those of the format are read exactly, everything else is refused before it is unpacked."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore.errors import StoreError
from skelstore.format.arrow_file import load_table
from skelstore.format.columns import ARROW_TYPES
from tests.support import hostile_stores
from tests.support.small_store import made, table_bytes

TYPES = [*dict.fromkeys(ARROW_TYPES.values()), pa.large_list(pa.large_utf8())]


@given(st.lists(st.sampled_from(TYPES), min_size=1, max_size=6), st.integers(0, 40))
@settings(max_examples=50)
def test_any_table_of_the_types_of_the_format_is_read(types: list[pa.DataType], rows: int) -> None:
    table = pa.table({f"é{i}": pa.nulls(rows, kind) for i, kind in enumerate(types)})
    assert load_table(pa.py_buffer(table_bytes(table))).equals(table)


def test_the_tables_of_a_store_are_read() -> None:
    for key, data in made("default").items():
        if key.endswith(".arrow"):
            assert load_table(pa.py_buffer(data)).equals(pa.ipc.open_file(data).read_all())


def refused(files: dict[str, bytes]) -> list[str]:
    """The error of a table that is refused before any of its columns is read."""
    said = []
    for key, data in files.items():
        if key.endswith(".arrow") and data != made("default", first=3, stop=6)[key]:
            with mock.patch.object(pa.ipc, "open_file", None), pytest.raises(StoreError) as error:
                load_table(pa.py_buffer(data))
            said.append(str(error.value))
    return said


def test_tables_that_take_more_than_their_bytes_are_refused_unread() -> None:
    later = (" without ", " of int32", "a footer of 8 ")  # the reader, or Arrow, refuses it
    found = {
        title: refused(files) for title, files in hostile_stores.tables() if not any(part in title for part in later)
    }
    assert len(found) > 20
    for title, said in found.items():
        assert len(said) == 1, title
        assert len(said[0]) < 400, title
    assert "compressed" in found["videos compressed by zstd"][0]
    assert "dictionary-encoded" in found["a dictionary column"][0]
    assert "share bytes" in found["columns that share bytes"][0]


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_a_table_or_an_error_of_ours(seed: int) -> None:
    chance = random.Random(seed)
    data: Any = bytearray(made("default")["videos.arrow"])
    for _ in range(chance.choice((1, 2, 8))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    data = bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.2 else bytes(data)
    try:
        table = load_table(pa.py_buffer(data))
    except StoreError:
        return
    table.validate(full=True)
    assert len(table.to_pylist()) == len(table), "every cell can be read"
