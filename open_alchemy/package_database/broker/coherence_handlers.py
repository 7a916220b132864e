"""Connects the caching of the stores of a server to the server: messages of clients and of other brokers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from ..core.deadline import Deadline
from ..engines.broker import cache_messages
from ..engines.broker.bus import BusServer
from ..engines.broker.codec import Codec
from ..engines.broker.messages import AnswerBody, Granters, Granting, Noted, Request
from ..engines.broker.transports import Peer
from ..engines.broker.zeromq import ZeroMQConnection
from .coherence_driver import Caching
from .other_brokers import OtherBrokers
from .served_instances import ServedStores
from .server import Server


def connect_caches(server: Server, address: str, key_file: Path | None = None, buses: Sequence[BusServer] = ()) -> None:
    """Lets clients of a server cache what they read.

    Args:
        server: The server.
        address: The TCP address at which other brokers reach this one; empty for none.
        key_file: The keys of the broker, which the others of its stores have too; None for no encryption.
        buses: Its message buses.
    """
    places = ",".join(filter(None, [*(bus.address for bus in buses), address]))
    sessions = Sessions(server, places, OtherBrokers(partial(ZeroMQConnection, key_file=key_file), buses))
    if isinstance(server.stores, ServedStores):
        server.stores.start_caching(sessions.start)
    else:
        for name, store in server.stores.items():
            if store.caching is not None:
                sessions.start(name, store.caching)


class Sessions:
    """The sessions of all stores.

    Args:
        server: The server, which passes the messages of sessions to this object from now on.
        address: Where other brokers reach this one; several addresses are separated by commas.
        others: The connections to other brokers.
    """

    def __init__(self, server: Server, address: str, others: OtherBrokers) -> None:
        self._server, self._address, self._others = server, address, others
        self._started: list[Caching] = []
        self._reads = self._uncacheable = self._revocations = 0
        server.reads = self
        server.closers.append(self.aclose)
        server.sources.append(self.figures)
        server.handlers[Granters] = self._granters
        server.immediate |= dict.fromkeys(get_args(cache_messages.SessionRequest), self._receive)
        server.immediate |= dict.fromkeys(get_args(cache_messages.BetweenBrokers), self._receive_broker)

    def start(self, instance: str, caching: Caching) -> None:
        """Starts the caching of an instance. Messages to other brokers contain this name of it."""
        self._started.append(caching)
        caching.start(self._address, self._send_to_client, partial(self._send_to_broker, instance))

    def figures(self) -> dict[str, int]:
        """Returns the number of clients that cache, of their reads, and of the revocations of their answers."""
        return {
            "caching_clients": sum(caching.sessions for caching in self._started),
            "cache_reads": self._reads,
            "cache_reads_uncacheable": self._uncacheable,
            "cache_revocations": self._revocations,
        }

    def begin(self, peer: Peer, codec: Codec, request: Request) -> None:
        """Notes a read."""
        if (caching := self._of(request)) is not None:
            caching.begin_read(peer, codec, request)

    def finish(self, request: Request, body: AnswerBody) -> AnswerBody:
        """Returns the answer to a read."""
        caching = self._of(request)
        if caching is None or request.read is None:
            return body
        answer = caching.finish_read(request.read, body)
        self._reads += 1
        self._uncacheable += not (isinstance(answer, Noted) and answer.header.is_cacheable)
        return answer

    async def aclose(self) -> None:
        """Ends all sessions, and leaves the registries."""
        for caching in self._started:
            await caching.leave()
        await self._others.aclose()

    def _of(self, request: Request) -> Caching | None:
        store = self._server.stores.get(request.instance)
        return None if store is None else store.caching

    async def _granters(self, request: Request, _: Deadline) -> AnswerBody:
        caching, body = self._of(request), request.body
        assert isinstance(body, Granters)
        return Granting() if caching is None else await caching.granters(body.failed)

    def _receive(self, peer: Peer, codec: Codec, request: Request) -> None:
        if (caching := self._of(request)) is not None:
            caching.receive(peer, codec, request.body)

    def _receive_broker(self, _: Peer, __: Codec, request: Request) -> None:
        if (caching := self._of(request)) is not None:
            caching.receive_broker(request.body)

    def _send_to_broker(self, instance: str, address: str, body: object) -> None:
        self._others.send(address, instance, body)

    def _send_to_client(self, peer: Peer, codec: Codec, body: AnswerBody) -> None:
        self._revocations += isinstance(body, cache_messages.Revoke)
        self._server.send(peer, 0, body, codec)
