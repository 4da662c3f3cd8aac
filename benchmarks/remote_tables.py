"""What it costs to open a large store at a URL, and to look at its table: round trips, bytes, seconds.

``python -m benchmarks.remote_tables STORE`` starts nginx, which serves the store, and a proxy that delays by 30 ms and
lets 100 Mbit/s pass. ``STORE`` may be one of ``benchmarks.growth``. Each step runs in a process of its own, with an
empty cache or with that of the step before. With ``--whole``, tables are fetched as a whole, as those without checksums
of blocks are.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.delays import delayed
from tests.support.servers import free_port

ROUND_TRIP = 0.03
RATE = 100e6 / 8

STEPS = {
    "open, cold": "",
    "open, warm": "",
    "by name, cold": "store.index(name)",
    "by position, cold": "store.name(middle)",
    "32 by position, cold": "store._reader.provide(range(0, len(store), len(store) // 32))",
    "select, cold": "store.select(pc.field('label') < 200)",
    "select again": "store.select(pc.field('label') < 200)",
    "split('train'), cold": "store.split('train')",
    "split('train') again": "store.split('train')",
}
"""What is done with an open store. A step whose name ends with ``cold`` has an empty cache."""

CODE = """
import sys, time
import pyarrow.compute as pc
import skelstore
from pyarrow import acero
from skelstore.read import opening

url, whole, command = sys.argv[1:]
if whole == "whole":
    opening.WHOLE_BYTES = opening.WHOLE_NAMES_BYTES = 1 << 60
start, cpu = time.perf_counter(), time.process_time()
store = skelstore.open(url)
opened, opened_cpu = time.perf_counter(), time.process_time()
middle = len(store) // 2 + 7
name = f"v{middle:010}"
begin, begin_cpu = time.perf_counter(), time.process_time()
exec(command)
print(opened - start, opened_cpu - cpu, time.perf_counter() - begin, time.process_time() - begin_cpu)
"""


@contextmanager
def nginx(root: Path, log: Path) -> Iterator[int]:
    """The port of an nginx that serves a folder and logs what it has sent."""
    port = free_port()
    (log / "nginx.conf").write_text(
        f"pid {log}/pid; error_log {log}/errors; daemon off; user root; events {{}}\n"
        "http { log_format sent '$msec $request_time $uri $body_bytes_sent'; access_log " + str(log) + "/access sent;\n"
        f"keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    with subprocess.Popen(["nginx", "-c", log / "nginx.conf", "-e", log / "errors"]) as server:
        try:
            time.sleep(0.5)
            yield port
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--steps", default="", help="a pattern for the names of the steps")
    options = parser.parse_args()
    store = options.store.resolve()
    for table in sorted(store.glob("*.arrow")):
        print(f"{table.name}: {table.stat().st_size:,} bytes")
    print(f"manifest.json: {(store / 'manifest.json').stat().st_size:,} bytes")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        with nginx(store.parent, log) as server, delayed(server, ROUND_TRIP, RATE) as port:
            number = 0
            for step, command in STEPS.items():
                if not re.search(options.steps, step):
                    continue
                number += step.endswith("cold")
                sent = len((log / "access").read_text().splitlines())
                run = subprocess.run(
                    [
                        *(sys.executable, "-c", CODE, f"http://127.0.0.1:{port}/{store.name}"),
                        *("whole" if options.whole else "", command),
                    ],
                    env={"PATH": "", "PYTHONPATH": ".", "SKELSTORE_CACHE": str(log / f"cache-{number}")},
                    check=True,
                    capture_output=True,
                    text=True,
                )
                opened, opened_cpu, done, done_cpu = map(float, run.stdout.split())
                time.sleep(0.1)
                lines = [line.split() for line in (log / "access").read_text().splitlines()[sent:]]
                arrived = sorted(float(line[0]) - float(line[1]) for line in lines)
                rounds = sum(
                    later - earlier > ROUND_TRIP * 0.8 for earlier, later in zip([0.0, *arrived], arrived, strict=False)
                )
                kilobytes = sum(int(line[3]) for line in lines) / 1e3
                print(
                    f"{step:24} opened {opened:7.3f} s (CPU {opened_cpu:6.3f}), "
                    f"then {done:7.3f} s (CPU {done_cpu:6.3f}); "
                    f"{len(lines):5} requests in {rounds} bursts, {kilobytes:12,.0f} kB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
