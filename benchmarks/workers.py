"""The peers, and their processes, which make calls and report the time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import IO, Any

from . import environments
from .environments import Environment, PeerError, last_line
from .loopback import CHECKOUT
from .peers.examples import ACCESS_KEY, REGION
from .results import Sample

SCRIPTS = CHECKOUT / "benchmarks" / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """A measured client: a module of ``peers``, its virtual environment and its environment variables."""

    name: str
    module: str
    environment: Environment = environments.PACKAGE
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


PACKAGE = Peer("this package", "package")
PACKAGE_ASYNC = Peer("this package, asyncio", "package_async")
PACKAGE_BOTO3 = Peer("this package over boto3", "package", variables={"PACKAGE_DATABASE_WIRE": "boto3"})
BOTO3 = Peer("boto3", "boto3_client", environments.BOTO3)
VERSION_4 = Peer("version 4.0.1", "version4", environments.VERSION_4)
AIODYNAMO = Peer("aiodynamo", "aiodynamo_client", environments.AIODYNAMO)
AIOBOTO3 = Peer("aioboto3", "aioboto3_client", environments.AIOBOTO3)
FLOOR = Peer("imports of a bare client", "floor")
BARE = Peer("bare interpreter", "bare")


class JsonLines:
    """Exchanges messages with a process as lines of JSON."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors

    def request(self, message: object) -> Any:
        """Sends a message and returns the answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        return self.receive()

    def receive(self) -> Any:
        """Returns the next message.

        Raises:
            PeerError: The process has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise PeerError(last_line(self._errors.read().decode(errors="replace")))
        return json.loads(line)


class Worker:
    """A peer's process. ``versions`` are those of the measured distributions."""

    def __init__(self, peer: Peer, lines: JsonLines) -> None:
        self.peer = peer
        self.versions: Mapping[str, str] = lines.receive()
        self._lines = lines

    def run(self, case: str, calls: int, width: int = 1) -> Sample:
        """Makes calls, ``width`` of them concurrently, and returns the cost per call."""
        spent = self._lines.request({"case": case, "calls": calls, "width": width})
        latencies = {name: spent[name] for name in ("median", "p99") if name in spent}
        return Sample(spent["cpu"] / calls, spent["wall"] / calls, **latencies)


@contextmanager
def json_lines(command: Sequence[str | Path], variables: Mapping[str, str]) -> Iterator[JsonLines]:
    """Runs a command that exchanges lines of JSON, with no other environment variables than these."""
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield JsonLines(process, errors)
        finally:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                # Raised again for a message that a process did not read before it ended.
                process.stdin.close()


@contextmanager
def running_worker(peer: Peer, python: Path, url: str) -> Iterator[Worker]:
    """Runs a peer's worker against the server at a URL.

    Raises:
        PeerError: The peer does not start.
    """
    with json_lines((python, SCRIPTS / "worker.py", peer.module, url), variables_of(peer, url)) as lines:
        yield Worker(peer, lines)


def variables_of(peer: Peer, url: str) -> dict[str, str]:
    """Returns a peer's environment variables, without the caller's, some of which would change the measurement."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "STAGE": "TEST",
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **peer.variables,
    }
