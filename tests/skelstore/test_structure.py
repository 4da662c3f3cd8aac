"""The matcher of a structure accepts exactly the annotations in which tracing finds that structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstore import UnsupportedValueError
from skelstore.format.layouts import Shredder
from skelstore.format.schema import Annotation
from skelstore.format.structure import Structure, matcher, trace
from tests.support import strategies


def others(value: Any) -> Iterator[Any]:
    """Values that differ from a value in something that a hasty check could miss: type, range, key, dtype, axis."""
    if type(value) is dict:
        for at, (key, child) in enumerate(value.items()):
            entries = list(value.items())
            yield dict(entries[:at] + entries[at + 1 :])
            yield dict(entries[at:] + entries[:at])
            for other in others(key):
                if isinstance(other, (str, bytes, int, float)):
                    yield dict([*entries[:at], (other, child), *entries[at + 1 :]])
            for other in others(child):
                yield dict([*entries[:at], (key, other), *entries[at + 1 :]])
        yield value | {"one more": 1}
        yield type("Other", (dict,), {})(value)
    elif type(value) is tuple:
        for at in range(len(value)):
            for other in others(value[at]):
                yield (*value[:at], other, *value[at + 1 :])
        yield (*value, 1)
        yield list(value)
    elif isinstance(value, np.ndarray):
        value = np.zeros(value.shape, value.dtype)
        yield from (value[None], value.astype(np.int8), value.astype(np.float64), value.astype(">f4"), value.tolist())
        yield value.astype(np.dtype(value.dtype.str, metadata={"a": 1}))
        yield value.astype(complex)
        yield np.zeros((0,) * value.ndim, value.dtype)
        if value.ndim:
            yield np.concatenate([value, value])
            yield np.concatenate([value, value], axis=-1)
            yield value[..., :1]
            yield np.zeros(value.shape[1:], value.dtype)
    elif isinstance(value, (int, float)):
        yield from (int(value == 1), bool(value), float(value == 1), -0.0, 0.0, 2**63, -(2**63) - 1, np.int64(3), None)
        yield type("Other", (int,), {})(3)
    elif isinstance(value, str):
        yield from (
            str.__str__(value) + "\ud800",
            np.str_(value),
            str.__str__(value),
            value.encode(errors="ignore"),
            None,
        )
    else:
        yield from (None, 1, "a", np.float32(1), np.bool_(1), [1], (1,), {}, object())


def traced(annotation: Annotation) -> tuple[Structure | None, list[Any]]:
    """What ``trace`` returns; no structure if it refuses the annotation."""
    try:
        return trace(annotation)
    except UnsupportedValueError:
        return None, []


@given(found=strategies.annotation_lists(), seed=st.randoms(use_true_random=False))
def test_a_matcher_accepts_exactly_the_annotations_of_its_structure(found: list[Annotation], seed: Any) -> None:
    for annotation in found:
        structure, _ = trace(annotation)
        matches = matcher(structure)
        if matches is None:
            continue
        near = list(others(annotation))
        for other in [*found, *seed.sample(near, min(len(near), 60))]:
            expected, leaves = traced(other) if type(other) is dict else (None, [])
            taken: list[Any] = []
            assert matches(other, taken) is (expected == structure), other
            if expected == structure:
                assert list(map(id, taken)) == list(map(id, leaves))


@given(strategies.annotation_lists())
def test_an_annotation_is_shredded_alike_whether_or_not_its_structure_has_been_seen(found: list[Annotation]) -> None:
    """The second time, a matcher takes the annotations apart; the third, tracing."""
    shredder = Shredder()
    first = [shredder.shred(annotation) for annotation in found]
    second = [shredder.shred(annotation) for annotation in found]
    shredder._matchers.clear()
    third = [shredder.shred(annotation) for annotation in found]
    for one, two, three in zip(first, second, third, strict=True):
        assert one[:2] == two[:2] == three[:2]
        for a, b, c in zip(one.leaves, two.leaves, three.leaves, strict=True):
            assert (a is b is c) or a == b == c  # JSON cells are made anew


def test_usual_annotations_have_matchers() -> None:
    annotation = {
        "frame_dir": "a",
        "label": 3,
        "img_shape": (1080, 1920),
        "valid": {0.5: 3, 0.6: 1},
        "keypoint": np.zeros((1, 5, 17, 2), np.float16),
        "keypoint_score": np.zeros((1, 5, 17), np.float16),
        "box_score": np.zeros(5, np.float16),
        "ratio": np.float32(3),
        "nothing": None,
    }
    structure, leaves = trace(annotation)
    matches = matcher(structure)
    assert matches is not None
    taken: list[Any] = []
    assert matches(annotation, taken)
    assert list(map(id, taken)) == list(map(id, leaves))


@pytest.mark.parametrize(
    "annotation",
    [
        {"a": [1]},
        {"a": 2**63},
        {"a": "\ud800"},
        {"a": {0.0: 1}},
        {0.0: 1},
        {"a": np.zeros((3, 0))},
        {"a": np.zeros((1, 1, 1 << 18))},
        {("a" * 201): 1},
    ],
)
def test_a_structure_that_has_no_simple_check_has_no_matcher(annotation: Annotation) -> None:
    assert matcher(trace(annotation)[0]) is None
