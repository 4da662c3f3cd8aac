"""Who may ask the server of ``skelstore view``, and what hostile requests and hostile stores get from it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.cli import entry
from converters.view import connections, guard, serve, skeletons, thumbnails
from converters.view.media import Folder
from skelstore.errors import SourceError
from tests.support.processes import COMMAND, run_python
from tests.support.replacing import put
from tests.support.viewing import Client, served, write_store

MARKUP = "<script>alert(1)</script>\"'`&\x00\x1b[31m\u202e\ud800"
PLACES = [
    "/",
    "/page/index.html",
    "/api/stores",
    *(
        f"/api/stores/0/{name}"
        for name in ("select", "videos", "find", "place", "problems", "thumbnails", "video", "heatmap", "media")
    ),
    "/media",
]


def video(name: Any, frames: int = 4, persons: int = 1, **more: Any) -> dict[Any, Any]:
    keypoint = np.linspace(1, 99, persons * frames * 34).reshape(persons, frames, 17, 2).astype(np.float16)
    return {
        "frame_dir": name,
        "label": 0,
        "total_frames": frames,
        "keypoint": keypoint,
        "img_shape": (100, 100),
        **more,
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    return write_store(folder / "small.zarr", [video("a"), video("../secret"), video("c/d")], {"train": ["a"]})


@pytest.fixture
def client(small: Path) -> Iterator[Client]:
    with served(small) as made:
        yield made


def refused(answer: Any, status: int) -> str:
    """The sentence of a refusal."""
    assert answer.status == status
    error = answer.json()["error"]
    assert isinstance(error, str)
    assert "\n" not in error
    return error


# --------------------------------------------------------------------------------------------------- who may ask


def test_every_answer_has_the_policy(client: Client) -> None:
    for place in PLACES:
        for answer in (client.get(place), client.get(place, {"Host": "evil.example"})):
            assert answer.headers["content-security-policy"] == guard.POLICY
            assert "unsafe" not in guard.POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert not any(name.startswith("access-control") for name in answer.headers)
            assert "server" not in answer.headers
            if place.startswith("/api"):
                assert answer.headers["cache-control"] == "no-store"


FOREIGN = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "localhost.",
    "192.168.0.1",
    "[::2]",
    "",
    "a b",
]
FOREIGN += ["[::1].evil.example", "[::1", "::1", "[127.0.0.1]"]
FOREIGN += ["127.0.0.1@evil.example", "evil.example/127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "2130706433"]


def test_a_foreign_host_is_refused(client: Client) -> None:
    for host in FOREIGN:
        for place in ("/", "/api/stores", "/media?store=0&row=0", "/page/index.html"):
            refused(client.get(place, {"Host": host.format(port=client.port)}), 403)


HOSTS = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "LocalHost"]),
)


@given(HOSTS, st.none() | st.integers(0, 70_000), st.sampled_from(["", ".", "@localhost", "%00", "/", "#", "?", "\\"]))
def test_only_the_names_of_loopback_are_hosts(name: str, port: int | None, tail: str) -> None:
    """Against a grammar that is written down here: one of four names, and perhaps a port."""
    host = f"{name}{tail}" + ("" if port is None else f":{port}")
    expected = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{0,5})?", host.lower())
    if expected and expected[2] and expected[2] != ":":
        expected = expected if int(expected[2][1:]) < 65_536 else None
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answers.append(200)

    async def send(message: Any) -> None:
        answers.append(message.get("status", message.get("body")))

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", host.encode())]}
    asyncio.run(guard.Guard(app, "127.0.0.1", 1, None)(scope, None, send))  # type: ignore[arg-type]
    assert answers[0] == (200 if expected else 403), host


def test_hosts_of_this_machine_are_accepted(client: Client) -> None:
    for host in ("127.0.0.1", f"127.0.0.1:{client.port}", "localhost", "LOCALHOST:80", "[::1]:8080"):
        assert client.get("/api/stores", {"Host": host}).status == 200


def test_a_request_without_one_host_is_refused(client: Client) -> None:
    assert b" 403 " in client.raw(b"GET /api/stores HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
    twice = b"GET /api/stores HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert re.match(rb"HTTP/1.1 40[03] ", client.raw(twice))


def test_a_foreign_origin_is_refused(client: Client) -> None:
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://", ""]:
        refused(client.get("/api/stores", {"Origin": origin}), 403)


def test_the_page_itself_may_ask(client: Client) -> None:
    own = f"http://127.0.0.1:{client.port}"
    assert client.get("/api/stores", {"Origin": own, "Sec-Fetch-Site": "same-origin"}).status == 200


def test_pages_of_other_sites_may_only_link_to_the_page(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        for place in ("/api/stores", "/media?store=0&row=0", "/page/index.html"):
            refused(client.get(place, {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "image"}), 403)
            refused(client.get(place, {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"}), 403)
        assert client.get("/", {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"}).status == 200
        refused(client.get("/", {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "iframe"}), 403)


def test_other_methods_are_refused(client: Client) -> None:
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"]:
        for place in ("/", "/api/stores", "/media"):
            answer = client.get(place, method=method)
            assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_websockets_are_refused(client: Client) -> None:
    upgrade = "GET /api/stores HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert b" 101 " not in client.raw(upgrade.encode()).split(b"\r\n")[0]


def test_a_token_is_needed_with_a_host(small: Path) -> None:
    with served(small, host="0.0.0.0", token="right-token") as client:
        for place in PLACES:
            assert "token" in refused(client.get(place), 403)
        for wrong in ("wrong", "right-toke", "right-token2", "RIGHT-TOKEN", "", "é"):
            refused(client.get("/", token=wrong), 403)
            refused(client.get("/", {"Cookie": f"skelstore-{client.port}={wrong}".encode().decode("latin-1")}), 403)
        refused(client.get("/api/stores", token="right-token"), 403)  # it belongs to the page
        admitted = client.get("/", token="right-token")
        assert (admitted.status, admitted.headers["location"], admitted.body) == (303, "/", b"")
        cookie, *attributes = admitted.headers["set-cookie"].split("; ")
        assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/"}
        refused(client.get("/", {"Cookie": cookie.replace("skelstore-", "other-")}), 403)
        for host in ("127.0.0.1", "10.1.2.3:99", socket.gethostname()):
            answer = client.get("/api/stores", {"Cookie": f"a=b; {cookie}", "Host": host})
            assert answer.status == 200
        refused(client.get("/api/stores", {"Cookie": cookie, "Host": "evil.example"}), 403)
        refused(client.get("/", {"Host": "evil.example"}, token="right-token"), 403)


# ----------------------------------------------------------------------------------------------- hostile requests


PATHS = ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "..\\app.py", "index.html%00.js", "__init__.py", "/etc/passwd"]
PATHS += [".", "..", "%252e%252e%252fapp.py", "index.html/", "INDEX.HTML", "~", "index.html;x", ".gitignore"]


def test_only_files_of_the_page_are_read(client: Client) -> None:
    for path in PATHS:
        for prefix in ("/page/", "/page/../", "/", "/api/stores/0/"):
            refused(client.get(prefix + path), 404)


def test_folders_are_not_listed(client: Client) -> None:
    for place in ("/page", "/page/", "/api", "/api/", "/api/stores/"):
        refused(client.get(place), 404)


NUMBERS = [
    "-1",
    "1e3",
    "0x1",
    "\uff11",
    "9" * 40,
    "NaN",
    "1,2",
    " 1",
    "1;2",
    "../1",
    "\x00",
    MARKUP.encode("utf-8", "replace"),
]


def test_numbers_that_are_none_are_refused(client: Client) -> None:
    for value in NUMBERS:
        for place, name in (
            ("select", "persons_min"),
            ("select", "frames_max"),
            ("select", "descending"),
            ("problems", "start"),
            ("video", "row"),
            ("video", "from"),
            ("heatmap", "row"),
            ("media", "row"),
        ):
            query = {"row": "0"} if place == "video" else {}
            refused(client.get(f"/api/stores/0/{place}", **query | {name: value}), 400)
        refused(client.get("/media", store=value, row=0), 400)
        refused(client.get("/media", store=0, row=value), 400)
        refused(client.get("/api/stores/0/thumbnails", rows=f"0,{value}" if value != "1,2" else "1,,2"), 400)


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for place in ("video", "heatmap", "media"):
        refused(client.get(f"/api/stores/0/{place}", row=3), 404)
    refused(client.get("/api/stores/0/place", row=0), 404)
    refused(client.get("/api/stores/0/thumbnails", rows="0,3"), 404)
    refused(client.get("/media", store=0, row=3), 404)
    refused(client.get("/media", store=1, row=0), 404)
    for store in ("1", "99999999999999999999", "-1", "x", "0/0"):
        assert client.get(f"/api/stores/{store}/select").status == 404
    refused(client.get("/api/stores/0/select", split="nobody"), 404)


def test_other_parameters_are_refused(client: Client) -> None:
    for place in (place for place in PLACES if place.startswith("/api")):
        assert "row" in refused(client.get(place, row=0, rwo=1), 400)
    refused(client.get("/api/stores/0/select", sort="size"), 400)
    refused(client.get("/api/stores/0/thumbnails", rows=",".join(["0"] * 121)), 400)
    refused(client.get("/api/stores/0/thumbnails", rows=""), 400)
    refused(client.get("/api/stores/0/select", names="\n".join(["a"] * 2001)), 400)
    refused(client.get("/api/stores/0/video"), 400)


EXPRESSIONS = [
    "__import__('os').system('true')",
    "label = 1",
    "open('x')",
    "(" * 900,
    "nobody > 1",
    "a" * 2001,
    "lambda: 1",
    "label",
    "matches(frame_dir, '(')",
    "label < 'a'",
    "\x00",
    "1" * 1900,
    "-" * 1900 + "1",
    f"label in [{'1,' * 900}]]",
]


def test_expressions_are_data(client: Client) -> None:
    for expression in EXPRESSIONS:
        refused(client.get("/api/stores/0/select", where=expression), 400)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ODD = st.sampled_from(
    ["", "0", "1", "-1", "2", "999999999999999", "9" * 16, "nan", "a", "../secret", "stored", "layout:"]
)
NAMES = [
    "row",
    "rows",
    "view",
    "from",
    "to",
    "frame",
    "kind",
    "store",
    "selection",
    "name",
    "split",
    "label",
    "where",
    "sort",
]
NAMES += ["problem", "names", "start", "persons_min", "frames_max", "descending", "token"]


def test_no_request_is_a_fault(client: Client) -> None:
    @settings(max_examples=100)
    @given(st.sampled_from(PLACES), st.lists(st.tuples(st.sampled_from(NAMES) | TEXT, ODD | TEXT), max_size=4))
    def check_request(place: str, pairs: list[tuple[str, str]]) -> None:
        answer = client.get(f"{place}?{urlencode(pairs)}")
        assert answer.status in (200, 400, 404, 422), answer.body
        if answer.headers["content-type"] == "application/json":
            answer.json()
        elif answer.headers["content-type"] == "application/octet-stream":
            answer.arrays()

    check_request()


def test_long_addresses_are_refused_or_answered(client: Client) -> None:
    for size in (10_000, 60_000, 2_000_000):
        many = "&".join(f"label={i}" for i in range(size // 10))
        for query in (
            "name=" + "a" * size,
            "name=" + "%00" * (size // 3),
            many,
            "&" * size,
            "names=" + "%0A" * (size // 3),
        ):
            with suppress(ConnectionError):
                status = client.get(f"/api/stores/0/select?{query}").status
                assert status == 400 if size > 65_000 else status in (200, 400)


def test_many_thumbnails_at_once_are_answered(client: Client) -> None:
    """More requests than there are threads: each is answered, and so are others meanwhile."""
    rows = ",".join(["0", "1", "2"] * 40)
    with ThreadPoolExecutor(40) as pool:
        asking = [pool.submit(client.get, "/api/stores/0/thumbnails", rows=rows) for _ in range(40)]
        assert client.get("/api/stores").status == 200
        assert {answer.result().status for answer in asking} == {200}


def test_bytes_that_are_not_http_are_answered(client: Client) -> None:
    for request in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n"):
        assert b"200 OK" not in client.raw(request)
    assert client.get("/api/stores").status == 200


def test_who_sends_no_request_does_not_keep_others_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections on which nothing comes, or a byte now and then, end; one on which requests come stays."""
    monkeypatch.setattr(connections, "PATIENCE", 0.6)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", client.port))) for _ in range(20)]
        good = HTTPConnection("127.0.0.1", client.port, timeout=20)
        stack.callback(good.close)
        began = time.monotonic()
        answered = 0
        while time.monotonic() < began + 1.5:
            for connection in slow[10:]:
                with suppress(ConnectionError):
                    connection.sendall(b"G" if answered == 0 else b"X")
            good.request("GET", "/api/stores")
            assert good.getresponse().read()
            answered += 1
            time.sleep(0.1)
        assert answered > 5
        for connection in slow:
            connection.settimeout(5)
            with suppress(ConnectionError):
                while connection.recv(1 << 16):
                    pass


