"""The engine for asyncio: in each event loop one connection to each broker, for all requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...core.deadline import Deadline
from ...core.operations import Operation, StoreOperation
from ...core.runner import drive_async
from ...exceptions import RefusedError
from .. import fork, telemetry
from ..port import NOT_CACHED
from .config import BrokerConfig
from .engine import open_requests, request_of

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .read_cache import ReadCache


class AsyncBrokerEngine:
    """A database behind brokers, for any number of event loops.

    Args:
        config: The configuration.

    Attributes:
        cache: The cache of the event loop that was used for the first time last.
    """

    attempt_seconds = 0.0

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self.cache: ReadCache | None = None
        self._is_prepared = False
        self._is_closed = False
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = WeakKeyDictionary()
        self._closers: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None]] = WeakKeyDictionary()
        fork.register(self)

    async def prepare(self) -> None:
        """Loads the driver; see ``BrokerEngine.prepare``."""
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")
        if not self._is_prepared:
            open_requests(self.config)
            self._is_prepared = True

    def queue(self) -> None:
        """Calls wait when they execute an operation."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result; see ``BrokerEngine.execute``."""
        if self.config.cache is None or (result := self._find(operation)) is NOT_CACHED:
            return await self.request(operation, deadline)
        return result

    @property
    def find(self) -> Callable[[Operation], Any] | None:
        """``CachedReads.find``, if there is a cache."""
        return None if self.config.cache is None else self._find

    def _find(self, operation: Operation) -> Any:
        loop, cache = asyncio.get_running_loop(), self.cache
        if cache is None or cache.loop is not loop:
            client = self._clients.get(loop)
            cache = None if client is None else client.cache
        return NOT_CACHED if cache is None or self._is_closed else cache.find(operation)

    async def request(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation that is not in memory, and returns its result."""
        await self.prepare()
        client = self._clients.get(asyncio.get_running_loop()) or await self._open_client()
        if client.cache is not None:
            return await self._request_and_cache(client, client.cache, operation, deadline)
        if not telemetry.is_active():
            return await drive_async(client.requests.execute(operation, deadline), client.perform)
        with request_of(operation):
            return await drive_async(client.requests.execute(operation, deadline), client.perform)

    async def _request_and_cache(
        self, client: AsyncClient, cache: ReadCache, operation: StoreOperation, deadline: Deadline
    ) -> Any:
        from .read_cache import Reading

        reading = Reading(cache, lambda: client.is_full)
        try:
            with request_of(operation):
                return await drive_async(client.requests.execute(operation, deadline, reading.begin), client.perform)
        finally:
            reading.finish()

    async def ask(self, body: Any, what: str, *, is_write: bool = False, is_repeatable: bool = True) -> Any:
        """Sends a request that is not an operation; returns the body of the answer, or raises what ``execute`` does."""
        await self.prepare()
        client = self._clients.get(asyncio.get_running_loop()) or await self._open_client()
        deadline = Deadline(self.config.deadline)
        steps = client.requests.ask(body, what, deadline, is_write=is_write, is_repeatable=is_repeatable)
        return await drive_async(steps, client.perform)

    async def aclose(self) -> None:
        """Closes the connections of the running loop, for good."""
        self._is_closed = True
        closer = self._closers.pop(asyncio.get_running_loop(), None)
        if closer is not None:
            await closer.aclose()

    def before_fork(self, end: float) -> None:
        """Nothing to prepare."""

    def after_fork_in_child(self) -> None:
        """Forgets the connections of the parent; pyzmq does not close them in the child."""
        self._clients = WeakKeyDictionary()
        self._closers = WeakKeyDictionary()
        self.cache = None

    async def _open_client(self) -> AsyncClient:
        from .async_client import AsyncClient
        from .granting_brokers import find_granter
        from .read_cache import ReadCache
        from .transport_registry import find_connect

        loop = asyncio.get_running_loop()
        requests = open_requests(self.config)
        client = self._clients[loop] = AsyncClient(self.config.addresses, find_connect(self.config))
        client.requests = requests
        if self.config.cache is not None:
            self.cache = client.cache = ReadCache(
                self.config.cache,
                requests,
                lambda broker, body: client.send(broker, requests.notice(body)),
                lambda: find_granter(self.ask, client, self.config),
            )
        closer = self._closers[loop] = self._close_at_shutdown(client)
        await anext(closer)
        return client

    async def _close_at_shutdown(self, client: AsyncClient) -> AsyncGenerator[None]:
        """Closes a client when it is closed: an event loop closes its generators when it shuts down."""
        try:
            yield
        finally:
            await client.aclose()
            self._clients.pop(asyncio.get_running_loop(), None)
