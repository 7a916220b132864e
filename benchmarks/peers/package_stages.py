"""This package, with a stopwatch in its stages."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from . import package
from .stopwatch import Stopwatch

DISTRIBUTIONS = ()

FACADE: Final = "facade: checks, access pattern, result"
STEPS: Final = "steps of a conversation: deadline, retries"
VALUES: Final = "operation to request, attributes to values"
RENDER: Final = "encode and sign the request"
POOL: Final = "connection pool"
KERNEL: Final = "kernel: send and receive"
PARSER: Final = "HTTP parser"
READ: Final = "checksum and JSON of the answer"
STAGES: Final = (FACADE, STEPS, VALUES, RENDER, POOL, KERNEL, PARSER, READ)
"""In the order in which a call comes to them."""

_stopwatch = Stopwatch(FACADE)

take_parts = _stopwatch.take


class _Socket(socket.socket):
    send = _stopwatch.timed(KERNEL, socket.socket.send)
    recv = _stopwatch.timed(KERNEL, socket.socket.recv)


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the package's cases, on sockets and functions that are timed."""
    from open_alchemy.package_database.engines.dynamodb import execution, requests
    from open_alchemy.package_database.engines.dynamodb.attribute_codec import decode_item
    from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
    from open_alchemy.package_database.engines.dynamodb.http.exchange import HttpAttempts
    from open_alchemy.package_database.engines.dynamodb.http.response import HttpResponse
    from open_alchemy.package_database.engines.dynamodb.http.sync_transport import SyncTransport

    timed: tuple[tuple[str, Any, str], ...] = (
        (STEPS, DynamoDBEngine, "execute"),
        (VALUES, requests, "get_item"),
        (VALUES, requests, "query"),
        (VALUES, execution, "decode_item"),
        (RENDER, HttpAttempts, "render"),
        (POOL, SyncTransport, "exchange"),
        (PARSER, HttpResponse, "feed"),
        (READ, HttpAttempts, "read"),
    )
    # A page is decoded by ``map``: one look for all its items, because a look takes as long as an item.
    setattr(execution, "map", _stopwatch.timed(VALUES, lambda _, items: list(map(decode_item, items))))  # noqa: B010
    for stage, owner, name in timed:
        setattr(owner, name, _stopwatch.timed(stage, getattr(owner, name)))
    setattr(socket, "socket", _Socket)  # noqa: B010 (the type checker would not have it)
    return package.open_cases(url)
