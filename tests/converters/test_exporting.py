"""Export restores what was converted, checked with Python's own unpickler on generated, sample and real data."""

from __future__ import annotations

import errno
import io
import os
import pickle
import pickletools
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters import export, open_source, samples
from converters.comparison import compare
from converters.conversion.convert import convert_source
from converters.dialects import bare_list, pyskl, single
from converters.outputs.output import new_file, new_folder
from skelstore.errors import SkelstoreError, SourceError, StoreError, StoreExistsError
from skelstore.format.codecs import PROFILES, Profile
from skelstore.write import disk
from tests.support import strategies
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.processes import run_python
from tests.support.source_contract import dump, load

profiles = st.sampled_from(PROFILES)
protocols = st.integers(0, 5)


def converted(path: Path, destination: Path, dialect: str | None = None, **options: Any) -> skelstore.Store:
    """Convert a source; return the open store, which the caller closes."""
    source = open_source(path, dialect)
    try:
        convert_source(source, destination, workers=1, **options)
        store = skelstore.open(destination)
        assert compare(store, source) == []
    finally:
        source.close()
    return store


def modules_of(path: Path) -> set[str]:
    """The module of every global in a pickle; also check that its protocol is below 5."""
    data = path.read_bytes()
    for opcode, argument, _ in pickletools.genops(data):
        assert opcode.proto <= 4, opcode.name
        assert opcode.name != "PROTO" or argument <= 4
    modules: set[str] = set()

    class Listing(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            modules.add(module)
            return super().find_class(module, name)

    Listing(io.BytesIO(data)).load()
    return modules


def check_portable(path: Path) -> None:
    """Check that NumPy 1 and 2 and Python 3.7 can load a pickle."""
    assert modules_of(path) <= {"numpy", "numpy.core.multiarray", "_codecs"}


# ------------------------------------------------------------------------------------------- exactness

tops = st.dictionaries(
    st.one_of(st.sampled_from(["meta", "classes", "version"]), strategies.dict_keys), strategies.values, max_size=2
)


@st.composite
def documents(draw: st.DrawFn) -> dict[Any, Any]:
    """The top level of a pickle of PYSKL: split before or after the annotations, or missing; more keys anywhere."""
    data = draw(strategies.datasets(max_size=5))
    items = list(draw(tops).items())
    items = [(key, value) for key, value in items if not isinstance(key, str) or key not in ("split", "annotations")]
    items.append(("annotations", data.annotations))
    kind = draw(st.sampled_from(["split", "split", "split", "none", "missing"]))
    if kind != "missing":
        items.append(("split", data.splits if kind == "split" else draw(strategies.plain_values)))
    return dict(draw(st.permutations(items)))


@pytest.mark.slow
@given(documents(), protocols, profiles)
@settings(max_examples=70)
def test_export_of_convert_is_the_same_pyskl_pickle(document: dict[Any, Any], protocol: int, profile: Profile) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = dump(folder / "a.pkl", document, protocol)
        expected = load(path)
        with converted(path, folder / "a.zarr", "pyskl", profile=profile) as store:
            assert store.source["dialect"] == "pyskl"
            assert_exact(list(store), expected["annotations"])
            split = expected.get("split")
            assert_exact(store.splits, split if type(split) is dict else {})
            export(store, folder / "again.pkl")
        assert_exact(load(folder / "again.pkl"), expected)
        check_portable(folder / "again.pkl")
        assert sorted(p.name for p in folder.iterdir()) == ["a.pkl", "a.zarr", "again.pkl"]


@pytest.mark.slow
@given(strategies.annotation_lists(max_size=5), protocols, profiles)
@settings(max_examples=50)
def test_export_of_convert_is_the_same_list(annotations: list[dict[Any, Any]], protocol: int, profile: Profile) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = dump(folder / "a.pkl", annotations, protocol)
        expected = load(path)
        with converted(path, folder / "a.zarr", "list", profile=profile) as store:
            assert_exact(list(store), expected)
            export(store, folder / "again.pkl")
        assert_exact(load(folder / "again.pkl"), expected)
        check_portable(folder / "again.pkl")


@given(strategies.annotations, protocols)
@settings(max_examples=40)
def test_export_of_convert_is_the_same_single_annotation(annotation: dict[Any, Any], protocol: int) -> None:
    if "annotations" in annotation:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = dump(folder / "a.pkl", annotation, protocol)
        with converted(path, folder / "a.zarr", "single") as store:
            assert_exact(store[0], load(path))
            export(store, folder / "again.pkl")
        assert_exact(load(folder / "again.pkl"), load(path))
        check_portable(folder / "again.pkl")


@given(strategies.annotation_lists(max_size=4), st.lists(protocols, min_size=4, max_size=4))
@settings(max_examples=30)
def test_export_of_convert_is_the_same_folder(annotations: list[dict[Any, Any]], each: list[int]) -> None:
    annotations = [annotation for annotation in annotations if "annotations" not in annotation] or [{}]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = ["b.pkl", "sub/é ö.pkl", "A.pkl", "a.pkl"][: len(annotations)]
        for file, annotation, protocol in zip(names, annotations, each, strict=False):
            dump(folder / "in" / file, annotation, protocol)
        with converted(folder / "in", folder / "a.zarr", "folder") as store:
            export(store, folder / "out")
        found = {p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*") if p.is_file()}
        assert found == set(names)
        for file in names:
            assert_exact(load(folder / "out" / file), load(folder / "in" / file), file)
            check_portable(folder / "out" / file)


@pytest.mark.parametrize("protocol", range(6))
def test_big_endian_fortran_and_strided_arrays(tmp_path: Path, protocol: int) -> None:
    base = np.arange(2 * 5 * 17 * 2, dtype=">f2").reshape(2, 5, 17, 2)
    annotation = {
        "keypoint": np.asfortranarray(base),
        "a": base[:, ::2, ::-1],
        "b": np.array(3, ">i4"),
        "c": np.zeros((0, 17), "<f8"),
        "d": np.frombuffer(b"\x01\x00\x80\x7f\x02\x00\x80\xff", "<f4").copy(),
        "e": np.str_("x\0"),
        "f": np.float16(1),
    }
    path = dump(tmp_path / "a.pkl", [annotation, {}], protocol)
    with converted(path, tmp_path / "a.zarr") as store:
        export(store, tmp_path / "b.pkl")
    assert_exact(load(tmp_path / "b.pkl"), load(path))


def test_ids_that_are_not_texts_and_a_missing_split(tmp_path: Path) -> None:
    splits = {"train": ["b", "a", "b", "nobody", 3, None, b"x"], "empty": [], 7: ("a",)}
    path = dump(tmp_path / "a.pkl", {"annotations": [{"frame_dir": "a"}, {"frame_dir": "b"}, {}], "split": splits})
    with converted(path, tmp_path / "a.zarr") as store:
        assert_exact(store.splits, splits)
        assert [a["frame_dir"] for a in store.split("train")] == ["a", "b"]
        export(store, tmp_path / "b.pkl")
    assert_exact(load(tmp_path / "b.pkl"), load(path))


def test_real_files_round_trip(real_folder: Path, tmp_path: Path) -> None:
    paths = sorted((real_folder / "annotations").glob("*.pkl"))
    if not paths:
        pytest.skip(f"no pickles in {real_folder}")
    for path in paths:
        for profile in PROFILES:
            with converted(path, tmp_path / "a.zarr", profile=profile, force=True) as store:
                export(store, tmp_path / "b.pkl", force=True)
            assert_exact(load(tmp_path / "b.pkl"), load(path), path.name)
            check_portable(tmp_path / "b.pkl")


# --------------------------------------------------------------------------------------------- formats


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, tuple[Path, list[dict[Any, Any]], dict[Any, Any]]]:
    """Dialect -> a store, its annotations and its splits."""
    data = samples.ntu_like(6)
    folder = tmp_path / "in"
    made: dict[str, tuple[Path, list[dict[Any, Any]], dict[Any, Any]]] = {}
    pyskl.convert(dump(folder / "p.pkl", {**data, "meta": 1}), tmp_path / "pyskl.zarr", workers=1)
    made["pyskl"] = tmp_path / "pyskl.zarr", data["annotations"], data["split"]
    bare_list.convert(dump(folder / "l.pkl", data["annotations"]), tmp_path / "list.zarr", workers=1)
    made["list"] = tmp_path / "list.zarr", data["annotations"], {}
    single.convert(dump(folder / "s.pkl", data["annotations"][0]), tmp_path / "single.zarr", workers=1)
    made["single"] = tmp_path / "single.zarr", data["annotations"][:1], {}
    for annotation in data["annotations"]:
        dump(folder / "f" / f"{annotation['frame_dir']}.pkl", annotation)
    single.convert(folder / "f", tmp_path / "folder.zarr", workers=1)
    made["folder"] = tmp_path / "folder.zarr", data["annotations"], {}
    made["writer"] = write(tmp_path / "writer.zarr", data["annotations"], data["split"]), *made["pyskl"][1:]
    return made


Stores = dict[str, tuple[Path, list[dict[Any, Any]], dict[Any, Any]]]


@pytest.mark.parametrize("dialect", ["pyskl", "list", "single", "folder", "writer"])
def test_every_format_from_every_dialect(tmp_path: Path, stores: Stores, dialect: str) -> None:
    path, annotations, splits = stores[dialect]
    with skelstore.open(path) as store:
        export(store, tmp_path / "p.pkl", format="pyskl")
        found = load(tmp_path / "p.pkl")
        expected = {"split": splits, "annotations": annotations} | ({"meta": 1} if dialect == "pyskl" else {})
        assert_exact(found, expected)
        export(store, tmp_path / "l.pkl", format="list")
        assert_exact(load(tmp_path / "l.pkl"), annotations)
        (tmp_path / "k").mkdir()
        export(store, tmp_path / "k" / "toc.pkl", format="kinetics")
    toc = load(tmp_path / "k" / "toc.pkl")
    entries = toc if isinstance(toc, list) else toc["annotations"]
    kpfiles = {file.name: load(file) for file in (tmp_path / "k" / "kpfiles").iterdir()}
    assert_exact(list(kpfiles), ["kpfile_00000.pkl"])
    for entry, annotation in zip(entries, annotations, strict=True):
        pack = kpfiles[Path(entry.pop("raw_file")).name][annotation["frame_dir"]]
        assert sorted(pack) == ["keypoint", "keypoint_score"]
        assert_exact({key: (entry | pack)[key] for key in annotation}, annotation)
        assert len(entry | pack) == len(annotation)
    for file in ("p.pkl", "l.pkl", "k/toc.pkl", "k/kpfiles/kpfile_00000.pkl"):
        check_portable(tmp_path / file)


def test_a_store_by_the_writer_is_exported_as_pyskl_by_default(tmp_path: Path, stores: Stores) -> None:
    path, annotations, splits = stores["writer"]
    with skelstore.open(path) as store:
        export(store, tmp_path / "a.pkl")
    assert_exact(load(tmp_path / "a.pkl"), {"split": splits, "annotations": annotations})


def test_views_are_exported(tmp_path: Path, stores: Stores) -> None:
    path, annotations, splits = stores["pyskl"]
    train = [a for a in annotations if a["frame_dir"] in splits["xsub_train"]]
    assert 0 < len(train) < len(annotations)
    with skelstore.open(path) as store:
        view = store.split("xsub_train")
        export(view, tmp_path / "a.pkl")
        export(view, tmp_path / "b.pkl", format="list")
        export(view, tmp_path / "c.pkl", format="kinetics")
    assert_exact(load(tmp_path / "a.pkl"), {"split": splits, "annotations": train, "meta": 1})
    assert_exact(load(tmp_path / "b.pkl"), train)
    assert len(load(tmp_path / "c.pkl")["annotations"]) == len(train)
    folder_path, annotations, _ = stores["folder"]
    with skelstore.open(folder_path) as store:
        labels = sorted(a["label"] for a in annotations)
        export(store.select(pc.field("label") < labels[3]), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == sum(label < labels[3] for label in labels)


def test_advance_is_called_for_every_video(tmp_path: Path, stores: Stores) -> None:
    for dialect in ("pyskl", "list", "folder"):
        for format_ in (None, "pyskl", "list", "kinetics"):
            calls: list[int] = []
            folder = tmp_path / f"{dialect}-{format_}"
            folder.mkdir()
            with skelstore.open(stores[dialect][0]) as store:
                export(store, folder / "out", format=format_, advance=calls.append)  # type: ignore[arg-type]
            assert sum(calls) == 6


# ---------------------------------------------------------------------------------- names and failures


def listing(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("format_", ["pyskl", "list", "kinetics", None])
def test_an_existing_destination_is_refused_and_replaced_by_force(tmp_path: Path, stores: Stores, format_: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for dialect in ("pyskl", "single"):
        target = out / "a.pkl"
        target.write_bytes(b"mine")
        with skelstore.open(stores[dialect][0]) as store:
            with pytest.raises(StoreExistsError, match=r"a\.pkl exists.*--force"):
                export(store, target, format=format_)
            assert target.read_bytes() == b"mine"
            assert listing(out) == ["a.pkl"]
            export(store, target, format=format_, force=True)
        assert target.read_bytes() != b"mine"
        pickle.loads(target.read_bytes())
        assert not [name for name in listing(out) if "partial" in name]
        for path in out.glob("kpfiles/*"):
            path.unlink()
        for name in set(listing(out)) - {"a.pkl"}:
            (out / name).rmdir()


def test_a_folder_is_refused_and_replaced_by_force(tmp_path: Path, stores: Stores) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with skelstore.open(stores["folder"][0]) as store:
        export(store, out)  # an empty folder is used
        before = listing(out)
        (out / "other.pkl").write_bytes(b"x")
        with pytest.raises(StoreExistsError, match="out exists"):
            export(store, out)
        export(store, out, force=True)
        assert listing(out) == before
        (out / "mine.txt").write_text("x")
        with pytest.raises(StoreExistsError, match=r"out holds mine\.txt, which is neither a pickle nor a \.npy"):
            export(store, out, force=True)
        assert listing(out) == sorted([*before, "mine.txt"])
        with pytest.raises(SourceError, match="two of these videos come from the file"):
            export(store.at([0, 0]), tmp_path / "twice")
    assert not [name for name in listing(tmp_path) if "twice" in name]


def test_the_root_directory_is_not_a_destination(stores: Stores) -> None:
    with skelstore.open(stores["folder"][0]) as store, pytest.raises(StoreError, match="/ cannot be replaced"):
        export(store, "/", force=True)
    with pytest.raises(StoreError, match="/ cannot be a store"):
        skelstore.Writer("/", force=True)


def test_a_folder_replaces_no_file_and_nothing_beside_it(tmp_path: Path, stores: Stores) -> None:
    (tmp_path / "a.txt").write_text("mine")
    (tmp_path / "b.partial").mkdir()
    (tmp_path / "b.partial" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with skelstore.open(stores["folder"][0]) as store:
        with pytest.raises(StoreExistsError, match=r"a\.txt is a file"):
            export(store, tmp_path / "a.txt", force=True)
        with pytest.raises(StoreExistsError, match=r"b\.partial holds mine\.txt"):
            export(store, tmp_path / "b")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_two_exports_to_the_same_name_at_once(tmp_path: Path, make: Callable[..., AbstractContextManager[Any]]) -> None:
    """The second would overwrite what the first has written."""
    with make(tmp_path / "a"):
        before = listing(tmp_path)
        for force in (False, True):
            with pytest.raises(StoreError, match="a is in use: another process is exporting to it"):
                make(tmp_path / "a", force=force).__enter__()
        assert listing(tmp_path) == before
        with make(tmp_path / "b"):
            pass
    assert listing(tmp_path) == ["a", "b"]
    with make(tmp_path / "a", force=True):
        pass
    assert listing(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("inside", ["store", "out"])
def test_kpfiles_take_no_folder_that_holds_the_store_or_the_table(tmp_path: Path, stores: Stores, inside: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    store = shutil.copytree(stores["pyskl"][0], (folder if inside == "store" else tmp_path) / "s.zarr")
    out = (folder if inside == "out" else tmp_path) / "k.pkl"
    (folder / "old.pkl").write_bytes(b"mine")
    before = sorted(path for path in tmp_path.rglob("*"))
    with (
        skelstore.open(store) as opened,
        pytest.raises(SourceError, match="which is only for kpfiles"),
    ):
        export(opened, out, format="kinetics", kpfiles=folder, force=True)
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("videos", [0, -1])
def test_kpfiles_hold_at_least_one_video(tmp_path: Path, stores: Stores, videos: int) -> None:
    with (
        skelstore.open(stores["pyskl"][0]) as store,
        pytest.raises(SourceError, match=f"kpfile_videos is {videos}, expected 1 or more"),
    ):
        export(store, tmp_path / "k.pkl", format="kinetics", kpfile_videos=videos)


@pytest.mark.parametrize("document", [5, "x", None, []])
def test_with_an_invalid_document_the_export_is_as_pyskl(tmp_path: Path, document: Any) -> None:
    with skelstore.Writer(tmp_path / "s.zarr", source={"dialect": "strange", "document": document}) as writer:
        writer.add({"frame_dir": "a"})
    with skelstore.open(tmp_path / "s.zarr") as store:
        export(store, tmp_path / "a.pkl")
    assert pickle.loads((tmp_path / "a.pkl").read_bytes()) == {"split": {}, "annotations": [{"frame_dir": "a"}]}


@pytest.mark.parametrize("dialect", ["pyskl", "list", "single"])
def test_a_failure_leaves_the_old_file(tmp_path: Path, stores: Stores, dialect: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    target = out / "a.pkl"
    target.write_bytes(b"mine")
    shard = max((stores[dialect][0] / "keypoint").rglob("c*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0xFF
    shard.write_bytes(data)
    with skelstore.open(stores[dialect][0], check="always") as store:
        for format_ in (None, "kinetics"):
            with pytest.raises(SkelstoreError):
                export(store, target, format=format_, force=True)  # type: ignore[arg-type]
            assert target.read_bytes() == b"mine"
            assert listing(out) == ["a.pkl"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, stores: Stores) -> None:
    out = tmp_path / "out"
    out.mkdir()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    for dialect in ("pyskl", "folder"):
        for format_ in (None, "kinetics"):
            with skelstore.open(stores[dialect][0]) as store, pytest.raises(KeyboardInterrupt):
                export(store, out / "a", format=format_, advance=interrupt)  # type: ignore[arg-type]
            assert listing(out) == []


def test_options_that_do_not_apply(tmp_path: Path, stores: Stores) -> None:
    with skelstore.open(stores["pyskl"][0]) as store:
        with pytest.raises(SourceError, match="goes with the format kinetics, not with"):
            export(store, tmp_path / "a.pkl", kpfile_videos=3)
        with pytest.raises(SourceError, match="goes with the format kinetics, not with"):
            export(store, tmp_path / "a.pkl", kpfiles=tmp_path / "k")
        with pytest.raises(StoreError, match="is not a folder: make it"):
            export(store, tmp_path / "no" / "a.pkl")
        with pytest.raises(SourceError, match=r"format 'kinetic'; expected one of .*did you mean 'kinetics'"):
            export(store, tmp_path / "a.pkl", format="kinetic")  # type: ignore[arg-type]
    with skelstore.open(stores["single"][0]) as store, pytest.raises(SourceError, match="has 0 videos"):
        export(store.select(pc.field("label") < -100), tmp_path / "b.pkl")
    assert not (tmp_path / "a.pkl").exists()


def pc_false() -> Any:
    import pyarrow.compute as pc

    return pc.field("label") < -100


# ----------------------------------------------------------------------------- files beside the destination


@pytest.mark.parametrize("name", ["a.partial", "a.partial.lock"])
@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize("to", ["file", "folder", "nothing"])
def test_a_link_beside_the_name_is_refused(
    tmp_path: Path, make: Callable[..., AbstractContextManager[Any]], name: str, to: str
) -> None:
    victim = tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_bytes(b"precious")
    (victim / "folder" / "a.pkl").write_bytes(b"precious")
    (tmp_path / name).symlink_to(victim / to)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=f"{tmp_path / name} is a link, expected a"):
        make(tmp_path / "a").__enter__()
    assert sorted(tmp_path.rglob("*")) == before
    assert (victim / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_a_pipe_beside_the_name_is_refused_without_waiting(
    tmp_path: Path, make: Callable[..., AbstractContextManager[Any]]
) -> None:
    for name in ("a.partial", "a.partial.lock"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(StoreError, match=f"{name} is a special file"):
            make(tmp_path / "a").__enter__()
        assert listing(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_leftovers_of_a_killed_export_are_replaced(tmp_path: Path) -> None:
    for name in ("a.partial", "a.partial.lock"):
        (tmp_path / name).write_bytes(b"half of it")
    with new_file(tmp_path / "a") as file:
        file.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    assert listing(tmp_path) == ["a"]
    (tmp_path / "b.partial").mkdir()
    (tmp_path / "b.partial" / "0.pkl").write_bytes(b"half of it")
    with new_folder(tmp_path / "b"):
        pass
    assert listing(tmp_path / "b") == []
    assert listing(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a device"])
def test_a_file_replaces_regular_files_only(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(target)
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("/dev/null")
    with pytest.raises(StoreExistsError, match="a is not a regular file, so it is not replaced"):
        new_file(target, force=True).__enter__()
    assert listing(tmp_path) == ["a"]


def test_a_folder_that_is_a_link_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk" / "kpfiles").mkdir(parents=True)
    (tmp_path / "disk" / "kpfiles" / "old.pkl").write_bytes(b"x")
    (tmp_path / "kpfiles").symlink_to("disk/kpfiles")
    with new_folder(tmp_path / "kpfiles", force=True) as folder:
        (folder / "new.pkl").write_bytes(b"x")
    assert (tmp_path / "kpfiles").is_symlink()
    assert listing(tmp_path / "disk") == ["kpfiles"]
    assert listing(tmp_path / "disk" / "kpfiles") == ["new.pkl"]


def test_a_folder_of_a_lower_layer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container a folder of the image cannot be renamed: rename fails with EXDEV."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.pkl").write_bytes(b"x")
    fixed, rename = (tmp_path / "a").stat().st_ino, os.rename

    def refuse(source: Any, target: Any) -> None:
        if os.stat(source).st_ino == fixed:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    monkeypatch.setattr(os, "rename", refuse)
    with new_folder(tmp_path / "a", force=True) as folder:
        (folder / "new.pkl").write_bytes(b"x")
    assert listing(tmp_path / "a") == ["new.pkl"]
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_name_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """EINVAL means that the file system, such as SMB, cannot do it at all; then the export succeeds without it."""
    fsync = os.fsync

    def refuse(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    if code == errno.EINVAL:
        with new_file(tmp_path / "a") as file:
            file.write(b"x")
    else:
        with pytest.raises(OSError, match="Input/output error") as caught, new_file(tmp_path / "a") as file:
            file.write(b"x")
        assert "a is complete, but may be lost after a power cut" in caught.value.__notes__[0]
    assert (tmp_path / "a").read_bytes() == b"x"
    assert listing(tmp_path) == ["a"]


# ---------------------------------------------------------------------------------------------- SIGTERM


@pytest.mark.parametrize("command", ["export", "merge"])
def test_sigterm_leaves_nothing(tmp_path: Path, stores: Stores, command: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code = f"""if True:
        import os, signal, sys
        import converters.outputs.document as document, skelstore.combine.merging as merging
        from converters.cli import main
        def terminated(*_):
            assert os.listdir({str(out)!r})
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
        document.write_document = merging.join = terminated
        main(sys.argv[1:])
    """
    store = str(stores["pyskl"][0])
    arguments = [store, str(out / "a.pkl")] if command == "export" else [store, "-o", str(out / "a.zarr")]
    done = run_python(code, command, *arguments)
    assert done.returncode == 143, done
    assert done.stderr.splitlines()[-1] == "terminated"
    assert "Traceback" not in done.stderr
    assert listing(out) == []
