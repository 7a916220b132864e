"""A local DynamoDB for tests and development: moto in a child process, which ends with its parent.

``mock_aws`` in a test resets only moto in the process of the test, not in the child. The server handles one request at
a time, because moto's transactions are not thread-safe. The time of a write or of a page of a scan does not grow with
the number of stored users (``moto_patches``). A query sorts all items of its table: a list of more than 5,000 specs may
time out.
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
    """Runs the server while the context is open, and yields its URL.

    Args:
        port: The port on the loopback interface; 0 selects a free one.
        module: The main module of the child process. It calls ``serve`` with the port from its command line.

    Raises:
        LocalServerError: moto is not installed, the port is taken, or the server does not start.
    """
    if find_spec("moto") is None:
        raise LocalServerError("the local DynamoDB needs moto: pip install 'open-alchemy.package-database[test]'")
    command = [sys.executable, "-m", module, str(port)]
    with TemporaryFile() as errors:
        # The pipe to the child's standard input closes when this process ends, also when it is killed.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        try:
            yield _await_start(server, port, errors)
        finally:
            server.kill()
            server.communicate()


def _await_start(server: subprocess.Popen[bytes], port: int, errors: IO[bytes]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline().decode().strip()
    if not line.isdecimal():
        server.wait(_STOP_SECONDS)
        errors.seek(0)
        reason = errors.read().decode(errors="replace").strip().splitlines() or ["no output"]
        raise LocalServerError(f"the local DynamoDB did not start on port {port}: {reason[-1]}")
    return f"http://{'localhost' if port else _HOST}:{line}"


def config_of(url: str, *, deadline: float = DEFAULT_DEADLINE) -> DynamoDBConfig:
    """Returns the configuration of a local server, with dummy credentials and a dummy region."""
    return DynamoDBConfig("TEST", DUMMY_REGION, url, DUMMY_CREDENTIALS, deadline=deadline)


def is_free(port: int) -> bool:
    """Returns whether nothing listens on a port, on any address of localhost."""
    for family, type_, protocol, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        with socket.socket(family, type_, protocol) as probe:
            if probe.connect_ex(address) == 0:
                return False
    return True


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _serialized(application: Application) -> Application:
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
    """Serves an application until this process or its parent ends. Prints the port when it accepts connections."""
    import logging
    import signal

    from werkzeug.serving import make_server

    # Ctrl-C sends SIGINT to the whole process group. The parent may need the server for its cleanup.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    parent = os.getppid()
    # One thread per connection, so that an idle connection does not block others. The lock serializes requests.
    server = make_server(_HOST, port, _serialized(application), threaded=True)

    def exit_with_parent() -> None:
        # A forked child of the parent may keep the pipe open after the parent has ended.
        if os.getppid() != parent:
            os._exit(0)

    server.service_actions = exit_with_parent  # type: ignore[method-assign]
    print(server.port, flush=True)  # noqa: T201 (read by the parent)
    server.serve_forever()


def dynamodb() -> Application:
    """Returns moto's DynamoDB, with its memory and time per request bounded in this process."""
    from moto.dynamodb.responses import DynamoHandler
    from werkzeug.wrappers import Response

    from . import moto_patches

    moto_patches.apply()

    # moto's own application needs Flask, and no version that works with moto can be installed with OpenAlchemy 2.2.0.
    def respond(request: Any) -> Response:
        status, headers, body = DynamoHandler.dispatch(request, request.url, request.headers)
        return Response(body, status, headers)

    application: Application = _request_class().application(respond)
    return application


def _request_class() -> Any:
    """Returns the request class that the installed version of moto expects from a server."""
    try:
        from moto.core.request import Request
    except ImportError:
        from werkzeug.wrappers import Request  # type: ignore[assignment]
    return type("ServerRequest", (Request,), {"from_wsgi_server": True})


if __name__ == "__main__":
    serve(int(sys.argv[1]), dynamodb())
