"""Servers in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server until the block ends; its URL, once it accepts connections."""
    variables = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables) as server:
        try:
            for _ in range(400):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """moto's server of S3, which accepts small parts of files, until the block ends: its endpoint.

    Without the package crc32c, moto answers another checksum under this name; a module in ``folder`` stands in for it.
    """
    (folder / "crc32c.py").write_text("from google_crc32c import value as crc32c\n")
    port = free_port()
    settings = {"S3_UPLOAD_PART_MIN_SIZE": "1", "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, settings) as endpoint:
        yield endpoint
