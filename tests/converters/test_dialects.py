"""Every dialect is recognised from its files and fulfils the contract; all else is declined with a sentence."""

from __future__ import annotations

import collections
import datetime
import decimal
import pathlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from converters import open_source, samples
from converters.conversion.convert import convert_source
from converters.dialects import bare_list, pyskl, single
from converters.dialects.registry import DIALECTS
from skelstore.errors import SkelstoreError, SourceError, UnsupportedValueError
from tests.support import strategies
from tests.support.source_contract import check_source, dump, load

pytestmark = pytest.mark.usefixtures("indexed_in_small_steps")


def recognise(path: Path) -> str:
    source = open_source(path)
    source.close()
    return source.dialect


class Thing:
    """A class that is not data."""

    def __init__(self) -> None:
        self.x = 1


Point = collections.namedtuple("Point", "x y")


def sentence(error: pytest.ExceptionInfo[BaseException], path: Path | None = None) -> str:
    """The message, after checking that it is one sentence."""
    text = str(error.value)
    assert text
    assert "\n" not in text
    assert path is None or text.count(str(path)) == 1
    return text


# ------------------------------------------------------------------------------------------ the contract


def test_the_pyskl_dialect_on_samples(tmp_path: Path) -> None:
    data = samples.ntu_like(12)
    path = dump(tmp_path / "a.pkl", data)
    assert recognise(path) == "pyskl"
    check_source(open_source(path), load(path)["annotations"], data["split"])


def test_the_list_dialect_on_samples(tmp_path: Path) -> None:
    for name, data in (("gym", samples.bare_list_like(9)), ("compressed", samples.compressed_like(9))):
        path = dump(tmp_path / f"{name}.pkl", data)
        assert recognise(path) == "list"
        check_source(open_source(path), load(path), {})


def test_the_single_dialect_on_samples(tmp_path: Path) -> None:
    [annotation] = samples.iter_ntu_like(1)
    path = dump(tmp_path / "a.pkl", annotation)
    assert recognise(path) == "single"
    check_source(open_source(path), [load(path)], {})


def test_the_folder_dialect_on_samples(tmp_path: Path) -> None:
    expected = {}
    for i, annotation in enumerate(samples.iter_ntu_like(6)):
        name = f"{'sub/' * (i % 3)}{annotation['frame_dir']}.pkl"
        expected[name] = load(dump(tmp_path / "folder" / name, annotation))
    (tmp_path / "folder" / "README.txt").write_text("not one of them")
    (tmp_path / "folder" / "odd.pkl").mkdir()
    assert recognise(tmp_path / "folder") == "folder"
    source = open_source(tmp_path / "folder")
    assert sorted(source.place(i) for i in range(6)) == sorted(expected)
    check_source(source, [expected[source.place(i)] for i in range(6)], {})


@pytest.mark.parametrize("videos_a_file", [0, 4])
def test_the_kinetics_dialect_on_samples(tmp_path: Path, videos_a_file: int) -> None:
    pairs = samples.iter_kinetics_like(10, 0, videos_a_file)
    written = samples.written_to_kpfiles if videos_a_file else samples.written_to_own_files
    split = samples.kinetics_split(samples.kinetics_names(10, 0))
    samples.write_dataset(tmp_path / "toc.pkl", split, written(tmp_path / "kpfiles", pairs))
    contents, keypoints = samples.kinetics_like(10, 0, videos_a_file)
    expected = [entry | {"keypoint": keypoints[entry["frame_dir"]]} for entry in contents["annotations"]]
    source = open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")
    assert source.dialect == "kinetics"
    check_source(source, expected, split)


@given(strategies.datasets(max_size=5))
@settings(max_examples=25)
def test_the_pyskl_dialect_on_any_data(data: strategies.Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "a.pkl", {"split": data.splits, "annotations": data.annotations})
        expected = load(path)
        check_source(open_source(path, "pyskl"), expected["annotations"], expected["split"])


