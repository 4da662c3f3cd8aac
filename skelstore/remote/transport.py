"""HTTP requests: redirects, retries, and errors in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from skelstore.errors import (
    RemoteAccessError,
    RemoteBusyError,
    RemoteError,
    SkelstoreError,
    StoreNotFoundError,
)
from skelstore.remote.connections import connections_to  # first: it says what to do without urllib3

# isort: split
from skelstore.remote.batches import take_answer
from skelstore.remote.retries import BUSY, LONGEST_PAUSE, TEMPORARY, TRIES, pause_before, retry_after
from skelstore.remote.stopping import pause, refuse_cut_off
from skelstore.wording import counted, escape, shown

# isort: split
import urllib3

CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
"""How long a server may take to accept a connection, and to send the next bytes."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS = 5
_ERROR_BYTES = 4096
"""How much of the body of an error is looked at."""

ANSWER_BYTES = 64 << 20
"""Maximum size of an answer that is read as a whole, such as a page of a listing."""

_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


class Request(NamedTuple):
    """An HTTP request. ``place`` is what messages call its target; the address may have secrets in its query."""

    method: str
    address: str
    headers: Mapping[str, str]
    place: object
    body: Any = None
    """Bytes, or an object with ``read``, ``seek`` and ``len``, which is read anew for each attempt."""


class Answer(NamedTuple):
    """The status and headers of an answer, and what ``consume`` made of its body."""

    status: int
    headers: Mapping[str, str]
    value: Any


SUCCESS = frozenset((200, 201, 204, 206))
"""Status codes of answers that are no error."""


