"""A pool of connections to one server, for threads."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from logging import Logger
from typing import Any

from ...core.deadline import Deadline
from .connection import OPTIONS, SyncConnection, configure, connecting_until
from .fair_semaphore import FairSemaphore
from .io_requests import OnServer
from .name_lookup import with_addresses
from .pool_core import Calls, PoolCore, Result
from .retry import Failure
from .shard_map_file import Server


class Pool(PoolCore[SyncConnection]):
    """See ``PoolCore``."""

    def __init__(self, server: Server, size: int, block_timeout: float) -> None:
        super().__init__(server, size, block_timeout)
        self._permits = FairSemaphore(size)
        weakref.finalize(self, _close_all, self._idle)

    def execute(self, request: OnServer, deadline: Deadline) -> Any:
        """Executes a request on a connection, and returns its result, or a ``Failure``."""
        return _drive(self.executing(request, deadline))

    def check_out(self, deadline: Deadline, logger: Logger | None) -> SyncConnection | Failure:
        """Returns a connection, which the caller must check in; or a ``Failure``."""
        return _drive(self.checking_out(deadline, logger))

    def check_in(self, connection: SyncConnection) -> None:
        """Takes back a connection of ``check_out``."""
        _drive(self.checking_in(connection))

    def close(self) -> None:
        """Closes the idle connections; those in use are closed when their calls end."""
        self._is_closed = True
        _close_all(self._idle)

    def after_fork_in_child(self) -> None:
        """Forgets all connections."""
        self.abandon()
        self._permits = FairSemaphore(self._size)

    def _wait(self, seconds: float) -> bool:
        return self._permits.acquire(seconds)

    def _release_permit(self) -> None:
        self._permits.release()

    def _connect(self, deadline: Deadline) -> SyncConnection:
        token = connecting_until.set(deadline)
        try:
            connection = SyncConnection.connect(**with_addresses(self._server.conninfo, deadline) | OPTIONS)
        finally:
            connecting_until.reset(token)
        configure(connection)
        return connection


def _drive(calls: Calls[Result]) -> Result:
    proceed: Callable[[Any], Callable[[], Any]] = calls.send
    outcome: Any = None
    while True:
        try:
            call = proceed(outcome)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        try:
            proceed, outcome = calls.send, call()
        except BaseException as error:  # noqa: BLE001 (thrown into the generator)
            proceed, outcome = calls.throw, error


def _close_all(connections: list[SyncConnection]) -> None:
    while connections:
        connections.pop().close()
