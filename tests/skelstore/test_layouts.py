"""Annotations shredded and assembled again, without a file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import StoreError, UnsupportedValueError
from skelstore.format import layouts, values
from skelstore.format.layouts import Assembler, Shredder
from skelstore.format.schema import Annotation
from tests.support import strategies
from tests.support.exact import assert_exact
from tests.support.processes import run_python


def reassembled(annotations: list[Annotation]) -> tuple[list[Annotation], Shredder]:
    """Pass annotations through a Shredder and an Assembler, with dicts for the columns and arrays of a store."""
    shredder = Shredder()
    rows = [shredder.shred(annotation) for annotation in annotations]
    columns: dict[Any, dict[int, Any]] = {}
    for row, shredded in enumerate(rows):
        for target, leaf in zip(shredded.targets, shredded.leaves, strict=True):
            columns.setdefault(target, {})[row] = leaf

    def column(target: int) -> Any:
        held = columns.get(target, {})
        if target >= 0 and shredder.columns[target].type == "json":
            return lambda row: values.decode(values.loads(held[row]))
        return held.__getitem__

    assembler = Assembler(
        values.loads(values.dumps(shredder.layouts)),
        {number: column(number) for number in range(len(shredder.columns))},  # type: ignore[misc]
        {number: column(~number) for number in range(len(shredder.fields))},  # type: ignore[misc]
    )
    found = [assembler.annotation(shredded.layout, row) for row, shredded in enumerate(rows)]
    for row, shredded in enumerate(rows):
        entries = assembler.entries(shredded.layout, row)
        assert_exact({key: read(row) for key, read in entries.items()}, annotations[row], "entries")
    return found, shredder


@given(strategies.annotation_lists())
def test_any_annotations_round_trip(annotations: list[Annotation]) -> None:
    found, shredder = reassembled(annotations)
    assert_exact(found, annotations)
    for field in shredder.fields:
        assert 0 <= field.ragged <= 64
        row_bytes = math.prod(field.trailing) * np.dtype(field.dtype).itemsize
        assert 0 < row_bytes <= 1 << 20, "a row of an array must have at least one byte, and not too many"


@settings(max_examples=20)
@given(annotations=strategies.annotation_lists(), limit=st.integers(0, 3))
def test_any_annotations_round_trip_with_too_many_structures(annotations: list[Annotation], limit: int) -> None:
    for name in ("MAX_LAYOUTS", "MAX_COLUMNS", "MAX_FIELDS", "MAX_VARIANTS"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layouts, name, limit)
            found, shredder = reassembled(annotations)
            assert_exact(found, annotations)
            if name == "MAX_LAYOUTS":
                assert len(shredder.layouts) <= limit + 1


@given(strategies.annotation_lists())
def test_an_array_is_stored_as_rows_of_its_field(annotations: list[Annotation]) -> None:
    shredder = Shredder()
    for annotation in annotations:
        shredded = shredder.shred(annotation)
        for target, leaf in zip(shredded.targets, shredded.leaves, strict=True):
            if target < 0:
                field = shredder.fields[~target]
                assert leaf.dtype.str == field.dtype
                assert leaf.shape[field.ragged :] == field.trailing
            else:
                assert not isinstance(leaf, np.ndarray)


def test_videos_of_one_structure_have_one_layout_whatever_their_values_and_lengths() -> None:
    annotations = [
        {
            "frame_dir": f"v{i}",
            "label": i,
            "img_shape": (i, 2 * i),
            "keypoint": np.zeros((i % 3, i, 17, 2), np.float16),
            "keypoint_score": np.zeros((i % 3, i, 17), np.float16),
            "valid": {0.5: i, 0.6: 0},
            "nothing": None,
        }
        for i in range(20)
    ]
    _, shredder = reassembled(annotations)
    assert len(shredder.layouts) == 1
    assert [column.path for column in shredder.columns] == [
        ("frame_dir",),
        ("label",),
        ("img_shape", 0),
        ("img_shape", 1),
        ("valid", 0.5),
        ("valid", 0.6),
    ]
    assert [(values.loads(field.path), field.ragged, field.trailing) for field in shredder.fields] == [
        (["keypoint"], 2, (17, 2)),
        (["keypoint_score"], 2, (17,)),
    ]


@pytest.mark.parametrize(
    ("key", "shape", "ragged"),
    [
        ("keypoint", (2, 30, 17, 2), 2),
        ("keypoint", (500, 17, 3), 1),
        ("keypoint", (17, 2), 0),
        ("keypoint", (7,), 0),
        ("keypoint", (), 0),
        ("keypoint_score", (2, 30, 17), 2),
        ("keypoint_score", (500, 17), 1),
        ("frame_inds", (500,), 1),
        ("frame_inds", (5, 6, 7), 3),
        ("box_score", (500,), 1),
        ("bbox", (500, 4), 1),
        ("other", (2, 30, 17), 2),
        ("other", (2, 30, 5, 6, 7), 2),
        ("other", (), 0),
        ("keypoint", (2, 30, 0, 2), 4),
        ("other", (3, 0), 2),
        ("other", (1, 1, 1 << 21), 3),
    ],
)
def test_the_ragged_axes_of_an_array(key: str, shape: tuple[int, ...], ragged: int) -> None:
    shredder = Shredder()
    shredder.shred({key: np.zeros(shape, np.uint8)})
    assert shredder.fields[0].ragged == ragged
    assert shredder.fields[0].trailing == shape[ragged:]


@pytest.mark.parametrize(
    "keys", [[1, 1.0, True], [0.0, -0.0], [b"a", "a"], [math.inf, -math.inf], [2**64, float(2**64)], [0, False]]
)
def test_keys_that_are_equal_in_python_are_distinguished(keys: list[Any]) -> None:
    annotations = [{key: np.full(2, i)} for i, key in enumerate(keys)] + [{key: i} for i, key in enumerate(keys)]
    found, shredder = reassembled(annotations)
    assert_exact(found, annotations)
    assert len(shredder.fields) == len(keys)
    assert len(set(shredder.fields)) == len(keys)


def test_a_refused_annotation_changes_nothing() -> None:
    shredder = Shredder()
    with pytest.raises(UnsupportedValueError) as caught:
        shredder.shred({"a": 1, "x": np.zeros(3), "b": {"c": [object()]}})
    assert caught.value.place == ".b.c[0]"
    assert (shredder.layouts, shredder.columns, shredder.fields) == ([], [], [])
    for nonsense in (None, [], "a", 3, np.zeros(2), type("Sub", (dict,), {})()):
        with pytest.raises(UnsupportedValueError, match="expected a dict"):
            shredder.shred(nonsense)  # type: ignore[arg-type]


@given(container=st.sampled_from(["list", "dict", "tuple", "top"]), value=strategies.refused_values())
def test_a_refused_value_is_refused_at_any_depth(container: str, value: Any) -> None:
    annotation = {
        "list": {"frame_dir": "a", "x": [1, value]},
        "dict": {"frame_dir": "a", "x": {"y": value}},
        "tuple": {"frame_dir": "a", "x": (1, value)},
        "top": {"frame_dir": "a", "x": value},
    }[container]
    with pytest.raises(UnsupportedValueError) as caught:
        Shredder().shred(annotation)
    assert caught.value.place == {"list": ".x[1]", "dict": ".x.y", "tuple": ".x[1]", "top": ".x"}[container]


@pytest.mark.parametrize(
    "node",
    [
        None,
        1,
        {},
        {"column": 99},
        {"field": 99},
        {"column": [1]},
        {"value": {"unknown": 1}},
        {"tuple": 5},
        {"dict": [[["unhashable"], {"value": None}]]},
        {"dict": [["a"]]},
        {"dict": 5},
        {"other": 1},
        {"tuple": [{"column": 99}]},
    ],
)
def test_a_layout_outside_the_format_is_a_store_error(node: Any) -> None:
    with pytest.raises(StoreError, match=r"layout|stored value"):
        Assembler([node], {}, {})


@pytest.mark.parametrize("kind", ["tuple", "dict"])
@pytest.mark.parametrize("bottom", [{"value": None}, {"column": "none"}])
@pytest.mark.parametrize("depth", [200, 5000])
def test_a_deeply_nested_layout_is_a_store_error(kind: str, bottom: Any, depth: int) -> None:
    """In another process: a message that quotes that of each level below would grow without bound."""
    code = f"""if True:
        from skelstore import StoreError
        from skelstore.format.layouts import Assembler
        node = {bottom!r}
        for _ in range({depth}):
            node = {{"tuple": [node]}} if {kind!r} == "tuple" else {{"dict": [["a", node]]}}
        try:
            Assembler([node], {{}}, {{}})
        except StoreError as error:
            assert len(str(error)) < 1000, len(str(error))
            print("refused")
    """
    done = run_python(code, timeout=20)
    assert done.stdout == "refused\n", done.stderr
