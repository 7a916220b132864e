"""The DynamoDB engines for threads and for asyncio. They execute operations with an HTTP client."""

from __future__ import annotations

import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ...core.deadline import Deadline
from ...core.operations import StoreOperation
from ...core.runner import drive, drive_async
from ...exceptions import RefusedError, UnavailableError
from .. import fork, telemetry
from ..port import Administration
from ..randomness import random
from ..signal_safe_lock import RecoveringLock
from .config import DynamoDBConfig

# What a client needs is imported when it is created: by asyncio, in a thread.
if TYPE_CHECKING:
    from .boto3_client import Boto3Client, ThreadedBoto3Client
    from .execution import Response
    from .http.client import AsyncHttpClient, HttpClient
    from .http.endpoint import Endpoint
    from .requests import Request
    from .thread_executor import SharedCall

_LOADING_SECONDS: Final = 10.0
"""How long a call waits until boto3 is imported and credentials are fetched, if its deadline is not longer."""

Client = TypeVar("Client", "HttpClient | Boto3Client", "AsyncHttpClient | ThreadedBoto3Client")


class _Call:
    """A call that creates the client."""

    __slots__ = ("__weakref__",)


class _Engine(ABC, Generic[Client]):
    """DynamoDB, on AWS or local. Nothing is loaded or opened before it is used."""

    def __init__(self, config: DynamoDBConfig) -> None:
        self.config = config
        self._is_closed = False
        self.after_fork_in_child()
        fork.register(self)

    def before_fork(self, end: float) -> None:
        """Nothing to prepare: connections may be open during a fork."""

    def after_fork_in_child(self) -> None:
        """Drops the client, whose connections belong to the parent, and claims of lost threads."""
        self._lock = RecoveringLock()
        self._created: Client | None = None

    @property
    def attempt_seconds(self) -> float:
        """The longest attempt in seconds, whatever the deadline is; to be read when the client is created."""
        return self._client.attempt_seconds

    @property
    def _client(self) -> Client:
        """The client, created by the first caller. That may take a while.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
            RefusedError: The engine is closed.
        """
        self._check_open()
        if self._created is None:
            self._create()
            # Another thread may have closed the engine meanwhile.
            self._check_open()
        return self._created  # type: ignore[return-value] # It is not None any more.

    def _create(self) -> None:
        """Creates the client, unless another thread has, which may take a while."""
        call = _Call()
        claim = weakref.ref(call)
        try:
            try:
                self._lock.acquire(claim, Deadline(math.inf))
                if self._created is None:
                    from .execution import Executor
                    from .retry import Quota

                    client = self._create_client()
                    self._executor = Executor(client.attempts, Quota(), random)
                    self._created = client
            finally:
                self._lock.release(claim, None)
        finally:
            # A signal handler may have interrupted the other.
            self._lock.release(claim, None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")

    def _create_client(self) -> Client:
        from .http.endpoint import Endpoint, find_endpoint

        endpoint = find_endpoint(self.config, os.environ)
        if isinstance(endpoint, Endpoint):
            telemetry.debug("HTTP client: the package's own, to %s", endpoint.authority)
            return self._create_http_client(endpoint)
        telemetry.debug("HTTP client: boto3, because %s", endpoint.reason)
        return self._create_boto3_client()

    @abstractmethod
    def _create_http_client(self, endpoint: Endpoint) -> Client: ...

    @abstractmethod
    def _create_boto3_client(self) -> Client: ...


class DynamoDBEngine(_Engine["HttpClient | Boto3Client"]):
    """DynamoDB for threads."""

    def prepare(self) -> None:
        """Creates the client, before the deadline of the first call starts.

        Raises:
            ConfigurationError: The standard AWS configuration cannot be read.
            RefusedError: The engine is closed.
        """
        _ = self._client

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result.

        Raises:
            RefusedError: DynamoDB refuses, or the engine is closed.
            UnavailableError: DynamoDB did not answer, or throttled, after the retries.
            ConflictError: The operation lost against other transactions until the deadline.
        """
        perform = self._client.perform
        return drive(self._executor.execute(operation, deadline), perform)

    def ask(self, action: str, request: Request, table: str, deadline: Deadline) -> Response:
        """Sends one request that is not an operation, and returns the response; raises what ``execute`` raises."""
        perform = self._client.perform
        return drive(self._executor.request(action, request, table, deadline), perform)

    def administration(self) -> Administration:
        """Returns the administration of the tables."""
        from .administration import DynamoDBAdministration

        return DynamoDBAdministration(self)

    def close(self) -> None:
        """Closes the engine: closes its connections, and every later call raises ``RefusedError``."""
        self._is_closed = True
        if self._created is not None:
            self._created.close()

    def _create_http_client(self, endpoint: Endpoint) -> HttpClient:
        from .http.client import HttpClient

        return HttpClient(self.config, endpoint, os.environ)

    def _create_boto3_client(self) -> Boto3Client:
        from .boto3_client import Boto3Client

        return Boto3Client(self.config)


class AsyncDynamoDBEngine(_Engine["AsyncHttpClient | ThreadedBoto3Client"]):
    """The ``DynamoDBEngine`` for asyncio, in any event loop of the process."""

    def after_fork_in_child(self) -> None:
        """Drops the client and the thread that creates it."""
        super().after_fork_in_child()
        self._loading: SharedCall[Any] | None = None

    async def prepare(self) -> None:
        """Creates the client in a thread, because that reads files and imports libraries.

        Raises:
            UnavailableError: It was not created in time.
        """
        self._check_open()
        if self._created is not None:
            return
        if self._loading is None:
            from .thread_executor import BlockingCalls

            self._loading = BlockingCalls(1).shared(lambda: self._client)
        seconds = max(_LOADING_SECONDS, self.config.deadline)
        try:
            await self._loading.result(seconds)
        except TimeoutError as error:
            raise UnavailableError(f"the DynamoDB client was not created within {seconds:g} s") from error

    def queue(self) -> Awaitable[None] | None:
        """Returns None if a call can start now, otherwise what it awaits; that raises ``TimeoutError`` in time."""
        return None if self._created is None else self._created.queue()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Coroutine[Any, Any, Any]:
        """Executes an operation and returns its result; raises what the blocking engine raises."""
        perform = self._client.perform
        return drive_async(self._executor.execute(operation, deadline), perform)

    async def aclose(self) -> None:
        """Closes the engine for all event loops, as ``close`` does."""
        self._is_closed = True
        if self._created is not None:
            await self._created.aclose()

    def _create_http_client(self, endpoint: Endpoint) -> AsyncHttpClient:
        from .http.client import AsyncHttpClient

        return AsyncHttpClient(self.config, endpoint, os.environ)

    def _create_boto3_client(self) -> ThreadedBoto3Client:
        from .boto3_client import ThreadedBoto3Client

        return ThreadedBoto3Client(self.config)
