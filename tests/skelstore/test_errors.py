"""Errors: their text is one sentence on one line, unless PyTorch gives them the lines of a worker's traceback."""

from __future__ import annotations

import pickle

import pytest

from skelstore import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SkelstoreError)]


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_one_line(kind: type[errors.SkelstoreError]) -> None:
    for error in (kind("a\nb\x1b"), pickle.loads(pickle.dumps(kind("a\nb\x1b")))):
        assert str(error) == error.message == r"a\nb\x1b"
    assert str(kind()) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_lines_that_pytorch_gives_are_kept(kind: type[errors.SkelstoreError]) -> None:
    """torch/_utils.py does this with the text of an error of a worker; tests/torch tries it with PyTorch's code."""
    assert kind.message
    error = kind(message="Caught it.\nOriginal\x1b\n")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "Caught it.\nOriginal\\x1b"
