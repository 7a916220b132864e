"""Runs the examples under real servers, in threads of this process, and sends requests to them."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
import waitress.server

EXAMPLES = Path(__file__).parents[2] / "docs/examples/instances"


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    body: str


def request(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", host: str = "127.0.0.1"
) -> Answer:
    """Sends a request on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()


def load(name: str) -> Any:
    """Returns the application of an example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Pyramid looks the caller's module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module.app


@contextmanager
def run_waitress(app: Any) -> Iterator[int]:
    """Serves a WSGI application; yields the port."""
    server = waitress.server.create_server(app, host="127.0.0.1", port=0, threads=16, connection_limit=300)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        # In the server's thread, which polls the sockets, and may close before it is woken.
        with suppress(OSError):
            server.trigger.pull_trigger(server.close)
        thread.join()
        server.task_dispatcher.shutdown()


@contextmanager
def run_uvicorn(app: Any) -> Iterator[int]:
    """Serves an ASGI application; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=300) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


SERVICES: Mapping[str, Callable[[Any], Any]] = {
    "flask_service": run_waitress,
    "pyramid_service": run_waitress,
    "fastapi_service": run_uvicorn,
}
