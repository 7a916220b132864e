"""A transport that a test plays the clients of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from open_alchemy.package_database.coherence.messages import ReadHeader
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker.client_protocol import wall_clock
from open_alchemy.package_database.engines.broker.codec import Buffer, decode_answer, encode
from open_alchemy.package_database.engines.broker.messages import VERSION, Answer, Request, RequestBody
from open_alchemy.package_database.engines.broker.transports import Peer
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine


class RecordingTransport:
    """Records the answers of a broker, and delivers requests."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.is_closed = False

    async def start(self, receive: Callable[[Peer, Buffer], None]) -> str:
        self._receive = receive
        return "recording"

    def send(self, address: Hashable, message: Secret, report: Secret | None = None) -> None:
        self.answers.append(decode_answer(message))

    async def aclose(self) -> None:
        self.is_closed = True

    def deliver(self, data: bytes, *, client: str = "client") -> None:
        self._receive(Peer(self, client), data)

    def request(
        self,
        id_: int,
        body: RequestBody,
        *,
        seconds: float = 5.0,
        sent: float | None = None,
        read: ReadHeader | None = None,
    ) -> None:
        time = wall_clock() if sent is None else sent
        self.deliver(encode(Request(VERSION, id_, time, seconds, body, read=read)))

    async def first(self) -> Answer:
        """Returns the first answer to any request."""
        async with asyncio.timeout(60):
            while True:
                if self.answers:
                    return self.answers[0]
                await asyncio.sleep(0)

    async def answer(self, id_: int) -> Any:
        """Returns the body of the answer to a request."""
        async with asyncio.timeout(60):
            while True:
                for answer in self.answers:
                    if answer.id == id_:
                        return answer.body
                await asyncio.sleep(0)


class BlockedEngine(AsyncMemoryEngine):
    """An engine in which operations wait until the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[StoreOperation] = []
        self.gate = asyncio.Event()

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        self.started.append(operation)
        await self.gate.wait()
        return await super().execute(operation, deadline)
