"""An HTTP server on loopback that answers as it is told, and misbehaves where it is told to."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from zlib import crc32

Behaviour: TypeAlias = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection. A behaviour answers one request on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: CannedServer

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.add_request(json.loads(self.body))
        self.server.next_behaviour()(self)

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Sends a whole answer as DynamoDB would."""
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amzn-RequestId", "REQUEST-ID")
        for name, value in ({"x_amz_crc32": str(crc32(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class CannedServer(ThreadingHTTPServer):
    """Answers each request with the next behaviour; the last serves for ever."""

    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self, *behaviours: Behaviour, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.requests: list[Any] = []
        self.connections = 0
        self._arrived = threading.Condition()
        self.is_over = threading.Event()
        self._behaviours = list(behaviours)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add_request(self, request: Any) -> None:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def wait_for_requests(self, number: int) -> None:
        """Waits until this number of requests has arrived."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.requests) >= number)

    def behave(self, behaviour: Behaviour) -> None:
        """Answers every further request with a behaviour."""
        with self._lock:
            self._behaviours = [behaviour]

    def next_behaviour(self) -> Behaviour:
        with self._lock:
            return self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]


@contextmanager
def serve(*behaviours: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[CannedServer]:
    with CannedServer(*behaviours, context=context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()


def succeed(content: dict[str, Any] | None = None, **headers: str) -> Behaviour:
    return lambda handler: handler.answer(200, json.dumps(content or {}).encode(), **headers)


def fail(code: str, *, status: int = 400, content: dict[str, Any] | None = None, **headers: str) -> Behaviour:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "the message", **(content or {})}
    return lambda handler: handler.answer(status, json.dumps(body).encode(), **headers)


def reset(handler: Handler) -> None:
    """Resets the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def cut_short(handler: Handler) -> None:
    """Announces more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"Item": {}')
    handler.close_connection = True


def stay_silent(handler: Handler) -> None:
    """Never answers."""
    handler.server.is_over.wait(30)
    handler.close_connection = True
