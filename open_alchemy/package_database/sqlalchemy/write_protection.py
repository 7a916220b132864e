"""Keeps sessions on PostgreSQL from writing to the package's tables.

PostgreSQL cannot ask before it changes a table, but a transaction keeps the locks of all tables that it changed, by
whatever statement or function. So before a commit, the locks are read, and a transaction that changed one of the
package's tables is refused. Inserts, updates and deletes that SQLAlchemy builds are refused before they are sent, and
so is ``ALTER``, because a renamed table cannot be found by its name afterwards. A function could still rename a table,
which only the table's owner may do.

https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, TableClause, TextClause, event
from sqlalchemy.schema import DDLElement
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase

from ..core.deadline import Deadline
from ..engines.postgresql.dialect import CATALOG
from ..engines.postgresql.errors import failure_of
from ..engines.postgresql.shard_statements import Shard
from ..exceptions import RefusedError
from ..model.schema import TABLES

SHARD: Final = "package_database_shard"
"""The execution option with the number of the shard in which a connection works."""

_OWN: Final = frozenset(name for table in TABLES for name in Shard(1, TABLES).relations(table)) | {"public_keys"}
_SHARD_SCHEMA: Final = re.compile("shard[0-9]{4}")
_ALTER: Final = re.compile(
    rf"\bALTER\b.*\b(?:{CATALOG}|shard[0-9]{{4}}|{'|'.join(map(re.escape, sorted(_OWN)))})\b", re.IGNORECASE | re.DOTALL
)
_CHANGED: Final = """
SELECT coalesce(namespace.nspname || '.' || class.relname, 'a table that was dropped or rewritten')
FROM pg_locks AS held
LEFT JOIN pg_class AS class ON class.oid = held.relation
LEFT JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE held.pid = pg_backend_pid() AND held.locktype = 'relation'
AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND held.mode NOT IN ('AccessShareLock', 'RowShareLock')
AND (class.oid IS NULL OR namespace.nspname = %s
     OR namespace.nspname ~ '^shard[0-9]{4}$' AND class.relname = ANY(%s))
LIMIT 1
"""
_NOT_CODE: Final = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)
_TRANSACTION: Final = re.compile(
    r"\s*(?:BEGIN|START|COMMIT|END|ABORT|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b)|PREPARE\s+TRANSACTION)\b",
    re.IGNORECASE,
)


def protect(engine: Engine) -> None:
    """Makes an engine refuse to change the package's tables."""
    event.listen(engine, "before_execute", _check_construct)
    event.listen(engine, "before_cursor_execute", _check_text)
    event.listen(engine, "set_connection_execution_options", _check_options)
    event.listen(engine, "set_engine_execution_options", _check_options)
    event.listen(engine, "commit", _check_commit)
    event.listen(engine, "prepare_twophase", lambda connection, _: _check_changes(connection))
    event.listen(engine, "commit_twophase", _check_unprepared)


def controls_transaction(text: str) -> bool:
    """Returns whether one of the statements of a text begins or ends a transaction."""
    return any(_TRANSACTION.match(statement) for statement in _NOT_CODE.sub(" ", text).split(";"))


def alters_own(text: str) -> bool:
    """Returns whether a text contains ``ALTER`` with a name of the package."""
    return _ALTER.search(text) is not None


def is_own(name: str, schema: str | None, shard: int | None) -> bool:
    """Returns whether a table is the package's.

    Args:
        name: Its name.
        schema: Its schema; None if the name is not qualified.
        shard: The shard in which unqualified names are looked up.
    """
    if schema is None:
        return shard is not None and name in _OWN
    return schema == CATALOG or (_SHARD_SCHEMA.fullmatch(schema) is not None and name in _OWN)


def _check_construct(connection: Connection, construct: Any, *_: Any) -> None:
    if not isinstance(construct, UpdateBase) or not isinstance(construct.table, TableClause):
        return
    name, schema = construct.table.name, getattr(construct.table, "schema", None)
    if is_own(name, schema, connection.get_execution_options().get(SHARD)):
        raise _refused(name)


def _check_text(_: Any, __: Any, text: str, ___: Any, context: Any, ____: Any) -> None:
    """Refuses to end a transaction without the check, and what the check cannot see."""
    statement = getattr(context.compiled, "statement", None)
    # A text may consist of several statements.
    if isinstance(statement, ClauseElement) and not isinstance(statement, TextClause | DDLElement) and ";" not in text:
        return
    if controls_transaction(text):
        raise RefusedError("a statement cannot begin or end the transaction of the session", code="TransactionControl")
    if alters_own(text):
        raise _refused("a table of the package")


def _check_options(_: Any, options: dict[str, Any]) -> None:
    if str(options.get("isolation_level")).upper() == "AUTOCOMMIT":
        raise RefusedError("autocommit needs a session with allow_writes=True", code="ReadOnly")


def _check_commit(connection: Connection) -> None:
    try:
        _check_changes(connection)
    except BaseException:
        # After an error here, SQLAlchemy returns the connection to the pool as it is.
        connection.connection.rollback()
        raise


def _check_unprepared(connection: Connection, _: Any, is_prepared: bool) -> None:  # noqa: FBT001 (SQLAlchemy's event)
    if not is_prepared:
        _check_changes(connection)


def _check_changes(connection: Connection) -> None:
    failure, changed = None, None
    cursor = connection.connection.cursor()
    try:
        cursor.execute(_CHANGED, (CATALOG, sorted(_OWN)))
        changed = cursor.fetchone()
    except psycopg.Error as error:
        failure = failure_of(error)
    finally:
        cursor.close()
    if failure is not None:
        raise failure.to_error("committing", 1, Deadline(0))
    if changed is not None:
        raise _refused(changed[0])


def _refused(name: str) -> RefusedError:
    return RefusedError(f"{name} is read-only in this session; allow_writes=True allows writes", code="ReadOnly")