@given(strategies.annotation_lists(max_size=5))
@settings(max_examples=20)
def test_the_list_dialect_on_any_data(data: list[strategies.Annotation]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "a.pkl", data, protocol=2)
        first = data[0] if data else {}
        if not {"pred_score", "pred_scores", "pred_label", "pred_labels"} & set(map(str, first)):
            check_source(open_source(path, "list"), load(path), {})


@given(strategies.annotation_lists(max_size=4))
@settings(max_examples=20)
def test_the_folder_and_single_dialects_on_any_data(data: list[strategies.Annotation]) -> None:
    data = [annotation for annotation in data if "annotations" not in annotation] or [{}]
    with tempfile.TemporaryDirectory() as folder:
        for i, annotation in enumerate(data):
            dump(Path(folder) / f"{i}.pkl", annotation, protocol=i % 6)
        check_source(open_source(folder, "folder"), [load(Path(folder) / f"{i}.pkl") for i in range(len(data))], {})
        check_source(open_source(Path(folder) / "0.pkl", "single"), [load(Path(folder) / "0.pkl")], {})


# --------------------------------------------------------------------------------------- which dialect it is


@pytest.mark.parametrize(
    ("value", "dialect"),
    [
        ({"split": {}, "annotations": []}, "pyskl"),
        ({"annotations": []}, "pyskl"),
        ({"annotations": [], "split": None}, "pyskl"),
        ({"annotations": [{"frame_dir": "a"}], "meta": 1}, "pyskl"),
        ({"annotations": [], "keypoint": 1}, "pyskl"),
        ([], "list"),
        ([{"filename": "a", "valid@0.5": 3}], "list"),
        ({"frame_dir": "a"}, "single"),
        ({"filename": "a"}, "single"),
        ({"keypoint": np.zeros((1, 2, 3, 2))}, "single"),
        ({"label": 3}, "single"),
    ],
)
def test_a_file_is_recognised(tmp_path: Path, value: object, dialect: str) -> None:
    for protocol in range(6):
        path = dump(tmp_path / "a.pkl", value, protocol)
        assert recognise(path) == dialect
        source = open_source(path)
        assert source.dialect == dialect
        source.close()
        source = open_source(str(path), dialect)
        assert source.dialect == dialect
        source.close()


WRONG = {
    "pyskl": {"list": [{"frame_dir": "a"}], "single": {"frame_dir": "a"}},
    "list": {"single": {"frame_dir": "a"}},
    "single": {"pyskl": {"annotations": []}, "list": [{"frame_dir": "a"}]},
}


