"""The faults of a network and of DynamoDB, put in front of a real local server."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.database import Database
from tests.apis import config_of, connect_to
from tests.canned_server import Behaviour, CannedServer, Handler, fail, reset, serve, stay_silent

Fault: TypeAlias = Callable[["Backend"], Behaviour]
Answer: TypeAlias = tuple[int, bytes]


class Backend:
    """The real server. It remembers the tokens of transactions, as AWS does and moto does not.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._done: dict[str, Any] = {}

    def answer(self, handler: Handler, body: bytes | None = None) -> Answer:
        """Has the server carry a request out, and returns its answer."""
        sent = handler.body if body is None else body
        content = json.loads(sent)
        token = content.get("ClientRequestToken")
        if token in self._done:
            assert self._done[token] == content, "one token for two transactions"
            return 200, b"{}"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
        headers = {name: value for name, value in handler.headers.items() if name.lower() != "content-length"}
        connection.request("POST", "/", body=sent, headers=headers)
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        if token is not None and answer.status == 200:
            self._done[token] = content
        return answer.status, read

    def forward(self, handler: Handler) -> None:
        """Answers as the server does."""
        handler.answer(*self.answer(handler))


def before(behaviour: Behaviour) -> Fault:
    """The fault comes before the request took effect."""
    return lambda _: behaviour


def after(lose: Callable[[Handler, Answer], None]) -> Fault:
    """The request takes effect, and its answer is lost."""
    return lambda backend: lambda handler: lose(handler, backend.answer(handler))


def unprocessed(count: int) -> Fault:
    """So many requests of a batch are left."""

    def behave(backend: Backend, handler: Handler) -> None:
        content = json.loads(handler.body)
        if "RequestItems" not in content:
            return backend.forward(handler)
        ((table, writes),) = content["RequestItems"].items()
        done, left = writes[:-count], writes[-count:]
        if done:
            backend.answer(handler, json.dumps({"RequestItems": {table: done}}).encode())
        return handler.answer(200, json.dumps({"UnprocessedItems": {table: left}}).encode())

    return lambda backend: lambda handler: behave(backend, handler)


def _cut_short(handler: Handler, answer: Answer) -> None:
    handler.send_response(answer[0])
    handler.send_header("Content-Length", str(len(answer[1]) + 10))
    handler.end_headers()
    handler.wfile.write(answer[1])
    handler.close_connection = True


def _cancelled(handler: Handler) -> None:
    content = json.loads(handler.body)
    reasons = [{"Code": "TransactionConflict"} for _ in content.get("TransactItems", ())]
    conflict = fail("TransactionCanceledException", content={"CancellationReasons": reasons})
    (conflict if reasons else fail("TransactionConflictException"))(handler)


PASSING: dict[str, Fault] = {
    "throttled": before(fail("ThrottlingException")),
    "provisioned throughput exceeded": before(fail("ProvisionedThroughputExceededException")),
    "status 500": before(fail("InternalServerError", status=500)),
    "status 503": before(fail("ServiceUnavailable", status=503)),
    "1 unprocessed item": unprocessed(1),
    "24 unprocessed items": unprocessed(24),
    "25 unprocessed items": unprocessed(25),
    "transaction conflict": before(_cancelled),
    "transaction in progress": before(fail("TransactionInProgressException")),
    "reset before the effect": before(reset),
    "reset after the effect": after(lambda handler, _: reset(handler)),
    "body cut short after the effect": after(_cut_short),
    "wrong checksum after the effect": after(lambda handler, answer: handler.answer(*answer, x_amz_crc32="1")),
    "no answer, no effect": before(stay_silent),
    "no answer after the effect": after(lambda handler, _: stay_silent(handler)),
}
LASTING: dict[str, tuple[Fault, str]] = {
    "throttled for ever": (PASSING["throttled"], "UnavailableError"),
    "status 500 for ever": (PASSING["status 500"], "UnavailableError"),
    "items unprocessed for ever": (unprocessed(25), "UnavailableError"),
    "transaction conflict for ever": (PASSING["transaction conflict"], "ConflictError"),
    "transaction in progress for ever": (PASSING["transaction in progress"], "UnavailableError"),
    "reset for ever": (PASSING["reset before the effect"], "UnavailableError"),
    "body cut short for ever": (PASSING["body cut short after the effect"], "UnavailableError"),
    "wrong checksum for ever": (PASSING["wrong checksum after the effect"], "UnavailableError"),
    "no answer for ever": (PASSING["no answer, no effect"], "UnavailableError"),
    "clock skew": (before(fail("InvalidSignatureException")), "RefusedError"),
    "expired credentials": (before(fail("ExpiredTokenException")), "RefusedError"),
    "access denied": (before(fail("AccessDeniedException")), "RefusedError"),
}


