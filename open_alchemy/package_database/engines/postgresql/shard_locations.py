"""The server of each shard, read from the catalogs of the servers when a shard is first used or was moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ...exceptions import ConfigurationError, RefusedError
from . import shard_catalog
from .io_requests import Moving, OnServer, Requests
from .retry import Failure
from .shard_catalog import ServerCatalog
from .shard_hash import shard_of
from .shard_map_file import Server

COMMAND: Final = "package-database tables create --url ..."
_READS: Final = 3
"""How often the catalogs are read before a shard counts as missing."""


class Locations:
    """The location of each shard, as far as it was needed.

    Args:
        servers: The servers.
        shards: The number of shards according to the configuration; None if only the servers store it.
    """

    def __init__(self, servers: Sequence[Server], shards: int | None) -> None:
        self._servers = servers
        self._shards = shards
        self._catalogs: Mapping[str, ServerCatalog] = {}

    def shard_of(self, key: str) -> Requests[int]:
        """Returns the shard of a key."""
        return shard_of(key, (yield from self.shards()))

    def shards(self) -> Requests[int]:
        """Returns the number of shards."""
        if self._shards is not None:
            return self._shards
        catalogs = self._catalogs
        if not catalogs:
            first = self._servers[0]
            self._catalogs = catalogs = {first.name: (yield from self._read(first))}
        return next(iter(catalogs.values())).shards

    def server_of(self, shard: int) -> Requests[str]:
        """Returns the name of the server that has a shard; waits while a move is between its last two steps.

        Reads the catalog of the server that the configuration names first, so that a shard can be used while other
        servers cannot be reached.

        Raises:
            ConfigurationError: A server has another number of shards than the configuration.
            RefusedError: No server has the shard.
        """
        servers = sorted(self._servers, key=lambda server: shard not in server.shards)
        shared = self._catalogs
        catalogs = dict(shared)
        for server in servers:
            if server.name not in catalogs and _find(shard, catalogs) is None:
                catalogs[server.name] = yield from self._read(server)
        if self._catalogs is shared:
            # Otherwise another thread has removed it as outdated.
            self._catalogs = catalogs
        found = _find(shard, catalogs)
        reads_left = _READS
        while found is None:
            # The shard may have moved between the reads of two catalogs, also when another thread read one of them.
            catalogs = {}
            for server in servers:
                catalogs[server.name] = yield from self._read(server)
            self._catalogs = catalogs
            found = _find(shard, catalogs)
            if found is None:
                reads_left -= 1
                if reads_left <= 0 and not any(shard in catalog.moves for catalog in catalogs.values()):
                    raise _not_created(f"no server has shard {shard}")
                yield Moving(shard)
        return found

    def forget(self) -> None:
        """Makes the next use read the catalogs again."""
        self._catalogs = {}

    def _read(self, server: Server) -> Requests[ServerCatalog]:
        found: ServerCatalog | Failure = yield OnServer(server.name, shard_catalog.read, "reading the catalog")
        if isinstance(found, Failure):
            raise _not_created(f"the server {server.name} has no catalog")
        if found.shards != (self._shards or found.shards):
            raise ConfigurationError(
                f"the configuration has {self._shards} shards, and the server {server.name} has {found.shards}: "
                "the number of shards cannot be changed"
            )
        return found


def _find(shard: int, catalogs: Mapping[str, ServerCatalog]) -> str | None:
    return next((name for name, found in catalogs.items() if shard in found.located), None)


def _not_created(problem: str) -> RefusedError:
    return RefusedError(f"the database was not created: {problem}; run {COMMAND}", code="NotCreated")
