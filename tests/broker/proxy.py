"""A TCP proxy whose connections can become half-open: they stay, and transmit nothing any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """A proxy in a thread.

    Args:
        port: The port to which it forwards.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_ready = threading.Event()
        self._forwarding: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()], name="proxy")
        self._thread.start()
        assert self._is_ready.wait(10)

    def stop_forwarding(self) -> None:
        """Makes the connections that exist half-open. New ones work."""
        self._loop.call_soon_threadsafe(self._cancel)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._end.wait()
        self._cancel()
        for writer in self._writers:
            writer.close()
        server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += (writer, target_writer)
        for source, sink in ((reader, target_writer), (target_reader, writer)):
            task = asyncio.ensure_future(self._forward(source, sink))
            self._forwarding.add(task)
            task.add_done_callback(self._forwarding.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def _cancel(self) -> None:
        for task in self._forwarding:
            task.cancel()


@contextmanager
def run_proxy(port: int) -> Iterator[Proxy]:
    """Runs a proxy."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
