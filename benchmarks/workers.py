"""Peers at work: processes that make calls and say how long they took."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import environments
from .environments import Environment
from .loopback import CHECKOUT
from .peers.examples import ACCESS_KEY, REGION

SCRIPTS = CHECKOUT / "benchmarks" / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that is measured.

    Attributes:
        name: What the tables call it.
        module: Its module in ``peers``.
        environment: Where that runs.
        variables: What it has in its process environment beside the usual.
    """

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
RAW = Peer("raw socket", "raw_socket")
RAW_ASYNCIO = Peer("raw asyncio", "raw_asyncio")
BARE = Peer("bare interpreter", "bare")


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds that a call took.

    Attributes:
        cpu: Of CPU time.
        wall: On the clock.
        parts: Of CPU time by stage, where the peer takes itself apart.
    """

    cpu: float
    wall: float
    parts: Mapping[str, float] = field(default_factory=dict)


class Worker:
    """A peer's process.

    Attributes:
        peer: The peer.
        cases: The names of its cases.
        versions: The versions of what is measured, by distribution.
    """

    def __init__(self, peer: Peer, lines: Lines) -> None:
        hello = lines.receive()
        self.peer = peer
        self.cases: Sequence[str] = hello["cases"]
        self.versions: Mapping[str, str] = hello["versions"]
        self._lines = lines

    def run(self, case: str, calls: int, width: int = 1) -> Sample:
        """Makes so many calls, so many at once, and returns what one took."""
        spent = self._lines.ask({"case": case, "calls": calls, "width": width})
        parts = {stage: seconds / calls for stage, seconds in spent["parts"].items()}
        return Sample(spent["cpu"] / calls, spent["wall"] / calls, parts)


class Lines:
    """A conversation in JSON lines with a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, message: object) -> Any:
        """Sends a message and returns the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return self.receive()

    def receive(self) -> Any:
        """Returns the next message.

        Raises:
            RuntimeError: The process has ended instead; it has said why on standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return json.loads(line)


@contextmanager
def conversation(command: Sequence[str | Path], variables: Mapping[str, str]) -> Iterator[Lines]:
    """Runs a command that speaks JSON lines, with these environment variables alone, until all is said."""
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Lines(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


@contextmanager
def working(peer: Peer, python: Path, url: str) -> Iterator[Worker]:
    """Runs a peer's worker against the server at a URL."""
    with conversation((python, SCRIPTS / "worker.py", peer.module, url), variables_of(peer, url)) as lines:
        yield Worker(peer, lines)


def variables_of(peer: Peer, url: str) -> dict[str, str]:
    """Returns a peer's environment variables: none of the caller's that changes what is measured."""
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
