"""The fuzz targets accept their own seeds, so that a search without findings is meaningful."""

from __future__ import annotations

import contextlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.pickles import opcodes, spans
from converters.pickles.file import PickleFile
from converters.pickles.template import Template
from skelstore.errors import SourceError
from tests.fuzz import documents, pickles, stores, templates
from tests.support.reading_pickles import check_plain, check_same, check_templates, elements_so_far, everything
from tests.support.small_store import read_freely


@pytest.fixture
def inputs() -> pickles.Inputs:
    if not hasattr(pickles.os, "memfd_create"):
        pytest.skip("no memfd_create, which only Linux has")
    return pickles.Inputs()


def test_pickles(inputs: pickles.Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "GROWTH_BYTES", 1)
    found = list(pickles.seeds())
    assert len(found) > 200
    growing = by_templates = 0
    for seed in found:
        assert len(seed) <= pickles.MAX_BYTES
        pickles.check_pickle(seed, inputs)
        growing += _is_known_in_steps(inputs.path)
        by_templates += check_templates(inputs.path) > 0
    assert growing > 20
    assert by_templates > 30
    inputs.close()


def _is_known_in_steps(path: str) -> bool:
    with contextlib.suppress(SourceError), PickleFile(path, whole=False) as pickled:
        return len(list(elements_so_far(pickled))) > 0
    return False


def test_values_are_compared_with_the_pickle_module(inputs: pickles.Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with it can fail."""
    monkeypatch.setattr(pickles.DataUnpickler, "load", lambda self: {"split": {}, "annotations": []})
    with pytest.raises(AssertionError):
        pickles.check_pickle(pickles.small_sample(4), inputs)
    inputs.close()


@pytest.mark.parametrize(("data", "reader"), [(b"I010\n.", "DataUnpicklerInC"), (b"L5\n.", "DataUnpickler")])
def test_both_readers_of_the_pickle_module_are_compared(
    data: bytes, reader: str, inputs: pickles.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INT with a leading 0 is octal for the reader in C and invalid for the one in Python."""
    if reader == "DataUnpickler":
        monkeypatch.setattr(pickles.DataUnpickler, "load", lambda self: 8)
    for opcode in (opcodes.INT, opcodes.LONG):
        monkeypatch.setitem(opcodes.LINE_LITERALS, opcode, lambda line, offset: int(line))
    with pytest.raises(AssertionError):
        pickles.check_pickle(data, inputs)
    inputs.close()


def test_names_of_code_are_not_looked_up() -> None:
    for reader in (pickles.DataUnpickler, pickles.DataUnpicklerInC):
        for name in ((b"os", b"system"), (b"builtins", b"eval"), (b"numpy.core.multiarray", b"os.system")):
            with pytest.raises(pickle.UnpicklingError):
                reader(io.BytesIO(b"c%b\n%b\n." % name)).load()


def test_large_memo_indices_are_kept_from_the_c_reader() -> None:
    assert pickles.highest_slot(b"Nr\xff\xff\xff\xff.") > pickles.HIGHEST_SLOT
    assert pickles.highest_slot(b"Np99999999\n.") > pickles.HIGHEST_SLOT
    assert pickles.highest_slot(b"\xfe") > pickles.HIGHEST_SLOT
    assert all(pickles.highest_slot(pickles.small_sample(protocol)) < 100 for protocol in range(6))


@pytest.mark.parametrize("other", [[1], (1, 2), [1, 2.0], [1, True], [1, np.int64(2)], {1: 2}, [1, np.array(2)]])
def test_a_difference_is_found(other: object) -> None:
    with pytest.raises(AssertionError):
        check_same([1, 2], other)


def test_values_that_are_not_plain_are_found(tmp_path: Path) -> None:
    for value in ({1j}, [np.array([1j])], {(1,): 2}, [object()], [pickle]):
        with pytest.raises(AssertionError):
            check_plain(value)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1, (2, {"a": np.zeros(3)})]))
    assert [check_plain(value) for _, value in everything(tmp_path / "a.pkl")] == [True] * 3


@pytest.mark.parametrize("fault", ["value", "memo", "shared"])
def test_values_of_templates_are_compared_with_the_machine(
    fault: str, inputs: pickles.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Template.read

    def wrong(*arguments: Any) -> Any:
        result = read(*arguments)
        if result is None:
            return None
        value, memo, shared = result
        if fault == "value":
            return [value], memo, shared
        return value, {**memo, 1 << 40: "x"} if fault == "memo" else memo, shared + (fault == "shared")

    places = templates.places()
    monkeypatch.setattr(Template, "read", wrong)
    with pytest.raises(AssertionError):
        templates.check_input(places, bytes(2))
    if fault != "shared":  # a few bytes do not count
        inputs.put(next(templates.sources()))
        with pytest.raises(AssertionError):
            check_templates(inputs.path)
    inputs.close()


def test_templates() -> None:
    places = templates.places()
    found = list(templates.seeds())
    assert all(len(seed) <= templates.MAX_BYTES for seed in found)
    assert all(templates.check_input(places, seed) for seed in found)
    assert all(len(word) == templates.EDIT_BYTES for word in templates.words())


def test_documents() -> None:
    for seed in documents.seeds():
        assert len(seed) <= documents.MAX_BYTES
        documents.CHECKS[seed[0]](seed[1:])
        documents.check_document(seed[:-1])


def test_stores(tmp_path: Path) -> None:
    held = stores.Stores(tmp_path)
    opened: list[bool] = []
    for seed in held.seeds():
        assert len(seed) <= stores.MAX_BYTES
        held.check(seed, lambda path: opened.append(read_freely(path)))
    assert all(opened), "an unchanged store can be read, signed anew or not"
    _, key = held.places[0]
    held.check(bytes((0, 0)) + b"damage", lambda path: opened.append(read_freely(path)))
    assert not opened[-1] or key.startswith(("names", "splits", "keypoint/c"))
    held.check(next(held.seeds()))
