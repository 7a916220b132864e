"""A minimal HTTP/1.1 server: ``/metrics`` in Prometheus' text format, and ``/ready``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from .metrics import Figures, to_prometheus

_MAX_SECONDS: Final = 5.0
_MAX_BYTES: Final = 16_384
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


async def start_http(
    listener: socket.socket, figures: Callable[[], Figures], is_ready: Callable[[], bool]
) -> asyncio.Server:
    """Serves the figures of a broker.

    Args:
        listener: A listening socket.
        figures: Returns the figures.
        is_ready: Returns whether the broker accepts requests.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_MAX_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_respond(head, figures, is_ready))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # The client is gone, slow, or does not use HTTP.
        finally:
            writer.close()

    return await asyncio.start_server(serve, sock=listener, limit=_MAX_BYTES)


def _respond(head: bytes, figures: Callable[[], Figures], is_ready: Callable[[], bool]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in {b"GET", b"HEAD"}:
        status, body = "405 Method Not Allowed", "only GET\n"
    elif path == b"/metrics":
        status, body = "200 OK", to_prometheus(figures())
    elif path == b"/ready":
        status, body = ("200 OK", "ready\n") if is_ready() else ("503 Service Unavailable", "not ready\n")
    else:
        status, body = "404 Not Found", "expected /metrics or /ready\n"
    content = body.encode()
    fields = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_TEXT}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return fields.encode() + (b"" if method == b"HEAD" else content)
