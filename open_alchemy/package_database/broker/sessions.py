"""Connects the caching of the stores of a server to the server: messages of clients and of other brokers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import get_args

from ..engines.broker import cache_messages
from ..engines.broker.codec import Codec
from ..engines.broker.messages import AnswerBody, Request
from ..engines.broker.transports import Peer
from .caching import Caching
from .other_brokers import OtherBrokers
from .server import Server


def connect_caches(server: Server, address: str) -> None:
    """Lets clients of a server cache what they read.

    Args:
        server: The server.
        address: Where other brokers reach this one.
    """
    caching = {name: store.caching for name, store in server.stores.items() if store.caching is not None}
    if caching:
        server.closers.append(Sessions(server, caching, address).aclose)


class Sessions:
    """The sessions of all stores.

    Args:
        server: The server, which passes the messages of sessions to this object from now on.
        caching: The caching of each store, by the name of its instance.
        address: Where other brokers reach this one.
    """

    def __init__(self, server: Server, caching: Mapping[str, Caching], address: str) -> None:
        self._caching = caching
        self._others = OtherBrokers()
        for instance, each in caching.items():
            each.start(
                address,
                lambda peer, codec, body: server.send(peer, 0, body, codec),
                partial(self._send_to_broker, instance),
            )
        server.reads = self
        server.immediate |= dict.fromkeys(get_args(cache_messages.SessionRequest), self._receive)
        server.immediate |= dict.fromkeys(get_args(cache_messages.BetweenBrokers), self._receive_broker)

    def begin(self, peer: Peer, codec: Codec, request: Request) -> None:
        """Notes a read."""
        if (caching := self._caching.get(request.instance)) is not None:
            caching.begin_read(peer, codec, request)

    def finish(self, request: Request, body: AnswerBody) -> AnswerBody:
        """Returns the answer to a read."""
        caching = self._caching.get(request.instance)
        if caching is None or request.read is None:
            return body
        return caching.finish_read(request.read, body)

    async def aclose(self) -> None:
        """Ends all sessions, and leaves the registries."""
        for caching in self._caching.values():
            await caching.leave()
        await self._others.aclose()

    def _receive(self, peer: Peer, codec: Codec, request: Request) -> None:
        if (caching := self._caching.get(request.instance)) is not None:
            caching.receive(peer, codec, request.body)

    def _receive_broker(self, _: Peer, __: Codec, request: Request) -> None:
        if (caching := self._caching.get(request.instance)) is not None:
            caching.receive_broker(request.body)

    def _send_to_broker(self, instance: str, address: str, body: object) -> None:
        self._others.send(address, instance, body)
