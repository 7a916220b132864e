"""The operations of a datastore, for both APIs. No I/O: they yield requests to servers, which an engine executes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging import Logger
from typing import Any, TypeAlias
from uuid import UUID

from ..engines.port import read_deadline
from ..engines.postgresql import datastore_entities
from ..engines.postgresql.config import PostgreSQLConfig
from ..engines.postgresql.io_requests import BatchSteps, Requests
from ..engines.postgresql.sharded_execution import Routing
from ..engines.postgresql.statement_log import logged
from ..exceptions import RefusedError, ValidationError
from ..model.validation import check
from .arguments import check_data, check_key, check_kind, check_shard, read_connections
from .key import BITS, Key

Operation: TypeAlias = Callable[[Routing], Requests[Any]]

_SIGN: int = 1 << BITS - 1


class Operations:
    """Checks the arguments of each call before it returns the operation.

    Args:
        config: The configuration; None if the datastore shares that of a database.
        logger: Logs each statement; None to log nothing.
    """

    def __init__(self, config: PostgreSQLConfig | None, logger: Logger | None) -> None:
        self.config = config
        self._logger = logger
        self._shards = frozenset(shard for server in config.servers for shard in server.shards) if config else None

    @classmethod
    def of(
        cls,
        connections: Sequence[Mapping[str, Any]],
        pool_max: int,
        pool_block_timeout: float,
        logger: Logger | None,
    ) -> Operations:
        """Returns the operations of a datastore that opens its own connections; raises ``ConfigurationError``."""
        deadline = read_deadline(os.environ)
        return cls(read_connections(connections, pool_max, pool_block_timeout, deadline=deadline), logger)

    def check_out(self, shard_id: object) -> Operation:
        """Returns a connection."""
        shard = check_shard(shard_id, self._shards)
        return lambda routing: routing.check_out(shard, self._logger)

    def put(self, shard_id: object, kind: object, data: Mapping[str, object]) -> Operation:
        """Stores an entity and returns its key."""
        shard = check_shard(shard_id, self._shards)
        steps = partial(datastore_entities.put, shard, check_kind(kind), check_data(data), _token())

        def operation(routing: Routing) -> Requests[Key]:
            stored: int = yield from routing.in_shard(shard, self._with_log(steps), "put")
            return Key(stored % (1 << BITS))

        return operation

    def get(self, key: object) -> Operation:
        """Returns the data of an entity, or None."""
        checked = check_key(key)
        shard = check_shard(checked.shard_id, self._shards)
        # PostgreSQL's BIGINT has a sign.
        steps = partial(datastore_entities.get, shard, (checked.id ^ _SIGN) - _SIGN)
        return lambda routing: routing.in_shard(shard, self._with_log(steps), "get")

    def shard_of(self, sub: object) -> Operation:
        """Returns the shard of a user."""
        arguments = {"sub": sub}
        check(arguments)
        return lambda routing: routing.shard_of(str(arguments["sub"]))

    def _with_log(self, steps: Callable[[], BatchSteps[Any]]) -> Callable[[], BatchSteps[Any]]:
        logger = self._logger
        return steps if logger is None else lambda: logged(steps(), logger)


def pool_of(connection: object) -> Any:
    """Returns the pool of a connection; raises ``ValidationError`` if it has none."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        raise ValidationError("connection must be one of get_connection that was not put back")
    return pool


def shared_error() -> RefusedError:
    """Returns the error of closing connections that belong to a database."""
    return RefusedError("the connections are those of the database: close the database", code="Shared")


def _token() -> UUID:
    """Returns a unique token. It starts with the time, so that new ones are close to each other in the index."""
    return UUID(bytes=(time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
