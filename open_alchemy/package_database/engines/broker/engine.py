"""The engine for threads: a pool of connections, each with one request at a time."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.deadline import Deadline
from ...core.operations import StoreOperation
from ...core.runner import drive
from ...exceptions import RefusedError
from ...extras import imports
from .. import fork, telemetry
from ..port import Administration
from ..randomness import random
from .config import BrokerConfig
from .curve_keys import read_client_keys

if TYPE_CHECKING:
    from .client import Client
    from .client_protocol import Requests, Steps

_MAX_IDLE = 16


class BrokerEngine:
    """A database behind brokers. Nothing is opened before it is used.

    Args:
        config: The configuration.
    """

    attempt_seconds = 0.0

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self._requests: Requests | None = None
        self._is_closed = False
        self._idle: list[Client] = []
        weakref.finalize(self, _close_all, self._idle)
        fork.register(self)

    def prepare(self) -> None:
        """Loads the driver.

        Raises:
            ConfigurationError: pyzmq or msgspec is not installed.
            RefusedError: The engine was closed.
        """
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")
        if self._requests is None:
            self._requests = open_requests(self.config)

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result.

        Raises:
            RefusedError: The store or the broker refuses, or the engine was closed.
            ConflictError: Another item has the same key of a unique index; or other transactions prevented this one.
            UnavailableError: The store or every broker did not answer before the deadline.
        """
        self.prepare()
        assert self._requests is not None
        if not telemetry.is_active():
            return self.run(self._requests.execute(operation, deadline))
        with request_of(operation):
            return self.run(self._requests.execute(operation, deadline))

    def run(self, steps: Steps) -> Any:
        """Runs the steps of a request on a separate connection."""
        client = self._acquire()
        try:
            return drive(steps, client.perform)
        finally:
            self._idle.append(client)
            if self._is_closed or len(self._idle) > _MAX_IDLE:
                _close_all(self._idle)

    def administration(self) -> Administration:
        """Returns the administration of the tables behind the broker."""
        from .administration import BrokerAdministration

        return BrokerAdministration(self.ask)

    def ask(self, body: Any, what: str, *, is_write: bool = False, is_repeatable: bool = True) -> Any:
        """Sends a request that is not an operation; returns the body of the answer, or raises what ``execute`` does."""
        self.prepare()
        assert self._requests is not None
        deadline = Deadline(self.config.deadline)
        return self.run(self._requests.ask(body, what, deadline, is_write=is_write, is_repeatable=is_repeatable))

    def close(self) -> None:
        """Closes the connections, for good; those in use are closed when their calls end."""
        self._is_closed = True
        _close_all(self._idle)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Forgets the connections of the parent; pyzmq does not close them in the child."""
        self._idle.clear()

    def _acquire(self) -> Client:
        try:
            return self._idle.pop()
        except IndexError:
            from .client import Client
            from .zeromq import BlockingZeroMQ

            return Client(self.config.addresses, partial(BlockingZeroMQ, key_file=self.config.key_file))


def open_requests(config: BrokerConfig) -> Requests:
    """Returns the state of a client, whose first broker is a random one.

    Raises:
        ConfigurationError: A package that the transport or the codec needs is not installed, or the file with the keys
            is invalid.
    """
    if config.key_file is not None:
        read_client_keys(config.key_file)
    with imports(f"{config.scheme}://", config.scheme):
        from .client_protocol import Requests, wall_clock
        from .transport_registry import codec_of, find_connect
    find_connect(config)
    if config.cache is not None:
        with imports("?cache=", "cache"):
            import cachetools  # noqa: F401
    brokers = len(config.addresses)
    return Requests(brokers, int(random() * brokers) % brokers, config.instance, wall_clock, codec_of(config))


def request_of(operation: StoreOperation) -> telemetry.Request:
    """Returns the log and span of an operation."""
    from .client_protocol import describe

    action, _, collection = describe(operation).partition(" on ")
    return telemetry.Request("broker", action, collection)


def _close_all(clients: list[Client]) -> None:
    while clients:
        try:
            client = clients.pop()
        except IndexError:
            return  # Another thread took the last one.
        client.close()
