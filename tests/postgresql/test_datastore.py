"""Entities under 64-bit keys: the examples of hypervault's description, and the guarantees beyond them."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, RefusedError, UnavailableError, ValidationError
from open_alchemy.package_database.coherence.dependency_recording import UNTRACKED, record
from open_alchemy.package_database.datastore import AsyncDatastore, Datastore, Key
from open_alchemy.package_database.engines.postgresql.connection import AsyncConnection, SyncConnection
from open_alchemy.package_database.engines.postgresql.shard_hash import schema_of, shard_of
from tests.postgresql.databases import create_database, create_tables, write_shard_map

ROOT = Path(__file__).parents[2]
SHARDS = 16
EPOCH = 1379365531352
CANARY = "canary"


class BlockingDatastore:
    """Calls an ``AsyncDatastore`` synchronously, each call in the same event loop."""

    def __init__(self, datastore: AsyncDatastore, runner: asyncio.Runner) -> None:
        self._datastore = datastore
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._datastore, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            return await result if asyncio.iscoroutine(result) else result

        return lambda *arguments, **named: self._runner.run(call(*arguments, **named))

    @contextmanager
    def cursor(self, shard_id: int) -> Iterator[Any]:
        context = self._datastore.cursor(shard_id)
        cursor: Any = self._runner.run(context.__aenter__())
        try:
            yield BlockingDatastore(cursor, self._runner)
        except BaseException as error:
            if not self._runner.run(context.__aexit__(type(error), error, None)):
                raise
        else:
            self._runner.run(context.__aexit__(None, None, None))


Open = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def open_datastore(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a datastore of either API, which has the interface of the sync one."""
    if request.param == "sync":
        made: list[Datastore] = []

        def open_sync(*arguments: Any, **named: Any) -> Any:
            made.append(Datastore(*arguments, **named))
            return made[-1]

        yield open_sync
        for datastore in made:
            datastore.disconnect()
    else:
        with asyncio.Runner() as runner:
            yield lambda *arguments, **named: BlockingDatastore(AsyncDatastore(*arguments, **named), runner)


