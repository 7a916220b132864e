"""Subscriptions in several workers of a broker: each worker sends its changes to the others, in datagrams.

A worker numbers its changes. Every ``HEARTBEAT_SECONDS`` it sends the number of the last one, so that the others notice
a datagram that was dropped, and a worker that was replaced and may not have sent its last changes: their subscribers
miss something then.
"""

from __future__ import annotations

import asyncio
import mmap
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ..engines.broker.codec import Codec
from ..engines.broker.messages import AnswerBody, Change, Request
from ..engines.broker.transports import Peer
from .subscriptions import Subscriptions

HEARTBEAT_SECONDS: Final = 0.5
_BUFFER_BYTES: Final = 1_000_000
_MAX_RECEIVED: Final = 100


class _Message(msgspec.Struct, frozen=True, array_like=True):
    """Changes of a worker; without changes, the number of its last ones."""

    worker: int
    epoch: str
    number: int
    instance: str
    changes: tuple[Change, ...]


class WorkerLinks:
    """What the workers share. Create it before the workers are forked.

    Args:
        workers: The number of workers.

    Attributes:
        receivers: The socket of each worker.
        senders: Send to the socket of each worker.
        heard: A byte of each worker: whether it has subscriptions.
    """

    def __init__(self, workers: int) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        for pair in pairs:
            for end in pair:
                end.settimeout(0)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self.receivers, self.senders = zip(*pairs, strict=True)
        self.heard = mmap.mmap(-1, workers)

    def close(self) -> None:
        """Closes the sockets."""
        for end in (*self.receivers, *self.senders):
            end.close()
        self.heard.close()


class WorkerSubscriptions(Subscriptions):
    """The subscriptions of a worker.

    Args:
        links: What the workers share.
        worker: The number of the worker.
        clock: Returns the monotonic time in seconds.
    """

    def __init__(self, links: WorkerLinks, worker: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._links = links
        self._worker = worker
        self._epoch = secrets.token_hex(8)
        self._number = 0
        self._last: dict[int, tuple[str, int]] = {}
        links.heard[worker] = False

    def start(self) -> None:
        """Exchanges changes with the other workers from now on, in the running event loop."""
        asyncio.get_running_loop().add_reader(self._links.receivers[self._worker].fileno(), self.receive)
        self._repeat_heartbeat()

    def subscribe(self, peer: Peer, codec: Codec, request: Request) -> AnswerBody:
        """Starts or renews a subscription."""
        answer = super().subscribe(peer, codec, request)
        self._links.heard[self._worker] = self.has_subscriptions
        return answer

    def is_heard(self, instance: str) -> bool:
        """Returns whether anybody is subscribed, to any instance."""
        del instance
        return any(self._links.heard[:])

    def publish(self, instance: str, changes: Sequence[Change], *, is_certain: bool = True) -> None:
        """Sends the changes of a transaction to the subscribers of all workers."""
        super().publish(instance, changes, is_certain=is_certain)
        self._number += 1
        self._send(instance, changes if is_certain else ())

    def heartbeat(self) -> None:
        """Sends the number of the last changes."""
        self._forget_expired()
        self._links.heard[self._worker] = self.has_subscriptions
        self._send("", ())

    def receive(self) -> None:
        """Receives messages of other workers."""
        for _ in range(_MAX_RECEIVED):
            try:
                data = self._links.receivers[self._worker].recv(_BUFFER_BYTES)
            except BlockingIOError:
                return
            self._process(msgspec.msgpack.decode(data, type=_Message))

    def _process(self, message: _Message) -> None:
        epoch, last = self._last.get(message.worker, ("", 0))
        if (epoch, last + bool(message.changes)) != (message.epoch, message.number):
            self.miss()
        self._last[message.worker] = message.epoch, message.number
        if message.changes:
            super().publish(message.instance, message.changes)

    def _send(self, instance: str, changes: Sequence[Change]) -> None:
        data = msgspec.msgpack.encode(_Message(self._worker, self._epoch, self._number, instance, tuple(changes)))
        for number, sender in enumerate(self._links.senders):
            if number != self._worker:
                # Dropped if the other worker does not receive, or if the message is too long.
                with suppress(OSError):
                    sender.send(data)

    def _repeat_heartbeat(self) -> None:
        self.heartbeat()
        asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._repeat_heartbeat)
