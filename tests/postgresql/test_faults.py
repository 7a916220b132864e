"""Faults of a real server: each is the error of the package, in time, or is repaired without an error."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import psycopg
import pytest

from open_alchemy.package_database import ConfigurationError, ConflictError, RefusedError, TDatabase, UnavailableError
from open_alchemy.package_database.database import SYSTEM
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.postgresql import retry
from open_alchemy.package_database.engines.postgresql.connection import AsyncConnection, SyncConnection, _commits
from open_alchemy.package_database.engines.postgresql.io_requests import Batch
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.engines.sql.statements import Statement
from open_alchemy.package_database.exceptions import StoreError
from open_alchemy.package_database.testing import postgresql_server
from tests.apis import aconnect_to, blocking, connect_to
from tests.postgresql.databases import create_database, create_tables, execute, name_of

Open = Callable[[Config], AbstractContextManager[TDatabase]]

APIS: dict[str, Open] = {"sync": connect_to, "async": lambda config: blocking(aconnect_to(config))}


@pytest.fixture(params=APIS)
def open_api(request: pytest.FixtureRequest) -> Open:
    return APIS[request.param]


@pytest.fixture
def three_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third attempt is the last one before the deadline, and there is no wait between them."""
    monkeypatch.setattr(retry, "full_jitter", lambda _, attempt, *__: 0.0 if attempt < 2 else math.inf)


@contextmanager
def superuser(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, application_name="superuser") as connection:
        yield connection


def configure(url: str, **settings: Any) -> Any:
    return cast("Any", from_url(url, os.environ))._replace(**settings)


def publish(database: TDatabase, version: str = "1") -> None:
    database.create_update_spec(sub="u", name="a", version=version, model_count=1)


def versions(database: TDatabase) -> list[str]:
    return [info["version"] for info in database.list_spec_versions(sub="u", name="a")]


def active_statements(connection: psycopg.Connection[Any]) -> int:
    ((count,),) = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'package-database' AND state <> 'idle'"
    ).fetchall()
    return int(count)


def test_a_statement_that_waits_for_a_lock_is_cancelled_at_the_deadline(url: str, open_api: Open) -> None:
    with open_api(configure(url, deadline=5.0)) as database, superuser(url) as other:
        publish(database)
        with open_api(configure(url, deadline=0.3)) as hasty, other.transaction():
            other.execute("LOCK TABLE shard0001.specs")
            with pytest.raises(UnavailableError) as caught:
                publish(hasty, "2")
            # The statement would wait as long as the lock is held, which is until it was cancelled.
            with superuser(url) as observer:
                while active_statements(observer):
                    pass
        found = versions(database)

    assert caught.value.code == "DeadlineExceeded"
    assert found == ["1"]


def test_a_call_waits_for_a_connection_until_the_timeout_of_the_pool(url: str) -> None:
    config = configure(url, pool_max=1, pool_block_timeout=0.1)
    with connect_to(config) as database, superuser(url) as other, ThreadPoolExecutor() as threads:
        with other.transaction():
            other.execute("LOCK TABLE shard0001.specs")
            waiting = threads.submit(publish, database)
            with pytest.raises(UnavailableError) as caught:
                while not waiting.done():
                    database.list_credentials(sub="u")
        waiting.result()

    assert caught.value.code == "PoolExhausted"


@pytest.mark.usefixtures("three_attempts")
def test_a_server_that_cannot_be_reached_is_unavailable_after_the_last_attempt(open_api: Open) -> None:
    config = configure("postgresql://u:canary@127.0.0.1:1/a")
    with open_api(config) as database, pytest.raises(UnavailableError) as caught:
        publish(database)

    assert "refused" in str(caught.value)
    assert caught.value.attempts == 3
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_cannot_be_reached_is_tried_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def pass_two_seconds(*_: object) -> float:
        nonlocal now
        now += 2.0
        return 0.0

    monkeypatch.setattr(retry, "full_jitter", pass_two_seconds)
    config = configure("postgresql://127.0.0.1:1/a", deadline=5.0)
    sources = SYSTEM._replace(monotonic=lambda: now)
    with connect_to(config, sources) as database, pytest.raises(UnavailableError) as caught:
        publish(database)

    assert caught.value.attempts == 3