def test_connections_are_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", client.port)))
        deadline = time.monotonic() + 20
        refusals = 0
        while not refusals and time.monotonic() < deadline:
            with suppress(ConnectionError):
                client.get("/api/stores")
                continue
            refusals += 1
    assert refusals
    while True:  # the others have left
        with suppress(ConnectionError):
            assert client.get("/api/stores").status == 200
            break


def test_a_header_without_an_end_is_not_kept(client: Client) -> None:
    """Whichever parser is installed: the memory of a request that has no token yet is bounded."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        sent = 0
        with suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            while sent < 64 << 20:
                connection.sendall(b"a" * 65_536)
                sent += 65_536
    assert sent < 32 << 20
    assert client.get("/api/stores").status == 200


# ------------------------------------------------------------------------------------------------ hostile stores


def test_text_of_a_store_stays_text(tmp_path: Path) -> None:
    annotations = [video(MARKUP, note=MARKUP), video("n" * 100_000), video("b", label=MARKUP), video("b", label=2**70)]
    annotations += [video("b", label=float("nan")), video("b", label=[[1], MARKUP]), {"x": float("inf")}]
    splits = {MARKUP: [MARKUP], **{f"s{i}": ["b"] for i in range(300)}}
    path = write_store(tmp_path / "<b>&.zarr", annotations, splits)
    with served(path) as client:
        (about,) = client.get("/api/stores").json()["stores"]
        assert about["title"] == "<b>&.zarr"
        assert len(about["splits"]) == 200
        addressable = MARKUP.replace("\ud800", "?")
        assert about["splits"][0] == {"name": addressable, "videos": 1}
        assert client.rows(split=addressable) == [0]
        for entry in about["labels"]:  # the page asks with the text that it received
            asked = str(entry["label"]).replace("\ud800", "?")
            assert client.select(label=asked)["videos"] == entry["videos"]
        answer = client.get("/api/stores/0/videos", selection=client.select()["selection"])
        assert answer.headers["content-type"] == "application/json"
        videos = answer.json()["videos"]
        assert videos[0]["name"] == MARKUP
        assert len(videos[1]["name"]) == 4096
        assert [one["label"] for one in videos[2:6]] == [MARKUP, "more than 2**64", None, None]
        header, _ = client.get("/api/stores/0/video", row=0).arrays()
        assert header["name"] == MARKUP
        assert "script" in header["fields"]["note"]
        assert all(len(text) <= 300 for text in client.get("/api/stores/0/video", row=1).arrays()[0]["fields"].values())
        assert client.get("/api/stores/0/select", name="<SCRIPT>").json()["videos"] == 1
        refused(client.get("/api/stores/0/video", row=6), 422)


def test_a_long_video_is_answered_in_parts(tmp_path: Path) -> None:
    keypoint = np.zeros((1, 1_000_000, 3, 2), np.float16)
    keypoint[0, ::1000] = 5
    path = write_store(tmp_path / "s.zarr", [{"frame_dir": "long", "keypoint": keypoint, "box": np.zeros(2_000_000)}])
    with served(path) as client:
        header, arrays = client.get("/api/stores/0/video", row=0, from_=500_000, to=10**9).arrays()
        assert (header["from"], header["to"], header["frames_total"]) == (500_000, 502_000, 1_000_000)
        assert "502,000 of 1,000,000" in header["note"]
        assert header["fields"]["box"] == "an array"
        np.testing.assert_array_equal(arrays["keypoint"], keypoint[:, 500_000:502_000].astype(np.float32))
        header, arrays = client.get("/api/stores/0/video", row=0, from_=10**14).arrays()
        assert (header["from"], header["to"], arrays["keypoint"].shape) == (10**6, 10**6, (1, 0, 3, 2))
        header, arrays = client.get("/api/stores/0/thumbnails", rows="0").arrays()
        assert arrays["0"].shape == (12, 1, 3, 2)


def test_a_crowd_is_cut_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeletons, "MOST_NUMBERS", 10_000)
    dense = video("dense", frames=3, persons=1000)
    order = np.repeat(np.arange(3), 1000)
    crowd = {"keypoint": np.ones((3000, 17, 3), np.float16), "frame_inds": order, "total_frames": 3}
    path = write_store(tmp_path / "s.zarr", [dense, crowd])
    with served(path) as client:
        for row in (0, 1):
            header, arrays = client.get("/api/stores/0/video", row=row, from_=1).arrays()
            assert arrays["keypoint"].shape == (10_000 // 34, 1, 17, 2)
            assert header["note"] == "This answer has only the first 294 persons of 1,000 and frames 1 to 2 of 3."
        expected = dense["keypoint"][:294, 1:2].astype(np.float32)
        header, arrays = client.get("/api/stores/0/video", row=0, from_=1).arrays()
        np.testing.assert_array_equal(arrays["keypoint"], expected)
        assert client.get("/api/stores/0/video", row=1, view="tracked").arrays()[0]["persons"] <= 10
        _, arrays = client.get("/api/stores/0/thumbnails", rows="0,1").arrays()
        assert [arrays[row].shape for row in ("0", "1")] == [(3, 4, 17, 2)] * 2


def test_ten_thousand_persons(tmp_path: Path) -> None:
    keypoint = np.ones((10_000, 30, 17, 2), np.float16)
    path = write_store(tmp_path / "s.zarr", [{"frame_dir": "a", "keypoint": keypoint}])
    with served(path) as client:
        answer = client.get("/api/stores/0/video", row=0)
        assert len(answer.body) < 32 << 20
        header, arrays = answer.arrays()
        assert arrays["keypoint"].shape == (10_000, 11, 17, 2)
        assert "frames 0 to 11 of 30" in header["note"]
        _, arrays = client.get("/api/stores/0/thumbnails", rows="0").arrays()
        assert arrays["0"].shape[1:] == (4, 17, 2)


ODD_VIDEOS: list[dict[Any, Any]] = [
    {},
    {"keypoint": None},
    {"keypoint": "text"},
    {"keypoint": np.zeros((0, 0, 17, 2))},
    {"keypoint": np.zeros((0, 5, 17, 2), np.float32)},
    {"keypoint": np.zeros((2, 0, 17, 2))},
    {"keypoint": np.zeros((1, 3, 0, 2))},
    {"keypoint": np.zeros((1, 3, 17, 4))},
    {"keypoint": np.zeros((3, 17, 3))},
    {"keypoint": np.zeros(7)},
    {"keypoint": np.ones((1, 3, 17, 2), bool)},
    {"keypoint": [1, 2]},
    {"keypoint": np.full((1, 3, 17, 2), np.nan, np.float32)},
    {"keypoint": np.full((1, 3, 17, 2), np.inf, np.float16)},
    {"keypoint": np.full((2, 3, 17, 2), 1e300)},
    {"keypoint": np.full((1, 3, 25, 3), -1e300)},
    {"keypoint": np.ones((1, 3, 17, 2), np.uint64) << np.uint64(63)},
    {"keypoint": np.ones((1, 3, 17, 2)), "keypoint_score": np.ones((3, 1, 17))},
    {"keypoint": np.ones((1, 3, 17, 2)), "keypoint_score": "x", "img_shape": (0, -1), "fps": float("nan")},
    {"keypoint": np.ones((1, 3, 17, 2)), "img_shape": (2**40, 1), "total_frames": 2**70},
    {"keypoint": np.ones((1, 3, 17, 2)), "img_shape": (1, 2**31 - 1), "total_frames": -5},
    {"keypoint": np.ones((1, 3, 17, 2)), "img_shape": [float("inf"), 2], "total_frames": float("nan")},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.array([2**60] * 4), "total_frames": 3},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.array([-1, 0, 1, 2])},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.array([3, 1, 1, 0]), "total_frames": 4, "box_score": np.ones(4)},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.array([2**31 - 2] * 4), "total_frames": 2**31 - 1},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.ones(3, int)},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": [1, 2, 3, 4]},
    {"keypoint": np.ones((4, 17, 3)), "frame_inds": np.ones(4)},
    {"keypoint": np.ones((0, 17, 3)), "frame_inds": np.ones(0, int), "total_frames": 0},
    {"keypoint": np.full((4, 17, 3), np.nan), "frame_inds": np.arange(4), "total_frames": 4},
    {"position": np.ones((4, 25, 3)), "frame_inds": np.arange(4)},
    {"position": "here"},
    {"keypoint": np.ones((1, 1, 3_000_000, 2), np.uint8)},
    {"frame_dir": 5, "filename": b"x", 7: 8, 8.5: {"a": [b"\xff"]}, "keypoint": np.ones((1, 1, 17, 2))},
]


@pytest.mark.parametrize("size", [-1, 1 << 20])
def test_odd_videos_are_answered_with_a_status(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a fault, and no NaN in JSON."""
    monkeypatch.setattr(skeletons, "WHOLE_BYTES", size)
    monkeypatch.setattr(thumbnails, "WHOLE_BYTES", size)
    path = write_store(tmp_path / "s.zarr", ODD_VIDEOS)
    statuses = set()
    with served(path) as client:
        assert client.get("/api/stores").status == 200
        for sort in ("stored", "name", "label", "frames", "persons"):
            assert sorted(client.rows(sort=sort)) == list(range(len(ODD_VIDEOS)))
        for row in range(len(ODD_VIDEOS)):
            for view in ("stored", "training", "tracked", "layout:h36m-17"):
                answer = client.get("/api/stores/0/video", row=row, view=view, to=50)
                statuses.add(answer.status)
                if answer.status == 200:
                    answer.arrays()
                else:
                    assert answer.status in (400, 422), answer.body
                    refused(answer, answer.status)
            heatmap = client.get("/api/stores/0/heatmap", row=row)
            assert heatmap.status in (200, 404, 422), heatmap.body
            header, arrays = client.get("/api/stores/0/thumbnails", rows=row).arrays()
            assert header["videos"][0]["frames"] == len(arrays[str(row)]) <= 12
        client.get("/api/stores/0/problems", start=1)
        while client.get("/api/stores/0/problems").json()["state"] == "running":
            time.sleep(0.02)
    assert {200, 422} <= statuses


