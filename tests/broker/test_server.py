"""The broker: admission, deadlines, late and doubled requests, errors and stopping."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

import pytest

from open_alchemy.package_database import RefusedError, UnavailableError
from open_alchemy.package_database.broker import served_store
from open_alchemy.package_database.broker.change_publishing import PublishingAsyncEngine
from open_alchemy.package_database.broker.coherence_handlers import connect_caches
from open_alchemy.package_database.broker.coherent_engine import coherent
from open_alchemy.package_database.broker.rights import ANYBODY, Client
from open_alchemy.package_database.broker.served_store import MAX_AGE, ServedStore
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.coherence.messages import ReadHeader
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import Delete, StoreOperation, Transact
from open_alchemy.package_database.engines import async_adapter
from open_alchemy.package_database.engines.async_adapter import ThreadedEngine
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.engines.broker.cache_messages import Open
from open_alchemy.package_database.engines.broker.client_protocol import wall_clock
from open_alchemy.package_database.engines.broker.messages import Executed, Failed, Figures, Get, Items, Query
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine
from tests.broker.recording import BlockedEngine, RecordingTransport

P = ParamSpec("P")
GET = Get(SPECS.name, "u", "latest#a")


def put(token: str = "t", version: str = "1", *, is_new: bool = True) -> messages.Transact:  # noqa: S107 (of a transaction)
    item = messages.Item({"sub": "u", "updated_at_id": "latest#a", "id": "a", "version": version})
    condition = messages.Missing("sub") if is_new else None
    return messages.Transact(token, (messages.Put(SPECS.name, item, condition),))


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a test in an event loop."""

    @wraps(test)
    def run(*arguments: P.args, **keywords: P.kwargs) -> None:
        asyncio.run(test(*arguments, **keywords))

    return run


@asynccontextmanager
async def broker(
    engine: AsyncMemoryEngine | None = None, **options: Any
) -> AsyncIterator[tuple[Server, RecordingTransport]]:
    async_engine = engine or AsyncMemoryEngine()
    store = ServedStore(lambda: async_engine, MemoryEngine().administration, TABLES)
    server, transport = Server({"": store}, **options), RecordingTransport()
    await server.start(transport)
    try:
        yield server, transport
    finally:
        await server.aclose()
        assert transport.is_closed


