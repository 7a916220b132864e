"""What a pool decides, with connections that only record what happens to them."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.postgresql import pool_core
from open_alchemy.package_database.engines.postgresql.connection import RESET_SESSION, DeadlineExceededError
from open_alchemy.package_database.engines.postgresql.io_requests import OnServer
from open_alchemy.package_database.engines.postgresql.pool_core import Calls, PoolCore
from open_alchemy.package_database.engines.postgresql.retry import (
    CLOSED,
    COMMIT_UNANSWERED,
    NO_ANSWER,
    Failure,
    Kind,
)
from open_alchemy.package_database.engines.postgresql.shard_map_file import Server
from open_alchemy.package_database.engines.sql.statements import Statement

READ = Statement("SELECT 1")


class Connection:
    """A connection that executes nothing.

    Args:
        errors: What its next statements raise; None for no error.
    """

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.done: list[str] = []
        self.pgconn = SimpleNamespace(transaction_status=TransactionStatus.IDLE)
        self.is_alive, self.is_stale, self.is_late, self.is_committing = True, False, False, False
        self.deadline: Deadline | None = None
        self.pool: object = None
        self.reports_progress = False
        self.idle_since = 0.0
        self.autocommit = True
        self.autocommit_errors: list[BaseException] = []
        self.defaults = 0

    def run(self, statement: Statement) -> list[Any]:
        self.done.append(statement.text)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return []

    def use_named_rows(self) -> None:
        self.done.append("named rows")

    def use_plain_rows(self) -> None:
        self.done.append("plain rows")

    def set_autocommit(self, *, value: bool) -> None:
        if self.autocommit_errors:
            raise self.autocommit_errors.pop()
        self.autocommit = value

    def set_default(self, value: None) -> None:
        self.defaults += 1

    set_isolation_level = set_read_only = set_deferrable = set_default

    def rollback(self) -> None:
        self.run(Statement("ROLLBACK"))
        self.pgconn.transaction_status = TransactionStatus.IDLE

    def close(self) -> None:
        self.done.append("close")
        self.pgconn.transaction_status = TransactionStatus.UNKNOWN

    def abort(self) -> None:
        self.done.append("abort")


class RecordedPool(PoolCore[Any]):
    """A pool whose calls are not performed by threads or a loop.

    Args:
        opened: The results of its attempts to connect.
        permits: How many calls may have a connection at once.
    """

    def __init__(self, *opened: Connection | BaseException, permits: int = 1) -> None:
        super().__init__(Server("db1", "", range(1, 2)), permits, block_timeout=5.0)
        self.opened = list(opened)
        self.permits = permits
        self.waited: list[float] = []

    def _wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        self.permits -= 1
        return self.permits >= 0 or self._give_up()

    def _give_up(self) -> bool:
        self.permits += 1
        return False

    def _release_permit(self) -> None:
        self.permits += 1

    def _connect(self, deadline: Deadline) -> Connection:
        found = self.opened.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def execute(self, steps: Callable[[], Generator[Any, Any, Any]], deadline: Deadline | None = None) -> Any:
        return drive(self.executing(OnServer("db1", steps, "testing"), deadline or Deadline(5)))


def drive(calls: Calls[Any]) -> Any:
    proceed, outcome = calls.send, None
    while True:
        try:
            call = proceed(outcome)
        except StopIteration as stop:
            return stop.value
        try:
            proceed, outcome = calls.send, call()
        except BaseException as error:  # noqa: BLE001 (thrown into the generator)
            proceed, outcome = calls.throw, error


def read() -> Generator[Statement, Any, str]:
    yield READ
    return "result"


@pytest.fixture(autouse=True)
def _states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_core, "is_alive", lambda connection: connection.is_alive)
    monkeypatch.setattr(pool_core, "is_stale", lambda connection: connection.is_stale)


def test_an_idle_connection_is_used_again() -> None:
    pool = RecordedPool(connection := Connection())

    assert [pool.execute(read), pool.execute(read)] == ["result", "result"]
    assert connection.done == [READ.text, READ.text]
    assert connection.deadline is None
    assert pool.permits == 1


def test_a_connection_that_ended_is_replaced() -> None:
    pool = RecordedPool(first := Connection(), second := Connection())
    pool.execute(read)
    first.is_alive = False

    assert pool.execute(read) == "result"
    assert first.done[-1] == "close"
    assert second.done == [READ.text]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(None, "SELECT 1"), (psycopg.OperationalError(), "close"), (DeadlineExceededError(), "close")],
)
def test_a_connection_that_was_idle_for_long_is_tested(error: BaseException | None, expected: str) -> None:
    pool = RecordedPool(first := Connection(None, error), Connection())
    pool.execute(read)
    first.is_stale = True

    assert pool.execute(read) == "result"
    assert first.done[-1] == expected


def test_a_call_without_a_permit_in_time_fails() -> None:
    pool = RecordedPool(permits=0)

    found = pool.execute(read, Deadline(2, clock=lambda: 0.0))

    assert (found.kind, found.code) == (Kind.EXPIRED, "PoolExhausted")
    assert pool.waited == [2.0]
    assert pool.permits == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [(psycopg.OperationalError("refused"), "ConnectionFailure"), (DeadlineExceededError(), NO_ANSWER.code)],
)
def test_a_failure_to_connect_releases_the_permit(error: BaseException, expected: str) -> None:
    pool = RecordedPool(error, Connection())

    failure = pool.execute(read)

    assert isinstance(failure, Failure)
    assert failure.code == expected
    assert pool.execute(read) == "result"


def test_an_unexpected_error_of_connecting_releases_the_permit() -> None:
    pool = RecordedPool(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        pool.execute(read)

    assert pool.permits == 1


@pytest.mark.parametrize(
    ("is_committing", "expected"), [(False, NO_ANSWER), (True, COMMIT_UNANSWERED)], ids=["a read", "a commit"]
)
@pytest.mark.parametrize(
    "error", [DeadlineExceededError(), psycopg.OperationalError()], ids=["raised", "of a pipeline"]
)
def test_a_late_statement_is_cancelled(error: BaseException, expected: Failure, *, is_committing: bool) -> None:
    pool = RecordedPool(connection := Connection(error))
    connection.is_late, connection.is_committing = True, is_committing
    connection.pgconn.transaction_status = TransactionStatus.ACTIVE

    assert pool.execute(read) is expected
    assert connection.done == [READ.text, "abort"]
    assert pool.permits == 1


def test_a_refused_statement_is_rolled_back_and_the_connection_kept() -> None:
    pool = RecordedPool(connection := Connection(psycopg.errors.InsufficientPrivilege()))
    connection.pgconn.transaction_status = TransactionStatus.INERROR
    original = connection.run

    def run(statement: Statement) -> list[Any]:
        if statement.text == "ROLLBACK":
            connection.pgconn.transaction_status = TransactionStatus.IDLE
        return original(statement)

    connection.run = run  # type: ignore[method-assign]

    assert pool.execute(read).kind is Kind.REFUSED
    assert connection.done == [READ.text, "ROLLBACK"]
    assert pool.execute(read) == "result"


def test_a_rollback_that_fails_is_the_failure() -> None:
    pool = RecordedPool(connection := Connection(psycopg.errors.CheckViolation(), DeadlineExceededError()))
    connection.pgconn.transaction_status = TransactionStatus.INERROR

    assert pool.execute(read) is NO_ANSWER
    assert connection.done == [READ.text, "ROLLBACK", "abort"]
    assert pool.permits == 1


def test_an_error_of_the_steps_is_raised_and_the_connection_kept() -> None:
    pool = RecordedPool(connection := Connection())

    def fail() -> Generator[Statement, Any, None]:
        yield READ
        raise KeyError

    with pytest.raises(KeyError):
        pool.execute(fail)

    assert pool.execute(read) == "result"
    assert "abort" not in connection.done


def test_a_closed_pool_opens_no_connection() -> None:
    pool = RecordedPool(Connection())
    pool._is_closed = True

    assert pool.execute(read) is CLOSED
    assert pool.permits == 1


def test_a_connection_that_is_released_after_the_pool_was_closed_is_aborted() -> None:
    pool = RecordedPool(connection := Connection())

    def close() -> Generator[Statement, Any, None]:
        yield READ
        pool._is_closed = True

    pool.execute(close)

    assert connection.done[-1] == "abort"


def test_a_caller_has_a_connection_with_its_permit_until_the_check_in() -> None:
    pool = RecordedPool(connection := Connection())

    checked_out = drive(pool.checking_out(Deadline(5), None))
    states = [(connection.pool, connection.autocommit, pool.permits)]
    drive(pool.checking_in(checked_out))
    states.append((connection.pool, connection.autocommit, pool.permits))

    assert checked_out is connection
    assert states == [(pool, False, 0), (None, True, 1)]
    assert connection.done == ["named rows", "plain rows", RESET_SESSION.text]
    assert connection.defaults == 3


@pytest.mark.parametrize("error", [CancelledError(), psycopg.OperationalError()])
def test_an_interrupted_check_out_releases_the_permit(error: BaseException) -> None:
    """Psycopg's wait for a generator without I/O lets other tasks run at times, and is cancelled there."""
    pool = RecordedPool(connection := Connection())
    connection.autocommit_errors.append(error)

    with pytest.raises(type(error)):
        drive(pool.checking_out(Deadline(5), None))

    assert (pool.permits, connection.pool, connection.autocommit) == (1, None, True)
    assert pool.execute(read) == "result"


def test_a_connection_whose_test_is_cancelled_is_closed() -> None:
    pool = RecordedPool(connection := Connection(None, CancelledError()))
    pool.execute(read)
    connection.is_stale = True

    with pytest.raises(CancelledError):
        pool.execute(read)

    assert connection.done[-1] == "close"
    assert pool.permits == 1


def test_a_transaction_of_a_caller_is_rolled_back() -> None:
    pool = RecordedPool(connection := Connection())
    drive(pool.checking_out(Deadline(5), None))
    connection.pgconn.transaction_status = TransactionStatus.INTRANS

    drive(pool.checking_in(connection))

    assert connection.done[-2:] == ["ROLLBACK", RESET_SESSION.text]
    assert pool.execute(read) == "result"


@pytest.mark.parametrize("error", [psycopg.OperationalError(), DeadlineExceededError()])
def test_a_connection_of_a_caller_that_cannot_be_reset_is_closed(error: Exception) -> None:
    pool = RecordedPool(connection := Connection(error))

    drive(pool.checking_in(drive(pool.checking_out(Deadline(5), None))))

    assert connection.done[-2:] == ["close", "abort"]
    assert pool.permits == 1
