"""Clients of object stores side by side: which of them read ranges of S3 after a fork, and how many per second.

``python -m benchmarks.clients`` starts nginx, which serves the ranges, moto's server, to which objects are put, and a
proxy that delays, and prints a table. A client that is not installed is left out: ``pip install obstore s3fs botocore
urllib3 'moto[server]'``.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, files, requires, version
from pathlib import Path
from typing import Any

from benchmarks.delays import delayed
from benchmarks.served import free_port, serving

BUCKET, KEY, SIZE, RANGE = "bench", "shard", 8 << 20, 50_000
THREADS = 32
ROUND_TRIP = 0.03
Read = Callable[[int, int], bytes]


def open_obstore(endpoint: str) -> tuple[Read, Callable[[], str]]:
    import obstore
    from obstore.store import S3Store

    store = S3Store(BUCKET, endpoint=endpoint, client_options={"allow_http": True})

    def put() -> str:
        obstore.put(store, "made", b"1", mode="create")
        obstore.put(store, "made", b"1", mode="create")
        return "no"

    return lambda start, length: bytes(obstore.get_range(store, KEY, start=start, length=length)), put


def open_pyarrow(endpoint: str) -> tuple[Read, Callable[[], str]]:
    from pyarrow import fs

    store = fs.S3FileSystem(endpoint_override=endpoint, scheme="http", region="us-east-1")
    opened = store.open_input_file(f"{BUCKET}/{KEY}")

    def put() -> str:
        return "no such call"

    return lambda start, length: opened.read_at(length, start), put


def open_botocore(endpoint: str) -> tuple[Read, Callable[[], str]]:
    import botocore.session
    from botocore.config import Config

    config = Config(max_pool_connections=THREADS)
    client = botocore.session.Session().create_client("s3", "us-east-1", endpoint_url=endpoint, config=config)

    def put() -> str:
        client.put_object(Bucket=BUCKET, Key="made", Body=b"1", IfNoneMatch="*")
        client.put_object(Bucket=BUCKET, Key="made", Body=b"1", IfNoneMatch="*")
        return "no"

    def read(start: int, length: int) -> bytes:
        part = client.get_object(Bucket=BUCKET, Key=KEY, Range=f"bytes={start}-{start + length - 1}")
        return bytes(part["Body"].read())

    return read, put


def open_s3fs(endpoint: str) -> tuple[Read, Callable[[], str]]:
    import s3fs

    store = s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True)

    def put() -> str:
        store.pipe_file(f"{BUCKET}/made", b"1", mode="create")
        store.pipe_file(f"{BUCKET}/made", b"1", mode="create")
        return "no"

    return lambda start, length: bytes(store.cat_file(f"{BUCKET}/{KEY}", start=start, end=start + length)), put


def open_urllib3(endpoint: str, *, signed: bool) -> tuple[Read, Callable[[], str]]:
    import urllib3

    pools: dict[int, Any] = {}
    credentials: Any = None
    if signed:
        import botocore.session
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        credentials = botocore.session.Session().get_credentials()

    def sign(method: str, url: str, headers: dict[str, str]) -> dict[str, str]:
        if credentials is not None:
            request = AWSRequest(method=method, url=url, headers=headers)
            request.context["payload_signing_enabled"] = False
            S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
            headers = dict(request.headers)
        return headers

    def send(method: str, key: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        pool = pools.get(os.getpid()) or pools.setdefault(os.getpid(), urllib3.PoolManager(maxsize=THREADS))
        url = f"{endpoint}/{BUCKET}/{key}"
        return pool.request(method, url, headers=sign(method, url, headers), body=body)

    def read(start: int, length: int) -> bytes:
        return bytes(send("GET", KEY, {"Range": f"bytes={start}-{start + length - 1}"}).data)

    def put() -> str:
        send("PUT", "made", {"If-None-Match": "*"}, b"1")
        status = send("PUT", "made", {"If-None-Match": "*"}, b"1").status
        return "yes" if status in (409, 412) else f"no ({status})"

    return read, put


CLIENTS: dict[str, tuple[str, Callable[[str], tuple[Read, Callable[[], str]]]]] = {
    "obstore": ("obstore", open_obstore),
    "pyarrow.fs": ("pyarrow", open_pyarrow),
    "s3fs": ("s3fs", open_s3fs),
    "botocore": ("botocore", open_botocore),
    "urllib3, signed by botocore": ("botocore", partial(open_urllib3, signed=True)),
    "urllib3": ("urllib3", partial(open_urllib3, signed=False)),
}


def _read_once(read: Read, queue: Any) -> None:
    queue.put(len(read(1000, RANGE)))


def _read_fresh(name: str, endpoint: str, queue: Any) -> None:
    _read_once(CLIENTS[name][1](endpoint)[0], queue)


def works_in_child(method: str, target: Callable[..., None], *arguments: Any) -> str:
    """Whether a process reads a range within ten seconds."""
    context: Any = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=target, args=(*arguments, queue))
    process.start()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()
        return "hangs"
    return (
        "works" if process.exitcode == 0 and not queue.empty() and queue.get() == RANGE else f"exit {process.exitcode}"
    )


def rate(read: Read, threads: int, seconds: float = 2.0) -> float:
    """Ranges read per second by a number of threads."""
    starts = [(7919 * RANGE * i) % (SIZE - RANGE) for i in range(100_000)]
    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(lambda start: read(start, RANGE), starts[: 2 * threads]))  # connections
        end = time.perf_counter() + seconds
        done = executor.map(partial(_read_until, read, end, starts), range(threads))
        return sum(done) / seconds


def _read_until(read: Read, end: float, starts: list[int], number: int) -> int:
    count = 0
    while time.perf_counter() < end:
        assert len(read(starts[(number * 997 + count) % len(starts)], RANGE)) == RANGE
        count += 1
    return count


def measure(name: str, port: int, moto: int, queue: Any) -> None:
    package, opened = CLIENTS[name]
    endpoint = f"http://127.0.0.1:{port}"
    row: dict[str, object] = {"client": name, "version": version(package), "MB": f"{install_bytes(package) / 1e6:.0f}"}
    read, _ = opened(endpoint)
    row["ranges/s"] = f"{rate(read, 1):.0f}"
    row["32 threads"] = f"{rate(read, THREADS):.0f}"
    with delayed(port, ROUND_TRIP) as slow:
        far, _ = opened(f"http://127.0.0.1:{slow}")
        row["at 30 ms"] = f"{rate(far, 1):.0f}"
        row["32 threads at 30 ms"] = f"{rate(far, THREADS):.0f}"
    row["fork after reading"] = works_in_child("fork", _read_once, read)
    for method in ("spawn", "forkserver"):
        row[method] = works_in_child(method, _read_fresh, name, endpoint)
    try:
        row["put if absent"] = opened(f"http://127.0.0.1:{moto}")[1]()
    except Exception as error:
        row["put if absent"] = "yes" if "412" in str(error) or "exist" in str(error).lower() else type(error).__name__
    queue.put(row)


def install_bytes(package: str, seen: set[str] | None = None) -> int:
    """The size of a package and of all that it requires, as installed."""
    seen = set() if seen is None else seen
    name = package.lower().replace("_", "-")
    if name in seen:
        return 0
    seen.add(name)
    try:
        own = sum(path.stat().st_size for file in files(package) or [] if (path := file.locate()).is_file())
    except (PackageNotFoundError, AttributeError):
        own = 0
        try:
            own = sum(os.path.getsize(str(f.locate())) for f in files(package) or [] if os.path.isfile(str(f.locate())))
        except PackageNotFoundError:
            return 0
    import re

    needed = [re.match(r"[\w.-]+", text) for text in requires(package) or [] if "extra ==" not in text]
    return own + sum(install_bytes(match[0], seen) for match in needed if match)


@contextmanager
def moto() -> Iterator[int]:
    """The port of moto's server, with a bucket in it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            import urllib3

            pool = urllib3.PoolManager(retries=urllib3.Retry(30, backoff_factor=0.05, backoff_max=0.5))
            pool.request("PUT", f"http://127.0.0.1:{port}/{BUCKET}")
            yield port
        finally:
            server.kill()


def main() -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    context = multiprocessing.get_context("spawn")
    header = ""
    for name, (package, _) in CLIENTS.items():
        if importlib.util.find_spec(package) is None:
            continue
        with (
            moto() as puts,
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder), Path(folder) / "nginx") as served,
        ):
            (Path(folder) / BUCKET).mkdir()
            (Path(folder) / BUCKET / KEY).write_bytes(os.urandom(SIZE))
            queue = context.SimpleQueue()
            process = context.Process(target=measure, args=(name, served.port, puts, queue))
            process.start()
            process.join(90)
            if process.is_alive() or queue.empty():
                process.kill()
                print(f"| {name} | failed |")
                continue
            row = queue.get()
        if not header:
            header = " | ".join(row)
            print(f"| {header} |\n|{'---|' * len(row)}")
        print("| " + " | ".join(map(str, row.values())) + " |", flush=True)


if __name__ == "__main__":
    main()
