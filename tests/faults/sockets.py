"""The faults over real sockets: a server on loopback that answers as the network delivers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.canned_server import CannedServer, Handler, reset, serve, stay_silent
from tests.faults.backend import Answer, Request
from tests.faults.faults import Lost, Network


@contextmanager
def serve_network(network: Network) -> Iterator[CannedServer]:
    """Runs the server while the context is open."""
    with serve(lambda handler: _respond(handler, network)) as server:
        yield server


def _respond(handler: Handler, network: Network) -> None:
    action = handler.headers["X-Amz-Target"].rpartition(".")[2]
    match network.deliver(Request(action, json.loads(handler.body))):
        case Answer(status, content):
            handler.answer(status, json.dumps(content).encode())
        case Lost("cut short", Answer() as answer):
            _cut_short(handler, answer)
        case Lost("wrong checksum", Answer(status, content)):
            handler.answer(status, json.dumps(content).encode(), x_amz_crc32="1")
        case Lost("silence"):
            stay_silent(handler)
        case Lost():
            reset(handler)


def _cut_short(handler: Handler, answer: Answer) -> None:
    body = json.dumps(answer.content).encode()
    handler.send_response(answer.status)
    handler.send_header("Content-Length", str(len(body) + 10))
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


@contextmanager
def black_hole() -> Iterator[str]:
    """Gives the URL of a host that neither accepts nor refuses connections: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            # The kernel fills the queue; what does not fit keeps connecting.
            client.settimeout(0)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for client in clients:
            client.close()