def test_terminated_connections_are_replaced_without_an_error(url: str, open_api: Open) -> None:
    with open_api(configure(url)) as database, superuser(url) as other:
        publish(database)
        other.execute(END_SESSIONS)
        publish(database, "2")
        found = versions(database)

    assert found == ["1", "2"]


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda database: database.create_update_spec(sub="u", name="b", version="1", model_count=1), ["a", "b"]),
        (lambda database: database.delete_spec(sub="u", name="a"), []),
    ],
    ids=["one statement", "two batches"],
)
def test_a_commit_whose_response_is_lost_takes_effect_once(
    url: str,
    open_api: Open,
    monkeypatch: pytest.MonkeyPatch,
    *,
    write: Callable[[TDatabase], None],
    expected: list[str],
    is_before: bool,
) -> None:
    lost: list[Statement | Batch] = []

    def lose(connection: SyncConnection, statement: Statement | Batch) -> Any:
        is_lost = _commits(statement) and not lost
        if is_lost:
            lost.append(statement)
        result = [] if is_lost and is_before else run(connection, statement)
        if is_lost:
            connection.pgconn.finish()
            raise psycopg.OperationalError
        return result

    async def lose_async(connection: AsyncConnection, statement: Statement | Batch) -> Any:
        is_lost = _commits(statement) and not lost
        if is_lost:
            lost.append(statement)
        result = [] if is_lost and is_before else await run_async(connection, statement)
        if is_lost:
            connection.pgconn.finish()
            raise psycopg.OperationalError
        return result

    run, run_async = SyncConnection.run, AsyncConnection.run
    with open_api(configure(url)) as database:
        publish(database)
        monkeypatch.setattr(SyncConnection, "run", lose)
        monkeypatch.setattr(AsyncConnection, "run", lose_async)
        write(database)
        found = [info["id"] for info in database.list_specs(sub="u")]

    assert len(lost) == 1
    assert found == expected


END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'package-database'
"""
TRIGGER = """
CREATE SEQUENCE shard0001.failures;
CREATE FUNCTION shard0001.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('shard0001.failures') <= {times} THEN RAISE SQLSTATE '{code}'; END IF;
    RETURN new;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON shard0001.specs FOR EACH ROW EXECUTE FUNCTION shard0001.fail()
