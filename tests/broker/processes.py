"""Brokers in processes of their own, started by the command."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
MODULE = "open_alchemy.package_database.cli"
INSTANCES = """
default = "a"
[instances.a]
url = "sqlite:///{folder}/a.db"
[instances.b]
url = "sqlite:///{folder}/b.db"
"""
"""A file of two instances in a folder."""
_LISTENS = re.compile(r"listens at (\w+)(://127\.0\.0\.1:(\d+)\S*)")


class BrokerProcess:
    """A broker in a process; a context manager that ends it.

    Args:
        arguments: The arguments of the command.
        listen: The address.
        environment: More environment variables.
        module: The module of the command.
    """

    def __init__(
        self,
        *arguments: str,
        listen: str = "tcp://127.0.0.1:*",
        environment: dict[str, str] | None = None,
        module: str = MODULE,
    ) -> None:
        names = ("STAGE", "PACKAGE_DATABASE_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "broker", "--listen", listen, *arguments],
            env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = _LISTENS.search(line)
        if found is None:
            raise AssertionError(f"the broker did not start: {line}{self.process.communicate()[1]}")
        self.port = int(found[3])
        self.url = found[1].replace("tcp", "broker") + found[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.wait()

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.process.kill()
        self.wait()

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> str:
        """Waits until it ends, and returns what it printed to stderr."""
        _, errors = self.process.communicate(timeout=60)
        return errors

    def children(self) -> list[int]:
        """Returns the ids of its workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="ascii").split()]


def free_port() -> int:
    """Returns a port that is not in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