def test_an_empty_store(tmp_path: Path) -> None:
    with served(write_store(tmp_path / "s.zarr", [])) as client:
        (about,) = client.get("/api/stores").json()["stores"]
        assert (about["videos"], about["form"], about["labels"], about["joints"]) == (0, "other", [], None)
        for sort in ("stored", "name", "label", "frames", "persons"):
            assert client.rows(sort=sort, name="a", label="1", where="") == []
        refused(client.get("/api/stores/0/video", row=0), 404)


def test_damage_is_a_sentence_about_the_video(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", [video(f"v{i}", frames=900) for i in range(3)])
    (shard,) = (path / "keypoint").glob("c.*")
    data = bytearray(shard.read_bytes())
    data[100] ^= 0xFF
    shard.write_bytes(data)
    with served(path) as client:
        assert "damaged" in refused(client.get("/api/stores/0/video", row=0), 422)
        header, _ = client.get("/api/stores/0/thumbnails", rows="0,2").arrays()
        assert [one["frames"] for one in header["videos"]] == [0, 12]
        assert client.get("/api/stores/0/video", row=2).status == 200
        client.get("/api/stores/0/problems", start=1)
        while (found := client.get("/api/stores/0/problems").json())["state"] == "running":
            time.sleep(0.02)
        assert client.rows(problem="unreadable") == [0]
        assert found["checked"] == 3


def test_damaged_splits_are_a_sentence_and_the_videos_are_shown(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s.zarr", [video("a"), video("b")], {"train": ["a"]})
    table = path / "splits.arrow"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 0xFF
    table.write_bytes(data)
    with served(path) as client:
        (about,) = client.get("/api/stores").json()["stores"]
        assert about["splits"] == []
        assert "splits.arrow" in about["note"]
        assert client.rows(sort="split") == [0, 1]
        made = client.select()["selection"]
        assert client.get("/api/stores/0/videos", selection=made).json()["videos"][0]["splits"] == []
        client.get("/api/stores/0/problems", start=1)
        while (found := client.get("/api/stores/0/problems").json())["state"] == "running":
            time.sleep(0.02)
        assert "splits.arrow" in found["error"]


def test_a_store_that_was_replaced_is_a_conflict(tmp_path: Path) -> None:
    path = put(tmp_path / "s.zarr", 0)
    with served(path) as client:
        selection = client.select()["selection"]
        assert client.get("/api/stores/0/video", row=0).status == 200
        put(path, 100)
        for place in ("select", f"videos?selection={selection}", "find?name=v0", "thumbnails?rows=1", "video?row=1"):
            refused(client.get(f"/api/stores/0/{place}"), 409)
        refused(client.get("/api/stores"), 409)
        shutil.rmtree(path)
        refused(client.get("/api/stores/0/select"), 409)
        assert client.get("/").status == 200


# -------------------------------------------------------------------------------------------------------- media


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "below" / "c").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(bytes(range(256)) * 1000)
    (folder / "a.avi").write_bytes(b"avi")
    (folder / "below" / "a.txt").write_bytes(b"txt")
    (folder / "c").mkdir()
    (folder / "c" / "d.webm").write_bytes(b"webm")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return folder


def test_a_video_file_is_played_in_ranges(small: Path, media: Path) -> None:
    data = (media / "a.mp4").read_bytes()
    with served(small, videos=media) as client:
        assert client.get("/api/stores").json()["stores"][0]["videos_folder"] is True
        assert client.get("/api/stores/0/media", row=0).json()["available"] is True
        whole = client.get("/media", store=0, row=0)
        assert (whole.status, whole.body) == (200, data)
        assert whole.headers["content-type"] == "video/mp4"
        assert whole.headers["accept-ranges"] == "bytes"
        for text, first, last in (
            ("bytes=0-99", 0, 99),
            ("bytes=1000-", 1000, 255_999),
            ("bytes=-7", 255_993, 255_999),
        ):
            part = client.get("/media", {"Range": text}, store=0, row=0)
            assert (part.status, part.body) == (206, data[first : last + 1])
            assert part.headers["content-range"] == f"bytes {first}-{last}/256000"
        assert client.get("/media", {"Range": "bytes=256000-"}, store=0, row=0).status == 416
        several = "bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(90))
        for text in ("bytes=0-1,3-4", "bytes=0-,0-,0-", "bytes=0-9,5-14", several):
            refused(client.get("/media", {"Range": text}, store=0, row=0), 416)
        for wrong in ("bytes=x", "bytes=5-1", "lines=1-2", "bytes=" + "0-1," * 300 + "0-1", "bytes=-" + "9" * 99):
            assert client.get("/media", {"Range": wrong}, store=0, row=0).status in (200, 206, 400, 416)
        assert client.get("/media", store=0, row=2).body == b"webm"  # by its path below the folder


def test_a_name_is_never_a_path(small: Path, media: Path) -> None:
    with served(small, videos=media) as client:
        refused(client.get("/media", store=0, row=1), 404)  # named ../secret
        assert client.get("/api/stores/0/media", row=1).json()["available"] is False


def test_links_lead_nowhere_outside_of_the_folder(tmp_path: Path, media: Path) -> None:
    (media / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (media / "in.mp4").symlink_to(media / "a.mp4")
    (media / "folder").symlink_to(tmp_path)
    (media / "dangling.mp4").symlink_to("nowhere")
    os.mkfifo(media / "pipe.mp4")
    folder = Folder(media)
    for name in ("out", "dangling", "secret", "folder/secret", "pipe", "../secret", "nobody", None):
        assert folder.find(name) is None
    assert folder.find("in") == (str(media.resolve() / "a.mp4"), "video/mp4")
    assert folder.find("a") == (str(media.resolve() / "a.mp4"), "video/mp4")  # and not the .avi
    (media / "a.mp4").unlink()
    (media / "a.mp4").symlink_to(tmp_path / "secret.mp4")  # after the listing
    assert folder.find("a") is None
    (media / "S001C001P001R001A001_rgb.avi").write_bytes(b"x")
    found = Folder(media).find("S001C001P001R001A001")
    assert found is not None
    assert found[1] == "video/x-msvideo"
    with pytest.raises(SourceError, match="not a folder"):
        Folder(media / "a.avi")


def test_the_rate_of_a_video_file_is_that_of_its_header(small: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for _ in range(13):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.mp4").write_bytes(b"no video")
    with served(small, videos=tmp_path) as client:
        assert client.get("/api/stores/0/media", row=0).json() == {"available": True, "rate": 25, "frames": 13}
        assert client.get("/api/stores/0/media", row=2).json() == {"available": True, "rate": None, "frames": None}


def test_a_client_that_leaves_disturbs_nobody(client: Client) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", client.port)) as leaving:
            leaving.sendall(b"GET /api/stores/0/thumbnails?rows=0,1,2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.get("/api/stores/0/thumbnails", rows="0,1,2").status == 200


# ------------------------------------------------------------------------------------------------- the command


def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
    """A server in a process, and its address."""
    command = [COMMAND, "view", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split(" ")[0]


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_the_server(small: Path, number: signal.Signals, status: int, word: str) -> None:
    process, address = start(small, "--host", "127.0.0.1")
    port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]{43}", address)[1])  # type: ignore[index]
    try:
        client = Client(port)
        cookie = client.get(address.partition(str(port))[2]).headers["set-cookie"].split(";")[0]
        assert client.get("/api/stores", {"Cookie": cookie}).json()["stores"][0]["videos"] == 3
        assert client.get("/", {"Cookie": cookie}).headers["content-type"] == "text/html; charset=utf-8"
        client.get("/api/stores/0/problems", {"Cookie": cookie}, start=1)
        with socket.create_connection(("127.0.0.1", port)) as idle:  # a browser keeps its connections
            idle.sendall(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 10
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err.strip()) == (status, "", word)


def sentence(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command that cannot start says."""
    with pytest.raises(SystemExit) as stopped:
        entry.main(["view", *map(str, arguments), "--no-browser"])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (1, "", 1)
    return err


def test_a_port_in_use_is_a_sentence(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sentence(capsys, small, "--port", port)
    assert re.fullmatch(
        rf"skelstore: port {port} of 127.0.0.1 cannot be listened on \(.*\): give another --port.*\n", said
    )


def test_what_cannot_be_viewed_is_a_sentence(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        ([tmp_path / "nothing.zarr"], "does not exist"),
        ([small, tmp_path], "has no zarr.json"),
        ([small, "--videos", tmp_path / "nothing"], "is not a folder"),
        ([small, "--host", "no.such.host.invalid"], "is not known"),
    ):
        assert expected in sentence(capsys, *arguments)


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_the_token_is_on_no_command_line(small: Path, host: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users of the machine can read the address with which a browser is started."""
    opened: list[str] = []
    monkeypatch.setattr(serve, "has_browser", lambda: True)
    monkeypatch.setattr(serve.webbrowser, "open", opened.append)

    class Ending:
        async def serve(self, sockets: Any) -> None:
            await asyncio.sleep(0)
            for thread in threading.enumerate():
                if thread is not threading.current_thread():
                    thread.join(0.2)

    monkeypatch.setattr(serve, "make_server", lambda *_: Ending())
    said: list[str] = []
    serve.serve([small], host=host, port=0, videos=None, opens_browser=True, announce=said.append)
    assert opened == (said if host is None else [])
    assert ("token=" in said[0]) == (host is not None)


def test_it_can_be_interrupted_once_it_is_announced(small: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        serve.serve(
            [small],
            host=None,
            port=0,
            videos=None,
            opens_browser=False,
            announce=lambda _: signal.raise_signal(signal.SIGINT),
        )


def test_without_the_extra_it_is_named(small: Path) -> None:
    for missing in ("starlette", "uvicorn"):
        code = f"import sys; sys.modules[{missing!r}] = None; from converters.cli import main; main(sys.argv[1:])"
        done = run_python(code, "view", small, "--no-browser")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("pip install 'skelstore[view]'\n")
        assert done.stderr.count("\n") == 1


def test_help_imports_nothing_of_it() -> None:
    code = "import sys; from converters.cli.commands import cli; import converters, skelstore\n"
    code += "print(json.dumps([m for m in sys.modules if m.startswith(('starlette', 'uvicorn', 'converters.view'))]))"
    done = run_python("import json\n" + code)
    assert json.loads(done.stdout) == [], done.stderr
