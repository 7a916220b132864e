"""A NATS server in a separate process, on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from open_alchemy.package_database.engines.broker.config import Bus

COMMAND = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")


class NATSProcess:
    """A NATS server that can be stopped and started again on its port.

    Args:
        arguments: More arguments of the command.
    """

    def __init__(self, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._arguments = arguments
        self.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def bus(self, prefix: str) -> Bus:
        """Returns the bus of brokers of their own."""
        return Bus("nats", (self.host,), prefix)

    def start(self) -> None:
        assert COMMAND is not None
        command = [COMMAND, "-a", "127.0.0.1", "-p", str(self.port), *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.stop()
        raise RuntimeError("nats-server did not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def run_nats(*arguments: str) -> Iterator[NATSProcess]:
    """Runs a NATS server."""
    server = NATSProcess(*arguments)
    try:
        yield server
    finally:
        server.stop()
