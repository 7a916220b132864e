"""Calls through a broker on NATS, and requests of bare nats-py clients with the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .broker_calls import answer_of
from .examples import NAME, SUB

DISTRIBUTIONS = ("nats-py", "msgspec")
MEASURES_LATENCY = True


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases. The URL is a JSON object: the URLs of the servers by name."""
    import nats

    from open_alchemy import package_database

    urls = json.loads(url)
    store, broker = package_database.connect(urls["store"]), package_database.aconnect(urls["nats_broker"])
    message = answer_of(urls["broker_address"])
    connection = await nats.connect(urls["nats"])

    async def request_and_store() -> None:
        await connection.request("echo", message)
        store.get_spec(sub=SUB, name=NAME)

    return {
        "get_spec": lambda: broker.get_spec(sub=SUB, name=NAME),
        "request": lambda: connection.request("echo", message),
        "request_and_store": request_and_store,
    }
