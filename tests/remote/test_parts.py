"""URLs, plans of ranges, pauses, locks, the limit of the cache, and the requests for each kind of object store."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.errors import RemoteError, SkelstoreError, StoreError
from skelstore.remote import cache as caching
from skelstore.remote import locks
from skelstore.remote.cache import Cache, default_folder, stated_limit
from skelstore.remote.locks import try_lock, unlock
from skelstore.remote.ranges import plan_pieces, plan_requests
from skelstore.remote.retries import pause_before, retry_after
from skelstore.remote.url import Url, parse_url
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.remote.azure import sign_shared_key
from skelstore.remote.connections import close_connections
from skelstore.remote.services import service_of
from tests.support.http_server import Fault, serving

# --- URLs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown", "key"),
    [
        ("https://host/a b/s.zarr/", "https://host/a%20b/s.zarr", "https://host/a%20b/s.zarr/k/c.0"),
        ("https://u:p@host:8/s?t=1#x", "https://host:8/s", "https://host:8/s/k/c.0"),
        ("s3://bucket", "s3://bucket", "s3://bucket/k/c.0"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b", "s3://bucket/a%20b/k/c.0"),
        ("hf://datasets/o/n@v1/p", "hf://datasets/o/n@v1/p", "hf://datasets/o/n@v1/p/k/c.0"),
        ("S3:/bucket/x", "s3://bucket/x", "s3://bucket/x/k/c.0"),
    ],
)
def test_urls(text: str, shown: str, key: str) -> None:
    if text.startswith("S3:/b"):
        text = str(Path(text)).lower()
    url = parse_url(text)
    assert str(url) == shown
    assert str(url / "k/c.0") == key
    assert parse_url(url.secret) == url
    assert "p@" not in repr(url).replace("n@v1/p", "")
    assert "t=1" not in repr(url)


_HOSTS = ["[::1", "[bad]", "host:99999", "host:abc", "host:0", ":80", "me:secret@"]


@pytest.mark.parametrize(
    "text",
    [
        *("https://", "s3:///a", "ftp://host/a", "http://host/\n", "a", "hf://models/a/b", "x\x1b://host/a"),
        *(f"http://{host}/s.zarr?token=secret" for host in _HOSTS),
        *(f"{scheme}://me:secret@host/a" for scheme in ("s3", "gs", "az", "hf", "ftp")),
        "ftp://me:secret@host/\x1b",
        *("http://host/\udcff", "s3://bucket/\udcff", "http://\udcff:secret@host/a", "https://host/a?secret=\udcff"),
    ],
)
def test_a_url_that_no_store_can_have(text: str) -> None:
    with pytest.raises(SkelstoreError) as caught:
        service_of(parse_url(text))
    assert str(caught.value).isprintable()
    assert "secret" not in str(caught.value)


# --- plans --------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30).flatmap(
        lambda sizes: st.tuples(st.just(sizes), *[st.sets(st.integers(0, len(sizes) - 1))] * 2)
    ),
    st.integers(0, 60),
    st.integers(1, 200),
)
def test_requests_are_those_of_a_slow_reference(
    case: tuple[list[int], set[int], set[int]], gap: int, most: int
) -> None:
    """The reference goes through every byte: which request is it in, and is it there already."""
    sizes, chunks, others = case
    bounds = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    present = bytes(i in others - chunks for i in range(len(sizes)))
    there = {byte for i, one in enumerate(present) if one for byte in range(bounds[i], bounds[i + 1])}
    requests = plan_requests(bounds, sorted(chunks), present, gap=gap, most=most)
    expected: list[set[int]] = []  # bytes of each request
    for chunk in sorted(chunks):
        own = set(range(bounds[chunk], bounds[chunk + 1]))
        if expected:
            filled = set(range(min(expected[-1]), max(own) + 1))
            if len(filled - expected[-1] - own) <= gap and len(filled) <= most and not filled & there:
                expected[-1] = filled
                continue
        expected.append(own)
    assert [set(range(bounds[first], bounds[stop])) for first, stop in requests] == expected


@given(st.integers(0, 500), st.integers(1, 60))
def test_pieces_are_the_file(size: int, most: int) -> None:
    pieces = plan_pieces(size, most=most)
    assert [byte for start, stop in pieces for byte in range(start, stop)] == list(range(size))
    assert all(0 < stop - start <= most for start, stop in pieces)


# --- pauses -------------------------------------------------------------------------------------------------


def test_pauses() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 97 < (retry_after({"Retry-After": date}) or 0) <= 100
    assert retry_after({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0
    for text in ("", "soon", "-1", "1e9", "9" * 400, "٣"):
        assert retry_after({"Retry-After": text}) in (None, 3.0)
    pauses = {pause_before(3, None) for _ in range(50)}
    assert len(pauses) > 10
    assert all(0.2 <= pause <= 0.6 for pause in pauses)
    assert 60 <= pause_before(5, 60.0) <= 61


# --- locks --------------------------------------------------------------------------------------------------


def test_locks_hold_until_their_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    one, two = (os.open(path, os.O_RDWR) for _ in range(2))
    assert try_lock(one, 0, 10)
    assert try_lock(two, 10, 20)
    assert not try_lock(two, 9, 11)
    unlock(one, 0, 10)
    assert try_lock(two, 9, 11)
    code = f"import os; from skelstore.remote.locks import try_lock; f=os.open({str(path)!r}, os.O_RDWR); \
print(try_lock(f, 0, 100), try_lock(f, 0, 9), flush=True); os.kill(os.getpid(), 9)"
    output = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False).stdout
    assert output.split() == ["False", "True"]
    assert try_lock(one, 0, 9)  # the killed process has freed it
    os.close(one)
    os.close(two)


# --- the limit ----------------------------------------------------------------------------------------------


def test_patience_ends_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(locks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(locks.time, "sleep", sleep)
    patience = locks.Patience(0.5)
    for there in range(1000):  # something arrives all the time
        assert not patience.is_over
        patience.wait(there)
    assert sorted(pauses) == pauses
    assert (pauses[0] < 0.01, pauses[-1]) == (True, 0.5)
    assert sum(pauses) > 2 * locks.PATIENCE
    waits = 0
    while not patience.is_over:
        patience.wait(999)
        waits += 1
    assert locks.PATIENCE <= waits * 0.5 + 0.5 <= locks.PATIENCE + 1
    patience.restart()
    assert not patience.is_over
    pauses.clear()
    patience.wait(999)
    assert pauses[0] < 0.01


def test_the_cache_keeps_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty small stores pass through a cache that has room for some; readers of evicted shards go on."""
    monkeypatch.setattr(caching, "KEPT_SECONDS", -1.0)
    data = ntu_like(20)["annotations"]
    (tmp_path / "served").mkdir()
    for i in range(20):
        with skelstore.Writer(tmp_path / "served" / f"{i}.zarr") as writer:
            writer.add(data[i])
    one = sum(path.stat().st_size for path in (tmp_path / "served" / "0.zarr").rglob("*") if path.is_file())
    limit = 8 * (one + (64 << 10))
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SKELSTORE_CACHE_SIZE", str(limit))
    with serving(tmp_path / "served") as server:
        stores = []
        for i in range(20):
            store = skelstore.open(f"{server.url}/{i}.zarr")
            assert_exact(store[0], data[i])
            stores.append(store)
            assert Cache(default_folder()).usage().size <= limit * 1.1
        for store, expected in zip(stores, data, strict=True):
            assert_exact(store[0], expected)
            store.close()
            assert_exact(store[0], expected)


