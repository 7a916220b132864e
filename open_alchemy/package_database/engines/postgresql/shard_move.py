"""Moves a shard from one server to another: executes the steps that ``shard_move_steps`` decides.

A command that is killed between any two statements leaves a state from which the same command continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg

from ...core.deadline import Deadline
from ...exceptions import RefusedError, UnavailableError
from ..port import MoveReporter, Progress
from ..sql.statements import Row, Statement
from . import pgoutput, schema_copy, shard_move_steps
from .admin_connection import AdminConnection, opened
from .dialect import CATALOG
from .errors import connection_failure_of, failure_of
from .schema_copy import CopiedTable
from .shard_catalog import ServerCatalog
from .shard_hash import schema_of
from .shard_map_file import Server
from .shard_move_steps import Step

_BATCH: Final = 10_000
"""About how many changes are read and applied together."""
_MAX_BATCHES: Final = 1_000
_LOCK_ATTEMPTS: Final = 30
_LOCK_PAUSE: Final = 0.2
_SOURCE_LOCK: Final = 2
_READER_LOCK: Final = 3
"""Advisory locks. A session of a killed command may still execute its last statement; the next command waits for it."""
_PLUGIN_OPTIONS: Final = "'proto_version', '1', 'publication_names'"


@dataclass(frozen=True, slots=True)
class Mover:
    """One move of a shard.

    Attributes:
        shard: The shard.
        source: A session with the server that has the shard. It holds the locks.
        reader: Another session with this server, which reads a snapshot and the changes.
        target: A session with the other server.
        replicates: Whether the source supports logical replication.
        progress: Shows the progress.
    """

    shard: int
    source: AdminConnection
    reader: AdminConnection
    target: AdminConnection
    replicates: bool
    progress: Progress

    @property
    def schema(self) -> str:
        """The schema of the active shard."""
        return schema_of(self.shard)

    @property
    def copy(self) -> str:
        """The schema of the copy on the target, and the name of the publication."""
        return f"moving{self.shard:04d}"

    @property
    def retired(self) -> str:
        """The schema of the shard on the source after the switch."""
        return f"retired{self.shard:04d}"

    def execute(self, step: Step) -> None:
        """Executes a step.

        Raises:
            RefusedError: The shard has what cannot be copied, or the copies differ. The source is unchanged.
            UnavailableError: The tables could not be locked.
        """
        match step:
            case Step.START:
                self._check_content()
                insert = f"INSERT INTO {CATALOG}.moves VALUES (%s, %s)"  # noqa: S608 (a constant)
                self.source.execute(insert, (self.shard, self.target.name))
            case Step.COPY:
                self._copy()
            case Step.SWITCH:
                self._switch()
            case Step.ACTIVATE:
                self.target.execute(
                    f"BEGIN; ALTER SCHEMA {self.copy} RENAME TO {self.schema}; "  # noqa: S608 (names of the schema)
                    f"INSERT INTO {CATALOG}.shards VALUES ({self.shard}); {self._forget_copy()}; COMMIT"
                )
            case Step.CLEAN:
                self._end_replication()
                self.source.execute(
                    f"BEGIN; DROP SCHEMA IF EXISTS {self.retired} CASCADE; {self._forget_move()}; COMMIT"
                )
            case Step.CANCEL:
                self._cancel()
            case Step.DONE:
                pass

    def is_copied(self) -> bool:
        """Returns whether the target has a copy and the source the changes since it was made."""
        copied = self.target.execute(f"SELECT 1 FROM {CATALOG}.copies WHERE shard = %s", (self.shard,))  # noqa: S608 (a constant)
        slots = self.reader.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (self._slot(),))
        return bool(copied and slots)

    def _check_content(self) -> None:
        found = [name for (name,) in self.source.execute(*schema_copy.unsupported(self.schema))]
        if found:
            raise RefusedError(
                f"{self.schema} on {self.source.name} has more than tables, indexes, sequences and functions, "
                f"which a move does not copy: {', '.join(sorted(found))}",
                code="NotMovable",
            )

    def _copy(self) -> None:
        """Copies the tables as of one moment, from which the replication slot has all changes."""
        slot = self._slot()
        self._drop_slot()
        tables = self._tables()
        identities = "; ".join(f'ALTER TABLE {self.schema}."{table.name}" REPLICA IDENTITY FULL' for table in tables)
        names = ", ".join(f'{self.schema}."{table.name}"' for table in tables)
        with self._locked("ACCESS EXCLUSIVE", tables):
            self.source.execute(
                f"{identities}; DROP PUBLICATION IF EXISTS {self.copy}; "
                f"CREATE PUBLICATION {self.copy} FOR TABLE {names}"
            )
        self.reader.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
        position = self._begin_snapshot(tables)
        self._copy_tables(self.reader, tables, _lsn(position))
        self.reader.execute("COMMIT")

    def _begin_snapshot(self, tables: list[CopiedTable]) -> int:
        """Begins a transaction of the reader, which has exactly the changes up to the returned position in the WAL."""
        with self._locked("SHARE", tables):
            # No transaction is writing.
            self.reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            ((position,),) = self.reader.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        return int(position)

    def _copy_tables(self, source: AdminConnection, tables: list[CopiedTable], position: str | None) -> None:
        """Creates and fills the schema of the copy, in one transaction."""
        created = [text for _, text in source.execute(*schema_copy.definitions(self.schema))]
        self.target.execute(
            f"BEGIN; DROP SCHEMA IF EXISTS {self.copy} CASCADE; {self._forget_copy()}; "
            "SET LOCAL check_function_bodies = off; "
            + "; ".join([f"CREATE SCHEMA {self.schema}", *created, f"ALTER SCHEMA {self.schema} RENAME TO {self.copy}"])
        )
        with self.progress(f"copying shard {self.shard}", sum(table.rows for table in tables) or None) as advance:
            for table in tables:
                read = schema_copy.copy_out(self.schema, table.name)
                self.target.copy_from(source, read, schema_copy.copy_in(self.copy, table.name), advance)
        self.target.execute(f"INSERT INTO {CATALOG}.copies VALUES (%s, %s)", (self.shard, position))  # noqa: S608 (a constant)
        self.target.execute("COMMIT")

    def _switch(self) -> None:
        tables = self._tables()
        if self.replicates:
            self._verify_snapshot(tables)
            with self.progress(f"following shard {self.shard}", None) as advance:
                before: int | None = None
                for _ in range(_MAX_BATCHES):
                    changes, _ = self._follow(tables)
                    advance(changes)
                    if shard_move_steps.is_lockable(changes, before):
                        break
                    before = changes
        with self._locked("ACCESS EXCLUSIVE", tables):
            if self.replicates:
                self._follow_to(self._flush(), tables)
            else:
                self._copy_tables(self.source, tables, None)
            self._copy_sequences()
            self._verify(tables)
            self.source.execute(
                f"ALTER SCHEMA {self.schema} RENAME TO {self.retired}; "  # noqa: S608 (names of the schema)
                f"DELETE FROM {CATALOG}.shards WHERE shard = {self.shard}"
            )

    def _flush(self) -> int:
        """Flushes the WAL, and returns its end; a commit with ``synchronous_commit = off`` does not flush it."""
        self.reader.execute("SELECT pg_logical_emit_message(true, 'package_database', '')")
        return self._flushed()

    def _flushed(self) -> int:
        ((position,),) = self.reader.execute("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
        return int(position)

    def _follow_to(self, end: int, tables: list[CopiedTable]) -> None:
        """Applies all changes up to a position to the copy."""
        is_complete = False
        while not is_complete:
            _, is_complete = self._follow(tables, end)

    def _follow(self, tables: list[CopiedTable], until: int | None = None) -> tuple[int, bool]:
        """Applies a batch of changes to the copy, with the position up to which they go.

        Args:
            tables: The tables.
            until: The position in the WAL after which no change is applied; None for its end.

        Returns:
            The number of changes, and whether no others follow up to the position.
        """
        slot = self._slot()
        flushed = self._flushed() if until is None else until
        where = f"FROM {CATALOG}.copies WHERE shard = {self.shard}"
        ((applied,),) = self.target.execute(f"SELECT (position - '0/0')::bigint {where}")
        peek = f"SELECT data FROM pg_logical_slot_peek_binary_changes(%s, %s, %s, {_PLUGIN_OPTIONS}, %s)"  # noqa: S608 (a constant)
        messages = self.reader.execute(peek, (slot, _lsn(flushed), _BATCH, self.copy))
        transactions = list(pgoutput.decode(bytes(message) for (message,) in messages))
        changes = [change for done in transactions if done.end > applied for change in done.changes]
        is_complete = len(messages) < _BATCH
        end = max([applied, *(done.end for done in transactions), *([flushed] if is_complete else [])])
        self._apply(tables, changes, end)
        self.reader.execute("SELECT pg_replication_slot_advance(%s, %s)", (slot, _lsn(end)))
        return len(changes), is_complete

    def _apply(self, tables: list[CopiedTable], changes: list[pgoutput.Change], end: int) -> None:
        by_name = {table.name: table for table in tables}
        statements: list[Statement] = []
        for change in changes:
            if change.old is not None:
                text = schema_copy.delete(self.copy, by_name[change.table])
                statements.append(Statement(text, (pgoutput.composite(change.old),)))
            if change.new is not None:
                text = schema_copy.insert(self.copy, change.table)
                statements.append(Statement(text, (pgoutput.composite(change.new),)))
        note = Statement(f"UPDATE {CATALOG}.copies SET position = %s WHERE shard = %s", (_lsn(end), self.shard))  # noqa: S608 (a constant)
        self.target.execute("BEGIN")
        affected = self.target.execute_all([*statements, note])
        if any(rows != 1 for rows in affected):
            raise RefusedError(f"the copy of shard {self.shard} on {self.target.name} was changed", code="CopyDiffers")
        self.target.execute("COMMIT")

    def _copy_sequences(self) -> None:
        for (name,) in self.source.execute(*schema_copy.sequences(self.schema)):
            ((value, is_called),) = self.source.execute(schema_copy.read_sequence(self.schema, name))
            self.target.execute(*schema_copy.set_sequence(self.copy, name, (value, is_called)))

    def _verify_snapshot(self, tables: list[CopiedTable]) -> None:
        """Compares the checksums of the source, as of one moment, and of the copy as of the same moment.

        Writers do not wait. Later, each change that is applied changes exactly one row.
        """
        position = self._begin_snapshot(tables)
        with self.progress(f"verifying shard {self.shard}", 2 * len(tables)) as advance:
            stored = self._read_all(self.reader, self.schema, schema_copy.checksum, tables, advance)
            self.reader.execute("COMMIT")
            self._flush()
            self._follow_to(position, tables)
            self._compare(stored, self._read_all(self.target, self.copy, schema_copy.checksum, tables, advance), tables)

    def _verify(self, tables: list[CopiedTable]) -> None:
        """Compares the source and the copy while the tables are locked: both servers read at once."""
        query = schema_copy.count if self.replicates else schema_copy.checksum
        with ThreadPoolExecutor(1) as threads:
            copied = threads.submit(self._read_all, self.target, self.copy, query, tables)
            self._compare(self._read_all(self.source, self.schema, query, tables), copied.result(), tables)

    def _read_all(
        self,
        session: AdminConnection,
        schema: str,
        query: Callable[[str, str], str],
        tables: list[CopiedTable],
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Row]:
        """Returns the result of a query on each table."""
        results: list[Row] = []
        for table in tables:
            results += session.execute(query(schema, table.name))
            advance(1)
        return results

    def _compare(self, stored: list[Row], copied: list[Row], tables: list[CopiedTable]) -> None:
        for table, first, second in zip(tables, stored, copied, strict=True):
            if first != second:
                raise RefusedError(
                    f"{table.name} of shard {self.shard} differs on {self.source.name} and {self.target.name}; "
                    f"the shard stays on {self.source.name}",
                    code="CopyDiffers",
                )

    def _cancel(self) -> None:
        tables = self._tables()
        self._end_replication()
        self.target.execute(f"BEGIN; DROP SCHEMA IF EXISTS {self.copy} CASCADE; {self._forget_copy()}; COMMIT")
        identities = "; ".join(f'ALTER TABLE {self.schema}."{table.name}" REPLICA IDENTITY DEFAULT' for table in tables)
        with self._locked("ACCESS EXCLUSIVE", tables):
            self.source.execute(f"{identities}; {self._forget_move()}")

    def _tables(self) -> list[CopiedTable]:
        rows = self.reader.execute(*schema_copy.tables(self.schema))
        return [CopiedTable(name, tuple(identity), rows) for name, identity, rows in rows]

    @contextmanager
    def _locked(self, mode: str, tables: list[CopiedTable]) -> Iterator[None]:
        """Executes its block in a transaction on the source that has the tables locked.

        Writers wait behind the lock. So it is tried for a short time only, and again after a pause: a caller who has a
        connection of the datastore may keep a transaction open.
        """
        for _ in range(_LOCK_ATTEMPTS):
            self.source.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                self.source.execute(schema_copy.lock(self.schema, tables, mode))
                break
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                self.source.execute("ROLLBACK")
            time.sleep(_LOCK_PAUSE)
        else:
            raise UnavailableError(f"the tables of shard {self.shard} on {self.source.name} are locked by others")
        yield
        self.source.execute("COMMIT")

    def _slot(self) -> str:
        """Returns the name of the replication slot: unique on the server, which may have several databases."""
        ((database,),) = self.reader.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        return f"package_database_{database}_{self.shard}"

    def _drop_slot(self) -> None:
        text = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
        self.reader.execute(text, (self._slot(),))

    def _end_replication(self) -> None:
        self._drop_slot()
        self.source.execute(f"DROP PUBLICATION IF EXISTS {self.copy}")

    def _forget_copy(self) -> str:
        return f"DELETE FROM {CATALOG}.copies WHERE shard = {self.shard}"  # noqa: S608 (a constant)

    def _forget_move(self) -> str:
        return f"DELETE FROM {CATALOG}.moves WHERE shard = {self.shard}"  # noqa: S608 (a constant)


def move(
    shard: int,
    target: str,
    servers: Mapping[str, Server],
    catalogs: Callable[[], Mapping[str, ServerCatalog]],
    reporter: MoveReporter,
) -> None:
    """Moves a shard, or continues a move.

    Args:
        shard: The shard.
        target: The name of the server to which it moves; the one that has it, to cancel an unfinished move.
        servers: The servers of the configuration by their names.
        catalogs: Reads the catalogs of the servers that have one.
        reporter: Shows warnings and the progress.

    Raises:
        ConfigurationError: There is no such server or shard.
        RefusedError: A server refuses, another command is moving the shard, or the copies differ.
        UnavailableError: A server does not answer, or the tables are locked.
    """
    found = catalogs()
    shard_move_steps.check(shard, target, found, tuple(servers))
    state = shard_move_steps.state_of(shard, found)
    other = target if target != state.source else state.target
    if other is None:
        return
    try:
        with (
            opened(servers[state.source], _SOURCE_LOCK) as source,
            opened(servers[state.source], _READER_LOCK) as reader,
            opened(servers[other], _SOURCE_LOCK) as session,
        ):
            reason = _not_replicated_because(reader)
            mover = Mover(shard, source, reader, session, reason is None, reporter.progress)
            step = None
            while step is not Step.DONE:
                state = shard_move_steps.state_of(shard, catalogs())
                step = shard_move_steps.next_step(
                    state, target, is_copied=mover.is_copied(), replicates=mover.replicates
                )
                if step is Step.SWITCH and reason is not None:
                    reporter.warn(f"{reason}: shard {shard} is locked while it is copied")
                mover.execute(step)
    except psycopg.Error as error:
        failure = (connection_failure_of if error.sqlstate is None else failure_of)(error)
    else:
        return
    # Outside of the handler: the driver's message may contain values of rows.
    raise failure.to_error(f"moving shard {shard}", 1, Deadline(0))


def _not_replicated_because(reader: AdminConnection) -> str | None:
    ((level, may_replicate),) = reader.execute(
        "SELECT current_setting('wal_level'), rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    if level != "logical":
        return f"wal_level of {reader.name} is {level}, not logical"
    return None if may_replicate else f"the role on {reader.name} lacks the attribute REPLICATION"


def _lsn(position: int) -> str:
    """Returns a position in the WAL as text."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
