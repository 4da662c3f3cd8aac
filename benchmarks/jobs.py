"""Two jobs of several workers on one cold cache, one of which is killed: the requests of both, and the values.

A job is a process that opens the store and forks its workers, each of which reads its part of a random epoch by name.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from benchmarks.delays import delayed
from benchmarks.round_trips import ROUND_TRIP
from benchmarks.served import serving
from converters.bench import fresh
from converters.bench.data import Annotation


def digest(annotation: Annotation) -> str:
    """A digest of all values of an annotation."""
    found = hashlib.blake2b(digest_size=16)
    for key, value in annotation.items():
        if isinstance(value, np.ndarray):
            found.update(f"{key} {value.dtype} {value.shape}".encode())
            found.update(np.ascontiguousarray(value))
        else:
            found.update(f"{key} {value!r}".encode())
    return found.hexdigest()


def read_all(source: str, seed: int, workers: int) -> dict[str, Any]:
    """Read every video of a store once, in random order; the digest of each. It leads a process group of its own."""
    os.setpgrp()
    store = skelstore.open(source)
    order = random.Random(seed).sample(range(len(store)), len(store))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def work(mine: list[int]) -> None:
        queue.put([(position, digest(store[position])) for position in mine])

    processes = [context.Process(target=work, args=(order[number::workers],)) for number in range(workers)]
    fresh.wait_for_go()
    start = time.perf_counter()
    for process in processes:
        process.start()
    digests = dict(pair for _ in processes for pair in queue.get())
    for process in processes:
        process.join()
    return {"s": time.perf_counter() - start, "digests": [digests[position] for position in range(len(store))]}


def measure(store: Path, folder: Path, workers: int, rounds: int) -> dict[str, float]:
    """The videos that are wrong in the job that goes on, and the GETs of both jobs over those of one; the most of all
    rounds. One job alone is measured in each round, too.
    """
    with skelstore.open(store) as opened:
        expected = [digest(annotation) for annotation in opened]
    draws = random.Random(0)
    wrong, ratios, alone_gets = 0, [], []
    with serving(store.parent, folder / "nginx") as served, delayed(served.port, ROUND_TRIP) as port:
        arguments = {"source": f"http://127.0.0.1:{port}/{store.name}", "workers": workers}
        for turn in range(rounds):
            environment = {"SKELSTORE_CACHE": str(folder / f"jobs-{turn}-alone")}
            served.requests()
            job = fresh.start_with(environment, read_all, seed=2 * turn, **arguments)
            fresh.go([job])
            alone = fresh.result(job)
            wrong += sum(a != b for a, b in zip(alone["digests"], expected, strict=True))
            alone_gets.append(len(served.requests()))
            environment = {"SKELSTORE_CACHE": str(folder / f"jobs-{turn}-both")}
            both = [fresh.start_with(environment, read_all, seed=2 * turn + i, **arguments) for i in range(2)]
            try:
                fresh.go(both)
                time.sleep(draws.uniform(0.1, 0.9) * alone["s"])
                os.killpg(both[1].pid, signal.SIGKILL)
                left = fresh.result(both[0])
            finally:
                for job in both:
                    job.kill()
                    job.communicate()
            wrong += sum(a != b for a, b in zip(left["digests"], expected, strict=True))
            ratios.append(len(served.requests()) / alone_gets[-1])
    gets = sum(alone_gets) / rounds
    return {"workers": workers, "wrong": wrong, "ratio": max(ratios), "GETs of one": gets, "videos": len(expected)}
