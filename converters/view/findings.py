"""What ``check`` finds in a store, per video: it runs in a thread beside the server, once the page asks for it."""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checks.dataset import check_share, conclude, first_name_key, videos_of
from converters.checks.problems import KINDS, Report
from converters.view.requests import RequestError
from skelstore import Store
from skelstore.errors import SkelstoreError
from skelstore.wording import closest, shown

_PLACE = "video "
"""Beginning of the place of a video in a report; its row follows."""

_ENDING = 2
"""Seconds that the check has to end when the server ends."""


class Findings:
    """The problems of the videos of a store.

    Problems of single videos are known as the check proceeds. Those of the data set (names that occur twice, splits)
    are known when it is done, with the rows of the report's examples. One bit is kept per video and kind.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bits: dict[str, NDArray[np.uint8]] = {}
        self._cases: dict[str, int] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._stop = Event()
        self._is_done = False
        self._error: str | None = None
        self.checked = 0
        """The number of videos that were checked."""

    def start(self) -> None:
        """Start the check, unless it was started before."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="skelstore-check", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the check, and wait until it has ended: at most ``_ENDING`` seconds, for the video that it reads."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=_ENDING)

    def _run(self) -> None:
        try:
            self._check()
        except (SkelstoreError, OSError) as error:
            self._error = str(error)
        except MemoryError:
            self._error = "the check needs more memory than there is"
        except Exception as error:  # a fault of ours: the page gets a sentence, the terminal no traceback
            self._error = f"a fault in skelstore itself ({type(error).__name__}: {error}): please report it"
        finally:
            self._is_done = True

    def _check(self) -> None:
        """Check the videos in shares of one, whose reports say which video has which problems."""
        videos = videos_of(self._store)
        key = first_name_key(videos)
        found = check_share(videos, range(0), key)
        for row in range(len(videos)):
            if self._stop.is_set():
                return
            share = check_share(videos, range(row, row + 1), key)
            for kind in share.report.problems:
                self._add(kind, row)
            found.merge(share)
            self.checked += 1
        self._conclude(conclude(videos, found))

    def _add(self, kind: str, row: int) -> None:
        bits = self._bits.get(kind)
        if bits is None:
            bits = self._bits[kind] = np.zeros(-(-len(self._store) // 8), np.uint8)
        bits[row // 8] |= 128 >> row % 8

    def _conclude(self, report: Report) -> None:
        for kind, tally in report.problems.items():
            self._cases[kind] = tally.count
            for example in tally.examples:
                row = example.place.removeprefix(_PLACE)
                if row.isdecimal() and int(row) < len(self._store):
                    self._add(kind, int(row))

    def progress(self) -> dict[str, Any]:
        """How far the check is, and the kinds of problems that it has found until now, for JSON."""
        state = "none" if self._thread is None else "done" if self._is_done else "running"
        found = {kind: int(np.unpackbits(bits).sum()) for kind, bits in list(self._bits.items())}
        kinds = [
            {
                "kind": kind,
                "title": about.title,
                "severity": about.severity,
                "remedy": about.remedy,
                "videos": found.get(kind, 0),
                "cases": self._cases.get(kind, found.get(kind, 0)),
            }
            for kind, about in sorted(KINDS.items(), key=lambda entry: entry[1].severity)
            if kind in found or kind in self._cases
        ]
        return {
            "state": state,
            "checked": self.checked,
            "videos": len(self._store),
            "kinds": kinds,
            **({} if self._error is None else {"error": self._error}),
        }

    def mask(self, kind: str) -> NDArray[np.bool_]:
        """The videos in which a kind of problem was found until now, bool [videos].

        Raises RequestError for an unknown kind.
        """
        if kind not in KINDS:
            raise RequestError(f"there is no problem of the kind {shown(kind)}{closest(kind, KINDS)}")
        bits = self._bits.get(kind)
        if bits is None:
            return np.zeros(len(self._store), bool)
        return np.unpackbits(bits, count=len(self._store)).astype(bool)

    def of(self, row: int) -> list[str]:
        """The kinds of problems that were found in a video until now."""
        return [kind for kind, bits in list(self._bits.items()) if bits[row // 8] & (128 >> row % 8)]
