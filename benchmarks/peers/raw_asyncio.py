"""The least that a request costs on asyncio: a protocol that sends a ready request and takes what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .raw_socket import renderer

DISTRIBUTIONS = ()


class _Connection(asyncio.Protocol):
    waiter: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        del data
        self.waiter.set_result(None)


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases: ``get_spec`` signs each request, ``presigned`` sends one and the same."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    _, connection = await loop.create_connection(_Connection, parts.hostname or "", parts.port or 80)
    render = renderer(url)
    ready = render()

    async def exchange(data: bytes) -> None:
        connection.waiter = loop.create_future()
        connection.transport.write(data)
        await connection.waiter

    return {"get_spec": lambda: exchange(render()), "presigned": lambda: exchange(ready)}
