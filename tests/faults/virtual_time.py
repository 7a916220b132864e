"""DynamoDB's execution on an HTTP client without sockets, in virtual time: a wait ends at once and moves the clock.

The modules under test are ``engines/dynamodb/execution.py`` and ``retry.py``, with ``database.py`` above them.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from base64 import b64decode, b64encode
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.core.runner import Sleep, Sources, drive, drive_async
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import SYSTEM, open_async_database, open_database
from open_alchemy.package_database.engines.dynamodb.execution import Executor
from open_alchemy.package_database.engines.dynamodb.retry import Failure, Quota
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts
from tests.apis import blocking, config_of
from tests.faults.backend import Answer, Request
from tests.faults.faults import Lost, Network

_CODES = {
    "reset": "ConnectionClosedError",
    "cut short": "IncompleteReadError",
    "wrong checksum": "ChecksumError",
    "silence": "ReadTimeoutError",
    "no connection": "ConnectTimeoutError",
}


class Clock:
    """The monotonic clock of a test, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.now += seconds

    def sources(self, jitter: float) -> Sources:
        """Returns the sources of a call."""
        return SYSTEM._replace(monotonic=lambda: self.now, sleep=self.sleep, random=lambda: jitter)


class _Selector(selectors.DefaultSelector):
    """Moves the clock where it would wait."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self._clock.sleep(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._virtual_clock = clock

    def time(self) -> float:
        return self._virtual_clock.now


class _HTTPClient:
    """Makes attempts with the timeouts of one of the two HTTP clients, and with no latency.

    Args:
        kind: The HTTP client.
        network: What delivers its requests.
        deadline: The deadline of a call in seconds.
    """

    def __init__(self, kind: str, network: Network, deadline: float) -> None:
        self._network = network
        self._timeouts = Timeouts.of(deadline)
        self._obeys_deadline = kind == "lean"
        self.attempt_seconds = 0.0 if self._obeys_deadline else self._timeouts.attempt

    def attempts(self, action: str, request: Any, deadline: Deadline) -> Generator[Any, Any, Any]:
        content = json.loads(json.dumps(request, default=lambda value: b64encode(value).decode()))
        match self._network.deliver(Request(action, content)):
            case Lost(how):
                if how in ("silence", "no connection"):
                    yield Sleep(self._timeout(how, deadline.attempt_seconds()))
                return Failure(_CODES[how], answered=False)
            case Answer(200, answered):
                return _decode(answered)
            case Answer(status, error):
                code = error["__type"].rpartition("#")[2]
                return Failure(code, status, reasons=tuple(_decode(error.get("CancellationReasons", []))))

    def _timeout(self, how: str, seconds: float) -> float:
        timeout = self._timeouts.connect if how == "no connection" else self._timeouts.read
        return min(timeout, seconds) if self._obeys_deadline else timeout


def _decode(content: Any) -> Any:
    """Returns JSON with its binary values decoded."""
    return json.loads(
        json.dumps(content),
        object_hook=lambda value: {"B": Secret(b64decode(value["B"]))} if value.keys() == {"B"} else value,
    )


class _Engine:
    def __init__(self, client: _HTTPClient, clock: Clock, deadline: float, jitter: float) -> None:
        self._executor = Executor(client.attempts, Quota(), lambda: jitter)
        self._clock = clock
        self.config = config_of("http://virtual", deadline=deadline)
        self.attempt_seconds = client.attempt_seconds

    def prepare(self) -> None:
        """Nothing to load."""

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        return drive(self._executor.execute(operation, deadline), lambda step: step, self._clock.sleep)

    def administration(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to close."""


class _AsyncEngine(_Engine):
    async def prepare(self) -> None:  # type: ignore[override]
        """Nothing to load."""

    def queue(self) -> None:
        """Nothing to wait for."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        async def perform(step: Any) -> Any:
            return step

        return await drive_async(self._executor.execute(operation, deadline), perform)

    async def aclose(self) -> None:
        """Nothing to close."""


@contextmanager
def open_virtual(
    api: str, network: Network, clock: Clock, *, deadline: float = 5.0, jitter: float = 1.0
) -> Iterator[TDatabase]:
    """Opens a database whose requests the network delivers.

    Args:
        api: One of ``tests.apis.APIS``.
        network: What delivers the requests.
        clock: The clock that waits move.
        deadline: The deadline of a call in seconds.
        jitter: The random number of all delays, from 0 to 1.
    """
    kind, _, is_async = api.partition(", ")
    client = _HTTPClient(kind, network, deadline)
    if is_async:
        engine = _AsyncEngine(client, clock, deadline, jitter)
        database = open_async_database(engine, clock.sources(jitter))
        with blocking(database, loop_factory=lambda: _Loop(clock)) as opened:
            yield opened
    else:
        yield open_database(_Engine(client, clock, deadline, jitter), clock.sources(jitter))