def test_sizes_of_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text, size in (("5", 5), ("2K", 2000), ("1.5 gb", 1_500_000_000), ("3T", 3 * 10**12)):
        monkeypatch.setenv("SKELSTORE_CACHE_SIZE", text)
        assert stated_limit() == size
    monkeypatch.setenv("SKELSTORE_CACHE_SIZE", "much")
    with pytest.raises(StoreError, match="SKELSTORE_CACHE_SIZE is 'much'"):
        stated_limit()
    monkeypatch.delenv("SKELSTORE_CACHE_SIZE")
    assert 0 < Cache(tmp_path).limit(100) < 1 << 60


def test_stores_share_shards_if_they_come_from_one_folder(tmp_path: Path) -> None:
    """The author of a store states its digests, so another author's store must not fill the place of its shards."""
    cache = Cache(tmp_path)
    origins = ["https://a/x/s.zarr", "https://a/x/t.zarr", "https://a/y/s.zarr", "https://b/x/s.zarr"]
    paths = [cache.shard_path(service_of(parse_url(url)).origin, "00", 1, 1) for url in origins]
    assert paths[0] == paths[1]
    assert len(set(paths)) == 3


# --- object stores ------------------------------------------------------------------------------------------


def _address(url: str, key: str = "a b/c.0") -> tuple[str, dict[str, str]]:
    request = service_of(parse_url(url)).request("GET", key, {"Range": "bytes=0-1"})
    return request.address, dict(request.headers)


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented URLs: resolve redirects to another host, which gets no token."""
    (tmp_path / "blobs").mkdir()
    with skelstore.Writer(tmp_path / "blobs" / "s.zarr") as writer:
        for annotation in ntu_like(5)["annotations"]:
            writer.add(annotation)
    (tmp_path / "token").write_text("hf_abc\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    with serving(tmp_path / "blobs") as files, serving(tmp_path) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        prefix = "/datasets/me/set/resolve/main/data/"
        for path in (tmp_path / "blobs").rglob("*"):
            if path.is_file():
                key = path.relative_to(tmp_path / "blobs").as_posix()
                hub.faults.append(Fault(f"^{prefix}{key}$", "redirect", 99, {"Location": f"{files.url}/{key}?X=1"}))
        store = skelstore.open("hf://datasets/me/set/data/s.zarr")
        assert_exact(list(store), list(skelstore.open(tmp_path / "blobs" / "s.zarr")))
        assert {seen.headers.get("Authorization") for seen in hub.seen} == {"Bearer hf_abc"}
        assert {seen.headers.get("Authorization") for seen in files.seen} == {None}
        monkeypatch.setenv("HF_TOKEN", "hf_def")
        address, headers = _address("hf://datasets/me/set@refs/pr/1/s.zarr")
        assert address == f"{hub.url}/datasets/me/set/resolve/refs%2Fpr%2F1/s.zarr/a%20b/c.0"
        assert headers["Authorization"] == "Bearer hf_def"


def test_google(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:9")
    assert _address("gs://bucket/s.zarr")[0] == "http://localhost:9/bucket/s.zarr/a%20b/c.0"


def test_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text that is signed is that of the REST API's documentation, written out."""
    key = base64.b64encode(b"secret").decode()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", key)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    address, headers = _address("az://box/s.zarr")
    assert address == "https://me.blob.core.windows.net/box/s.zarr/a%20b/c.0"
    text = (
        "GET\n\n\n\n\n\n\n\n\n\n\nbytes=0-1\n"
        f"x-ms-date:{headers['x-ms-date']}\nx-ms-version:{headers['x-ms-version']}\n/me/box/s.zarr/a%20b/c.0"
    )
    digest = hmac.new(b"secret", text.encode(), hashlib.sha256).digest()
    assert headers["Authorization"] == f"SharedKey me:{base64.b64encode(digest).decode()}"
    with pytest.raises(RemoteError, match="is not base64"):
        sign_shared_key("me", "?", "GET", address, {})
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "BlobEndpoint=http://h:1/me;SharedAccessSignature=sv=1&sig=x")
    assert _address("az://box/s.zarr")[0] == "http://h:1/me/box/s.zarr/a%20b/c.0?sv=1&sig=x"
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(RemoteError, match="the account is not known"):
        service_of(Url("az", "box", "/a"))


