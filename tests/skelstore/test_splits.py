"""``split``, ``select`` and names, on whole stores and on views, against definitions over plain Python values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from skelstore import AmbiguousVideoError, VideoNotFoundError
from tests.support.contracts import name_of, split_positions, write, written
from tests.support.exact import assert_exact
from tests.support.strategies import odd_ids

texts = st.sampled_from(["", "a", "b", "é", "a\0", "\ud800", "x\udfff", "1", "ab"])
identifiers = st.one_of(
    texts, texts, texts.map(np.str_), odd_ids, st.sampled_from([0, 1.0, False, b"", 2**70, 0.5, [1], ("a", "\ud800")])
)
annotations = st.fixed_dictionaries({}, optional={"frame_dir": identifiers, "filename": identifiers})
plain = st.fixed_dictionaries({"frame_dir": texts}, optional={"filename": texts})
ids = st.one_of(
    st.lists(texts, max_size=6),
    st.lists(identifiers, max_size=6),
    st.lists(identifiers, max_size=4).map(tuple),
    st.dictionaries(texts, st.none(), max_size=4),
    st.lists(st.integers(-1, 3), max_size=4).map(np.array),
)


@given(
    videos=st.one_of(st.lists(annotations, max_size=12), st.lists(plain, max_size=30)),
    splits=st.dictionaries(st.one_of(texts, st.sampled_from([1, True, 2.0, b"s"])), ids, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_a_split_has_the_videos_whose_identifier_is_in_the_set_of_its_ids(
    videos: list[dict[str, Any]], splits: dict[Any, Any], order: Any
) -> None:
    with written(videos, splits) as path, skelstore.open(path) as store:
        places = list(range(len(videos)))
        order.shuffle(places)
        for name, listed in splits.items():
            expected = split_positions(videos, listed)
            assert_exact(list(store.split(name)), [videos[i] for i in expected])
            inside = set(expected)
            assert_exact(
                list(store.at(places).split(name)), [videos[i] for i in places if i in inside], "a view in any order"
            )
            assert_exact(list(store[1::2].split(name)), [videos[i] for i in expected if i % 2], "a slice")
        assert_exact(store.splits, splits)


def test_a_split_is_found_without_the_lists_of_all_splits(tmp_path: Path) -> None:
    videos = [{"frame_dir": f"v{i}"} for i in range(9)]
    splits = {"a": ["v1", "v4", "v1", "none"], "b": (1, "v2")}
    with skelstore.open(write(tmp_path / "a.zarr", videos, splits)) as store:
        assert [store.split("a").name(i) for i in range(2)] == ["v1", "v4"]
        assert "'a' 4, 'b' 2" in repr(store)
        assert "splits" not in vars(store._reader)
        assert_exact(store.splits, splits)
        assert store.splits is store.splits


@given(
    videos=st.lists(st.one_of(plain, annotations), max_size=25),
    part=st.slices(25),
    order=st.lists(st.integers(0, 24), max_size=25),
)
def test_names_are_found_in_every_bucket(videos: list[dict[str, Any]], part: slice, order: list[int]) -> None:
    """Half of all names share a bucket with others; they may be equal, and be those of other keys."""
    names = [name_of(video) for video in videos]
    with written(videos) as path, skelstore.open(path) as store:
        inside = [place for place in order if place < len(videos)]
        for view, rows in (
            (store, range(len(videos))),
            (store[part], range(len(videos))[part]),
            (store.at(inside), inside),
            (store.at(sorted(set(inside))), sorted(set(inside))),
        ):
            for name in {"", "a", "b", "\ud800", "none", *filter(lambda name: name is not None, names)}:
                assert name is not None
                places = [place for place, row in enumerate(rows) if names[row] == name]
                assert (name in view) == bool(places)
                if len(places) == 1:
                    assert view.index(name) == places[0]
                    assert_exact(view[name], videos[rows[places[0]]])
                    continue
                with pytest.raises(AmbiguousVideoError if places else VideoNotFoundError):
                    view[name]


@given(
    labels=st.lists(st.one_of(st.integers(-5, 5), st.none()), max_size=70),
    part=st.slices(70),
    order=st.lists(st.integers(0, 69), max_size=20),
    most=st.integers(-3, 3),
)
def test_select_has_the_videos_for_which_the_expression_is_true(
    labels: list[int | None], part: slice, order: list[int], most: int
) -> None:
    videos = [{"frame_dir": "v"} | ({} if label is None else {"label": label}) for label in [0, *labels]]
    with written(videos) as path, skelstore.open(path) as store:
        inside = [place for place in order if place < len(videos)]
        for view, rows in (
            (store, range(len(videos))),
            (store[part], range(len(videos))[part]),
            (store.at(inside), inside),
        ):
            found = view.select(pc.field("label") < most)
            expected = [videos[row] for row in rows if videos[row].get("label", most) < most]
            assert_exact(list(found), expected)
            again = [video for video in expected if video["label"] > -2]
            assert_exact(list(found.select(pc.field("label") > -2)), again)
            assert len(view.select(pc.scalar(True))) == len(view)
            assert len(view.select(pc.scalar(False))) == 0


def test_videos_outside_a_view_do_not_make_its_expression_fail(tmp_path: Path) -> None:
    videos = [{"frame_dir": f"v{i}", "label": i} for i in range(5)]
    with skelstore.open(write(tmp_path / "a.zarr", videos)) as store:
        expression = pc.scalar(12) / pc.field("label") > 3
        assert_exact(list(store[:0:-1].select(expression)), [videos[i] for i in (3, 2, 1)])
        for view in (store, store[:3], store.at([1, 0])):
            with pytest.raises(TypeError, match=r"cannot select videos \(divide by zero\)"):
                view.select(expression)
