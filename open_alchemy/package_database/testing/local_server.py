"""A local DynamoDB for tests and development: moto's, in a child process that dies with its parent.

In a process of its own it is out of reach of a ``mock_aws`` in a test, which would wipe it. It answers one request at
a time, because moto's transactions are not safe side by side.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import IO, Any

from ..engines.dynamodb.config import DUMMY_CREDENTIALS, DUMMY_REGION, DynamoDBConfig
from ..engines.port import DEFAULT_DEADLINE
from ..exceptions import BaseError

DEFAULT_PORT = 8000
_HOST = "127.0.0.1"
_STOP_SECONDS = 10


class LocalServerError(BaseError):
    """The local DynamoDB did not start."""


@contextmanager
def run(port: int = 0, *, module: str = __name__) -> Iterator[str]:
    """Runs the server while the context is open, and gives its URL.

    Args:
        port: The port on the loopback interface; 0 for a free one.
        module: What the child runs: a module that calls ``serve`` with the port that is its argument.

    Raises:
        LocalServerError: moto is not installed, the port is taken, or the server does not start.
    """
    if find_spec("moto") is None or find_spec("flask") is None:
        raise LocalServerError("the local DynamoDB needs moto: pip install 'open-alchemy.package-database[test]'")
    command = [sys.executable, "-m", module, str(port)]
    with TemporaryFile() as complaints:
        # The pipe to its standard input closes when this process ends, however it ends.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
        try:
            yield _await_start(server, port, complaints)
        finally:
            server.kill()
            server.communicate()


def _await_start(server: subprocess.Popen[bytes], port: int, complaints: IO[bytes]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline().decode().strip()
    if not line.isdecimal():
        server.wait(_STOP_SECONDS)
        complaints.seek(0)
        reason = complaints.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise LocalServerError(f"the local DynamoDB did not start on port {port}: {reason[-1]}")
    return f"http://{'localhost' if port else _HOST}:{line}"


def config_of(url: str, *, deadline: float = DEFAULT_DEADLINE) -> DynamoDBConfig:
    """Returns the configuration of a local server: dummy credentials and a dummy region."""
    return DynamoDBConfig("TEST", DUMMY_REGION, url, DUMMY_CREDENTIALS, deadline=deadline)


def is_free(port: int) -> bool:
    """Returns whether nothing listens on a port of localhost, whatever address that name stands for."""
    for family, type_, protocol, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        with socket.socket(family, type_, protocol) as probe:
            if probe.connect_ex(address) == 0:
                return False
    return True


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _one_at_a_time(application: Application) -> Application:
    lock = threading.Lock()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            return list(application(environ, start_response))

    return answer


def _exit_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def serve(port: int, application: Application) -> None:
    """Serves in this process, until it or its parent ends; prints the port when it is ready."""
    import logging
    import signal

    from werkzeug.serving import make_server

    # Ctrl-C is for the parent, which may still need the server to clean up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    parent = os.getppid()
    # Threads keep connections open while the lock admits one request.
    server = make_server(_HOST, port, _one_at_a_time(application), threaded=True)

    def exit_with_parent() -> None:
        # A fork of the parent may keep the pipe open after it.
        if os.getppid() != parent:
            os._exit(0)

    server.service_actions = exit_with_parent  # type: ignore[method-assign]
    print(server.port, flush=True)  # noqa: T201 (the parent reads it)
    server.serve_forever()


if __name__ == "__main__":
    from moto.moto_server.werkzeug_app import create_backend_app

    serve(int(sys.argv[1]), create_backend_app("dynamodb"))
