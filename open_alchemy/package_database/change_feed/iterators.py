"""The changes that a broker publishes, for asyncio and for threads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from functools import partial
from itertools import count
from typing import Any, Final, Self
from weakref import ref

from ..engines.background_loop import LoopRunner
from ..engines.broker.client_protocol import wall_clock
from ..engines.broker.codec import Buffer, MessageError, decode_answer, encode
from ..engines.broker.config import BrokerConfig
from ..engines.broker.errors import to_error
from ..engines.broker.messages import VERSION, Changed, Failed, Request, Subscribe, Subscribed
from ..engines.broker.transport_registry import codec_of, find_connect
from ..engines.broker.transports import Connection
from ..exceptions import BaseError, ConfigurationError, RefusedError, UnavailableError
from ..instances import api
from ..model.schema import TABLES
from ..model.validation import check
from .stream import RENEW_SECONDS, ChangeStream, Event

_TABLES: Final = {table.name: table for table in TABLES}


def changes(sub: str | None = None) -> AsyncGenerator[Event]:
    """Yields the changes that other processes make through the broker, from now on; for asyncio.

    The first event is ``Missed``: the subscription is active, and what is read from now on is up to date with the
    changes that follow. ``Missed`` follows whenever changes may be missing: a message was lost, a broker has started or
    does not answer, or the reader is more than 10,000 changes behind. The generator continues by itself when brokers
    come back. Close it with ``aclose()``, or by ending its task.

    Args:
        sub: Only the changes of this user; None for all.

    Raises:
        ConfigurationError: The database of this process is not behind a broker.
        ValidationError: ``sub`` cannot be a user's id.
        RefusedError: The broker refuses subscriptions.
        UnavailableError: No broker answered before the deadline of a call, at the start.
    """
    return _read(_config(), _partition(sub))


def iter_changes(sub: str | None = None) -> ChangeIterator:
    """Returns an iterator over the changes that ``changes`` yields, for threads; close it, or use it in ``with``.

    Args:
        sub: Only the changes of this user; None for all.

    Raises:
        ConfigurationError: See ``changes``; further errors are raised by the iterator.
        ValidationError: See ``changes``.
    """
    return ChangeIterator(_config(), _partition(sub))


class ChangeIterator:
    """Iterates over changes, in a thread. ``close`` may be called in another thread, and ends the iteration."""

    def __init__(self, config: BrokerConfig, partition: str | None) -> None:
        self._runner = LoopRunner()
        self._subscription: _Subscription | None = None
        self._open = partial(_Subscription, config, partition, ref(self))
        self._is_closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = None if self._is_closed else self._runner.run(self._next())
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Ends the subscription. May be called again."""
        if not self._is_closed:
            self._is_closed = True
            self._runner.run(self._close())
            self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _next(self) -> Event | None:
        if self._subscription is None:
            self._subscription = self._open()
        return await self._subscription.next()

    async def _close(self) -> None:
        if self._subscription is not None:
            await self._subscription.aclose()


class _Subscription:
    """A subscription to each broker, on separate connections, renewed by a timer.

    Args:
        config: The brokers.
        partition: The user; None for all.
        reader: Returns None when the reader was collected, which ends the subscription.
    """

    def __init__(self, config: BrokerConfig, partition: str | None, reader: Callable[[], object]) -> None:
        self._stream = ChangeStream(_TABLES)
        self._error: BaseError | None = None
        self._is_closed = False
        self._reader = reader
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._body = Subscribe(secrets.token_hex(16), partition)
        self._ids = count(1)
        self._changed = asyncio.Event()
        self._end = self._loop.time() + config.deadline
        connect = find_connect(config)
        self._connections: list[Connection] = [connect(address, self._receive) for address in config.addresses]
        self._timer: asyncio.Handle = self._loop.call_soon(self._renew)

    async def next(self) -> Event | None:
        """Returns the next event; None when the subscription was closed."""
        while not self._is_closed:
            if (event := self._stream.next()) is not None:
                return event
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        return None

    async def aclose(self) -> None:
        """Closes the connections; the brokers forget the subscription."""
        self._is_closed = True
        self._changed.set()
        self._timer.cancel()
        await asyncio.gather(*(connection.aclose() for connection in self._connections))

    def _renew(self) -> None:
        if self._reader() is None:
            self._closing = asyncio.ensure_future(self.aclose())
            return
        now = self._loop.time()
        self._timer = self._loop.call_at(now + RENEW_SECONDS, self._renew)
        self._stream.expire(now)
        if not self._stream.is_started and now > self._end:
            text = f"no broker answered the subscription before the deadline ({self._config.deadline:.1f} s)"
            self._error = UnavailableError(text, code="DeadlineExceeded", seconds=self._config.deadline)
        request = Request(VERSION, next(self._ids), wall_clock(), RENEW_SECONDS, self._body, self._config.instance)
        message = encode(request, codec_of(self._config))
        for connection in self._connections:
            connection.broadcast(message)
        self._changed.set()

    def _receive(self, data: Buffer) -> None:
        try:
            body = decode_answer(data).body
        except MessageError:
            return
        if isinstance(body, Subscribed) or (isinstance(body, Changed) and body.subscription == self._body.subscription):
            self._stream.receive(body, self._loop.time())
        elif isinstance(body, Failed) and isinstance(error := to_error(body), RefusedError):
            self._error = error
        self._changed.set()


async def _read(config: BrokerConfig, partition: str | None) -> AsyncGenerator[Event]:
    subscription = _Subscription(config, partition, lambda: True)
    try:
        while (event := await subscription.next()) is not None:
            yield event
    finally:
        await subscription.aclose()


def _config() -> BrokerConfig:
    config = api.current().config
    if not isinstance(config, BrokerConfig):
        raise ConfigurationError("changes are published by a broker: the URL of the database is none of a broker")
    return config


def _partition(sub: str | None) -> str | None:
    if sub is None:
        return None
    arguments: dict[str, Any] = {"sub": sub}
    check(arguments)
    checked: str = arguments["sub"]
    return checked
