"""An HTTP server on loopback in a separate process, much faster than the measured clients.

It parses only the action and the body of a request, and stops at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

CHECKOUT = Path(__file__).parents[1]

Respond: TypeAlias = Callable[[bytes, bytes], bytes]
"""Maps an action, such as ``b"GetItem"``, and a body to an HTTP response."""


@contextmanager
def running(module: str, *arguments: str) -> Iterator[str]:
    """Runs a module that calls ``serve``, and yields its URL."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def serve(respond: Respond, delay: float = 0.0) -> None:
    """Serves until standard input ends; writes the port to standard output.

    Args:
        respond: Returns the response to a request.
        delay: The seconds after which a response is sent.
    """
    asyncio.run(_serve(respond, delay))


def http_response(body: bytes, status: str = "200 OK") -> bytes:
    """Returns a response with DynamoDB's headers."""
    head = (
        f"HTTP/1.1 {status}\r\nServer: Server\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n"
        f"x-amzn-RequestId: {'A' * 52}\r\nx-amz-crc32: {crc32(body)}\r\n\r\n"
    )
    return head.encode() + body


def take_request(received: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Returns action, body and remaining bytes of the first request; None if it is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    begin = end + 4
    length = int(_header(head, b"\r\ncontent-length:"))
    if len(received) < begin + length:
        return None
    target = head.find(b"\r\nx-amz-target:")
    # The action is case-sensitive, so it is cut from the original bytes.
    action = received[target + 2 : end].partition(b"\r\n")[0].rpartition(b".")[2]
    return action, received[begin : begin + length], received[begin + length :]


def _header(head: bytes, name: bytes) -> bytes:
    begin = head.index(name) + len(name)
    return head[begin:].partition(b"\r\n")[0].strip()


class _Connection(asyncio.Protocol):
    def __init__(self, respond: Respond, delay: float) -> None:
        self._respond = respond
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (taken := take_request(self._received)) is not None:
            action, body, self._received = taken
            response = self._respond(action, body)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, response)
            else:
                self._transport.write(response)


async def _serve(respond: Respond, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(respond, delay), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # In a thread, because asyncio cannot wait for every kind of standard input.
        await loop.run_in_executor(None, sys.stdin.read)
