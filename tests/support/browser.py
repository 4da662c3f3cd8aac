"""A real browser on the page of ``skelstore view``: the server as a process, and what a page has reported."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.repository import REPOSITORY

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Names of the browser on PATH."""

SECONDS = 60
"""How long the server may take until it answers."""

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error(`violated: ${event.violatedDirective}`));
"""


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """Run ``skelstore view`` with these arguments; yields its address."""
    command = [sys.executable, "-m", "converters.cli", "view", "--no-browser", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield read_address(process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def read_address(process: subprocess.Popen[str]) -> str:
    """The address that the server prints when it answers."""
    assert process.stdout is not None
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and select.select([process.stdout], [], [], end - time.monotonic())[0]:
        line = process.stdout.readline()
        if "http://" in line:
            return line[line.index("http://") :].split()[0].rstrip("/")
        assert line, "the server ended before it answered"
    raise AssertionError(f"the server printed no address in {SECONDS} seconds")


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine; skips where there is none, or no Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no browser on PATH: {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield made
        finally:
            made.close()


@contextmanager
def visiting(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A page with its own profile. When it is left, it must have reported no error and no violation of its policy.

    ``page.expected`` is a list of texts: errors that contain one of them were provoked.
    """
    context = browser.new_context(base_url=address, **{"viewport": {"width": 1200, "height": 760}} | options)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.expected = []
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(f"{error.message}\n{error.stack}"))
    page.on("dialog", lambda dialog: (errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    try:
        yield page
        assert [error for error in errors if not any(text in error for text in page.expected)] == []
    finally:
        context.close()
