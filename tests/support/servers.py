"""Servers in processes of their own."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server until the block ends; its URL, once it accepts connections. ``environment`` is added to ours."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **(environment or {})}, **quiet) as server:
        try:
            for _ in range(400):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if server.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended with status {server.returncode} before it served")
                time.sleep(0.05)
            else:
                raise RuntimeError(f"{' '.join(command)} accepts no connections")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@contextmanager
def serving_s3(folder: Path) -> Iterator[str]:
    """The endpoint of moto's server, which accepts small parts of files. Skip the test if a package is missing.

    Without the package crc32c, moto answers another checksum under this name: a module in ``folder`` stands in for it.
    """
    packages = {"urllib3": "skelstore[remote]", "botocore": "skelstore[remote]", "moto": "moto[server]"}
    for name, what in (packages | {"flask": "moto[server]", "flask_cors": "moto[server]"}).items():
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} ({what}) is not installed")
    port = free_port()
    (folder / "crc32c.py").write_text("from google_crc32c import value as crc32c\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, {"S3_UPLOAD_PART_MIN_SIZE": "1", "PYTHONPATH": path}) as endpoint:
        yield endpoint


def use_s3(endpoint: str, patch: pytest.MonkeyPatch) -> None:
    """Empty moto's server, make ``s3://bucket`` there, and put the endpoint and credentials into the environment."""
    import urllib3  # not above: without it, tests of other servers run

    settings = {"ENDPOINT_URL": endpoint, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "SESSION_TOKEN": "c"}
    for name, value in settings.items():
        patch.setenv(f"AWS_{name}", value)
    with urllib3.PoolManager() as pool:
        pool.request("POST", f"{endpoint}/moto-api/reset")
        pool.request("PUT", f"{endpoint}/bucket")
