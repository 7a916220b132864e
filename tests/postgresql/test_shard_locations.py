"""The location of a shard, with catalogs as the test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from open_alchemy.package_database import ConfigurationError, RefusedError
from open_alchemy.package_database.engines.postgresql.io_requests import Moving, OnServer, Requests
from open_alchemy.package_database.engines.postgresql.retry import Failure, Kind
from open_alchemy.package_database.engines.postgresql.shard_catalog import ServerCatalog
from open_alchemy.package_database.engines.postgresql.shard_locations import Locations
from open_alchemy.package_database.engines.postgresql.shard_map_file import Server

SERVERS = (Server("db1", "", range(1, 2)), Server("db2", "", range(2, 3)))


def catalog(*located: int, moves: Mapping[int, str] | None = None) -> ServerCatalog:
    return ServerCatalog(2, frozenset(located), moves or {})


def run(requests: Requests[str], *answers: Mapping[str, ServerCatalog | Failure]) -> tuple[str, int]:
    """Returns the server and the number of waits; each wait leads to the next answers."""
    waits, result = 0, None
    while True:
        try:
            request: Any = requests.send(result)
        except StopIteration as stop:
            return stop.value, waits
        if isinstance(request, Moving):
            waits, result = waits + 1, None
        else:
            assert isinstance(request, OnServer)
            result = answers[min(waits, len(answers) - 1)][request.server]


def test_only_the_server_of_the_configuration_is_asked() -> None:
    assert run(Locations(SERVERS, 2).server_of(1), {"db1": catalog(1)}) == ("db1", 0)


def test_a_shard_that_was_moved_is_found() -> None:
    assert run(Locations(SERVERS, 2).server_of(1), {"db1": catalog(), "db2": catalog(1, 2)}) == ("db2", 0)


def test_a_shard_in_transit_is_awaited() -> None:
    in_transit = {"db1": catalog(moves={1: "db2"}), "db2": catalog(2)}
    answers: Sequence[Mapping[str, ServerCatalog | Failure]] = [in_transit] * 9

    assert run(Locations(SERVERS, 2).server_of(1), *answers, {"db1": catalog(), "db2": catalog(1, 2)}) == ("db2", 9)


def test_a_shard_that_no_server_has_is_refused() -> None:
    with pytest.raises(RefusedError, match="no server has shard 1"):
        run(Locations(SERVERS, 2).server_of(1), {"db1": catalog(), "db2": catalog(2)})


def test_a_server_without_a_catalog_is_refused() -> None:
    missing = Failure(Kind.MISSING, "3F000", "no schema")

    with pytest.raises(RefusedError, match="the server db1 has no catalog"):
        run(Locations(SERVERS, 2).server_of(1), {"db1": missing})


def test_another_number_of_shards_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="the configuration has 3 shards, and the server db1 has 2"):
        run(Locations(SERVERS, 3).server_of(1), {"db1": catalog(1)})
