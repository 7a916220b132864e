"""The PostgreSQL engine for asyncio, without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...core.deadline import Deadline
from ...core.operations import StoreOperation, Table
from ...core.runner import drive_async
from ...exceptions import RefusedError
from .. import fork, telemetry
from .config import PostgreSQLConfig
from .engine import check_driver, request_of, with_attempts
from .io_requests import CheckOut, Request, Requests
from .shard_locations import Locations
from .sharded_execution import Routing

if TYPE_CHECKING:
    from .async_pool import AsyncPool


class AsyncPostgreSQLEngine:
    """A database on PostgreSQL servers, for any number of event loops, each with separate pools.

    Args:
        config: The configuration.
        tables: The tables.
    """

    attempt_seconds = 0.0

    def __init__(self, config: PostgreSQLConfig, tables: Sequence[Table]) -> None:
        self.config = config
        self.locations = Locations(config.servers, config.shards)
        self.routing = Routing(self.locations, tables)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncPool]] = WeakKeyDictionary()
        self._is_prepared = False
        self._is_closed = False
        fork.register(self)

    async def prepare(self) -> None:
        """Loads the driver; see ``PostgreSQLEngine.prepare``."""
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")
        if not self._is_prepared:
            check_driver(self.config)
            self._is_prepared = True

    def queue(self) -> None:
        """Calls wait for a connection when they execute an operation."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result; see ``PostgreSQLEngine.execute``."""
        await self.prepare()
        with request_of(operation) as log:
            return await self.run(self.routing.execute(operation), deadline, log)

    async def run(self, requests: Requests[Any], deadline: Deadline, log: telemetry.Request) -> Any:
        """See ``PostgreSQLEngine.run``."""
        perform = partial(self._perform, pools=self._loop_pools(), deadline=deadline)
        return await drive_async(with_attempts(requests, deadline, log), perform)

    async def aclose(self) -> None:
        """Closes the connections of the running loop, for good."""
        self._is_closed = True
        for pool in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await pool.aclose()

    async def _perform(self, request: Request, pools: dict[str, AsyncPool], deadline: Deadline) -> Any:
        pool = pools[request.server]
        if isinstance(request, CheckOut):
            return await pool.check_out(deadline, request.logger)
        return await pool.execute(request, deadline)

    def _loop_pools(self) -> dict[str, AsyncPool]:
        loop, config = asyncio.get_running_loop(), self.config
        pools = self._pools.get(loop)
        if pools is None:
            from .async_pool import AsyncPool

            pools = self._pools[loop] = {
                server.name: AsyncPool(server, config.pool_max, config.pool_block_timeout) for server in config.servers
            }
        return pools

    def before_fork(self, end: float) -> None:
        """Does nothing."""

    def after_fork_in_child(self) -> None:
        """Forgets all connections."""
        for pools in self._pools.values():
            for pool in pools.values():
                pool.abandon()
        self._pools = WeakKeyDictionary()
