"""The DynamoDB engines, blocking and awaiting: they carry on a conversation over a wire."""

from __future__ import annotations

import os
import random
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ...core.deadline import Deadline
from ...core.operations import StoreOperation
from ...core.runner import drive, drive_async
from ..port import Administration
from .config import DynamoDBConfig
from .execution import Protocol, Response
from .requests import Request
from .retry import Quota

# A wire is imported when it is made: in a thread, where a loop is running.
if TYPE_CHECKING:
    from .boto3_client import Boto3Client, ThreadedBoto3Client
    from .http.client import AsyncHttpClient, HttpClient
    from .http.endpoint import Endpoint

Wire = TypeVar("Wire", "HttpClient | Boto3Client", "AsyncHttpClient | ThreadedBoto3Client")


class _Engine(ABC, Generic[Wire]):
    """A DynamoDB, on AWS or local. Nothing is loaded or opened before it is used."""

    def __init__(self, config: DynamoDBConfig) -> None:
        self.config = config
        self.start_anew()
        _ENGINES.add(self)

    def start_anew(self) -> None:
        """Forgets all that is loaded or open, as a fork of the process must."""
        self._lock = threading.Lock()
        self._made: Wire | None = None

    @property
    def attempt_seconds(self) -> float:
        """How long in seconds a request may take once it is begun; to be asked when the wire is made."""
        return self._wire.attempt_seconds

    @property
    def _wire(self) -> Wire:
        """The wire, made under a lock by the first who asks. That may take a while.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
        """
        if self._made is None:
            with self._lock:
                if self._made is None:
                    made = self._make_wire()
                    self._protocol = Protocol(made.attempts, Quota(), random.random, _draw_token)
                    self._made = made
        return self._made

    def _make_wire(self) -> Wire:
        from .http.endpoint import Endpoint, find_endpoint

        endpoint = find_endpoint(self.config, os.environ)
        if isinstance(endpoint, Endpoint):
            return self._make_lean_wire(endpoint)
        import logging

        logging.getLogger(__name__).debug("boto3 carries the requests: %s", endpoint.reason)
        return self._make_boto3_wire()

    @abstractmethod
    def _make_lean_wire(self, endpoint: Endpoint) -> Wire: ...

    @abstractmethod
    def _make_boto3_wire(self) -> Wire: ...


class DynamoDBEngine(_Engine["HttpClient | Boto3Client"]):
    """A DynamoDB for threads."""

    def prepare(self) -> None:
        """Makes the wire, whose loading time is not the store's.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
        """
        _ = self._wire

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result.

        Raises:
            RefusedError: DynamoDB refuses.
            UnavailableError: DynamoDB did not answer, or refused for load, after the retries.
            ConflictError: Other transactions were in the way until the deadline.
        """
        perform = self._wire.perform
        return drive(self._protocol.carry_out(operation, deadline), perform)

    def ask(self, action: str, request: Request, table: str, deadline: Deadline) -> Response:
        """Sends one request that is no operation, and returns the response; raises what ``execute`` raises."""
        perform = self._wire.perform
        return drive(self._protocol.ask(action, request, table, deadline), perform)

    def administration(self) -> Administration:
        """Returns the administration of the tables."""
        from .administration import DynamoDBAdministration

        return DynamoDBAdministration(self)

    def close(self) -> None:
        """Closes the connections that are idle; a later operation opens new ones."""
        if self._made is not None:
            self._made.close()

    def _make_lean_wire(self, endpoint: Endpoint) -> HttpClient:
        from .http.client import HttpClient

        return HttpClient(self.config, endpoint, os.environ)

    def _make_boto3_wire(self) -> Boto3Client:
        from .boto3_client import Boto3Client

        return Boto3Client(self.config)


class AsyncDynamoDBEngine(_Engine["AsyncHttpClient | ThreadedBoto3Client"]):
    """A DynamoDB for asyncio, in any loop of the process. Otherwise a ``DynamoDBEngine``."""

    async def prepare(self) -> None:
        """Makes the wire in a thread, because that reads files and loads libraries."""
        if self._made is None:
            import asyncio

            await asyncio.get_running_loop().run_in_executor(None, lambda: self._wire)

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Coroutine[Any, Any, Any]:
        """Carries out an operation and returns its result; raises what the blocking engine raises."""
        perform = self._wire.perform
        return drive_async(self._protocol.carry_out(operation, deadline), perform)

    async def aclose(self) -> None:
        """Closes the connections of the running loop; a later operation opens new ones."""
        if self._made is not None:
            await self._made.aclose()

    def _make_lean_wire(self, endpoint: Endpoint) -> AsyncHttpClient:
        from .http.client import AsyncHttpClient

        return AsyncHttpClient(self.config, endpoint, os.environ)

    def _make_boto3_wire(self) -> ThreadedBoto3Client:
        from .boto3_client import ThreadedBoto3Client

        return ThreadedBoto3Client(self.config)


def _draw_token() -> str:
    return os.urandom(16).hex()


_ENGINES: weakref.WeakSet[_Engine[Any]] = weakref.WeakSet()


def _start_all_anew() -> None:
    for engine in list(_ENGINES):
        engine.start_anew()


if hasattr(os, "register_at_fork"):
    # A connection that two processes share mixes up their answers, and a lock may be held for ever.
    os.register_at_fork(after_in_child=_start_all_anew)