def test_s3_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    address, headers = _address("s3://bucket/s.zarr")
    assert address == "https://bucket.s3.us-east-1.amazonaws.com/s.zarr/a%20b/c.0"
    assert "Authorization" not in headers  # nobody has credentials: public buckets accept that
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = http://h:2\n"
    )
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    address, headers = _address("s3://bucket/s.zarr")
    assert address == "http://h:2/bucket/s.zarr/a%20b/c.0"
    assert "Credential=a/" in headers["Authorization"]
    assert "/eu-west-1/s3/aws4_request" in headers["Authorization"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://h:3/")
    assert _address("s3://bu.cket/s.zarr")[0] == "http://h:3/bu.cket/s.zarr/a%20b/c.0"


@pytest.mark.parametrize(
    ("url", "variables", "found"),
    [
        ("http://.../s.zarr", {}, "in a form that HTTP does not allow"),
        ("hf://datasets/o/n/s.zarr", {"HF_TOKEN": "ключ"}, "in a form that HTTP does not allow"),
        ("hf://datasets/o/n/s.zarr", {"HF_ENDPOINT": "http://[::1"}, "HF_ENDPOINT is not an address"),
        ("s3://b/s.zarr", {"AWS_SESSION_TOKEN": "sec\nret"}, "in a form that HTTP does not allow"),
        ("s3://b/s.zarr", {"AWS_ENDPOINT_URL": "secret:1"}, "AWS_ENDPOINT_URL is not an address that begins with http"),
        (
            "s3://b/s.zarr",
            {"AWS_SECRET_ACCESS_KEY": "secret\udcff"},
            "credentials of AWS have bytes that are not UTF-8",
        ),
        ("s3://b/s.zarr", {"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL is not an address"),
        (
            "az://b/s.zarr",
            {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=secret"},
            "the account.* is not an",
        ),
        ("gs://b/s.zarr", {"STORAGE_EMULATOR_HOST": "secret:x"}, "STORAGE_EMULATOR_HOST is not an address"),
        ("http://host/s.zarr", {"http_proxy": "http://me:secret@[::1"}, "in a form that HTTP does not allow"),
    ],
)
def test_what_http_does_not_allow_is_a_sentence_without_it(
    url: str, variables: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials are in the errors of libraries, which are not shown."""
    if url.startswith("s3"):
        pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")
    settings = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in {"HF_ENDPOINT": "http://127.0.0.1:1", **settings, **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RemoteError, match=found) as caught:
        skelstore.open(url, cache=tmp_path)
    text = "".join(traceback.format_exception(caught.value))
    assert "secret" not in text
    assert "ret'" not in text
    close_connections()


def test_missing_packages(tmp_path: Path) -> None:
    code = "import sys; sys.modules[sys.argv[2]] = None\nimport skelstore\ntry:\n    skelstore.open(sys.argv[1])\n\
except skelstore.MissingPackageError as error:\n    print(error)"
    for url, package in (("https://host/s.zarr", "urllib3"), ("s3://b/s.zarr", "botocore")):
        done = subprocess.run([sys.executable, "-c", code, url, package], capture_output=True, text=True, check=True)
        assert "pip install 'skelstore[remote]'" in done.stdout
        assert done.stdout.count("\n") == 1


def test_local_stores_need_no_http(tmp_path: Path) -> None:
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        writer.add(ntu_like(1)["annotations"][0])
    code = "import sys, skelstore; skelstore.open(sys.argv[1])[0]; print([m for m in ('urllib3', 'botocore', \
'skelstore.remote.transport', 'concurrent.futures') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "s.zarr"], capture_output=True, text=True, check=True)
    loaded: Any = done.stdout
    assert "urllib3" not in loaded
    assert "remote.transport" not in loaded
