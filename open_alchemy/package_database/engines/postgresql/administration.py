"""Creates, describes, empties and deletes the tables of all shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from ...core.deadline import Deadline
from ...core.operations import Table
from ...exceptions import ConfigurationError, RefusedError
from .. import telemetry
from ..port import KeyInfo, MoveReporter, ShardInfo, TableInfo
from ..sql.execution import COMMIT, StatementSteps
from ..sql.statements import Statement, if_not_exists
from . import datastore_entities, shard_catalog, shard_sizes
from .dialect import POSTGRESQL
from .engine import PostgreSQLEngine
from .io_requests import OnServer, Requests
from .retry import Failure
from .shard_catalog import ServerCatalog
from .shard_hash import DEFAULT_SHARDS, MAX_SHARDS, schema_of
from .shard_map_file import Server
from .shard_statements import Shard

_BEGIN: Final = Statement(f"{POSTGRESQL.begin}; SELECT pg_advisory_xact_lock(7230116, 1)")
"""Starts a transaction, of one command at a time."""
_COLUMNS: Final = """
SELECT class.relname, attribute.attname, upper(format_type(attribute.atttypid, attribute.atttypmod))
       || CASE WHEN "collation".collname = 'C' THEN ' COLLATE "C"' ELSE '' END
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
LEFT JOIN pg_collation AS "collation" ON "collation".oid = attribute.attcollation
WHERE namespace.nspname = %s AND class.relkind = 'r'
"""
_INDEXES_AND_FUNCTIONS: Final = """
SELECT indexname FROM pg_indexes WHERE schemaname = %s
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace(%s)
"""


class PostgreSQLAdministration:
    """The tables of one database, on all its servers. Its methods raise what the engine raises."""

    def __init__(self, engine: PostgreSQLEngine) -> None:
        self._engine = engine
        self._shards = engine.config.shards

    def choose_shards(self, shards: int) -> None:
        """Sets the number of shards that ``create`` creates.

        Raises:
            ConfigurationError: The configuration has another number, or the number is not allowed.
        """
        if not 1 <= shards <= MAX_SHARDS:
            raise ConfigurationError(f"the number of shards must be from 1 to {MAX_SHARDS}")
        if self._engine.config.shards not in (None, shards):
            raise ConfigurationError(f"the configuration has {self._engine.config.shards} shards")
        self._shards = shards

    def create(self, table: Table) -> None:
        """Creates a table in every shard, and the shards where they are missing. Can be repeated after a failure."""
        catalogs = {server.name: found for server, found in self._catalogs()}
        # A shard in transit between two servers is listed by none.
        taken = frozenset[int]().union(*(found.located | found.moves.keys() for found in catalogs.values()))
        for server in self._engine.config.servers:
            here = catalogs[server.name].located if server.name in catalogs else frozenset[int]()
            self._on(server, partial(self._create, server, table, taken - here), f"creating {table.name}")
        self._engine.locations.forget()

    def delete(self, table: Table) -> bool:
        """Drops a table in every shard; with the last table, the shards and the catalog. Returns whether it existed."""
        exists = self.describe(table) is not None
        is_last = all(self.describe(other) is None for other in self._engine.tables if other != table)
        for server, found in self._catalogs():
            steps = partial(self._delete, found.located, table, is_last=is_last)
            self._on(server, steps, f"deleting {table.name}")
        self._engine.locations.forget()
        return exists

    def describe(self, table: Table) -> TableInfo | None:
        """Returns a table with the items and bytes of all shards, or None if it is in no shard."""
        measured: list[tuple[int, int]] = []
        for server, found in self._catalogs():
            measured += self._on(server, partial(self._measure, found.located, table), f"describing {table.name}")
        if not measured:
            return None
        return TableInfo(
            keys=KeyInfo(table.name, table.partition_key, table.sort_key),
            status="ACTIVE",
            indexes=tuple(KeyInfo(index.name, index.partition_key, index.sort_key) for index in table.indexes),
            items=sum(items for items, _ in measured),
            size=sum(size for _, size in measured),
        )

    def differences(self, table: Table) -> list[str]:
        """Returns how a table differs from the schema, in sentences; empty if it does not."""
        catalogs = self._catalogs()
        if not catalogs:
            return ["the table is missing"]
        shards = catalogs[0][1].shards
        located = [number for _, found in catalogs for number in found.located]
        differences = [f"shard {number} is missing" for number in range(1, shards + 1) if number not in located]
        differences += [f"shard {number} is on several servers" for number in set(located) if located.count(number) > 1]
        for server, found in catalogs:
            steps = partial(self._compare, found.located, table)
            differences += self._on(server, steps, f"describing {table.name}")
        return differences

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""
        for server, found in self._catalogs():
            self._on(server, partial(self._clear, found.located, table), f"emptying {table.name}")

    def shards(self) -> list[ShardInfo]:
        """Returns the shards in the order of their numbers, with the rows and bytes of all their tables."""
        found: list[ShardInfo] = []
        for server, read in self._catalogs():
            steps = partial(shard_sizes.measure, read.located | read.moves.keys())
            for number, rows, size in self._on(server, steps, "listing the shards"):
                found.append(ShardInfo(number, server.name, rows, size, read.moves.get(number)))
        return sorted(found)

    def move(self, shard: int, target: str, reporter: MoveReporter) -> None:
        """Moves a shard to another server while it is used, or continues an interrupted move; see ``shard_move``."""
        from .shard_move import move  # Needs psycopg.

        servers = {server.name: server for server in self._engine.config.servers}
        move(shard, target, servers, lambda: {server.name: read for server, read in self._catalogs()}, reporter)
        self._engine.locations.forget()

    def repair(self) -> int:
        """Deletes the stale entries of the global indexes, also while others write, and returns their number."""
        return int(self._run(self._engine.routing.repair(), "repairing the indexes"))

    def _create(self, server: Server, table: Table, moved: frozenset[int]) -> StatementSteps[None]:
        ((encoding,),) = yield Statement("SHOW server_encoding")
        if encoding != "UTF8":
            raise RefusedError(f"the database must have the encoding UTF8, not {encoding}", code="Encoding")
        yield _BEGIN
        for text in (*shard_catalog.CREATE, *datastore_entities.CREATE_IN_CATALOG):
            yield Statement(text)
        yield shard_catalog.store_settings(self._shards or DEFAULT_SHARDS)
        yield COMMIT
        found = yield from shard_catalog.read()
        if found.shards != (self._shards or found.shards):
            raise RefusedError(f"the database has {found.shards} shards, not {self._shards}", code="NumberOfShards")
        for number in server.shards or range(1, found.shards + 1):
            if number not in moved:
                yield _BEGIN
                yield Statement(f"CREATE SCHEMA IF NOT EXISTS {schema_of(number)}")
                for text in self._shard(number).definitions(table).values():
                    yield Statement(if_not_exists(text))
                yield shard_catalog.add_shard(number)
                yield COMMIT

    def _delete(self, located: Iterable[int], table: Table, *, is_last: bool) -> StatementSteps[None]:
        for number in located:
            shard = self._shard(number)
            if is_last:
                yield Statement(f"DROP SCHEMA IF EXISTS {shard.schema} CASCADE")
            else:
                for text in shard.drop(table):
                    yield Statement(text)
        if is_last:
            yield Statement(shard_catalog.DROP)

    def _measure(self, located: Iterable[int], table: Table) -> StatementSteps[list[tuple[int, int]]]:
        measured: list[tuple[int, int]] = []
        for number in located:
            statements = self._shard(number).sql.of(table)
            ((size,),) = yield Statement("SELECT pg_total_relation_size(to_regclass(%s))", (statements.sql_name,))
            if size is not None:
                ((items,),) = yield Statement(statements.count())
                measured.append((items, size))
        return measured

    def _compare(self, located: Iterable[int], table: Table) -> StatementSteps[list[str]]:
        differences: list[str] = []
        for number in sorted(located):
            shard = self._shard(number)
            columns = yield Statement(_COLUMNS, (shard.schema,))
            names = {row[0] for row in (yield Statement(_INDEXES_AND_FUNCTIONS, (shard.schema, shard.schema)))}
            names |= {row[0] for row in columns}
            differences += [
                f"{name} of shard {number} is missing" for name in shard.relations(table) if name not in names
            ]
            types = {(relation, column): type_ for relation, column, type_ in columns}
            differences += [
                f"the column {key[1]} of {key[0]} of shard {number} is {types.get(key, 'missing')}, not {type_}"
                for key, type_ in shard.columns(table).items()
                if key[0] in names and types.get(key) != type_
            ]
        return differences

    def _clear(self, located: Iterable[int], table: Table) -> StatementSteps[None]:
        texts = [text for number in located for text in self._shard(number).clear(table)]
        if texts:
            yield Statement("; ".join(texts))

    def _shard(self, number: int) -> Shard:
        return self._engine.routing.shard(number)

    def _catalogs(self) -> list[tuple[Server, ServerCatalog]]:
        """Returns the servers that have a catalog."""
        found = [
            (server, self._on(server, shard_catalog.read, "reading the catalog"))
            for server in self._engine.config.servers
        ]
        return [(server, read) for server, read in found if not isinstance(read, Failure)]

    def _on(self, server: Server, steps: Callable[[], StatementSteps[Any]], what: str) -> Any:
        """Executes steps on a server; every statement restarts the deadline."""

        def request() -> Requests[Any]:
            return (yield OnServer(server.name, steps, what, reports_progress=True))

        return self._run(request(), what)

    def _run(self, requests: Requests[Any], what: str) -> Any:
        self._engine.prepare()
        deadline = Deadline(self._engine.config.deadline, renewable=True)
        with telemetry.Request("postgresql", what, "catalog") as log:
            return self._engine.run(requests, deadline, log)