@pytest.fixture(scope="session")
def map_url(postgresql_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Shards 1 to 8 on one server, and 9 to 16 on another."""
    urls = [create_database(server) for server in postgresql_servers]
    url = write_shard_map(tmp_path_factory.mktemp("datastore"), urls, SHARDS)
    create_tables(url, shards=SHARDS)
    return url


@pytest.fixture(scope="session")
def connections(map_url: str) -> list[dict[str, Any]]:
    """The argument of the reference's example, with ``database`` as psycopg2 calls it."""
    conninfos = [line.split('"')[1] for line in Path(map_url[9:]).read_text().splitlines() if "conninfo" in line]
    parameters = [conninfo_to_dict(conninfo) for conninfo in conninfos]
    return [
        {
            "shards": shards,
            "database": given["dbname"],
            "host": given["host"],
            "port": given["port"],
            "user": given["user"],
            "password": CANARY,
        }
        for shards, given in zip(("1-9", "9-17"), parameters, strict=True)
    ]


@pytest.fixture
def db(open_datastore: Open, connections: list[dict[str, Any]]) -> Any:
    return open_datastore(connections)


def execute(connection: dict[str, Any], *statements: str) -> list[Any]:
    options = {"dbname" if key == "database" else key: value for key, value in connection.items() if key != "shards"}
    with psycopg.connect(**options, autocommit=True) as opened:
        cursors = [opened.execute(statement.encode()) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


# The reference's examples.


def test_example_of_the_constructor(db: Any, connections: list[dict[str, Any]]) -> None:
    first, second = db.put(8, 1, beep="boop"), db.put(9, 1, beep="boop")

    assert execute(connections[0], "SELECT max(id) FROM shard0008.entities") == [(first.id,)]
    assert execute(connections[1], "SELECT max(id) FROM shard0009.entities") == [(second.id,)]


def test_example_of_cursor(db: Any) -> None:
    with db.cursor(5) as cur:
        cur.execute("SELECT version()")
        ver = cur.fetchone()

    assert ver["version"].startswith("PostgreSQL")
    assert ver[0] == ver["version"]
    assert dict(ver) == {"version": ver[0]}


def test_example_of_put(db: Any) -> None:
    before = datetime.now(UTC)
    data = {"beep": "boop"}
    key = db.put(12, 1, **data)

    assert isinstance(key, Key)
    assert key.shard_id == 12
    assert before - timedelta(seconds=1) < key.created < before + timedelta(minutes=1)


def test_example_of_get(db: Any, connections: list[dict[str, Any]]) -> None:
    execute(connections[1], "INSERT INTO shard0012.entities VALUES (307821103844175873, 1, 'beep=>boop')")

    key = Key(307821103844175873)
    res = db.get(key)

    execute(connections[1], "DELETE FROM shard0012.entities WHERE id = 307821103844175873")
    assert res == {"beep": "boop"}


def test_example_of_key() -> None:
    key = Key(307821103844175873)

    assert key.created == datetime(2014, 11, 15, 14, 11, 6, 450_000, tzinfo=UTC)
    assert key.created.tzinfo is UTC
    assert (key.shard_id, key.added_id) == (12, 1)


def test_example_of_get_connection_and_put_connection(open_datastore: Open, connections: list[dict[str, Any]]) -> None:
    db = open_datastore(connections, pool_max=1, pool_block_timeout=0.01)
    connection = db.get_connection(5)
    with pytest.raises(UnavailableError, match="all 1 connections") as caught:
        db.get_connection(5)
    db.put_connection(connection)

    assert caught.value.code == "PoolExhausted"
    assert db.get_connection(5) is connection
    db.put_connection(connection)


def test_example_of_disconnect_and_reinstantiate(open_datastore: Open, connections: list[dict[str, Any]]) -> None:
    db = open_datastore(connections)
    key = db.put(1, 1, a="b")
    db.disconnect()
    with pytest.raises(RefusedError, match="closed"):
        db.get(key)
    db.reinstantiate()

    assert db.get(key) == {"a": "b"}


def test_the_examples_of_the_documentation_run(connections: list[dict[str, Any]]) -> None:
    page = (ROOT / "docs/datastore.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    program = re.sub(r"^connections = \[.*?^\]", "", program, flags=re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"connections": connections}

    exec(program, names)  # noqa: S102 (the documentation's)

    names["db"].disconnect()


def test_without_psycopg_the_extra_is_named(open_datastore: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigurationError, match=r"open-alchemy.package-database\[postgresql\]"):
        open_datastore(NOWHERE).put(1, 1)


# Data.


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"a": None},
        {"a": ""},
        {"": "empty name"},
        {"a b": 'quote " and \\ backslash', "=>": ",NULL", "NULL": "NULL"},
        {"é€😀": "line\nfeed\ttab\r", "self": "y"},
        {"a": "'", "b": "\x01\x7f"},
    ],
)
def test_data_is_returned_as_it_was_stored(db: Any, data: dict[str, str | None]) -> None:
    assert db.get(db.put(3, 7, **data)) == data


def test_an_unknown_key_has_no_data(db: Any) -> None:
    assert db.get(Key(3 << 10)) is None


def test_the_kind_is_a_column(db: Any) -> None:
    key = db.put(3, -7, a="b")

    with db.cursor(3) as cursor:
        cursor.execute("SELECT kind, data -> 'a' AS a FROM shard0003.entities WHERE id = %s", (key.id,))
        row = cursor.fetchone()

    assert (row["kind"], row["a"]) == (-7, "b")


# Arguments: refused before any I/O, so the connections need not exist.

NOWHERE = [{"shards": "1-9", "host": "127.0.0.1", "port": 1, "password": CANARY}]


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (("1", 1), {}),
        ((True, 1), {}),
        ((0, 1), {}),
        ((9, 1), {}),
        ((8192, 1), {}),
        ((1, "1"), {}),
        ((1, True), {}),
        ((1, 2**31), {}),
        ((1, 1), {"a": 1}),
        ((1, 1), {"a": b"x"}),
        ((1, 1), {"a": "\0"}),
        ((1, 1), {"a\0": "x"}),
        ((1, 1), {"a": "\ud800"}),
    ],
)
def test_a_wrong_argument_of_put_is_refused_before_io(open_datastore: Open, arguments: Any, data: Any) -> None:
    with pytest.raises(ValidationError):
        open_datastore(NOWHERE).put(*arguments, **data)


