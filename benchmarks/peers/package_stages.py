"""This package, taken apart: each case does what the one before does, and less."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from socket import socket

from .examples import LISTS, NAME, SUB
from .raw_socket import connect

DISTRIBUTIONS = ()
_CHUNK = 1 << 16


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the stages of ``get_spec`` and of a list of 1,000 specs."""
    from open_alchemy.package_database.config import DUMMY_CREDENTIALS
    from open_alchemy.package_database.deadline import Deadline
    from open_alchemy.package_database.driver import drive
    from open_alchemy.package_database.engines.dynamodb import requests
    from open_alchemy.package_database.engines.dynamodb.lean.blocking import BlockingTransport
    from open_alchemy.package_database.engines.dynamodb.lean.core import Core
    from open_alchemy.package_database.engines.dynamodb.lean.credentials import Given
    from open_alchemy.package_database.engines.dynamodb.lean.endpoint import find_endpoint
    from open_alchemy.package_database.engines.dynamodb.lean.wire import LeanWire
    from open_alchemy.package_database.operations import Get, Query
    from open_alchemy.package_database.process import configure, open_database
    from open_alchemy.package_database.tables.schema import SPECS, latest_key

    config = configure()
    database = open_database(config)
    engine = database.engine
    endpoint = find_endpoint(config, {})
    assert not hasattr(endpoint, "reason"), "the lean wire"
    wire = LeanWire(config, endpoint, {})
    transport = BlockingTransport(endpoint, None, 1.0)
    core = Core(endpoint, Given(DUMMY_CREDENTIALS), agent="open-alchemy.package-database", longest=1.0)
    connection = connect(url)

    def stages(
        call: Callable[[], object], operation: Get | Query, action: str, request: requests.Request
    ) -> Mapping[str, Callable[[], object]]:
        data = core.render(action, request, DUMMY_CREDENTIALS)
        answer = transport.exchange(data, 1.0)
        size = _size_of(connection, data)

        def exchange() -> None:
            connection.sendall(data)
            left = size
            while left:
                left -= len(connection.recv(_CHUNK))

        return {
            "call": call,
            "engine": lambda: engine.execute(operation, Deadline(5.0)),
            "attempt": lambda: drive(wire.attempts(action, request, 1.0), wire.perform),
            "transport": lambda: transport.exchange(data, 1.0),
            "socket": exchange,
            "render": lambda: core.render(action, request, DUMMY_CREDENTIALS),
            "read": lambda: core.read(answer),
        }

    list_sub = LISTS["list_1000"][0]
    spec = Get(SPECS, latest_key(SUB, NAME))
    specs = Query(SPECS, list_sub, prefix="latest#")
    taken_apart = {
        "get_spec": stages(partial(database.get_spec, sub=SUB, name=NAME), spec, "GetItem", requests.get_item(spec)),
        "list_1000": stages(partial(database.list_specs, sub=list_sub), specs, "Query", requests.query(specs)),
    }
    return {f"{case}/{stage}": run for case, parts in taken_apart.items() for stage, run in parts.items()}


def _size_of(connection: socket, data: bytes) -> int:
    """Returns the bytes of the answer to a request."""
    connection.sendall(data)
    received = connection.recv(_CHUNK)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    left = length - len(body)
    while left:
        left -= len(connection.recv(_CHUNK))
    return len(head) + 4 + length
