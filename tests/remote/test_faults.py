"""Faults of servers and networks: they are survived, or end in one sentence with the URL and the key."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.errors import DamageError, RemoteAccessError, RemoteBusyError, RemoteError, SkelstoreError, StoreError
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.remote import connections, retries, stopping, transport
from skelstore.remote.files import RemoteFiles
from skelstore.remote.google import GoogleBucket
from skelstore.remote.s3 import Bucket
from skelstore.remote.services import service_of
from skelstore.remote.url import parse_url
from tests.support.http_server import Fault, Served, serving
from tests.support.leaks import leaks, open_files

SECRETS = "?token=hidden"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with skelstore.Writer(folder / "s.zarr") as writer:
        for annotation in ntu_like(12)["annotations"]:
            writer.add(annotation)
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.2)
    with serving(made) as served:
        yield served


def _read(server: Served) -> list[object]:
    return list(skelstore.open(f"{server.url}/s.zarr{SECRETS}"))


@pytest.mark.parametrize("kind", ["reset", "truncate", "flip", "hang", "429", "500", "502", "503", "504", "408"])
@pytest.mark.parametrize("key", ["/zarr.json", r"manifest\.json", r"videos\.arrow", r"keypoint/c\."])
def test_a_fault_that_passes_is_survived(made: Path, server: Served, kind: str, key: str) -> None:
    if kind == "flip" and key == "/zarr.json":
        pytest.skip("nothing states what the bytes of a root are, so a damaged one is an error")
    server.faults.append(Fault(key, kind))
    assert_exact(_read(server), list(skelstore.open(made / "s.zarr")))
    assert server.faults[0].times == 0


@pytest.mark.parametrize(
    ("kind", "error", "found", "requests"),
    [
        ("reset", RemoteError, "after 5 attempts: the connection broke off", 5),
        ("truncate", RemoteError, "after 5 attempts: the answer was cut short", 5),
        ("500", RemoteError, r"after 5 attempts: it answered 500 \(Told\)", 5),
        ("429", RemoteBusyError, r"answered 429 \(Told\) to 5 attempts: it limits the number of requests", 5),
        ("503", RemoteBusyError, r"answered 503 \(Told\) to 5 attempts", 5),
        ("401", RemoteAccessError, r"answered 401 \(Told\): access is refused", 1),
        ("403", RemoteAccessError, r"answered 403 \(Told\): access is refused", 1),
        ("404", DamageError, r"does not exist: the server answered 404 \(Told\)", 1),
        ("400", RemoteError, r"answered 400 \(Told\); expected its bytes", 1),
        ("flip", DamageError, "damaged", 2),
        ("shift", RemoteError, "sent the bytes", 1),
        ("gzip", RemoteError, r"sends it compressed \(gzip\)", 1),
        ("redirect", RemoteError, "more than 5 redirects", 6),
    ],
)
def test_a_fault_that_stays_is_one_sentence(
    server: Served, kind: str, error: type[SkelstoreError], found: str, requests: int
) -> None:
    store = skelstore.open(f"{server.url}/s.zarr{SECRETS}")
    store[0]["keypoint"]
    server.seen.clear()
    key = "/keypoint/c."
    server.faults.append(Fault(key.replace(".", r"\."), kind, 99, {"Location": f"/s.zarr{key}0.0.0{SECRETS}"}))
    for path in (Path(store._reader.files.cache.path) / "v1" / "shards").rglob("*"):  # type: ignore[attr-defined]
        if path.is_file():
            path.unlink()
    fresh = skelstore.open(f"{server.url}/s.zarr{SECRETS}")
    with pytest.raises(error, match=found) as caught:
        fresh[5]
    message = str(caught.value)
    assert f"{server.url}/s.zarr{key}0.0.0" in message
    assert "hidden" not in message
    assert "\n" not in message
    assert server.count(r"keypoint/c\.") == requests


def test_the_error_of_a_root(server: Served) -> None:
    for kind, error in (("403", RemoteAccessError), ("429", RemoteBusyError), ("reset", RemoteError)):
        server.faults[:] = [Fault("/zarr.json", kind, 99)]
        with pytest.raises(error, match=f"^{server.url}/s.zarr/zarr.json"):
            _read(server)


def test_retry_after_is_heeded(server: Served) -> None:
    server.faults.append(Fault("/zarr.json", "429", 1, {"Retry-After": "1"}))
    begin = time.monotonic()
    assert len(_read(server)) == 12
    assert time.monotonic() - begin >= 1
    server.faults.append(Fault("/zarr.json", "503", 1, {"Retry-After": "61"}))
    with pytest.raises(RemoteBusyError, match="asks to come back in 61 s"):
        _read(server)


def test_redirects_are_followed_and_get_no_credentials(made: Path, server: Served) -> None:
    with serving(made) as other:
        for key in ("zarr.json", r"keypoint/c\.0"):
            name = "zarr.json" if key == "zarr.json" else "keypoint/c.0.0.0"
            server.faults.append(Fault(f"s.zarr/{key}", "redirect", 1, {"Location": f"{other.url}/s.zarr/{name}"}))
        url = server.url.replace("//", "//me:secret@")
        store = skelstore.open(f"{url}/s.zarr")
        assert_exact(list(store), list(skelstore.open(made / "s.zarr")))
        assert other.count() == 2
        assert all("Authorization" not in seen.headers for seen in other.seen)
        assert all("Authorization" in seen.headers for seen in server.seen)


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("http://[secret", "redirects to what is no address"),
        ("file:///secret", "redirects to an address with 'file'; expected http"),
        ("http://host:secret/", "in a form that HTTP does not allow"),
    ],
)
def test_a_redirect_to_nowhere(server: Served, location: str, found: str) -> None:
    server.faults.append(Fault("/zarr.json", "redirect", 1, {"Location": location}))
    with pytest.raises(RemoteError, match=found) as caught:
        _read(server)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    with pytest.raises(
        RemoteError, match=r"^http://127\.0\.0\.1:1/s\.zarr/zarr\.json cannot be read after 5 attempts: no"
    ):
        skelstore.open("http://me:secret@127.0.0.1:1/s.zarr?token=secret")
    connections.close_connections()


def _stall(listener: socket.socket, head: bytes, stalled: threading.Event) -> None:
    """Accept one connection, answer its request with some bytes, and wait until it is closed."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(head)
        stalled.set()
        while connection.recv(1 << 16):
            pass


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234",
        b"HTTP/1.0 200 OK\r\n\r\n1234",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_stopped_waits_for_nothing(head: bytes) -> None:
    """Neither for an answer, the rest of one, nor the time to try again; and nothing is tried again."""
    stalled, group = threading.Event(), stopping.Group()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_stall, args=(listener, head, stalled))
        thread.start()
        web = service_of(parse_url(f"http://127.0.0.1:{listener.getsockname()[1]}/s.zarr"))
        future = connections.start(web.send, "GET", "zarr.json", group=group)
        assert stalled.wait(10)
        time.sleep(0.05)  # the answer arrives
        group.stop([future])
        with pytest.raises(stopping.StoppedError):
            future.result(0)
        with pytest.raises(stopping.StoppedError):
            connections.start(web.send, "GET", "zarr.json", group=group).result(10)
        connections.close_connections()
        thread.join()


