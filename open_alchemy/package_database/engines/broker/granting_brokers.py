"""Finds a broker that lets a client cache: any broker answers which of them do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from ...exceptions import BaseError
from ..randomness import random
from .async_client import AsyncClient
from .config import BrokerConfig
from .messages import Granters, Granting
from .transport_registry import find_connect


class FoundGranter(NamedTuple):
    """A broker that lets the client cache.

    Attributes:
        broker: Its position among the connections of the client.
        id: Its id, which others do not accept; None if it has none yet.
    """

    broker: int
    id: str | None


async def find_granter(
    ask: Callable[[Any, str], Awaitable[Any]], client: AsyncClient, config: BrokerConfig
) -> FoundGranter | None:
    """Returns a broker that lets the client cache, connected to it; None if the client reaches none.

    Args:
        ask: Sends a request to one of the brokers, and returns the body of the answer.
        client: The client.
        config: Its configuration.
    """
    try:
        answer = await ask(Granters(client.found), "Granters")
        if not isinstance(answer, Granting):
            return None
        if answer.is_this and config.bus is None:
            return FoundGranter(client.requests.current, None)
        return _connect(answer, client, config)
    except BaseError:
        return None


def _connect(answer: Granting, client: AsyncClient, config: BrokerConfig) -> FoundGranter | None:
    found = [(address, each.id) for each in answer.brokers if (address := config.reachable(each.address)) is not None]
    if not found:
        return None
    address, id_ = found[int(random() * len(found)) % len(found)]
    # Another process may listen at the address later: the id is verified once for each connection.
    return FoundGranter(client.connect_to(address, find_connect(config, reconnects=False)), id_)
