"""What this package does not do for every call, and what it does in its place."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Mapping
from typing import Any

from .examples import ACCESS_KEY, REGION
from .raw_socket import connect, renderer

DISTRIBUTIONS = ()
_CHUNK = 1 << 16


class _Received:
    """Stands for a socket on which an answer has arrived."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, mode: str) -> Any:
        """Returns the answer as a file, which is read through a buffer as a socket's is."""
        del mode
        return io.BufferedReader(io.BytesIO(self._answer))


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases, in pairs."""
    import time

    from open_alchemy.package_database.engines.dynamodb.config import Credentials
    from open_alchemy.package_database.engines.dynamodb.http.response import Answer
    from open_alchemy.package_database.engines.dynamodb.http.signature_v4 import Key, Moment

    credentials, render, kept = Credentials(ACCESS_KEY, ACCESS_KEY), renderer(url), connect(url)
    ready = render()
    kept.sendall(ready)
    received = kept.recv(_CHUNK)

    def send_over_kept() -> None:
        kept.sendall(ready)
        kept.recv(_CHUNK)

    def send_over_new() -> None:
        with connect(url) as connection:
            connection.sendall(ready)
            connection.recv(_CHUNK)

    def derive_and_render() -> None:
        Key.of(credentials, Moment.at(time.time()).date, REGION, "dynamodb")
        render()

    def parse_in_python() -> bytes:
        response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
        response.begin()
        return response.read()

    return {
        "connection/without": send_over_new,
        "connection/with": send_over_kept,
        "key/without": derive_and_render,
        "key/with": render,
        "parser/without": parse_in_python,
        "parser/with": lambda: Answer().feed(received),
    }
