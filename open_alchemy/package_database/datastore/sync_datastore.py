"""The datastore for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from ..coherence.dependency_recording import report_untracked
from ..core.deadline import Deadline
from ..engines import telemetry
from ..engines.postgresql.engine import PostgreSQLEngine
from ..exceptions import ConfigurationError
from .generators import Operation, Operations, pool_of, shared_error
from .key import Key

if TYPE_CHECKING:
    from logging import Logger

    from ..engines.postgresql.logged_cursors import Connection, Cursor
    from ..types import TDatabase


class Datastore:
    """Entities on PostgreSQL servers, for any number of threads.

    Opens a connection when it is first needed. A call ends at the deadline of ``PACKAGE_DATABASE_DEADLINE``, 5 seconds
    by default.

    Args:
        connections: A dict for each server, of libpq's parameters, such as ``host`` and ``dbname``, or psycopg2's
            ``database``, and ``shards``: ``"1-9"`` are the shards 1 to 8.
        pool_max: The most connections that a process keeps to each server.
        pool_block_timeout: The most seconds that a call waits for one of them.
        logger: Receives each statement with its duration, at DEBUG; never a parameter.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    def __init__(
        self,
        connections: Sequence[Mapping[str, Any]],
        pool_max: int = 10,
        pool_block_timeout: float = 5,
        logger: Logger | None = None,
    ) -> None:
        self._operations = Operations.of(connections, pool_max, pool_block_timeout, logger)
        self.reinstantiate()

    @classmethod
    def of(cls, database: TDatabase, logger: Logger | None = None) -> Self:
        """Returns a datastore that shares the servers, shards and pools of an open database.

        Raises:
            ConfigurationError: It is not a database on PostgreSQL.
        """

        def resolve() -> PostgreSQLEngine:
            engine = getattr(database, "engine", None)
            if not isinstance(engine, PostgreSQLEngine):
                raise ConfigurationError("a Datastore needs a database on PostgreSQL")
            return engine

        resolve()
        self = cls.__new__(cls)
        self._operations, self._resolve = Operations(None, logger), resolve
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._resolve().config.location}>"

    def get_connection(self, shard_id: int) -> Connection:
        """Returns a connection to the server of a shard; ``put_connection`` must return it to its pool.

        It starts a transaction with the first statement, and its rows have their values by position and by name. Its
        statements have no deadline, and raise psycopg's errors. The tables are ``shard0005.entities`` and so on.

        Raises:
            ValidationError: ``shard_id`` is not a shard.
            RefusedError, UnavailableError: As the functions of the database.
        """
        connection: Connection = self._run("connect", self._operations.check_out(shard_id))
        return connection

    def put_connection(self, connection: Connection) -> None:
        """Returns a connection to its pool; rolls back what was not committed.

        Raises:
            ValidationError: The connection is not one of ``get_connection``, or was returned before.
        """
        pool_of(connection).check_in(connection)

    @contextmanager
    def cursor(self, shard_id: int) -> Iterator[Cursor]:
        """Yields a cursor on the server of a shard; commits at the end, and rolls back after an error.

        See ``get_connection``.
        """
        connection = self.get_connection(shard_id)
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        finally:
            self.put_connection(connection)

    def put(self, /, shard_id: int, kind: int, **kwargs: str | None) -> Key:
        """Stores an entity, and returns its key. Takes effect exactly once, also if a response is lost.

        Args:
            shard_id: The number of the shard.
            kind: A number that distinguishes types of entities.
            **kwargs: The data.

        Raises:
            ValidationError: An argument cannot be stored.
            RefusedError, UnavailableError: As the functions of the database.
        """
        key: Key = self._run("put", self._operations.put(shard_id, kind, kwargs))
        return key

    def get(self, key: Key) -> dict[str, str | None] | None:
        """Returns the data of an entity, or None if it does not exist.

        Raises:
            ValidationError: ``key`` is not a ``Key``, or names an unknown shard.
            RefusedError, UnavailableError: As the functions of the database.
        """
        data: dict[str, str | None] | None = self._run("get", self._operations.get(key))
        return data

    def shard_of(self, sub: str) -> int:
        """Returns the shard of a user, as the database has it; the first call reads the number of shards.

        Raises:
            ValidationError: ``sub`` is not the id of a user.
            RefusedError, UnavailableError: As the functions of the database.
        """
        shard: int = self._run("shard of", self._operations.shard_of(sub))
        return shard

    def disconnect(self) -> None:
        """Closes every connection of every pool; later calls raise ``RefusedError`` until ``reinstantiate``.

        Raises:
            RefusedError: The connections are those of a database: close the database.
        """
        if self._operations.config is None:
            raise shared_error()
        self._resolve().close()

    def reinstantiate(self) -> None:
        """Replaces the pools by new ones. Call ``disconnect`` first.

        Raises:
            RefusedError: The connections are those of a database.
        """
        if self._operations.config is None:
            raise shared_error()
        engine = PostgreSQLEngine(self._operations.config, ())
        self._resolve: Callable[[], PostgreSQLEngine] = lambda: engine

    def _run(self, name: str, operation: Operation) -> Any:
        report_untracked()
        engine = self._resolve()
        engine.prepare()
        with telemetry.Request("postgresql", name, "entities") as log:
            return engine.run(operation(engine.routing), Deadline(engine.config.deadline), log)