def test_closing_connections_waits_for_a_request_that_has_not_begun(server: Served) -> None:
    """As the manifest, which is requested beside a root that does not exist: a busy machine starts its thread late."""
    before = open_files()
    begun, go = threading.Event(), threading.Event()
    web = service_of(parse_url(f"{server.url}/s.zarr"))

    def request() -> None:
        begun.set()
        go.wait()
        web.send("HEAD", "manifest.json")

    connections.start(request)
    begun.wait()
    closing = threading.Thread(target=connections.close_connections)
    closing.start()
    time.sleep(0.05)
    go.set()
    closing.join()
    assert server.count("manifest") == 1
    assert leaks(open_files, before) == []


def test_a_cache_that_cannot_be_written(server: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError, match=f"the cache {tmp_path}/file cannot be used: .*; set SKELSTORE_CACHE"):
        skelstore.open(f"{server.url}/s.zarr", cache=tmp_path / "file")


def test_an_answer_without_end(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_BYTES", 1 << 20)
    server.faults.append(Fault("zarr.json", "endless"))
    web = service_of(parse_url(f"{server.url}/s.zarr"))
    with pytest.raises(RemoteError, match=r"s\.zarr/zarr\.json: the answer has more than 1,048,576 bytes"):
        web.send("GET", "zarr.json")


def test_a_file_that_is_too_large_is_not_fetched(server: Served, tmp_path: Path) -> None:
    """The first answer says how large it is."""
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "a.json").write_bytes(bytes(3 << 20))
    server.root = tmp_path
    files = RemoteFiles(parse_url(f"{server.url}/large"), tmp_path / "cache")
    with pytest.raises(StoreError, match="has more than 2,097,152 bytes"):
        files.read_all("a.json", 2 << 20)
    assert server.count("a.json") == 1


