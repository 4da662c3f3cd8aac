"""A TCP proxy that delays what passes: a network with a round-trip time and, if wanted, a bandwidth."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = 64 << 10


class _Link:
    """One direction of all connections: bytes arrive ``delay`` seconds later, at ``rate`` bytes per second in all."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay = delay
        self.rate = rate
        self.free = 0.0

    def arrival(self, size: int) -> float:
        now = asyncio.get_running_loop().time()
        self.free = max(now, self.free) + (size / self.rate if self.rate else 0.0)
        return self.free + self.delay


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, link: _Link, opening: float) -> None:
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

    async def deliver() -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, data = await queue.get()
            if (pause := at - loop.time()) > 0:
                await asyncio.sleep(pause)
            if not data:
                break
            target.write(data)
            await target.drain()
        target.close()

    task = asyncio.create_task(deliver())
    extra = opening  # the handshake of TCP: the first bytes wait for one more round trip
    try:
        while data := await source.read(_PIECE):
            await queue.put((link.arrival(len(data)) + extra, data))
            extra = 0.0
    except ConnectionError:
        pass
    await queue.put((link.arrival(0), b""))
    await asyncio.gather(task, return_exceptions=True)


async def _serve(port: int, round_trip: float, rate: float) -> None:
    up, down = _Link(round_trip / 2, 0.0), _Link(round_trip / 2, rate)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, to = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return writer.close()
        await asyncio.gather(
            _pass_on(reader, to, up, round_trip), _pass_on(back, writer, down, 0.0), return_exceptions=True
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def delayed(port: int, round_trip: float, rate: float = 0.0) -> Iterator[int]:
    """The port of a proxy to a local port: ``round_trip`` in seconds, ``rate`` down in bytes per second (0: no limit).

    The proxy is a process of its own. Opening a connection costs one round trip more, as TCP does.
    """
    command = [sys.executable, __file__, str(port), str(round_trip), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
