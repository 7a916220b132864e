"""A client in another language would look like this: pyzmq and msgspec, and nothing of this package."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
import zmq

from open_alchemy.package_database import connect
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from tests.broker import application
from tests.broker.brokers import RunningBroker, run_application


class ForeignError(Exception):
    """The broker answered with an error, or did not answer."""


class ForeignClient:
    """One connection to one broker, with one request at a time (docs/broker.md)."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(address)
        self._ids = count(1)
        self._parts: dict[bytes, list[bytes]] = {}

    def request(self, body: list[Any], *, seconds: float = 5.0) -> list[Any]:
        """Sends a request, and returns the body of its answer."""
        id_, end = next(self._ids), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            # The same id for each attempt; a transaction also contains its token.
            self._socket.send(b"M" + msgspec.msgpack.encode([1, id_, time.time(), left, body]))
            answer = self._receive(id_, min(end, time.monotonic() + 1.0))
            if answer is not None:
                if answer[0] == "failed":
                    raise ForeignError(*answer[1:4])
                return answer
        raise ForeignError("no answer")

    def receive(self) -> list[Any]:
        """Returns the body of the next message that answers no request."""
        assert self._socket.poll(10_000)
        return list(msgspec.msgpack.decode(self._socket.recv()[1:])[2])

    def _receive(self, id_: int, end: float) -> list[Any] | None:
        """Returns the answer to a request; None if the broker is silent for a second."""
        while self._socket.poll(max(0, round((end - time.monotonic()) * 1000))):
            data = self._assemble(self._socket.recv())
            if not data:
                continue
            assert data[:1] == b"M"
            version, answered, body = msgspec.msgpack.decode(data[1:])
            assert version == 1
            if answered == id_:
                return list(body)
            if body[0] == "working" and id_ in body[1]:
                end += 1.0
        return None

    def _assemble(self, data: bytes) -> bytes:
        """Returns a message; nothing while parts of it are missing."""
        if data[:1] not in {b"+", b"."}:
            return data
        parts = self._parts.setdefault(data[1:9], [])
        assert int.from_bytes(data[9:11]) == len(parts)
        parts.append(data[11:])
        return b"".join(self._parts.pop(data[1:9])) if data[:1] == b"." else b""

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    with run_application(SQLiteConfig(memory="foreign"), application.__name__) as running:
        yield running


@pytest.fixture
def client(broker: RunningBroker) -> Iterator[ForeignClient]:
    opened = ForeignClient(broker.config.addresses[0])
    yield opened
    opened.close()


def test_it_reads_what_the_package_wrote(broker: RunningBroker, client: ForeignClient) -> None:
    with connect(broker.url) as database:
        database.create_update_spec(sub="u", name="My.Spec", version="1.0", model_count=3)
    kind, [values, secrets] = client.request(["get", "package.specs", "u", "latest#my-spec"])
    assert (kind, values["name"], values["model_count"], secrets) == ("found", "My.Spec", 3, {})


def test_it_reads_a_long_answer(client: ForeignClient) -> None:
    item = {"sub": "long", "updated_at_id": "latest#a", "id": "a", "title": "x" * 200_000}
    assert client.request(["transact", "token", [["put", "package.specs", [item]]]]) == ["executed", []]
    assert client.request(["get", "package.specs", "long", "latest#a"]) == ["found", [item, {}]]


def test_its_transaction_takes_effect_once_per_token(client: ForeignClient) -> None:
    item = {"sub": "u", "id": "c", "public_key": "p", "encoding": "raw"}
    put = ["put", "package.credentials", [item, {"secret_key_hash": b"\x01", "salt": b"\x02"}], ["missing", "sub"]]
    assert client.request(["transact", "token-1", [put]]) == ["executed", []]
    assert client.request(["transact", "token-1", [put]]) == ["executed", []]
    kind, [[failed, [old, _]]] = client.request(["transact", "token-2", [put]])
    assert (kind, failed, old) == ("executed", 0, item)


def test_it_finds_the_keys_of_each_table_in_the_description(client: ForeignClient) -> None:
    kind, tables = client.request(["describe"])
    assert (kind, [table[:3] for table in tables]) == (
        "described",
        [["package.specs", "sub", "updated_at_id"], ["package.credentials", "sub", "id"]],
    )


def test_an_unknown_request_is_an_error(client: ForeignClient) -> None:
    with pytest.raises(ForeignError, match="malformed"):
        client.request(["unknown"])


def test_it_calls_an_exposed_function(client: ForeignClient) -> None:
    assert client.request(["call", f"{application.__name__}:count", {"sub": "u", "at_least": 7}]) == ["returned", 7]
    with pytest.raises(ForeignError, match="the argument sub is missing"):
        client.request(["call", f"{application.__name__}:count", {}])


def test_it_gets_the_changes_of_a_user(broker: RunningBroker, client: ForeignClient) -> None:
    kind, epoch, number = client.request(["subscribe", "mine", "reader"])
    assert (kind, number) == ("subscribed", 0)
    with connect(broker.url) as database:
        database.delete_all(sub="other")
        database.create_update_credentials(sub="reader", id_="c", public_key="of reader", secret_key_hash=b"", salt=b"")
    change = ["created", "package.credentials", "reader", "c", None]
    assert client.receive() == ["changed", "mine", epoch, 1, [change]]
    assert client.request(["subscribe", "mine", "reader"]) == ["subscribed", epoch, 1]


def test_a_client_that_subscribes_and_never_reads_delays_nobody(broker: RunningBroker) -> None:
    context = zmq.Context()
    with context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.RCVHWM, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(broker.config.addresses[0])
        for id_ in range(1, 200):
            # Each is a subscription of its own, so that each write is sent 199 times.
            socket.send(b"J" + msgspec.json.encode([1, id_, time.time(), 5, ["subscribe", str(id_)]]))
        with connect(broker.url) as database:
            for _ in range(30):
                database.create_update_credentials(
                    sub="writer", id_="c", public_key="of writer", secret_key_hash=b"", salt=b""
                )
            assert len(database.list_credentials(sub="writer")) == 1