def test_what_a_server_says_cannot_control_a_terminal(server: Served) -> None:
    server.faults.append(Fault("/zarr.json", "403", 1, {"x-ms-error-code": "\x1b[2J"}, body=b""))
    with pytest.raises(RemoteAccessError, match=r"answered 403 \(\\x1b\[2J\)"):
        _read(server)


def test_a_list_that_does_not_go_on(object_store: Served) -> None:
    bucket = GoogleBucket(parse_url("gs://bucket/s.zarr"))
    body = b"<Key>s.zarr/unfinished/a</Key><NextContinuationToken>x</NextContinuationToken>"
    object_store.faults.append(Fault("prefix", "200", 99, body=body))
    with pytest.raises(RemoteError, match="the same page of its list of files again and again"):
        list(bucket.keys("unfinished"))


def test_a_bucket_in_another_region(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root and the manifest are requested at once, and both are refused before the region is known."""
    pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr(Bucket, "_base", property(lambda bucket: f"{server.url}/{bucket.region}"))
    (tmp_path / "regions" / "eu-west-1").mkdir(parents=True)
    (tmp_path / "regions" / "eu-west-1" / "s.zarr").symlink_to(server.root / "s.zarr")
    server.root = tmp_path / "regions"
    server.faults.append(Fault("/us-east-1/", "301", 99, {"x-amz-bucket-region": "eu-west-1"}))
    server.watch = lambda seen: time.sleep(0.1 * (seen.method == "HEAD"))
    assert len(list(skelstore.open("s3://bucket/s.zarr"))) == 12
    asked = [seen.method for seen in server.seen if "/us-east-1/" in seen.path]
    assert 1 <= asked.count("GET") <= 2
    assert 1 <= asked.count("HEAD") <= 2


def test_a_fork_while_credentials_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child does not wait for the lock that a thread of the parent holds."""
    credentials = pytest.importorskip("botocore.credentials", reason="botocore (skelstore[remote]) is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    bucket = Bucket(parse_url("s3://bucket/s.zarr"))
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    renewed = credentials.RefreshableCredentials("old", "old", "old", past, lambda: {}, "test")
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "_find_credentials", lambda _: renewed)
        assert bucket._credentials is renewed
    renewed._refresh_lock.acquire()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(dict(bucket.request("GET", "zarr.json", {}).headers)))
    child.start()
    child.join(30)
    child.kill()
    child.join()
    assert child.exitcode == 0
    assert "Credential=testing/" in queue.get()["Authorization"]
    queue.close()
