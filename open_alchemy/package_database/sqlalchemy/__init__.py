"""Tables and sessions of the current instance's SQL database, with SQLAlchemy (extra ``sqlalchemy``).

from open_alchemy.package_database.sqlalchemy import get_session, get_table

notes = get_table("notes")
get_session().execute(notes.insert(), {"text": "Hello"})
transaction.commit()
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..extras import imports
from ..instances import api

with imports("open_alchemy.package_database.sqlalchemy", "sqlalchemy"):
    import aiosqlite  # noqa: F401 (the driver for SQLite and asyncio)
    import greenlet  # noqa: F401 (SQLAlchemy's asyncio needs it)
    import zope.sqlalchemy  # noqa: F401
    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session
    from transaction import TransactionManager

from .database import SQLDatabase
from .tables import metadata
from .transaction_managers import transaction_manager, use_transaction_manager


def get_table(name: str, *, sub: str | None = None) -> Table:
    """Returns a table of the current instance's database.

    A table that is declared in ``metadata`` is returned as it is. Any other is reflected once for each instance, on a
    connection of its own, so a table must be committed before. The package's tables, ``package.specs`` and
    ``package.credentials``, have these names on every store.

    Args:
        name: The name; on PostgreSQL also ``schema.name``.
        sub: The unique id of a user. With it, the table is in the user's shard, where the store has shards.

    Raises:
        NotFoundError: The database has no such table.
        RefusedError: The instance is not on SQLite or PostgreSQL, or is in memory; or the store is on many servers
            and ``sub`` is missing.
        UnavailableError: The server does not answer.
    """
    return _database().table(name, sub)


def get_session(
    *, sub: str | None = None, allow_writes: bool = False, manager: TransactionManager | None = None
) -> Session:
    """Returns the session of the current instance that has joined the current transaction.

    It is the same for every call with the same arguments in one transaction, commits and aborts with the transaction,
    and keeps its instance. It cannot be used after the transaction has ended. All statements are committed:
    ``zope.sqlalchemy.mark_changed`` is not needed.

    Args:
        sub: The unique id of a user. With it, unqualified names are tables of the user's shard, where the store has
            shards.
        allow_writes: Whether the session may write to the package's tables.
        manager: The transaction manager; by default ``transaction_manager()``.

    Raises:
        RefusedError: See ``get_table``.
        ConflictError: The shard is being moved to another server; the transaction can be tried again.
        UnavailableError: The server does not answer.
        transaction.interfaces.NoTransaction: The manager is explicit, and no transaction has begun.
    """
    return _database().session(sub, manager or transaction_manager(), allow_writes=allow_writes)


def get_async_session(
    *, sub: str | None = None, allow_writes: bool = False
) -> AbstractAsyncContextManager[AsyncSession]:
    """Returns a session of the current instance for asyncio; use it with ``async with``, and commit it.

    What is not committed at the end of the block is rolled back. The session belongs to no ``transaction``. It keeps
    the instance that was current at this call.

    Args:
        sub: See ``get_session``.
        allow_writes: See ``get_session``.

    Raises:
        RefusedError: See ``get_session``.
    """
    return _database().async_session(sub, allow_writes=allow_writes)


def _database() -> SQLDatabase:
    return api.current().resource(SQLDatabase)


__all__ = [
    "get_async_session",
    "get_session",
    "get_table",
    "metadata",
    "transaction_manager",
    "use_transaction_manager",
]