@pytest.mark.parametrize(("forced", "actual"), [(f, a) for f, others in WRONG.items() for a in others])
def test_a_wrong_stated_dialect_is_declined(tmp_path: Path, forced: str, actual: str) -> None:
    path = dump(tmp_path / "a.pkl", WRONG[forced][actual])

    def convert() -> None:
        convert_source(open_source(path, forced), tmp_path / "out.zarr", workers=1)

    with pytest.raises(SkelstoreError, match=r"a\.pkl") as caught:
        convert()
    sentence(caught, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pkl"]


@pytest.mark.parametrize("forced", ["pyskl", "list", "single"])
def test_a_folder_is_not_a_file(tmp_path: Path, forced: str) -> None:
    dump(tmp_path / "f" / "a.pkl", {"frame_dir": "a"})
    with pytest.raises(SourceError, match="is a folder; the dialect"):
        open_source(tmp_path / "f", forced)
    with pytest.raises(SourceError, match="is a file; the dialect folder is not"):
        open_source(tmp_path / "f" / "a.pkl", "folder")


def test_a_store_is_not_a_source(tmp_path: Path) -> None:
    bare_list.convert(dump(tmp_path / "a.pkl", [{"frame_dir": "a"}]), tmp_path / "a.zarr")
    with pytest.raises(SourceError, match=r"a\.zarr is already a store"):
        open_source(tmp_path / "a.zarr")


def test_sources_that_cannot_be_opened(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [])
    with pytest.raises(SourceError, match="is not there"):
        open_source(tmp_path / "b.pkl")
    with pytest.raises(SourceError, match="'nonsense' is not known; expected one of " + ", ".join(DIALECTS)):
        open_source(path, "nonsense")
    with pytest.raises(SourceError, match="did you mean 'kinetics'"):
        open_source(path, "kinetic")
    with pytest.raises(SourceError, match="needs --kpfiles, the folder of the kpfiles"):
        open_source(path, "kinetics")
    with pytest.raises(SourceError, match="--kpfiles goes with"):
        open_source(path, "list", kpfiles=tmp_path)


# ------------------------------------------------------------------------------------------- look-alikes

TORCH = (
    b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
    b"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89N(tRs."
)
LOOK_ALIKES: dict[str, tuple[object, str]] = {
    "a list of arrays": ([np.zeros(60, np.float32)] * 3, "scores of a test run"),
    "a list of lists of arrays": ([[np.zeros(60)]], "scores of a test run"),
    "a list of dicts with pred_score": ([{"pred_score": np.zeros(60), "gt_label": 3}], "pred_score.*predictions"),
    "a list of dicts with pred_scores": ([{"pred_scores": {"item": np.zeros(6)}, "pred_label": 1}], "predictions"),
    "a kpfile": ({"jf7RDuUTrsQ": {"keypoint": np.zeros((3, 17, 3))}}, "looks like a kpfile.*--kpfiles"),
    "a dict without annotations": ({"split": {"train": ["a"]}, "annos": []}, "a dict with the keys 'split', 'annos'"),
    "an empty dict": ({}, "a dict with the keys \\(none\\)"),
    "a dict of many keys": ({f"k{i}": i for i in range(20)}, "'k5', …"),
    "annotations that are not a list": ({"annotations": {"a": {}}}, "'annotations'"),
    "annotations that are None": ({"annotations": None}, "'annotations'"),
    "a number": (5, "int"),
    "a text": ("hello", "str"),
    "None": (None, "None"),
    "a tuple": (({"frame_dir": "a"},), "tuple"),
    "an array": (np.zeros(3), "one array, float64 .3,."),
    "an instance": (Thing(), "Thing"),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_declined_with_a_sentence(tmp_path: Path, name: str) -> None:
    value, expected = LOOK_ALIKES[name]
    for protocol in (0, 2, 4, 5):
        path = dump(tmp_path / "a.pkl", value, protocol)
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert re.search(expected, sentence(caught, path)), sentence(caught, path)


FILES: dict[str, bytes] = {
    "an empty file": b"",
    "a text file": b"frame_dir,label\na,1\nb,2\n",
    "JSON": b'{"annotations": [{"frame_dir": "a"}]}',
    "a zip archive, as torch.save makes": b"PK\x03\x04" + bytes(60),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "a .npy file": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }" + bytes(70),
    "zeros": bytes(1000),
    "gzip": b"\x1f\x8b\x08" + bytes(40),
    "a legacy torch file": TORCH,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_pickle_of_annotations_is_declined(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(FILES[name])
    for dialect in (None, "pyskl", "list"):
        with pytest.raises(SourceError) as caught:
            open_source(path, dialect)
        sentence(caught, path)


def test_a_cut_short_pickle_is_declined_wherever_it_ends(tmp_path: Path) -> None:
    whole = dump(tmp_path / "whole.pkl", {"split": {"t": ["a"]}, "annotations": [{"frame_dir": "a", "k": np.ones(3)}]})
    data = whole.read_bytes()
    path = tmp_path / "a.pkl"
    for stop in range(len(data)):
        path.write_bytes(data[:stop])
        with pytest.raises(SourceError) as caught:
            open_source(path)
        sentence(caught, path)


def test_a_folder_without_pickles_is_declined(tmp_path: Path) -> None:
    (tmp_path / "f" / "sub").mkdir(parents=True)
    (tmp_path / "f" / "sub" / "a.txt").write_text("x")
    with pytest.raises(SourceError, match=r"a folder with other files \(1 of \.txt\): sub/a\.txt is a text file"):
        open_source(tmp_path / "f")


def test_a_file_in_a_folder_that_is_not_an_annotation_is_named(tmp_path: Path) -> None:
    dump(tmp_path / "f" / "a.pkl", {"frame_dir": "a"})
    dump(tmp_path / "f" / "b.pkl", [1])
    dump(tmp_path / "f" / "c.pkl", {"annotations": []})
    (tmp_path / "f" / "d.pkl").write_bytes(b"")
    with pytest.raises(SkelstoreError) as caught:
        single.convert(tmp_path / "f", tmp_path / "out.zarr", workers=1)
    lines = str(caught.value).splitlines()
    assert [next(name for name in "abcd" if f"{name}.pkl" in line) for line in lines] == ["b", "c", "d"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


# -------------------------------------------------------------------------------------- refused values


def memmap(folder: Path) -> Any:
    return np.memmap(folder / "map.bin", np.float32, "w+", shape=(3,))


UNSTORABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an object array": (lambda _: np.array([None, "a"], object), r"object"),
    "numpy.memmap": (memmap, r"numpy\.(core\.|_core\.)?memmap"),
    "a set": (lambda _: {1, 2}, r"set"),
    "a frozenset": (lambda _: frozenset([1]), r"frozenset"),
    "an instance": (lambda _: Thing(), r"Thing"),
    "a namedtuple": (lambda _: Point(1, 2), r"Point"),
    "a complex number": (lambda _: 1j, r"complex"),
    "a bytearray": (lambda _: bytearray(b"x"), r"bytearray"),
    "a Decimal": (lambda _: decimal.Decimal(1), r"decimal\.Decimal"),
    "a date": (lambda _: datetime.date(2020, 1, 1), r"datetime\.date"),
    "a Path": (lambda _: pathlib.PurePosixPath("a/b"), r"pathlib\S*PurePosixPath"),
    "an OrderedDict": (lambda _: collections.OrderedDict(a=1), r"collections\.OrderedDict"),
    "a defaultdict": (lambda _: collections.defaultdict(list, a=[1]), r"collections\.defaultdict"),
    "a class": (lambda _: Thing, r"Thing"),
    "a function": (lambda _: len, r"len"),
    "a dtype": (lambda _: np.dtype("<f4"), r"dtype"),
    "complex numbers": (lambda _: np.zeros(2, complex), r"complex128|c16"),
    "a text array": (lambda _: np.array(["a", "b"]), r"U1|str"),
    "dates": (lambda _: np.array(["2020-01-01"], "M8[D]"), r"M8|datetime64"),
    "a structured array": (lambda _: np.zeros(2, [("x", "<f4")]), r"\('x'|V4|structured|record|void|fields"),
    "a masked array": (lambda _: np.ma.masked_array([1.0], [True]), r"numpy\.ma\.\S*"),
    "numpy.complex64": (lambda _: np.complex64(1), r"complex64|c8"),
    "None as key": (lambda _: {None: 3}, r"None"),
}


@pytest.mark.parametrize("name", UNSTORABLE)
def test_a_value_that_no_store_can_hold_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    make, named = UNSTORABLE[name]
    sources = tmp_path / "in"
    sources.mkdir()
    out = tmp_path / "out.zarr"
    annotations: list[dict[str, Any]] = [{"frame_dir": f"v{i}", "keypoint": np.zeros(3)} for i in range(20)]
    annotations[17]["foo"] = make(sources)
    for protocol in (0, 2, 4, 5):
        path = dump(sources / "a.pkl", {"annotations": annotations}, protocol)
        with pytest.raises(UnsupportedValueError, match=r"annotations\[17\]\.foo") as caught:
            pyskl.convert(path, out, workers=1)
        assert re.search(named, sentence(caught, path)), sentence(caught)
        assert list(tmp_path.iterdir()) == [sources]

        path = dump(sources / "a.pkl", annotations, protocol)
        with pytest.raises(UnsupportedValueError, match=r"a\.pkl: \[17\]\.foo") as caught:
            bare_list.convert(path, out, workers=1)
        assert re.search(named, sentence(caught, path)), sentence(caught)
        assert list(tmp_path.iterdir()) == [sources]


@pytest.mark.parametrize("name", ["an object array", "a set", "an instance"])
def test_a_value_is_refused_however_deep_it_is(tmp_path: Path, name: str) -> None:
    make, named = UNSTORABLE[name]
    sources = tmp_path / "in"
    sources.mkdir()
    deep = {"frame_dir": "a", "foo": [0, {"b": (1, make(sources))}]}
    path = dump(sources / "a.pkl", [{"frame_dir": "b"}, deep])
    with pytest.raises(UnsupportedValueError, match=r"\[1\]\.foo\[1\]\.b\[1\]") as caught:
        bare_list.convert(path, tmp_path / "out.zarr", workers=1)
    assert re.search(named, sentence(caught, path))
    path = dump(sources / "a.pkl", deep)
    with pytest.raises(UnsupportedValueError, match=r"a\.pkl: \.foo\[1\]\.b\[1\]"):
        single.convert(path, tmp_path / "out.zarr", workers=1)
    dump(sources / "sub" / "b.pkl", deep)
    with pytest.raises(UnsupportedValueError, match=r"sub: b\.pkl\.foo\[1\]\.b\[1\]"):
        single.convert(sources / "sub", tmp_path / "out.zarr", workers=1)
    assert list(tmp_path.iterdir()) == [sources]


@pytest.mark.parametrize("place", ["split", "meta"])
@pytest.mark.parametrize("name", ["an object array", "a set", "an instance"])
def test_a_value_at_the_top_is_refused_too(tmp_path: Path, place: str, name: str) -> None:
    make, named = UNSTORABLE[name]
    value = make(tmp_path)
    top = {"annotations": [{"frame_dir": "a"}], place: {"train": ["a"], "foo": value}}
    path = dump(tmp_path / "a.pkl", top)
    with pytest.raises(SkelstoreError, match=place) as caught:
        pyskl.convert(path, tmp_path / "out.zarr", workers=1)
    assert re.search(named, sentence(caught, path)), sentence(caught)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ids", [np.array(["a"]), np.array(["a"], object), {"a"}, frozenset("a")])
def test_a_split_that_is_not_a_list_is_refused_with_a_remedy(tmp_path: Path, ids: Any) -> None:
    """Arrays such as scikit-learn's train_test_split returns, and sets."""
    for protocol in (2, 4):
        path = dump(tmp_path / "a.pkl", {"split": {"train": ids}, "annotations": [{"frame_dir": "a"}]}, protocol)
        with pytest.raises(
            SkelstoreError, match=r"write split\['train'\] = list\(split\['train'\]\) in the code"
        ) as caught:
            pyskl.convert(path, tmp_path / "out.zarr", workers=1)
        sentence(caught, path)


def test_a_split_of_numpy_texts_is_accepted(tmp_path: Path) -> None:
    ids = list(np.array(["a", "b"]))
    path = dump(
        tmp_path / "a.pkl", {"split": {"train": ids}, "annotations": [{"frame_dir": np.str_("a")}, {"frame_dir": "b"}]}
    )
    check_source(open_source(path), load(path)["annotations"], {"train": ids})
    pyskl.convert(path, tmp_path / "out.zarr", workers=1)


def test_a_torch_tensor_is_refused_by_name_at_its_place(tmp_path: Path) -> None:
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(K\x00K\x02\x85tR"
    legacy = b"ctorch.storage\n_load_from_bytes\nU\x03abc\x85R"
    for opcodes, named in ((tensor, "torch._utils._rebuild_tensor_v2"), (legacy, "torch.storage._load_from_bytes")):
        path = tmp_path / "a.pkl"
        path.write_bytes(
            b"\x80\x02](}X\x09\x00\x00\x00frame_dirX\x01\x00\x00\x00as}X\x03\x00\x00\x00foo" + opcodes + b"se."
        )
        with pytest.raises(UnsupportedValueError, match=r"\[1\]\.foo") as caught:
            bare_list.convert(path, tmp_path / "out.zarr", workers=1)
        assert named in sentence(caught, path)
        assert list(tmp_path.iterdir()) == [path]


def test_several_problems_are_reported_at_once(tmp_path: Path) -> None:
    annotations: list[Any] = [{"frame_dir": f"v{i}"} for i in range(9)]
    annotations[2]["a"] = {1}
    annotations[3] = None
    annotations[4] = Thing()
    annotations[8] |= {"b": 1j}
    path = dump(tmp_path / "a.pkl", {"annotations": annotations})
    with pytest.raises(UnsupportedValueError) as caught:
        pyskl.convert(path, tmp_path / "out.zarr", workers=1)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for line, (place, named) in zip(
        lines,
        [
            (r"annotations\[2\]\.a", "set"),
            (r"annotations\[3\]", "None"),
            (r"annotations\[4\]", "Thing"),
            (r"annotations\[8\]\.b", "complex"),
        ],
        strict=True,
    ):
        assert str(path) in line
        assert re.search(place + r"\b.*" + named if "." in place else place + ".*" + named, line), line


def test_only_the_first_of_very_many_problems_are_reported(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [{f"a{i}": {i}} for i in range(100)])
    with pytest.raises(UnsupportedValueError) as caught:
        bare_list.convert(path, tmp_path / "out.zarr", workers=1)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert "[19].a19" in lines[19]
    assert "more" in lines[20]


def test_one_fault_in_many_videos_is_one_message(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [{"frame_dir": "a"}] + [{"a": {i}} for i in range(9)])
    with pytest.raises(
        UnsupportedValueError, match=r"\[1\]\.a: .*\(and 8 more like it: \[2\], \[3\], \[4\], …\)$"
    ) as caught:
        bare_list.convert(path, tmp_path / "out.zarr", workers=1)
    sentence(caught, path)


@pytest.mark.parametrize("key", [(1, 2), frozenset(), np.int64(1), Point(1, 2), Thing])
def test_a_key_that_no_store_can_hold_is_refused_with_its_element(tmp_path: Path, key: Any) -> None:
    path = dump(tmp_path / "a.pkl", {"annotations": [{}, {"foo": {key: 3}}]})
    with pytest.raises(SkelstoreError, match=r"annotations\[1\]|element 1 of 'annotations'") as caught:
        pyskl.convert(path, tmp_path / "out.zarr", workers=1)
    sentence(caught, path)
    assert list(tmp_path.iterdir()) == [path]


@given(strategies.refused_values())
@settings(max_examples=30)
def test_any_value_that_is_refused_leaves_nothing(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = dump(Path(folder) / "a.pkl", [{"frame_dir": "a"}, {"frame_dir": "b", "foo": value}])
        except Exception:  # it cannot be pickled either
            return
        # An invalid key is refused by the reader, which knows the element but not its keys.
        with pytest.raises(
            UnsupportedValueError, match=r"a\.pkl: (\[1\]\.foo|byte \d+ \(in element 1\): a [\w.]+ as the key)"
        ):
            bare_list.convert(path, Path(folder) / "out.zarr", workers=1)
        assert list(Path(folder).iterdir()) == [path]
