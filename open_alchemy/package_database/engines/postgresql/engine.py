"""The PostgreSQL engine for threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.deadline import Deadline
from ...core.operations import StoreOperation, Table, Transact
from ...core.runner import Sleep, drive
from ...exceptions import ConfigurationError, RefusedError
from ...extras import imports
from .. import fork, telemetry
from ..port import Administration
from .config import PostgreSQLConfig
from .io_requests import CheckOut, Moving, Request, Requests
from .retry import attempts, wait_for_move
from .shard_locations import Locations
from .sharded_execution import Routing

if TYPE_CHECKING:
    from .pool import Pool


class PostgreSQLEngine:
    """A database on PostgreSQL servers. Nothing is opened before it is used.

    Args:
        config: The configuration.
        tables: The tables.
    """

    attempt_seconds = 0.0

    def __init__(self, config: PostgreSQLConfig, tables: Sequence[Table]) -> None:
        self.config = config
        self.tables = tables
        self.locations = Locations(config.servers, config.shards)
        self.routing = Routing(self.locations, tables)
        self._pools: Mapping[str, Pool] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        fork.register(self)

    def prepare(self) -> None:
        """Loads the driver.

        Raises:
            ConfigurationError: psycopg is not installed, or a connection string is invalid.
            RefusedError: The engine was closed.
        """
        if self._is_closed:
            raise RefusedError("the database was closed", code="Closed")
        if not self._pools:
            check_driver(self.config)
            from .pool import Pool

            with self._lock:
                size, timeout = self.config.pool_max, self.config.pool_block_timeout
                self._pools = self._pools or {
                    server.name: Pool(server, size, timeout) for server in self.config.servers
                }

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes an operation and returns its result.

        Raises:
            RefusedError: A server refuses, no server has the shard, or the engine was closed.
            ConflictError: Another item has the same key of a global index; or other transactions prevented this one.
            UnavailableError: A server did not answer before the deadline.
        """
        self.prepare()
        with request_of(operation) as log:
            return self.run(self.routing.execute(operation), deadline, log)

    def run(self, requests: Requests[Any], deadline: Deadline, log: telemetry.Request) -> Any:
        """Executes requests, each until it succeeds, and returns the result of the whole."""
        return drive(with_attempts(requests, deadline, log), partial(self._perform, deadline=deadline))

    def _perform(self, request: Request, deadline: Deadline) -> Any:
        pool = self._pools[request.server]
        if isinstance(request, CheckOut):
            return pool.check_out(deadline, request.logger)
        return pool.execute(request, deadline)

    def administration(self) -> Administration:
        """Returns the administration of the tables."""
        from .administration import PostgreSQLAdministration

        return PostgreSQLAdministration(self)

    def close(self) -> None:
        """Closes the connections, for good."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.close()

    def before_fork(self, end: float) -> None:
        """Does nothing."""

    def after_fork_in_child(self) -> None:
        """Forgets all connections."""
        self._lock = threading.Lock()
        for pool in self._pools.values():
            pool.after_fork_in_child()


def check_driver(config: PostgreSQLConfig) -> None:
    """Loads psycopg, and checks the connection strings with it.

    Raises:
        ConfigurationError: psycopg is not installed, or a connection string is invalid; the message does not show it.
    """
    with imports("PostgreSQL", "postgresql"):
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    invalid = []
    for server in config.servers:
        try:
            conninfo_to_dict(server.conninfo)
        except Error:
            invalid.append(server.name)
    # Outside of the handler: the driver's message may contain a password.
    if invalid:
        raise ConfigurationError(f"the connection string of the server {invalid[0]} is not one of libpq")


def request_of(operation: StoreOperation) -> telemetry.Request:
    """Returns the log and span of an operation."""
    tables = [action.table for action in operation.actions] if isinstance(operation, Transact) else [operation.table]
    collection = ", ".join(dict.fromkeys(table.name for table in tables))
    return telemetry.Request("postgresql", type(operation).__name__, collection)


def with_attempts(
    requests: Requests[Any], deadline: Deadline, log: telemetry.Request
) -> Generator[Request | Sleep, Any, Any]:
    """Repeats each request until it succeeds, and returns the result of the whole."""
    result: Any = None
    while True:
        try:
            request = requests.send(result)
        except StopIteration as stop:
            return stop.value
        if isinstance(request, Moving):
            yield from wait_for_move(request, deadline)
            result = None
        else:
            result = yield from attempts(request, deadline, log, random.random)
