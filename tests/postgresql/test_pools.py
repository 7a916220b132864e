"""What a pool decides, with connections that answer as the test says."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.postgresql import fair_semaphore
from open_alchemy.package_database.engines.postgresql.async_pool import AsyncPool
from open_alchemy.package_database.engines.postgresql.connection import (
    PING_AFTER,
    AsyncConnection,
    DeadlineExceededError,
)
from open_alchemy.package_database.engines.postgresql.failures import CLOSED, COMMIT_UNANSWERED, NO_ANSWER, Failure
from open_alchemy.package_database.engines.postgresql.fair_semaphore import FairSemaphore
from open_alchemy.package_database.engines.postgresql.pool import _drive
from open_alchemy.package_database.engines.postgresql.pool_core import PoolCore
from open_alchemy.package_database.engines.postgresql.requests import BatchSteps, OnServer
from open_alchemy.package_database.engines.postgresql.shard_map import Server
from open_alchemy.package_database.engines.sql.statements import Statement

Connect: TypeAlias = "Callable[..., Connection]"
READ, PING, ROLLBACK = Statement("SELECT 2"), Statement("SELECT 1"), Statement("ROLLBACK")


class Connection:
    """Raises the error given for a statement, or returns no rows."""

    deadline: Deadline | None = None
    reports_progress = is_late = is_committing = closed = False

    def __init__(self, file: socket.socket, failures: dict[Statement, Exception] | None = None) -> None:
        self.pgconn = SimpleNamespace(socket=file, transaction_status=TransactionStatus.IDLE)
        self.failures = failures or {}
        self.idle_since = time.monotonic()
        self.calls: list[Statement | str] = []

    def run(self, statement: Statement) -> list[Any]:
        self.calls.append(statement)
        if statement in self.failures:
            raise self.failures[statement]
        return []

    def reset(self) -> None:
        raise DeadlineExceededError

    def close(self) -> None:
        self.calls.append("close")
        self.pgconn.transaction_status = TransactionStatus.UNKNOWN

    abort = close


class Pool(PoolCore[Any]):
    """A pool of one connection."""

    def __init__(self, *opened: Connection | BaseException) -> None:
        super().__init__(Server("db1", "", range(1, 2)), 1, 5.0)
        self.opened = list(opened)
        self.permits = 1

    def _wait(self, seconds: float) -> bool:
        self.permits -= 1
        return True

    def _release_permit(self) -> None:
        self.permits += 1

    def _connect(self, deadline: Deadline) -> Connection:
        found = self.opened.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def execute(self) -> Any:
        return _drive(self.executing(OnServer("db1", read, "reading"), Deadline(5)))

    @property
    def idle(self) -> list[Connection]:
        return self._idle

    def close(self) -> None:
        self._is_closed = True


def read() -> BatchSteps[str]:
    yield READ
    return "read"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes connections whose servers send nothing."""
    client, server = socket.socketpair()
    with client, server:
        yield lambda failures=None: Connection(client, failures)


def test_a_connection_is_used_again_without_a_test(connect: Connect) -> None:
    pool = Pool(connection := connect())

    assert [pool.execute(), pool.execute()] == ["read", "read"]
    assert connection.calls == [READ, READ]
    assert pool.permits == 1


def test_a_connection_that_was_idle_for_long_is_tested_before_its_use(connect: Connect) -> None:
    pool = Pool(connection := connect())
    pool.execute()
    connection.idle_since -= PING_AFTER + 1

    assert pool.execute() == "read"
    assert connection.calls == [READ, PING, READ]


@pytest.mark.parametrize("error", [DeadlineExceededError(), psycopg.OperationalError()], ids=["late", "lost"])
def test_a_connection_that_does_not_answer_its_test_is_replaced(connect: Connect, error: Exception) -> None:
    silent, new = connect({PING: error}), connect()
    pool = Pool(silent, new)
    pool.execute()
    silent.idle_since -= PING_AFTER + 1

    assert pool.execute() == "read"
    assert silent.calls[-1] == "close"
    assert pool.idle == [new]
    assert pool.permits == 1


def test_a_connection_that_cannot_be_opened_costs_no_permit(connect: Connect) -> None:
    pool = Pool(psycopg.OperationalError(), KeyboardInterrupt(), connect())

    assert isinstance(pool.execute(), Failure)
    assert pool.permits == 1
    with pytest.raises(KeyboardInterrupt):
        pool.execute()
    assert pool.permits == 1


def test_a_connection_that_is_not_opened_in_time_is_a_failure_without_an_answer() -> None:
    assert Pool(DeadlineExceededError()).execute() is NO_ANSWER


def test_a_closed_pool_opens_no_connection_and_keeps_none(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(connection := connect())
    monkeypatch.setattr(connection, "run", lambda _: pool.close())

    assert pool.execute() == "read"
    assert pool.execute() is CLOSED
    assert (connection.calls, pool.idle, pool.permits) == (["close"], [], 1)


@pytest.mark.parametrize(("is_committing", "expected"), [(False, NO_ANSWER), (True, COMMIT_UNANSWERED)])
def test_a_commit_without_an_answer_in_time_may_have_taken_effect(
    connect: Connect, expected: Failure, *, is_committing: bool
) -> None:
    connection = connect({READ: DeadlineExceededError()})
    connection.is_committing = is_committing

    assert Pool(connection).execute() is expected


@pytest.mark.parametrize("failed", [False, True], ids=["rolled back", "rollback fails"])
def test_a_failed_statement_is_rolled_back(connect: Connect, *, failed: bool) -> None:
    errors: dict[Statement, Exception] = {READ: psycopg.errors.CheckViolation()}
    if failed:
        errors[ROLLBACK] = DeadlineExceededError()
    connection = connect(errors)
    connection.pgconn.transaction_status = TransactionStatus.INERROR
    pool = Pool(connection)

    failure = pool.execute()

    assert connection.calls[:2] == [READ, ROLLBACK]
    assert (failure.code == "23514", failure is NO_ANSWER) == (not failed, failed)
    assert pool.permits == 1


def test_a_lent_connection_that_cannot_be_reset_is_closed(connect: Connect) -> None:
    pool = Pool(connection := connect())
    pool.permits = 0

    _drive(pool.returning(connection))

    assert connection.calls[0] == "close"
    assert (pool.idle, pool.permits) == ([], 1)


def test_a_permit_that_arrives_when_a_wait_ends_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    semaphore = FairSemaphore(0)

    class Lock:
        """Its wait ends when the semaphore has passed it the permit."""

        def acquire(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                semaphore.release()
            return timeout is None

        def release(self) -> None:
            pass

    monkeypatch.setattr(fair_semaphore, "threading", SimpleNamespace(Lock=Lock))

    assert semaphore.acquire(1.0)


def test_an_async_connection_is_opened_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stay_silent(_: str, **options: Any) -> None:
        await asyncio.Event().wait()

    async def use() -> Any:
        pool = AsyncPool(Server("db1", "", range(1, 2)), 1, 5.0)
        found = await pool.execute(OnServer("db1", read, "reading"), Deadline(0.01))
        await pool.aclose()
        return found

    monkeypatch.setattr(AsyncConnection, "connect", stay_silent)

    assert asyncio.run(use()) is NO_ANSWER
