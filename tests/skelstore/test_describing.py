"""What a console, a debugger and a notebook show of a store; no content of a store makes it fail or controls it."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from tests.support.contracts import write
from tests.support.small_store import lay_out, made


def html(store: skelstore.Store) -> str:
    return store._repr_html_()


def annotations() -> list[dict[str, Any]]:
    return [
        {
            "frame_dir": f"v{i}",
            "keypoint": np.zeros((1, 3, 17, 2), np.float16),
            "keypoint_score": np.zeros((1, 3, 17), np.float16),
            "box_score": np.zeros(4, np.float32),
            "flow": np.zeros((2, 3, 4), np.uint8),
        }
        for i in range(3)
    ]


def test_a_store_shows_its_path_videos_splits_and_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", annotations(), {"train": ["v0", "v1"], "val": ["v2"], "odd": 3})
    with skelstore.open(path) as store:
        assert repr(store) == (
            f"<skelstore.Store {str(path)!r}: 3 videos; splits 'train' 2, 'val' 1, 'odd' (an int); fields "
            "keypoint float16 [M, T, 17, 2], keypoint_score float16 [M, T, 17], box_score float32 [N], "
            "flow uint8 [n0, n1, 4]>"
        )
        shown = html(store)
        assert shown.count("<tr>") == 4
        assert f"<td>{path}</td>" in shown
        assert "<td>&#x27;train&#x27; 2<br>&#x27;val&#x27; 1<br>" in shown
        assert "keypoint float16 [M, T, 17, 2]<br>" in shown


def test_a_view_shows_how_many_of_all_and_no_counts_of_the_whole(tmp_path: Path) -> None:
    with skelstore.open(write(tmp_path / "a.zarr", annotations(), {"train": ["v0", "v1"]})) as store:
        assert ": 2 of 3 videos; fields keypoint float16" in repr(store.split("train"))
        assert "<td>2 of 3 videos</td>" in html(store.split("train"))
        assert "train" not in html(store.split("train"))


def test_many_splits_are_cut_off(tmp_path: Path) -> None:
    with skelstore.open(write(tmp_path / "a.zarr", [], {f"{i}" * 1000: [] for i in range(50)})) as store:
        assert repr(store).count("0, '") == 7
        assert repr(store).endswith("0, …>")
        assert len(repr(store)) < 600
        assert "<br>…</td>" in html(store)


@pytest.mark.parametrize("key", ["splits.arrow", "names.arrow", "keypoint/c.0.0.0"])
def test_a_damaged_store_is_shown(tmp_path: Path, key: str) -> None:
    path = lay_out(tmp_path, made("default"))
    (path / key).write_bytes(b"damaged")
    with skelstore.open(path) as store:
        assert repr(store).startswith(f"<skelstore.Store {str(path)!r}: 9 videos; splits ")
        assert ("splits unavailable (DamageError); fields " in repr(store)) == (key == "splits.arrow")
        assert ("<td>unavailable (DamageError)</td>" in html(store)) == (key == "splits.arrow")


def test_a_removed_store_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", annotations(), {"train": []})
    with skelstore.open(path) as store:
        sent = [pickle.dumps(store), pickle.dumps(store[1:])]
        shutil.rmtree(path)
        for data, count in zip(sent, (3, 2), strict=True):
            received = pickle.loads(data)
            assert repr(received).startswith(f"<skelstore.Store {str(path)!r}: {count} videos; ")
            assert "fields unavailable (StoreReplacedError)" in repr(received)
            assert "<td>unavailable (StoreReplacedError)</td>" in html(received)


@given(
    name=st.text() | st.binary() | st.integers() | st.tuples(st.text(), st.none()), path=st.text("<&>\"'é", min_size=1)
)
def test_names_from_files_are_shown_as_text(tmp_path_factory: pytest.TempPathFactory, name: Any, path: str) -> None:
    folder = tmp_path_factory.mktemp("strange") / f"{path}\n\x1b"
    with skelstore.open(write(folder, [{"frame_dir": "v"}], {name: ["v"], "<script>": []})) as store:
        assert repr(store).isprintable()
        assert "&lt;script&gt;" in html(store)
        bare = html(store)
        for tag in ("table", "caption", "tr", "th", "td"):
            bare = bare.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
        bare = bare.replace("<br>", "")
        assert not set("<>\"'\n\x1b") & set(bare)
