"""Regular files are opened; files that would block or never end are refused by name."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import skelstore
from skelstore.errors import DamageError, SkelstoreError, StoreError, StoreReplacedError
from skelstore.format.files import local_path, open_regular
from skelstore.format.store_files import LocalFiles
from skelstore.read.location import locate
from skelstore.read.verification import verify


def test_a_regular_file_and_a_link_to_one_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open(tmp_path / name, "rb", opener=open_regular) as file:
            assert file.read() == b"content"


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


def make_device_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_pipe_link(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_pipe, "named pipe"),
        (make_pipe_link, "named pipe"),
        (make_socket, "socket"),
        (make_device_link, "device"),
    ],
)
def test_special_files_are_refused_without_waiting(tmp_path: Path, make, kind: str) -> None:
    make(tmp_path / "special")
    with pytest.raises(OSError, match=f"it is a {kind}, not a regular file") as refused:
        open_regular(tmp_path / "special")
    assert refused.value.filename == str(tmp_path / "special")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_a_small_file_is_not_read_beyond_its_allowed_size(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    with pytest.raises(StoreError, match="has more than 100 bytes"):
        files.read_all("sparse", 100)
    make_pipe(tmp_path / "pipe")
    with pytest.raises(StoreError, match="cannot be read: it is a named pipe, not a regular file"):
        files.read_all("pipe", 100)


def test_the_files_that_identify_a_store(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    files, same, other = LocalFiles(tmp_path), LocalFiles(tmp_path), LocalFiles(tmp_path)
    assert not files.was_replaced()
    for one, data in ((files, b"one"), (same, b"one"), (other, b"two")):
        one.remember("a", data)
    assert files.identity == same.identity != other.identity
    assert not files.was_replaced()
    assert other.was_replaced()
    with pytest.raises(StoreReplacedError, match="was replaced or removed"):
        other.refuse_replaced()
    (tmp_path / "a").write_bytes(b"more")
    assert files.was_replaced()
    (tmp_path / "a").unlink()
    assert files.was_replaced()
    make_pipe(tmp_path / "a")
    assert files.was_replaced()


def test_a_file_that_is_opened_again_is_the_one_that_was_pinned(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    file = LocalFiles(tmp_path).file("a")
    assert file.read(0, 7) == b"content"
    file.pin(7, 3, b"tent")
    (tmp_path / "a").unlink()
    for content, same in ((b"content", True), (b"contest", False), (b"contents", False), (b"CONtent", True)):
        (tmp_path / "a").write_bytes(content)
        file.close()
        if same:
            assert file.read(0, 7) == content
            continue
        for _ in range(2):
            with pytest.raises(DamageError, match="is not the file that was read before"):
                file.read(0, 7)
    file.close()


URLS = ["https://host/a.zarr", "http://host", "s3://bucket/a//b.pkl", "hf://datasets/a/b", "x-new://host/a"]


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_answered_as_it_was_given(url: str) -> None:
    calls: list[Callable[[str], object]] = [
        local_path,
        lambda url: skelstore.Writer(url).__enter__(),
        lambda url: skelstore.merge([url], "out.zarr"),
    ]
    for call in calls:
        with pytest.raises(SkelstoreError, match=f"^{re.escape(url)} is a URL; .*: download it first") as caught:
            call(url)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://me:word@host/a.zarr?token=1", "x-new://me:word@host/a.zarr?a=//b@c"])
def test_a_url_is_shown_without_its_secrets(url: str) -> None:
    with pytest.raises(StoreError, match=r"^[a-z-]+://host/a\.zarr is a URL; expected"):
        local_path(url)


@pytest.mark.parametrize("url", URLS[:4])
def test_a_url_that_became_a_path_is_still_a_url(url: str) -> None:
    with pytest.raises(SkelstoreError, match="is a URL"):
        local_path(Path(url))
    assert str(locate(Path(url))) == str(locate(url)).replace("a//b", "a/b")


def test_a_scheme_that_no_store_can_have() -> None:
    for call in (skelstore.open, verify_or_raise):
        with pytest.raises(StoreError, match="x-new://host/a is a URL; expected the path of a local file"):
            call("x-new://host/a")


def verify_or_raise(url: str) -> None:
    raise StoreError(*verify(url))


def test_a_file_url_is_a_path_without_its_scheme(tmp_path: Path) -> None:
    with pytest.raises(SkelstoreError, match="leave out file://"):
        local_path(f"file://{tmp_path}")


@pytest.mark.parametrize("path", ["a", "a:b", "C:/a", "/a/https://b", "./https:/b", "a:/b", ":/a", ""])
def test_a_path_that_resembles_a_url_is_a_path(path: str) -> None:
    assert local_path(path) == Path(path)


def test_a_folder_that_is_called_as_a_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s3:").mkdir()
    monkeypatch.chdir(tmp_path)
    assert local_path("s3:/a") == Path("s3:/a")