def send(
    request: Callable[[], Request],
    consume: Callable[[Any], Any] | None = None,
    *,
    accept: frozenset[int] = SUCCESS,
    tries: int = TRIES,
    seconds: float | None = None,
) -> Answer:
    """Send a request until it succeeds or ``tries`` are used up; redirects are followed.

    ``request`` makes it anew for each attempt, since signatures expire. ``consume`` is called with the response while
    its body streams, and again from the beginning if that breaks off; without it, the value is the whole body. A status
    in ``accept`` is no error. ``seconds`` stands in for ``READ_SECONDS``.

    Raises RemoteAccessError (401, 403), RemoteBusyError (429, 503), StoreNotFoundError (404, 410), RemoteError; and
    StoppedError if the group of this thread was stopped.
    """
    asked: float | None = None
    reason = ""
    for attempt in range(1, tries + 1):
        if attempt > 1:
            pause(pause_before(attempt, asked))
        asked, made = None, request()
        try:
            response = _follow(made, READ_SECONDS if seconds is None else seconds)
        except SkelstoreError:
            raise
        except ValueError:  # its text may have credentials
            raise RemoteError(
                f"{made.place}: its address or the credentials are in a form that HTTP does not allow: check the URL, "
                "and the environment variables of the service and of the proxy"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = _trouble(error)
            continue
        try:
            if response.status in accept:
                value = _whole(response, made.place) if consume is None else consume(response)
                refuse_cut_off()
                return Answer(response.status, response.headers, value)
            detail = _detail(response)
        except (urllib3.exceptions.HTTPError, TruncatedError) as error:
            drop(response)
            reason = _trouble(error)
            continue
        except BaseException:
            drop(response)
            raise
        if response.status not in TEMPORARY:
            raise _refusal(made, response.status, detail)
        asked = retry_after(response.headers)
        reason = f"it answered {detail}"
        busy = response.status in BUSY
        if asked is not None and asked > LONGEST_PAUSE:
            raise RemoteBusyError(
                f"{made.place}: the server answered {detail} and asks to come back in {asked:,.0f} s: try again later"
            )
        if busy and attempt == tries:
            raise RemoteBusyError(
                f"{made.place}: the server answered {detail} to {counted(tries, 'attempt')}: it limits the number of "
                "requests, so try again later, or with fewer workers"
            )
    verb = "read" if made.method in ("GET", "HEAD") else "written"
    raise RemoteError(f"{made.place} cannot be {verb} after {counted(tries, 'attempt')}: {reason}")


class TruncatedError(Exception):
    """A body has fewer bytes than its header says, or than were asked for; the request is sent again."""


def _whole(response: Any, place: object) -> bytes:
    data: bytes = response.read(ANSWER_BYTES + 1)
    if len(data) > ANSWER_BYTES:
        raise RemoteError(f"{place}: the answer has more than {ANSWER_BYTES:,} bytes, which is too much for one")
    response.release_conn()
    return data


def discard(response: Any) -> None:
    """Read a body that is not wanted, so that its connection is used again; if it is long, close it instead."""
    try:
        if len(response.read(_ERROR_BYTES + 1)) <= _ERROR_BYTES:
            response.release_conn()
            return
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    drop(response)


def drop(response: Any) -> None:
    """Close a connection whose answer was not read to its end, so that it is not used for another request."""
    response.close()
    response.release_conn()


def _follow(request: Request, seconds: float) -> Any:
    """The response to a request, after redirects. Only the host that was asked gets credentials."""
    address, headers = request.address, complete_headers(request)
    for _ in range(_MOST_REDIRECTS + 1):
        if hasattr(request.body, "seek"):
            request.body.seek(0)
        response = take_answer(address, headers) or connections_to(address).request(
            request.method,
            address,
            headers=headers,
            body=request.body,
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
        )
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or location is None:
            return response
        discard(response)
        try:
            target = urljoin(address, location)
            old, new = urlsplit(address), urlsplit(target)
        except ValueError:
            raise RemoteError(f"{request.place}: the server redirects to what is no address") from None
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise RemoteError(
                f"{request.place}: the server redirects to an address with {shown(new.scheme)}; expected {old.scheme}"
            )
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            headers = {name: value for name, value in headers.items() if not _is_secret(name)}
        address = target
    raise RemoteError(f"{request.place}: more than {_MOST_REDIRECTS} redirects, so the server is not set up well")


def complete_headers(request: Request) -> dict[str, str]:
    """The headers of a request as they are sent."""
    return {"Accept-Encoding": "identity", "User-Agent": "skelstore", **request.headers}


def _is_secret(header: str) -> bool:
    return header.lower() in ("authorization", "cookie") or header.lower().startswith(("x-amz-", "x-ms-"))


def _detail(response: Any) -> str:
    """The status of an answer, with what S3, Azure and the hub say about an error."""
    body = response.read(_ERROR_BYTES)
    drop(response)
    code = _CODE.search(body)
    headers = response.headers
    stated = code[1].decode() if code else headers.get("x-ms-error-code") or headers.get("X-Error-Message") or ""
    return f"{response.status} ({escape(stated[:200])})" if stated else str(response.status)


def _refusal(request: Request, status: int, detail: str) -> SkelstoreError:
    place = request.place
    if status in (401, 403):
        return RemoteAccessError(
            f"{place}: the server answered {detail}: access is refused, so check the credentials and the name"
        )
    if status in (404, 410):
        return StoreNotFoundError(f"{place} does not exist: the server answered {detail}")
    expected = "its bytes" if request.method == "GET" else f"to be allowed to {request.method}"
    return RemoteError(f"{place}: the server answered {detail}; expected {expected}")


def _trouble(error: Exception) -> str:
    """What went wrong with a connection, without addresses, which may have secrets."""
    kind = urllib3.exceptions
    if isinstance(error, TruncatedError):
        return str(error)
    if isinstance(error, kind.NameResolutionError):
        return "the name of the server is not known (DNS)"
    if isinstance(error, kind.NewConnectionError):
        return "no connection to the server (refused or unreachable)"
    if isinstance(error, kind.TimeoutError):
        what = "accept a connection" if isinstance(error, kind.ConnectTimeoutError) else "send bytes"
        return f"the server took too long to {what}"
    if isinstance(error, kind.IncompleteRead):
        return "the answer was cut short"
    if isinstance(error, kind.SSLError):
        return "the certificate of the server is not trusted, or it does not speak TLS"
    return f"the connection broke off ({type(error).__name__})"
