"""Servers of message buses in separate processes, on free ports. They end with their test, and with its process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest

from open_alchemy.package_database.engines.broker.config import Bus
from tests.broker.processes import free_port

_NATS = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
_RABBITMQ = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
_START_SECONDS = 120
# The input ends when the process of the test ends.
_END_WITH_INPUT = '"$@" & read line; kill -9 0'


class BusProcess:
    """A server that can be stopped and started again on its port."""

    scheme: ClassVar[str]
    greeting: ClassVar[bytes]
    """What a client sends first; the server answers when it is ready."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def bus(self, prefix: str) -> Bus:
        """Returns the bus of brokers of their own."""
        return Bus(self.scheme, (self.host,), prefix)

    def start(self) -> None:
        """Starts the server, and waits until it accepts connections."""
        self._process = self._run()
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.settimeout(5)
                    connection.sendall(self.greeting)
                    if connection.recv(1):
                        return
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"the {self.scheme} server did not start")

    def stop(self) -> None:
        """Kills the server."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _run(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError


class NATSProcess(BusProcess):
    """A NATS server.

    Args:
        arguments: More arguments of the command.
    """

    scheme = "nats"
    greeting = b""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        super().__init__()

    def _run(self) -> subprocess.Popen[bytes]:
        assert _NATS is not None
        return _popen([_NATS, "-a", "127.0.0.1", "-p", str(self.port), *self._arguments], dict(os.environ))


class RabbitMQProcess(BusProcess):
    """RabbitMQ of Debian's packages, with a node name and ports of its own.

    Args:
        folder: An empty folder.
    """

    scheme = "amqp"
    greeting = b"AMQP\x00\x00\x09\x01"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._distribution, self._mapper = free_port(), free_port()
        super().__init__()

    def _run(self) -> subprocess.Popen[bytes]:
        folder = self._folder
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")
        (folder / "plugins").write_text("[].\n")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        # Erlang's port mapper would be started as a daemon otherwise.
        return _popen(["sh", "-c", f'epmd -port {self._mapper} & exec "{_RABBITMQ[-1]}"'], environment)


def _popen(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _END_WITH_INPUT, "sh", *command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def run_nats(*arguments: str) -> Iterator[NATSProcess]:
    """Runs a NATS server."""
    server = NATSProcess(*arguments)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def run_rabbitmq(folder: Path) -> Iterator[RabbitMQProcess]:
    """Runs RabbitMQ. Skips the test where it is not installed."""
    if not _RABBITMQ or shutil.which("epmd") is None:
        pytest.skip("needs RabbitMQ of Debian's package rabbitmq-server")
    server = RabbitMQProcess(folder)
    try:
        yield server
    finally:
        server.stop()
