"""Regular files are opened; what would block, or give bytes without end, is refused by name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from skelstore.files import open_regular


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
    os.chdir(path.parent)  # the path of a socket is short
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
