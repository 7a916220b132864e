"""The least that a request costs in Python: a socket, and the package's signature or none made anew."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .examples import ACCESS_KEY, GET_SPEC, REGION

DISTRIBUTIONS = ()
_CHUNK = 1 << 16


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases: ``get_spec`` signs each request, ``presigned`` sends one and the same."""
    render, connection = renderer(url), connect(url)
    ready = render()

    def get_spec() -> bytes:
        connection.sendall(render())
        return connection.recv(_CHUNK)

    def presigned() -> bytes:
        connection.sendall(ready)
        return connection.recv(_CHUNK)

    return {"get_spec": get_spec, "presigned": presigned}


def connect(url: str) -> socket.socket:
    """Returns a connection to the server."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def renderer(url: str, action: str = "GetItem", request: dict[str, Any] = GET_SPEC) -> Callable[[], bytes]:
    """Returns a function that encodes and signs a request as the package does."""
    from open_alchemy.package_database.engines.dynamodb.config import Credentials
    from open_alchemy.package_database.engines.dynamodb.http.credentials import Given
    from open_alchemy.package_database.engines.dynamodb.http.endpoint import Endpoint
    from open_alchemy.package_database.engines.dynamodb.http.exchange import Core

    parts = urlsplit(url)
    credentials = Credentials(ACCESS_KEY, ACCESS_KEY)
    endpoint = Endpoint(parts.hostname or "", parts.port or 80, REGION, is_encrypted=False, authority=parts.netloc)
    core = Core(endpoint, Given(credentials), agent="open-alchemy.package-database", longest=1.0)
    return lambda: core.render(action, request, credentials)