"""
TRANSIENT = ["40001", "40P01", "55P03", "57014", "25006", "57P03"]


@contextmanager
def failing(url: str, code: str, *, times: int) -> Iterator[None]:
    """Makes the first inserts fail."""
    execute(url, TRIGGER.format(code=code, times=times))
    try:
        yield
    finally:
        execute(url, "DROP FUNCTION shard0001.fail CASCADE; DROP SEQUENCE shard0001.failures")


@pytest.mark.parametrize("code", TRANSIENT)
def test_a_transient_error_is_repeated(url: str, code: str) -> None:
    with failing(url, code, times=2), connect_to(configure(url)) as database:
        publish(database)
        found = versions(database)

    assert found == ["1"]


@pytest.mark.parametrize(
    ("code", "error", "attempts"),
    [
        ("40001", ConflictError, 3),
        ("40P01", ConflictError, 3),
        ("25006", UnavailableError, 3),
        ("57P03", UnavailableError, 3),
        ("53100", RefusedError, 1),
        ("23514", RefusedError, 1),
    ],
)
@pytest.mark.usefixtures("three_attempts")
def test_a_lasting_error_has_its_code(
    url: str, code: str, error: type[StoreError], attempts: int, open_api: Open
) -> None:
    with (
        failing(url, code, times=1_000_000),
        open_api(configure(url)) as database,
        pytest.raises(error) as caught,
    ):
        publish(database)

    assert (caught.value.code, caught.value.attempts) == (code, attempts)


def test_a_server_that_is_read_only_for_a_time_is_no_error(own_url: str, open_api: Open) -> None:
    name = name_of(own_url)
    attempts: list[str] = []
    with superuser(own_url) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())

    def promote(record: logging.LogRecord) -> bool:
        if "25006" in record.getMessage() and not attempts:
            attempts.append(record.getMessage())
            with psycopg.connect(own_url, autocommit=True) as other:
                other.execute("SET default_transaction_read_only = off")
                other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
                other.execute(END_SESSIONS)
        return True

    logger = logging.getLogger("open_alchemy.package_database")
    logger.addFilter(promote)
    try:
        with open_api(configure(own_url)) as database:
            publish(database)
            found = versions(database)
    finally:
        logger.removeFilter(promote)

    assert len(attempts) == 1
    assert found == ["1"]


def test_a_role_without_rights_is_refused(own_url: str, role: str, open_api: Open) -> None:
    execute(
        own_url,
        f"GRANT USAGE ON SCHEMA package_database, shard0001 TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA package_database, shard0001 TO {role}",
    )

    with open_api(configure(own_url.replace("postgres@", f"{role}@"))) as database:
        with pytest.raises(RefusedError, match="permission denied for table") as caught:
            publish(database)
        found = database.list_specs(sub="u")

    assert (caught.value.code, caught.value.attempts) == ("42501", 1)
    assert found == []


def test_a_missing_schema_names_the_command(own_url: str, open_api: Open) -> None:
    with open_api(configure(own_url)) as database, superuser(own_url) as connection:
        publish(database)
        connection.execute("DROP SCHEMA shard0001 CASCADE")

        with pytest.raises(RefusedError, match="run package-database tables create --url") as caught:
            publish(database)

    assert caught.value.code == "42P01"


@pytest.mark.usefixtures("three_attempts")
def test_a_role_without_free_connections_is_unavailable(url: str, role: str, open_api: Open) -> None:
    execute(url, f"ALTER ROLE {role} CONNECTION LIMIT 0")

    config = configure(url.replace("postgres@", f"{role}@"))
    with open_api(config) as database, pytest.raises(UnavailableError, match="too many connections"):
        publish(database)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda url: f"{url}_missing", "does not exist"),
        (lambda url: url.replace("postgres@", "nobody@"), 'role "nobody" does not exist'),
        (lambda url: f"{url}?sslmode=require", "server does not support SSL"),
        (lambda url: f"{url}?sslmode=wrong", "invalid sslmode value"),
        (lambda url: f"{url}?keepalives_idle=wrong", "invalid integer value"),
        (lambda url: f"{url}?connect_timeout=wrong", "bad value for connect_timeout"),
        (lambda url: f"{url}?service=wrong", 'definition of service "wrong" not found'),
    ],
)
def test_a_connection_that_is_refused_is_not_repeated(
    url: str, open_api: Open, change: Callable[[str], str], message: str
) -> None:
    with open_api(configure(change(url))) as database, pytest.raises(RefusedError, match=message) as caught:
        publish(database)

    assert caught.value.attempts == 1


@pytest.mark.parametrize("parameter", ["client_encoding=latin1", "fallback_application_name=other"])
def test_a_parameter_that_the_package_sets_is_ignored(url: str, open_api: Open, parameter: str) -> None:
    with open_api(configure(f"{url}?{parameter}")) as database:
        database.create_update_spec(sub="u", name="\u0416", version="1", model_count=1)
        found = database.get_spec(sub="u", name="\u0416")

    assert found is not None
    assert found["name"] == "\u0416"


def test_a_host_that_is_not_a_name_is_unavailable(open_api: Open) -> None:
    config = configure(f"postgresql://{'a' * 64}/a", deadline=0.2)
    with open_api(config) as database, pytest.raises(UnavailableError, match="failed to resolve"):
        publish(database)


def test_a_wrong_connection_string_is_a_configuration_error_without_its_text(open_api: Open) -> None:
    config = configure("postgresql://u:canary@host/a?canary=1")
    with open_api(config) as database, pytest.raises(ConfigurationError) as caught:
        publish(database)

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_without_the_driver_the_extra_is_named(open_api: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    extra = r"open-alchemy.package-database\[postgresql\]"
    with open_api(configure("postgresql://host/a")) as database, pytest.raises(ConfigurationError, match=extra):
        publish(database)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_process_and_its_parent_use_the_database(url: str) -> None:
    with connect_to(configure(url)) as database:
        publish(database)
        child = os.fork()
        if child == 0:
            publish(database, "2")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        publish(database, "3")
        found = versions(database)

    assert status == 0
    assert found == ["1", "2", "3"]


def test_closing_is_final(url: str) -> None:
    with connect_to(configure(url)) as database:
        publish(database)
        engine: Any = cast("Any", database).engine
        engine.close()

        with pytest.raises(RefusedError, match="was closed"):
            publish(database)


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgresql_server.PostgreSQLServer]:
    with postgresql_server.run() as server:
        yield server


def test_a_restart_of_the_server_is_no_error(own_server: postgresql_server.PostgreSQLServer, open_api: Open) -> None:
    config = create_tables(create_database(own_server.url()), shards=2)
    with open_api(config) as database:
        publish(database)
        own_server.stop()
        starting = threading.Thread(target=own_server.start)
        starting.start()
        publish(database, "2")
        starting.join()
        found = versions(database)

    assert found == ["1", "2"]
