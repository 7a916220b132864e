"""A TCP proxy that fails as networks do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from random import Random


class Proxy:
    """A proxy in a thread.

    Args:
        target: The port to which it forwards.
        random: Draws the delays.

    Attributes:
        port: Where it listens.
        delay: The maximum delay in seconds of what it forwards.
        rate: The most bytes in a second that it forwards to clients.
        cuts: How many times it has closed all connections.
    """

    def __init__(self, target: int, random: Random | None = None) -> None:
        self.delay = 0.0
        self.rate = inf
        self.cuts = 0
        self._target = target
        self._random = random or Random(0)  # noqa: S311 (no secret)
        self._bytes_until_cut = inf
        self._is_ready = threading.Event()
        self._requests: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()], name="proxy")
        self._thread.start()
        assert self._is_ready.wait(60)

    def stop_forwarding(self) -> None:
        """Makes the connections that exist half-open. New ones work."""
        self._call(lambda: self._cancel(self._requests, self._answers))

    def stop_answers(self) -> None:
        """Forwards nothing to the clients that are connected any more: they read no longer."""
        self._call(lambda: self._cancel(self._answers))

    def cut(self) -> None:
        """Closes all connections."""
        self._call(self._abort)

    def cut_after(self, size: int) -> None:
        """Closes all connections once, when it has forwarded this number of bytes to clients."""
        self._call(lambda: setattr(self, "_bytes_until_cut", size))

    def stop(self) -> None:
        """Closes all connections, and refuses new ones."""
        self._call(self._server.close)
        self.cut()

    def start(self) -> None:
        """Accepts connections again."""
        asyncio.run_coroutine_threadsafe(self._listen(self.port), self._loop).result(60)

    def close(self) -> None:
        self._call(self._end.set)
        self._thread.join()

    def _call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        await self._listen(0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._end.wait()
        self._server.close()
        self._cancel(self._requests, self._answers)
        self._abort()

    async def _listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", port)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, target_writer}
        self._forward(reader, target_writer, self._requests)
        self._forward(target_reader, writer, self._answers)

    def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tasks: set[asyncio.Task[None]]
    ) -> None:
        task = asyncio.ensure_future(self._copy(reader, writer, is_answer=tasks is self._answers))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.delay:
                    await asyncio.sleep(self._random.random() * self.delay)
                if is_answer:
                    await asyncio.sleep(len(data) / self.rate)
                writer.write(data)
                await writer.drain()
                if is_answer:
                    self._bytes_until_cut -= len(data)
                    if self._bytes_until_cut <= 0:
                        self._bytes_until_cut = inf
                        self._abort()
        writer.close()

    @staticmethod
    def _cancel(*tasks: set[asyncio.Task[None]]) -> None:
        for task in {task for some in tasks for task in some}:
            task.cancel()

    def _abort(self) -> None:
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@contextmanager
def run_proxy(target: int, random: Random | None = None) -> Iterator[Proxy]:
    """Runs a proxy."""
    proxy = Proxy(target, random)
    try:
        yield proxy
    finally:
        proxy.close()
