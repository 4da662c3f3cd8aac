"""Connections of the server: there is a limit to their number, and to the time that a request takes to arrive.

Without these, one client that opens connections and sends a byte now and then would keep all others out.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 256
"""Connections beyond this number are closed at once. A process may mostly have 1,024 files open."""

PATIENCE = 10.0
"""Seconds within which a request has to arrive: after the connection was made, or after its first byte."""


class Connection(H11Protocol):
    """A connection. h11 limits the line and headers of a request to 64 KiB; httptools, which is faster, does not."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        """Set the deadline, unless it is set already, or the last request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(PATIENCE, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