class FailingEngine(AsyncMemoryEngine):
    """An engine that raises an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        raise self._error


@in_loop
async def test_a_doubled_write_takes_effect_once() -> None:
    async with broker() as (_, transport):
        transport.request(1, put())
        assert await transport.answer(1) == Executed()
        transport.request(2, put())
        assert await transport.answer(2) == Executed()


@in_loop
async def test_a_write_that_is_delivered_late_does_not_undo_a_later_one() -> None:
    engine = AsyncMemoryEngine()
    async with broker(engine) as (_, transport):
        transport.request(1, put("first", "1"))
        await transport.answer(1)
        transport.request(2, put("second", "2", is_new=False))
        await transport.answer(2)
        transport.request(3, put("first", "1"))
        assert await transport.answer(3) == Executed()
    assert [item["version"] for item in engine.store.items.values()] == ["2"]


@pytest.mark.parametrize("age", [MAX_AGE + 1, -MAX_AGE - 1])
@in_loop
async def test_a_write_that_is_older_than_the_tokens_is_refused(age: float) -> None:
    engine = AsyncMemoryEngine()
    async with broker(engine) as (_, transport):
        transport.request(1, put(), sent=wall_clock() - age)
        failed = await transport.answer(1)
    assert (failed.error, failed.code, engine.store.items) == ("RefusedError", "RequestExpired", {})


@in_loop
async def test_a_request_that_is_sent_again_while_it_is_executed_is_executed_once() -> None:
    engine = BlockedEngine()
    async with broker(engine) as (_, transport):
        transport.request(1, put())
        transport.request(1, put())
        await asyncio.sleep(0)
        engine.gate.set()
        await transport.answer(1)
    assert len(engine.started) == len(transport.answers) == 1


@in_loop
async def test_requests_beyond_the_concurrency_wait_and_beyond_the_queue_fail() -> None:
    engine = BlockedEngine()
    async with broker(engine, concurrency=2, queue=1) as (server, transport):
        for id_ in range(1, 6):
            transport.request(id_, GET)
        await asyncio.sleep(0)
        assert [(answer.id, answer.body.code) for answer in transport.answers if isinstance(answer.body, Failed)] == [
            (4, "Overloaded"),
            (5, "Overloaded"),
        ]
        assert len(engine.started) == 2
        engine.gate.set()
        await transport.answer(3)
        assert (server.shed, len(engine.started)) == (2, 3)


@pytest.mark.parametrize("body", [b'["transact", 1]', b'["get"]'])
@in_loop
async def test_a_full_broker_does_not_decode_the_operation_that_it_refuses(body: bytes) -> None:
    engine = BlockedEngine()
    async with broker(engine, concurrency=1, queue=0) as (server, transport):
        transport.request(1, GET)
        transport.deliver(b"J[1, 2, 0, 5, %s]" % body)
        assert (await transport.answer(2)).code == "Overloaded"
        assert (server.shed, server.malformed) == (1, 0)
        engine.gate.set()


@in_loop
async def test_a_full_broker_receives_other_messages() -> None:
    engine = BlockedEngine()
    async with broker(engine, concurrency=1, queue=0) as (server, transport):
        transport.request(1, GET)
        transport.request(1, GET)
        transport.request(2, messages.Describe())
        transport.deliver(b"J[1, 3, 0, 5]")
        transport.request(4, GET, read=ReadHeader("session", 1))
        assert [answer.id for answer in transport.answers] == [2, 3, 4]
        assert (server.shed, server.malformed) == (1, 1)
        engine.gate.set()
        assert await transport.answer(1) == messages.Found(None)


@in_loop
async def test_a_request_whose_deadline_ends_in_the_queue_is_not_started() -> None:
    engine, now = BlockedEngine(), [0.0]
    async with broker(engine, concurrency=1, clock=lambda: now[0]) as (_, transport):
        transport.request(1, GET, seconds=5.0)
        transport.request(2, put(), seconds=1.0)
        await asyncio.sleep(0)
        now[0] = 2.0
        engine.gate.set()
        failed = await transport.answer(2)
    assert (failed.error, failed.code) == ("UnavailableError", "DeadlineExceeded")
    assert "was not started" in failed.message
    assert len(engine.started) == 1


@in_loop
async def test_a_client_gets_the_ids_of_requests_in_progress() -> None:
    engine, now = BlockedEngine(), [0.0]
    async with broker(engine, clock=lambda: now[0]) as (server, transport):
        transport.request(7, GET)
        now[0] = 1.0
        server._report_work()
        assert transport.answers[-1] == messages.Answer(1, 0, messages.Working((7,)))
        engine.gate.set()
        await transport.answer(7)


@in_loop
async def test_a_stopping_broker_finishes_what_it_began_and_refuses_the_rest() -> None:
    engine = BlockedEngine()
    async with broker(engine, concurrency=1) as (server, transport):
        transport.request(1, GET)
        transport.request(2, GET)
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(server.aclose())
        await asyncio.sleep(0)
        transport.request(3, GET)
        engine.gate.set()
        await closing
        codes = {answer.id: getattr(answer.body, "code", "") for answer in transport.answers}
    assert codes == {1: "", 2: "Stopping", 3: "Stopping"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RefusedError("/secret/path is full", code="SQLITE_FULL", attempts=2), ("RefusedError", "SQLITE_FULL", 2)),
        (UnavailableError("/secret/path is locked", code="BUSY", attempts=3), ("UnavailableError", "BUSY", 3)),
        (ValueError("canary"), ("UnavailableError", "BrokerError", 0)),
    ],
)
@in_loop
async def test_an_error_is_logged_with_its_reason_and_sent_without_it(
    error: Exception, expected: tuple[str, str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with broker(FailingEngine(error)) as (_, transport):
            transport.request(1, GET)
            failed = await transport.answer(1)
    assert (failed.error, failed.code, failed.attempts) == expected
    assert str(error) not in failed.message
    (record,) = caplog.records
    assert failed.message.rpartition(" ")[2] in record.getMessage()
    assert "canary" not in record.getMessage()


@in_loop
async def test_a_malformed_message_is_answered() -> None:
    async with broker() as (server, transport):
        transport.deliver(b'J[1,9,0,5,["unknown"]]')
        failed = await transport.answer(9)
        assert (failed.code, server.errors) == ("Malformed", 1)


@in_loop
async def test_an_unknown_instance_is_refused() -> None:
    async with broker() as (_, transport):
        transport.deliver(b'J[1,9,0,5,["status"],"other"]')
        assert (await transport.answer(9)).code == "UnknownInstance"


@in_loop
async def test_a_kind_of_request_without_a_handler_is_refused() -> None:
    async with broker() as (_, transport):
        transport.request(1, messages.Call("f", {}))
        assert (await transport.answer(1)).code == "NotOffered"


@in_loop
async def test_status_reports_figures() -> None:
    async with broker() as (_, transport):
        transport.request(1, messages.Status())
        figures = await transport.answer(1)
    assert isinstance(figures, Figures)
    assert (figures.figures["requests"], figures.figures["errors"]) == (1, 0)


@in_loop
async def test_the_description_names_each_attribute_with_its_meaning() -> None:
    async with broker() as (_, transport):
        transport.request(1, messages.Describe())
        described = await transport.answer(1)
    assert [table.name for table in described.tables] == [table.name for table in TABLES]
    assert described.tables[0].attributes[0] == messages.Attribute(*SPECS.attributes[0])


@in_loop
async def test_a_broker_refuses_to_create_tables_unless_it_is_allowed() -> None:
    async with broker() as (_, transport):
        transport.request(1, messages.Administer("create", SPECS.name))
        failed = await transport.answer(1)
    assert (failed.code, "--allow-administration" in failed.message) == ("AdministrationRefused", True)


@pytest.mark.parametrize("attributes", [None, ("id",)])
@in_loop
async def test_a_query_is_answered_in_pages(
    attributes: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_store, "_MAX_PAGE", 2)
    async with broker() as (_, transport):
        names = "abc"
        for id_, name in enumerate(names, 1):
            item = messages.Item({"sub": "u", "updated_at_id": name, "id": name})
            transport.request(id_, messages.Transact(name, (messages.Put(SPECS.name, item),)))
            await transport.answer(id_)
        query = Query(SPECS.name, "u", attributes=attributes)
        transport.request(10, query)
        page = await transport.answer(10)
        assert isinstance(page, Items)
        assert [item.values["id"] for item in page.items] == ["a", "b"]
        assert page.after == {"sub": "u", "updated_at_id": "b"}
        transport.request(11, Query(SPECS.name, "u", attributes=attributes, after=page.after))
        last = await transport.answer(11)
        assert ([item.values["id"] for item in last.items], last.after) == (["c"], None)


@pytest.mark.parametrize(("bytes_per_item", "items"), [(0, 2_000), (500, 2_000), (1_000, 1_000), (400_000, 2)])
def test_a_page_has_about_a_million_bytes(bytes_per_item: int, items: int) -> None:
    assert served_store.page_items(bytes_per_item) == items


@in_loop
async def test_an_item_that_can_be_read_at_once_is_read_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_adapter, "_READ_NOW_SECONDS", 60)
    file = open_memory(SQLiteConfig(), TABLES)
    engine = ThreadedEngine(file)
    publishing = PublishingAsyncEngine(engine, lambda changes, is_certain=True: None, lambda: False)
    await publishing.prepare()
    store = ServedStore(lambda: publishing, file.administration, TABLES, open_reader=lambda: engine)
    # Although it can start no request.
    server, transport = Server({"": store}, concurrency=0, queue=0), RecordingTransport()
    await server.start(transport)
    transport.request(1, GET)
    assert [answer.body for answer in transport.answers] == [messages.Found(None)]
    await server.aclose()
    await publishing.aclose()


@in_loop
async def test_a_refused_read_of_a_session_does_not_end_the_session() -> None:
    clients = [ANYBODY, ANYBODY, Client("web", frozenset({"write"}))]
    async with broker(find_client=lambda _: clients[0]) as (server, transport):
        caching, _, _ = coherent(AsyncMemoryEngine(), MemoryEngine(), TABLES)
        server.stores[""].caching = caching
        connect_caches(server, "tcp://127.0.0.1:1")
        transport.request(1, Open("session", 0))
        for id_, body in ((2, messages.Found), (3, Failed)):
            clients.pop(0)
            transport.request(id_, GET, read=ReadHeader("session", id_ - 1))
            noted = await transport.answer(id_)
            assert isinstance(noted, messages.Noted)
            assert (noted.header.number, type(noted.body)) == (id_ - 2, body)
        figures = server.figures()
        assert [figures[f"cache_{name}"] for name in ("reads", "reads_uncacheable", "revocations")] == [2, 2, 0]


@in_loop
async def test_a_blocking_write_in_the_event_loop_is_refused() -> None:
    async with broker() as (server, _):
        caching, _, engine = coherent(AsyncMemoryEngine(), MemoryEngine(), TABLES)
        server.stores[""].caching = caching
        connect_caches(server, "tcp://127.0.0.1:1")
        with pytest.raises(RefusedError, match="get_async"):
            engine.execute(Transact((Delete(SPECS, {"sub": "u", "updated_at_id": "1"}),), "t"), Deadline(5))
