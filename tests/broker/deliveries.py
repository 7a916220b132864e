"""A broker between whose clients and itself messages are lost, doubled and late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.engines.broker.codec import MESSAGEPACK, Buffer, Codec, decode_request
from open_alchemy.package_database.engines.broker.messages import AnswerBody, Transact
from open_alchemy.package_database.engines.broker.transports import Peer

Deliver: TypeAlias = Callable[[], None]
"""Delivers a message, in the loop of the broker, as often as it is called."""


class Deliveries:
    """Decides what happens to messages. This one delivers each of them once."""

    def request(self, deliver: Deliver, body: object) -> None:
        """A request arrives."""
        deliver()

    def answer(self, deliver: Deliver) -> None:
        """An answer is sent."""
        deliver()


class Fault(NamedTuple):
    """A fault of one message.

    Attributes:
        message: Which message it happens to.
        now: How often the message is delivered.
        late: Whether it is delivered once more, when the test decides so.
    """

    message: Literal["request", "answer"]
    now: int
    late: bool = False


FAULTS: Final = {
    "a request is lost": Fault("request", 0),
    "a request arrives twice": Fault("request", 2),
    "a request arrives after its repetition and a later write": Fault("request", 0, late=True),
    "a request arrives again after a later write": Fault("request", 1, late=True),
    "an answer is lost": Fault("answer", 0),
    "an answer arrives twice": Fault("answer", 2),
    "an answer arrives after a later write": Fault("answer", 0, late=True),
}


class OneFault(Deliveries):
    """Has a fault happen once, to the first request or the first write, or to the next answer after it.

    Args:
        fault: The fault.
        writes_only: Whether it happens to a write.
    """

    def __init__(self, fault: Fault, *, writes_only: bool) -> None:
        self._fault: Fault | None = fault
        self._type: type = Transact if writes_only else object
        self._is_awaited = True
        self._late: list[Deliver] = []

    def request(self, deliver: Deliver, body: object) -> None:
        is_first = self._is_awaited and isinstance(body, self._type)
        self._is_awaited &= not is_first
        self._deliver(deliver, applies=is_first and self._fault is not None and self._fault.message == "request")

    def answer(self, deliver: Deliver) -> None:
        applies = not self._is_awaited and self._fault is not None and self._fault.message == "answer"
        self._deliver(deliver, applies=applies)

    def deliver_late(self) -> None:
        """Delivers what is late."""
        for deliver in self._late:
            deliver()

    def _deliver(self, deliver: Deliver, *, applies: bool) -> None:
        if not applies or self._fault is None:
            deliver()
            return
        fault, self._fault = self._fault, None
        for _ in range(fault.now):
            deliver()
        if fault.late:
            self._late.append(deliver)


class RandomFaults(Deliveries):
    """Loses, doubles and delays messages at random.

    Args:
        random: Draws the faults.
        seconds: The maximum delay.
    """

    def __init__(self, random: Random, seconds: float) -> None:
        self._random = random
        self._seconds = seconds

    def request(self, deliver: Deliver, body: object) -> None:
        self.answer(deliver)

    def answer(self, deliver: Deliver) -> None:
        for _ in range(self._random.choices((0, 1, 2), (0.1, 0.7, 0.2))[0]):
            if self._random.random() < 0.5:
                deliver()
            else:
                asyncio.get_running_loop().call_later(self._random.random() * self._seconds, deliver)


class FaultyServer(Server):
    """A broker.

    Args:
        deliveries: Decides what happens to messages.
    """

    def __init__(self, *arguments: Any, deliveries: Deliveries, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deliveries = deliveries

    def receive(self, peer: Peer, data: Buffer) -> None:
        copy = bytes(data)
        self._deliveries.request(partial(super().receive, peer, copy), decode_request(copy)[1].body)

    def send(self, peer: Peer, id_: int, body: AnswerBody, codec: Codec = MESSAGEPACK) -> None:
        deliver = partial(super().send, peer, id_, body, codec)
        if id_:
            self._deliveries.answer(deliver)
        else:
            deliver()
