"""The async client: bounded requests in progress, silence, and its end. No sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from open_alchemy.package_database import RefusedError, UnavailableError
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.engines.broker import async_client
from open_alchemy.package_database.engines.broker.async_client import AsyncClient
from open_alchemy.package_database.engines.broker.client_protocol import LOST, NOT_SENT, Exchange
from open_alchemy.package_database.engines.broker.codec import Buffer, encode
from open_alchemy.package_database.engines.broker.messages import VERSION, Answer, Executed, Working


class Connection:
    """Records what a client sends."""

    def __init__(self, _: str, receive: Callable[[Buffer], None]) -> None:
        self.sent: list[Secret] = []
        self.broadcasts: list[Secret] = []
        self.receive = receive
        self.is_closed = False

    def send(self, message: Secret) -> None:
        self.sent.append(message)

    def broadcast(self, message: Secret) -> None:
        self.broadcasts.append(message)

    def withdraw(self, message: Secret) -> bool:
        return message not in self.sent

    def watch(self, lost: Callable[[], None]) -> None:
        self.lost = lost

    async def aclose(self) -> None:
        self.is_closed = True


def exchange(id_: int, *, silence: float = 10.0, seconds: float = 10.0) -> Exchange:
    return Exchange(0, id_, Secret(b"message"), silence, seconds)


def opened() -> tuple[AsyncClient, Connection]:
    connection = Connection("", lambda _: None)
    client = AsyncClient(["address"], lambda *_: connection)
    return client, connection


def answer(client: AsyncClient, id_: int) -> None:
    client.receive(encode(Answer(VERSION, id_, Executed())))


def test_requests_beyond_the_limit_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_client, "MAX_IN_PROGRESS", 2)

    async def run() -> None:
        client, connection = opened()
        tasks = [asyncio.ensure_future(client.perform(exchange(id_))) for id_ in (1, 2, 3)]
        await asyncio.sleep(0)
        assert len(connection.sent) == 2
        answer(client, 1)
        await tasks[0]
        await asyncio.sleep(0)
        answer(client, 2)
        answer(client, 3)
        assert await asyncio.gather(*tasks) == [Executed()] * 3

    asyncio.run(run())


def test_a_request_that_waits_until_its_deadline_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_client, "MAX_IN_PROGRESS", 1)

    async def run() -> None:
        client, connection = opened()
        first = asyncio.ensure_future(client.perform(exchange(1)))
        await asyncio.sleep(0)
        assert await client.perform(exchange(2, seconds=0.01)) == NOT_SENT
        assert len(connection.sent) == 1
        answer(client, 1)
        await first

    asyncio.run(run())


def test_silence_ends_a_request_and_reported_work_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    async def run() -> None:
        client, _ = opened()
        monkeypatch.setattr(client._loop, "time", lambda: now[0])
        tasks = [asyncio.ensure_future(client.perform(exchange(id_, silence=1.0))) for id_ in (1, 2)]
        await asyncio.sleep(0)
        now[0] = 0.9
        client.receive(encode(Answer(VERSION, 0, Working((2,)))))
        now[0] = 1.0
        client._check()
        await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [True, False]
        answer(client, 2)
        assert await asyncio.gather(*tasks) == [None, Executed()]
        await client.aclose()

    asyncio.run(run())


def test_after_silence_a_request_goes_to_each_broker() -> None:
    async def run() -> None:
        client, connection = opened()
        for id_, after_silence in ((1, False), (2, True)):
            message = exchange(id_)._replace(after_silence=after_silence)
            task = asyncio.ensure_future(client.perform(message))
            await asyncio.sleep(0)
            answer(client, id_)
            assert await task == Executed()
        assert (len(connection.sent), len(connection.broadcasts)) == (1, 1)

    asyncio.run(run())


def test_the_end_of_the_connection_ends_requests_that_must_not_be_repeated() -> None:
    async def run() -> None:
        client, connection = opened()
        messages = [exchange(id_)._replace(is_repeatable=id_ == 3) for id_ in (1, 2, 3)]
        tasks = [asyncio.ensure_future(client.perform(message)) for message in messages]
        await asyncio.sleep(0)
        answer(client, 1)
        connection.lost()
        answer(client, 3)
        assert await asyncio.gather(*tasks) == [Executed(), LOST, Executed()]

    asyncio.run(run())


def test_an_error_while_a_request_is_checked_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Secret) -> bool:
        raise ValueError("wrong")

    async def run() -> None:
        client, connection = opened()
        monkeypatch.setattr(connection, "withdraw", fail)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="may have taken effect") as raised:
                await client.perform(exchange(1, silence=0.0))
            assert isinstance(raised.value.__cause__, ValueError)

    asyncio.run(run())


def test_requests_fail_when_the_client_is_closed() -> None:
    async def run() -> None:
        client, _ = opened()
        task = asyncio.ensure_future(client.perform(exchange(1)))
        await asyncio.sleep(0)
        await client.aclose()
        with pytest.raises(RefusedError, match="was closed"):
            await task

    asyncio.run(run())


def test_a_connection_that_is_replaced_is_closed_after_its_requests() -> None:
    async def run() -> None:
        client, _ = opened()
        first, second = Connection("", lambda _: None), Connection("", lambda _: None)
        assert client.connect_to("a", lambda *_: first) == 1
        request = asyncio.ensure_future(client.perform(exchange(1)._replace(broker=1)))
        await asyncio.sleep(0)
        assert client.connect_to("b", lambda *_: second) == 1
        client.send(1, Secret(b"message"))
        await asyncio.sleep(0.1)
        assert (first.is_closed, second.sent) == (False, [b"message"])
        answer(client, 1)
        await request
        await client.aclose()
        assert first.is_closed
        assert second.is_closed

    asyncio.run(run())
