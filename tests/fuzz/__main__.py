"""``python -m tests.fuzz TARGET [--seconds N] [--runs N] [--corpus FOLDER] [--without-coverage]``: run one fuzzer.

Needs atheris (``pip install 'skelstore[fuzz]'``; Linux), unless it changes the seeds without regard to coverage, which
also works under the sanitizers of a C compiler. It ends with status 0 after the time or number of runs, or at
the first finding. The input of a finding is in ``findings`` of the corpus folder; ``python -m tests.fuzz TARGET FILE``
tries it again.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from pathlib import Path
from typing import Any

TARGETS = ("pickles", "templates", "stores", "documents")
TIMEOUT = 20
"""Seconds that one input may take. Usually a fraction is enough; the rest is a margin for a busy machine."""
MEMORY = 1000
"""MB that one process may take, including the libraries and the corpus."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("files", nargs="*", type=Path, help="inputs to try instead of looking for new ones")
    parser.add_argument("--seconds", type=int, default=0, help="how long to search (default: forever)")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs to try (default: no limit)")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="folder that keeps what was found")
    parser.add_argument("--without-coverage", action="store_true", help="change the seeds at random, without atheris")
    options = parser.parse_args()

    if options.without_coverage:
        module = importlib.import_module(f"tests.fuzz.{options.target}")
        print(f"{try_changed_seeds(module, options.seconds):,} inputs without a finding")
        return
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["converters", "skelstore"]):
        module = importlib.import_module(f"tests.fuzz.{options.target}")

    folder = options.corpus / options.target
    for name in ("corpus", "seeds", "findings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(module.seeds()):
        (folder / "seeds" / f"{number:05}").write_bytes(seed)
    (folder / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in module.words()))
    arguments = [
        f"-max_len={module.MAX_BYTES}",
        f"-dict={folder / 'words'}",
        f"-artifact_prefix={folder / 'findings'}/",
        f"-max_total_time={options.seconds}",
        f"-runs={options.runs}",
        f"-timeout={TIMEOUT}",
        f"-rss_limit_mb={MEMORY}",
        "-print_final_stats=1",
    ]
    places = [str(file) for file in options.files] or [str(folder / "corpus"), str(folder / "seeds")]
    atheris.Setup([sys.argv[0], *arguments, *places], module.target())
    atheris.Fuzz()


def try_changed_seeds(module: Any, seconds: float) -> int:
    """Try seeds with random changes for some seconds; return how many. A finding raises an error."""
    chosen = random.Random(time.time_ns())
    seeds, words, check = list(module.seeds()), list(module.words()), module.target()
    tried = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = bytearray(chosen.choice(seeds))
        for _ in range(chosen.randint(1, 4)):
            at = chosen.randrange(len(data) + 1)
            new = chosen.choice([chosen.randbytes(chosen.randint(1, 8)), chosen.choice(words)])
            data[at : at + chosen.choice([0, 1, len(new), chosen.randint(0, 64)])] = new
        check(bytes(data[: module.MAX_BYTES]))
        tried += 1
    return tried


def _escaped(word: bytes) -> str:
    """A word as written in a dictionary of libFuzzer."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