@contextmanager
def faulty(backend: Backend, fault: Fault, *, times: int | None = 1) -> Iterator[CannedServer]:
    """Runs a server whose first requests, or all, meet the fault."""
    behaviours = [fault(backend)] * (times or 1)
    with serve(*behaviours, *([backend.forward] if times else [])) as server:
        yield server


@contextmanager
def black_hole() -> Iterator[str]:
    """Gives the URL of a host that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.settimeout(0)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for client in waiting:
            client.close()


def create(database: TDatabase) -> None:
    """A transaction."""
    database.create_update_spec(sub="u1", name="a", version="2.0", model_count=2)


def store_credentials(database: TDatabase) -> None:
    """A put."""
    database.create_update_credentials(sub="u1", id_="new", public_key="pk", secret_key_hash=b"h", salt=b"s")


def get(database: TDatabase) -> object:
    """A read of one item."""
    return database.get_latest_spec_version(sub="u1", name="a")


def list_versions(database: TDatabase) -> object:
    """A query."""
    return [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]


def delete(database: TDatabase) -> None:
    """A read, a query and a transaction."""
    database.delete_spec(sub="u1", name="a")


def revoke(database: TDatabase) -> None:
    """A query and batches."""
    database.delete_all_credentials(sub="u1")


CALLS: dict[str, tuple[Callable[[TDatabase], object], object]] = {
    "create_update_spec": (create, None),
    "create_update_credentials": (store_credentials, None),
    "get_latest_spec_version": (get, "1.0"),
    "list_spec_versions": (list_versions, ["1.0"]),
    "delete_spec": (delete, None),
    "delete_all_credentials": (revoke, None),
}


def meets(fault: str, call: str) -> bool:
    """Returns whether a call can meet a fault: only a batch has items that are left unprocessed."""
    return "unprocessed" not in fault or call == "delete_all_credentials"


def open_at(url: str, *, deadline: float) -> Database:
    """Returns a database whose wire is made, so that its loading is not measured."""
    database = connect_to(config_of(url, deadline=deadline))
    database.engine.prepare()
    return database


def fill(database: TDatabase) -> None:
    """Stores one version of one spec, and 25 credentials."""
    database.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)
    for number in range(25):
        database.create_update_credentials(
            sub="u1", id_=f"{number}", public_key=f"pk {number}", secret_key_hash=b"h", salt=b"s"
        )


def stored(database: TDatabase) -> tuple[list[str], int]:
    """Returns the stored versions, and the number of credentials."""
    specs = database.list_specs(sub="u1")
    versions = database.list_spec_versions(sub="u1", name="a") if specs else []
    return [info["version"] for info in versions], len(database.list_credentials(sub="u1"))


EFFECTS: dict[str, tuple[list[str], int]] = {
    "create_update_spec": (["1.0", "2.0"], 25),
    "create_update_credentials": (["1.0"], 26),
    "delete_spec": ([], 25),
    "delete_all_credentials": (["1.0"], 0),
}
UNTOUCHED: tuple[list[str], int] = (["1.0"], 25)
