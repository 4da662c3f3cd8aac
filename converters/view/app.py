"""The addresses of the server, and what it answers to each.

Functions that read are not coroutines, so Starlette runs them in worker threads; the event loop never waits for a file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import wraps
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from converters.view import requests
from converters.view.answers import encode_json, pack
from converters.view.catalogue import Catalogue
from converters.view.findings import Findings
from converters.view.heatmap import draw_heatmap
from converters.view.media import Folder, measure
from converters.view.overview import overview
from converters.view.requests import RequestError
from converters.view.selections import SORTS, Criteria, Selections, Selector
from converters.view.skeletons import MOST_FRAMES
from converters.view.thumbnails import MOST_VIDEOS, thumbnail
from converters.view.views import Player
from skelstore import Store
from skelstore.errors import SkelstoreError, StoreReplacedError, VideoNotFoundError
from skelstore.wording import closest, shown

MOST_LISTED = 500
"""Maximum number of videos of a list in an answer."""

MOST_NAMES = 2_000
"""Maximum number of names in a condition."""

LONGEST_EXPRESSION = 2_000
"""Maximum number of characters of an expression."""

_ENDING = 2
"""Seconds that a thread in the background has to end when the server ends."""

_THREADS = 6
"""Requests that are answered at once: more would not be faster, and each may hold an answer of some megabytes."""

_PAGE = Path(__file__).parent / "page"
_PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
"""Suffixes of the files of the page, and their media types."""


class Viewed:
    """A store that is viewed, with what is known about it."""

    def __init__(self, store: Store) -> None:
        self.catalogue = Catalogue(store)
        self.selector = Selector(self.catalogue)
        self.player = Player(self.catalogue)
        self.findings = Findings(store)
        self._overview: dict[str, Any] | None = None
        self._lock = Lock()

    def overview(self) -> dict[str, Any]:
        """What ``overview`` says about the store. It is made once: for 240,000 videos it takes half a second."""
        with self._lock:
            if self._overview is None:
                self._overview = overview(self.catalogue)
            return self._overview


def make_app(stores: Sequence[Store], videos: Folder | None) -> Starlette:
    """The application for some stores, and for the folder of their video files; without the ``Guard``."""
    viewed = [Viewed(store) for store in stores]
    selections = Selections()
    files = {file.name: file for file in sorted(_PAGE.iterdir()) if _is_of_page(file)}

    def of(request: Request) -> Viewed:
        number: int = request.path_params["s"]
        if number >= len(viewed):
            raise RequestError(f"there is no store {number}; expected 0 to {len(viewed) - 1}", status=404)
        found = viewed[number]
        found.catalogue.refuse_replaced()
        return found

    def page(request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        if name not in files:
            raise RequestError(f"the page has no file {shown(name)}", status=404)
        return Response(files[name].read_bytes(), headers=_headers(_PAGE_TYPES[files[name].suffix], "no-cache"))

    def list_stores(request: Request) -> Response:
        requests.check_names(request.query_params, ())
        for one in viewed:
            one.catalogue.refuse_replaced()
        about = [one.overview() | {"videos_folder": videos is not None} for one in viewed]
        return _json({"stores": about, "version": version("skelstore")})

    def select(request: Request) -> Response:
        store, criteria = of(request), _criteria(request)
        problem = None if criteria.problem is None else store.findings.mask(criteria.problem)
        # While the check runs, the videos with a problem become more.
        checked = store.findings.checked if problem is not None else None
        text = repr((request.path_params["s"], criteria, checked))
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        rows = selections.get(key)
        if rows is None:
            rows = store.selector.select(criteria, problem)
            selections.put(key, rows)
        return _json({"selection": key, "videos": len(rows), "groups": store.selector.groups(rows, criteria.sort)})

    def selected(parameters: Mapping[str, str]) -> NDArray[np.int32]:
        rows = selections.get(parameters.get("selection", ""))
        if rows is None:
            raise RequestError("the server no longer has this selection: select again", 404, "selection")
        return rows

    def list_videos(request: Request) -> Response:
        store, parameters = of(request), request.query_params
        requests.check_names(parameters, ("selection", "from", "to"))
        rows = selected(parameters)
        first = requests.integer(parameters, "from", 0)
        last = requests.integer(parameters, "to", first + MOST_LISTED)
        chosen = rows[first : min(last, first + MOST_LISTED)].tolist()
        if chosen and max(chosen) >= len(store.catalogue):
            raise RequestError("this selection is of another store", 404, "selection")
        splits = store.catalogue.splits
        masks = {title: splits.mask(title) for title in splits.titles} if chosen else {}
        return _json(
            {
                "videos": [
                    store.catalogue.describe(row)
                    | {"splits": [title for title, mask in masks.items() if mask[row]]}
                    | {"problems": store.findings.of(row)}
                    for row in chosen
                ]
            }
        )

    def find(request: Request) -> Response:
        store = of(request)
        requests.check_names(request.query_params, ("name",))
        try:
            return _json({"row": store.catalogue.find(request.query_params.get("name", "")), "note": None})
        except VideoNotFoundError as error:
            return _json({"row": None, "note": str(error)})

    def place(request: Request) -> Response:
        of(request)
        requests.check_names(request.query_params, ("selection", "row"))
        found = np.flatnonzero(selected(request.query_params) == requests.required(request.query_params, "row"))
        return _json({"index": int(found[0]) if len(found) else None})

    def problems(request: Request) -> Response:
        store = of(request)
        requests.check_names(request.query_params, ("start",))
        if requests.integer(request.query_params, "start", 0):
            store.findings.start()
        return _json(store.findings.progress())

    def thumbnails(request: Request) -> Response:
        catalogue = of(request).catalogue
        requests.check_names(request.query_params, ("rows",))
        rows = [catalogue.row(row) for row in requests.integers(request.query_params, "rows", MOST_VIDEOS)]
        made = {row: thumbnail(catalogue, row) for row in rows}
        return _binary({"videos": [made[row][0] for row in made]}, {str(row): made[row][1] for row in made})

    def video(request: Request) -> Response:
        store, parameters = of(request), request.query_params
        requests.check_names(parameters, ("row", "view", "from", "to"))
        row = store.catalogue.row(requests.required(parameters, "row"))
        first = requests.integer(parameters, "from", 0)
        last = requests.integer(parameters, "to", first + MOST_FRAMES)
        about, skeletons = store.player.video(row, requests.text(parameters, "view") or "stored", first, last)
        arrays: dict[str, NDArray[Any]] = {"keypoint": skeletons.points}
        if skeletons.scores is not None:
            arrays["score"] = skeletons.scores
        arrays["present"] = skeletons.present.astype(np.uint8)
        return _binary(about, arrays)

    def heatmap(request: Request) -> Response:
        store, parameters = of(request), request.query_params
        requests.check_names(parameters, ("row", "view", "frame", "kind"))
        row = store.catalogue.row(requests.required(parameters, "row"))
        frame = requests.integer(parameters, "frame", 0)
        view, kind = requests.text(parameters, "view") or "stored", requests.text(parameters, "kind") or "keypoint"
        about, skeletons = store.player.video(row, view, frame, frame + 1)
        edges = None if about["joints"] is None else about["joints"]["edges"]
        drawn = draw_heatmap(skeletons, about["image"], edges, kind)
        return _binary({"frame": frame, "kind": kind}, {"heatmap": drawn})

    def media_file(request: Request) -> tuple[str, str] | None:
        catalogue = of(request).catalogue
        name = catalogue.store.name(catalogue.row(requests.required(request.query_params, "row")))
        return None if videos is None else videos.find(name)

    def describe_media(request: Request) -> Response:
        requests.check_names(request.query_params, ("row",))
        found = media_file(request)
        if found is None:
            return _json({"available": False, "rate": None, "frames": None})
        return _json({"available": True, **measure(found[0])})

    def media(request: Request) -> Response:
        requests.check_names(request.query_params, ("store", "row"))
        if "," in request.headers.get("range", ""):
            raise RequestError("the request has several ranges; expected one", status=416)
        request.path_params["s"] = requests.required(request.query_params, "store")
        found = media_file(request)
        if found is None:
            raise RequestError("there is no video file with the name of this video", status=404)
        return FileResponse(found[0], media_type=found[1], headers={"cache-control": "no-cache"})

    def prepare() -> None:
        for one in viewed:
            with suppress(SkelstoreError, OSError, MemoryError):  # reported when the page asks
                one.overview()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        preparing = Thread(target=prepare, name="skelstore-prepare", daemon=True)
        preparing.start()
        yield
        preparing.join(timeout=_ENDING)
        for one in viewed:
            one.findings.stop()

    below = "/api/stores/{s:int}"
    routes: dict[str, Callable[[Request], Response]] = {
        "/": page,
        "/page/{file:str}": page,
        "/api/stores": list_stores,
        f"{below}/select": select,
        f"{below}/videos": list_videos,
        f"{below}/find": find,
        f"{below}/place": place,
        f"{below}/problems": problems,
        f"{below}/thumbnails": thumbnails,
        f"{below}/video": video,
        f"{below}/heatmap": heatmap,
        f"{below}/media": describe_media,
        "/media": media,
    }
    app = Starlette(
        routes=[Route(path, _answering(answer), methods=["GET"]) for path, answer in routes.items()],
        exception_handlers={HTTPException: _unknown_address},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _is_of_page(file: Path) -> bool:
    """Whether a file of the folder of the page may be fetched."""
    return file.suffix in _PAGE_TYPES and file.is_file() and not file.is_symlink()


def _criteria(request: Request) -> Criteria:
    """The criteria of a selection. Raises RequestError if a parameter is unknown or has a value that it cannot have."""
    parameters = request.query_params
    expected = [{"labels": "label"}.get(name, name) for name in Criteria._fields]
    requests.check_names(parameters, expected)
    sort = requests.text(parameters, "sort") or "stored"
    if sort not in SORTS:
        raise RequestError(f"the parameter sort is {shown(sort)}; expected {', '.join(SORTS)}{closest(sort, SORTS)}")
    names = tuple(name for name in parameters.get("names", "").split("\n") if name)
    if len(names) > MOST_NAMES:
        raise RequestError(f"the parameter names has {len(names):,} names; expected at most {MOST_NAMES:,}")
    expression = requests.text(parameters, "where")
    if expression is not None and len(expression) > LONGEST_EXPRESSION:
        raise RequestError(
            f"the expression has {len(expression):,} characters; expected at most {LONGEST_EXPRESSION:,}"
        )
    return Criteria(
        split=requests.text(parameters, "split"),
        labels=tuple(filter(None, parameters.getlist("label"))),
        name=requests.text(parameters, "name"),
        names=names,
        persons_min=requests.integer(parameters, "persons_min"),
        persons_max=requests.integer(parameters, "persons_max"),
        frames_min=requests.integer(parameters, "frames_min"),
        frames_max=requests.integer(parameters, "frames_max"),
        where=expression,
        problem=requests.text(parameters, "problem"),
        sort=sort,
        descending=bool(requests.integer(parameters, "descending", 0)),
    )


def _answering(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The function, which answers errors with a sentence and their status."""

    @wraps(answer)
    def answering(request: Request) -> Response:
        try:
            return answer(request)
        except RequestError as error:
            more = {} if error.code is None else {"code": error.code}
            return _json({"error": str(error), **more}, error.status)
        except StoreReplacedError as error:
            return _json({"error": str(error)}, 409)
        except SkelstoreError as error:
            return _json({"error": str(error)}, 422)
        except MemoryError:
            return _json({"error": "the answer does not fit in memory"}, 422)
        except OSError as error:
            return _json({"error": f"{error.filename or 'a file'}: {error.strerror or error}"}, 422)
        except Exception as error:  # a fault of ours: the page gets a sentence, the terminal no traceback
            sentence = f"a fault in skelstore itself ({type(error).__name__}: {error}): please report it"
            return _json({"error": sentence}, 500)

    return answering


def _unknown_address(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _json({"error": "there is nothing at this address"}, status)


def _headers(kind: str, cache: str) -> dict[str, str]:
    return {"content-type": kind, "cache-control": cache}


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode_json(value), status, _headers("application/json", "no-store"))


def _binary(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Response:
    return Response(pack(header, arrays), headers=_headers("application/octet-stream", "no-store"))
