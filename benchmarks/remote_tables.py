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
from pathlib import Path

from benchmarks.delays import delayed
from benchmarks.served import sent_bytes, serving

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
        work = Path(folder)
        with serving(store.parent, work / "nginx") as served, delayed(served.port, ROUND_TRIP, RATE) as port:
            number = 0
            for step, command in STEPS.items():
                if not re.search(options.steps, step):
                    continue
                number += step.endswith("cold")
                served.requests()
                run = subprocess.run(
                    [
                        *(sys.executable, "-c", CODE, f"http://127.0.0.1:{port}/{store.name}"),
                        *("whole" if options.whole else "", command),
                    ],
                    env={"PATH": "", "PYTHONPATH": ".", "SKELSTORE_CACHE": str(work / f"cache-{number}")},
                    check=True,
                    capture_output=True,
                    text=True,
                )
                opened, opened_cpu, done, done_cpu = map(float, run.stdout.split())
                requests = served.requests()
                arrived = sorted(request.arrived for request in requests)
                rounds = sum(
                    later - earlier > ROUND_TRIP * 0.8 for earlier, later in zip([0.0, *arrived], arrived, strict=False)
                )
                kilobytes = sent_bytes(requests) / 1e3
                print(
                    f"{step:24} opened {opened:7.3f} s (CPU {opened_cpu:6.3f}), "
                    f"then {done:7.3f} s (CPU {done_cpu:6.3f}); "
                    f"{len(requests):5} requests in {rounds} bursts, {kilobytes:12,.0f} kB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