def test_a_refused_value_is_not_shown(open_datastore: Open) -> None:
    with pytest.raises(ValidationError) as caught:
        open_datastore(NOWHERE).put(1, 1, a=f"{CANARY}\0")

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("key", [307821103844175873, "1", None, Key(9 << 10), Key(0)])
def test_a_wrong_key_is_refused_before_io(open_datastore: Open, key: Any) -> None:
    with pytest.raises(ValidationError):
        open_datastore(NOWHERE).get(key)


@pytest.mark.parametrize("method", ["get_connection", "put_connection", "shard_of"])
def test_other_wrong_arguments_are_refused_before_io(open_datastore: Open, method: str) -> None:
    with pytest.raises(ValidationError):
        getattr(open_datastore(NOWHERE), method)(None)


def test_a_connection_is_put_back_once(db: Any) -> None:
    connection = db.get_connection(1)
    db.put_connection(connection)

    with pytest.raises(ValidationError, match="put back"):
        db.put_connection(connection)


@pytest.mark.parametrize("id_", [-1, 2**64, "1", 1.0, True])
def test_a_key_has_64_bits(id_: Any) -> None:
    with pytest.raises(ValidationError, match="from 0 to"):
        Key(id_)


@pytest.mark.parametrize(
    ("connections", "options", "message"),
    [
        ([], {}, "at least one dict"),
        ("host=a", {}, "at least one dict"),
        (["host=a"], {}, r"connections\[0\] must be a dict"),
        ([{"host": "a"}], {}, r"connections\[0\]\['shards'\]"),
        ([{"shards": "1"}], {}, "END is not included"),
        ([{"shards": "2-2"}], {}, "END is not included"),
        ([{"shards": "1-8193"}], {}, "END is not included"),
        ([{"shards": "1-9"}, {"shards": "8-17"}], {}, r"connections\[1\]\['shards'\] overlaps"),
        ([{"shards": "1-9", "host": ["a"]}], {}, r"connections\[0\]\['host'\]"),
        (NOWHERE, {"pool_max": 0}, "pool_max"),
        (NOWHERE, {"pool_max": "1"}, "pool_max"),
        (NOWHERE, {"pool_block_timeout": 0}, "pool_block_timeout"),
        (NOWHERE, {"pool_block_timeout": "1"}, "pool_block_timeout"),
    ],
)
def test_a_wrong_argument_of_the_constructor_is_named(
    open_datastore: Open, connections: Any, options: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_datastore(connections, **options)


def test_an_unknown_parameter_of_a_connection_is_a_configuration_error(open_datastore: Open) -> None:
    with pytest.raises(ConfigurationError, match="connections\\[0\\]") as caught:
        open_datastore([{"shards": "1-9", "nonsense": CANARY}]).put(1, 1)

    assert CANARY not in str(caught.value)


def test_a_read_of_a_datastore_is_reported_to_cached_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    blocking, awaited = Datastore(NOWHERE), AsyncDatastore(NOWHERE)
    for datastore in (blocking, awaited):
        monkeypatch.setattr(datastore, "_resolve", refuse)

    with record() as found, pytest.raises(RefusedError):
        blocking.get(Key(1 << 10))
    with record() as found_async, pytest.raises(RefusedError):
        asyncio.run(awaited.get(Key(1 << 10)))

    assert found == found_async == {UNTRACKED}


def refuse() -> None:
    raise RefusedError("no server")


def test_the_representation_has_no_password() -> None:
    assert repr(Datastore(NOWHERE)) == "<Datastore: 1 servers>"
    assert repr(AsyncDatastore(NOWHERE)) == "<AsyncDatastore: 1 servers>"


def test_a_shard_that_no_server_has_is_refused(open_datastore: Open, connections: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError, match="there is no shard 20"):
        open_datastore([*connections, {**connections[0], "shards": "17-33"}]).put(20, 1)


# Keys.


@contextmanager
def clock(connection: dict[str, Any], shard: int) -> Iterator[Callable[[int], None]]:
    """Replaces the clock of a server; yields a function that sets it."""
    database = connection["database"]
    real = execute(connection, "SELECT pg_get_functiondef('package_database.milliseconds'::regproc)")[0][0]

    def set_clock(milliseconds: int) -> None:
        execute(
            connection,
            f"ALTER DATABASE {database} SET test.milliseconds = '{milliseconds}'",
            "CREATE OR REPLACE FUNCTION package_database.milliseconds() RETURNS BIGINT LANGUAGE sql "
            "AS 'SELECT (SELECT split_part(option, ''='', 2)::bigint FROM pg_db_role_setting, unnest(setconfig) option "
            "WHERE option LIKE ''test.milliseconds=%'' "
            "AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))'",
        )

    schema = schema_of(shard)
    execute(connection, f"TRUNCATE {schema}.last_id, {schema}.entities")
    try:
        yield set_clock
    finally:
        execute(connection, f"ALTER DATABASE {database} RESET test.milliseconds", real)
        execute(connection, f"TRUNCATE {schema}.last_id, {schema}.entities")


def test_a_key_has_the_time_the_shard_and_a_number(db: Any, connections: list[dict[str, Any]]) -> None:
    with clock(connections[0], 4) as set_clock:
        set_clock(5)
        keys = [db.put(4, 1) for _ in range(3)]

    assert [key.id for key in keys] == [5 << 23 | 4 << 10 | number for number in range(3)]
    assert keys[0].created == datetime.fromtimestamp((EPOCH + 5) / 1000, UTC)
    assert [key.added_id for key in keys] == [0, 1, 2]


def test_more_than_1024_keys_of_a_millisecond_are_unique_and_grow(connections: list[dict[str, Any]]) -> None:
    with clock(connections[0], 5) as set_clock:
        set_clock(7)
        rows = execute(connections[0], "SELECT shard0005.next_id() FROM generate_series(1, 5000)")

    keys = [Key(row[0]) for row in rows]
    assert len(set(keys)) == 5000
    assert keys == sorted(keys)
    assert {key.shard_id for key in keys} == {5}
    assert keys[1024].id == 8 << 23 | 5 << 10


def test_a_clock_that_steps_back_makes_no_duplicate(db: Any, connections: list[dict[str, Any]]) -> None:
    with clock(connections[0], 6) as set_clock:
        keys = []
        for milliseconds in (9, 3, 9, 0, 10):
            set_clock(milliseconds)
            keys += [db.put(6, 1), db.put(6, 1)]

    assert len(set(keys)) == 10
    assert keys == sorted(keys)


def test_a_key_whose_first_bit_is_set_is_a_negative_number_in_postgresql(
    db: Any, connections: list[dict[str, Any]]
) -> None:
    with clock(connections[0], 7) as set_clock:
        set_clock((1 << 41) - 1)
        key = db.put(7, 1, a="b")
        found = db.get(key)
        stored = execute(connections[0], "SELECT id FROM shard0007.entities")

    assert key.created.year == 2083
    assert key.shard_id == 7
    assert found == {"a": "b"}
    assert stored == [(key.id - 2**64,)]


def test_keys_of_concurrent_writers_are_unique(connections: list[dict[str, Any]]) -> None:
    async def put_all() -> list[Key]:
        db = AsyncDatastore(connections)
        keys = await asyncio.gather(*(db.put(2, 1) for _ in range(200)))
        await db.disconnect()
        return keys

    assert len(set(asyncio.run(put_all()))) == 200


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_an_entity_whose_response_is_lost_is_stored_once(
    db: Any, connections: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *, is_before: bool
) -> None:
    lost: list[Any] = []
    db.put(8, 41)

    def is_lost(statement: Any) -> bool:
        return "INSERT" in str(statement) and not lost

    def lose(connection: Any) -> None:
        lost.append(connection)
        connection.pgconn.finish()
        raise psycopg.OperationalError

    def run(connection: SyncConnection, statement: Any) -> Any:
        losing = is_lost(statement)
        result = [] if losing and is_before else original(connection, statement)
        if losing:
            lose(connection)
        return result

    async def run_async(connection: AsyncConnection, statement: Any) -> Any:
        losing = is_lost(statement)
        result = [] if losing and is_before else await original_async(connection, statement)
        if losing:
            lose(connection)
        return result

    original, original_async = SyncConnection.run, AsyncConnection.run
    monkeypatch.setattr(SyncConnection, "run", run)
    monkeypatch.setattr(AsyncConnection, "run", run_async)
    execute(connections[0], "DELETE FROM shard0008.entities WHERE kind = 42")
    key = db.put(8, 42)
    monkeypatch.undo()

    stored = execute(connections[0], "SELECT id FROM shard0008.entities WHERE kind = 42")
    assert len(lost) == 1
    assert stored == [(key.id,)]


@pytest.mark.parametrize("method", ["put", "get"])
def test_a_call_is_one_round_trip(db: Any, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    key = db.put(1, 1, a="b")
    requests: list[Any] = []

    def run(connection: SyncConnection, statement: Any) -> Any:
        requests.append(statement)
        return original(connection, statement)

    async def run_async(connection: AsyncConnection, statement: Any) -> Any:
        requests.append(statement)
        return await original_async(connection, statement)

    original, original_async = SyncConnection.run, AsyncConnection.run
    monkeypatch.setattr(SyncConnection, "run", run)
    monkeypatch.setattr(AsyncConnection, "run", run_async)
    if method == "put":
        db.put(1, 1, a="b")
    else:
        db.get(key)

    assert len(requests) == 1


def test_a_cancelled_call_releases_its_connection(connections: list[dict[str, Any]]) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'shard0001.entities'::regclass"

    async def cancel() -> dict[str, str | None] | None:
        db = AsyncDatastore(connections, pool_max=1)
        key = await db.put(1, 1, a="b")
        options = {"dbname" if name == "database" else name: value for name, value in connections[0].items()}
        del options["shards"]
        with psycopg.connect(**options) as other:
            other.execute("LOCK TABLE shard0001.entities")
            call = asyncio.create_task(db.get(key))
            while other.execute(waiting).fetchone() == (0,):  # noqa: ASYNC110 (the event is in the server)
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        found = await db.get(key)
        await db.disconnect()
        return found

    assert asyncio.run(cancel()) == {"a": "b"}


# Connections of the caller.


def test_a_cursor_commits_and_an_error_rolls_back(db: Any) -> None:
    with db.cursor(1) as cursor:
        cursor.execute("INSERT INTO shard0001.entities (kind, data) VALUES (51, '')")
    with pytest.raises(ZeroDivisionError), db.cursor(1) as cursor:
        cursor.execute("INSERT INTO shard0001.entities (kind, data) VALUES (52, '')")
        raise ZeroDivisionError
    with db.cursor(1) as cursor:
        cursor.execute("DELETE FROM shard0001.entities WHERE kind IN (51, 52) RETURNING kind")
        found = cursor.fetchall()

    assert [tuple(row) for row in found] == [(51,)]


def test_the_state_of_a_session_ends_with_put_connection(
    open_datastore: Open, connections: list[dict[str, Any]]
) -> None:
    db = open_datastore(connections, pool_max=1)
    with db.cursor(1) as cursor:
        cursor.execute("SET statement_timeout = '77s'")
        cursor.execute("SET search_path = pg_temp")
        cursor.execute("CREATE TEMP TABLE left_over (a INTEGER) ON COMMIT PRESERVE ROWS")
        cursor.execute("SELECT pg_advisory_lock(77)")
    with db.cursor(1) as cursor:
        cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('search_path'), to_regclass('left_over'), "
            "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"
        )
        found = cursor.fetchone()

    assert tuple(found) == ("0", '"$user", public', None, 0)


def test_a_connection_that_was_lost_is_not_used_again(open_datastore: Open, connections: list[dict[str, Any]]) -> None:
    db = open_datastore(connections, pool_max=1)
    with pytest.raises(psycopg.OperationalError), db.cursor(1) as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    key = db.put(1, 1)

    assert db.get(key) == {}


# The log.


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(
            f"{record.getMessage()} {record.args}" if CANARY in str(record.args) else record.getMessage()
        )


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def logger(records: Records) -> logging.Logger:
    made = logging.Logger("test", logging.DEBUG)  # noqa: LOG001 (this test's own)
    made.addHandler(records)
    return made


def test_the_logger_receives_each_statement_with_its_duration_and_no_parameter(
    open_datastore: Open, connections: list[dict[str, Any]], logger: logging.Logger, records: Records
) -> None:
    db = open_datastore(connections, logger=logger)
    db.get(db.put(1, 1, a=CANARY))
    with db.cursor(1) as cursor:
        cursor.execute("SELECT %s::text", (CANARY,))
        cursor.execute(sql.SQL("SELECT {} AS {}").format(sql.Literal(CANARY), sql.Identifier("b")))
        cursor.execute(b"SELECT 4")
        cursor.executemany("SELECT %s::int", [(5,), (6,)])
        with pytest.raises(psycopg.errors.UndefinedTable):
            cursor.execute("SELECT 7 FROM missing")

    statements = [message.rpartition(" (")[0] for message in records.messages]
    assert statements[0].startswith("INSERT INTO shard0001.entities ")
    assert statements[1] == "SELECT data::json FROM shard0001.entities WHERE id = %s"
    assert statements[2:] == [
        "SELECT %s::text",
        'SELECT %s AS "b"',
        "SELECT 4",
        "SELECT %s::int",
        "SELECT 7 FROM missing",
    ]
    assert all(message.endswith(" ms)") for message in records.messages)
    assert CANARY not in str(records.messages)


def test_the_logger_receives_statements_of_copies_streams_and_named_cursors(
    connections: list[dict[str, Any]], logger: logging.Logger, records: Records
) -> None:
    db = Datastore(connections, logger=logger)
    connection = db.get_connection(1)
    with connection.cursor() as cursor:
        list(cursor.stream("SELECT 1"))
        with cursor.copy("COPY (SELECT 2) TO STDOUT") as copy:
            list(copy)
    with connection.cursor("named") as server_cursor:
        server_cursor.execute("SELECT 3")
    db.put_connection(connection)
    db.disconnect()

    statements = [message.rpartition(" (")[0] for message in records.messages]
    assert statements == ["SELECT 1", "COPY (SELECT 2) TO STDOUT", "SELECT 3"]


def test_without_a_logger_nothing_of_a_caller_before_is_logged(
    map_url: str, logger: logging.Logger, records: Records
) -> None:
    with package_database.connect(map_url) as database:
        with Datastore.of(database, logger).cursor(1) as cursor:
            cursor.execute("SELECT 1")
        with Datastore.of(database).cursor(1) as cursor:
            cursor.execute("SELECT 2")

    assert len(records.messages) == 1


# An open database.


def test_a_datastore_of_a_database_shares_its_pools(map_url: str) -> None:
    with package_database.connect(map_url) as database:
        datastore = Datastore.of(database)
        shard = datastore.shard_of("u1")
        datastore.put(shard, 1, a="b")
        database.list_specs(sub="u1")
        connection = datastore.get_connection(shard)
        (backends,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'package-database'"
        ).fetchone() or (None,)
        datastore.put_connection(connection)

    assert shard == shard_of("u1", SHARDS)
    assert backends == 1
    with pytest.raises(RefusedError, match="closed"):
        datastore.put(shard, 1)


def test_a_datastore_of_an_async_database_shares_its_pools(map_url: str) -> None:
    async def use() -> tuple[int, dict[str, str | None] | None]:
        async with package_database.aconnect(map_url) as database:
            datastore = AsyncDatastore.of(database)
            shard = await datastore.shard_of("u1")
            return shard, await datastore.get(await datastore.put(shard, 1, a="b"))

    assert asyncio.run(use()) == (shard_of("u1", SHARDS), {"a": "b"})


def test_the_connections_of_a_database_are_closed_by_the_database(map_url: str) -> None:
    with package_database.connect(map_url) as database:
        datastore = Datastore.of(database)
        for method in (datastore.disconnect, datastore.reinstantiate):
            with pytest.raises(RefusedError, match="close the database"):
                method()

    async def use() -> None:
        async with package_database.aconnect(map_url) as database:
            datastore = AsyncDatastore.of(database)
            with pytest.raises(RefusedError, match="close the database"):
                await datastore.disconnect()
            with pytest.raises(RefusedError, match="close the database"):
                datastore.reinstantiate()

    asyncio.run(use())


def test_an_unknown_shard_of_a_database_is_refused(map_url: str) -> None:
    with package_database.connect(map_url) as database, pytest.raises(ValidationError, match="there is no shard 17"):
        Datastore.of(database).put(17, 1)


def test_a_datastore_needs_a_database_on_postgresql() -> None:
    with package_database.connect("sqlite://") as database:
        with pytest.raises(ConfigurationError, match="on PostgreSQL"):
            Datastore.of(database)
        with pytest.raises(ConfigurationError, match="on PostgreSQL"):
            AsyncDatastore.of(database)  # type: ignore[arg-type]
