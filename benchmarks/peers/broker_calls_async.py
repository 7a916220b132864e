"""Calls through a broker in one event loop, and bare ZeroMQ clients.

The bare clients are tasks of ``zmq.asyncio`` on one socket, as the calls of this package are tasks on one socket; and
64 sockets in one thread, without an event loop. The cases with the store read an item of it for each echo.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from .broker_calls import answer_of, connect
from .examples import NAME, SUB

DISTRIBUTIONS = ("pyzmq", "msgspec")
MEASURES_LATENCY = True
CLIENTS: Final = 64
BATCH: Final = 512
"""The requests of one call of the case ``echo_clients``."""


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases. The URL is a JSON object: the URLs of the servers by name."""
    import zmq.asyncio

    from open_alchemy import package_database

    urls = json.loads(url)
    broker, slow, slow_broker = (package_database.aconnect(urls[name]) for name in ("broker", "slow", "slow_broker"))
    store = package_database.connect(urls["store"])
    message = answer_of(urls["broker_address"])
    poller, clients = zmq.Poller(), [connect(urls["echo"]) for _ in range(CLIENTS)]
    for client in clients:
        poller.register(client, zmq.POLLIN)
    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.connect(urls["echo"])

    def read() -> None:
        store.get_spec(sub=SUB, name=NAME)

    async def echo_clients(work: Callable[[], None] = lambda: None) -> None:
        """Each client has one request in progress."""
        for client in clients:
            client.send(message)
        received = 0
        while received < BATCH:
            for client, _ in poller.poll():
                client.recv()
                work()
                received += 1
                if received <= BATCH - CLIENTS:
                    client.send(message)

    async def echo() -> None:
        # Answers have the order of the requests, and all are equal.
        await socket.send(message)
        await socket.recv()

    async def echo_and_store() -> None:
        await echo()
        read()

    return {
        "get_spec": lambda: broker.get_spec(sub=SUB, name=NAME),
        "echo": echo,
        "echo_and_store": echo_and_store,
        "echo_clients": echo_clients,
        "echo_clients_and_store": lambda: echo_clients(read),
        "slow": lambda: slow.get_spec(sub=SUB, name=NAME),
        "slow_broker": lambda: slow_broker.get_spec(sub=SUB, name=NAME),
    }
