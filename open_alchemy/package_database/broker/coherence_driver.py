"""Lets clients cache what they read through a broker: drives ``coherence.broker``.

The state machine decides; this module passes it the time, the messages and the answers of the store, and executes its
effects. All of it runs in the event loop of the server.

A broker reads the registry only while it has a session or a write, and joins it with its first session: without clients
that cache, a write costs at most one more read of the store.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from ..coherence import broker as coherence
from ..coherence import leases
from ..coherence.leases import Timing
from ..coherence.membership import ChangeRegistry, Outcome, ReadRegistry, Registry, joined
from ..coherence.messages import ReadHeader, SessionMessage, Tag, Tags, WriteId
from ..coherence.tags import NO_TAGS, tags_of_read
from ..coherence.writes import Acknowledge, Execute, ToBroker
from ..core.deadline import Deadline
from ..core.operations import DUPLICATE_KEY
from ..engines import telemetry
from ..engines.broker import cache_messages, messages
from ..engines.broker.cache_clock import boot_time
from ..engines.broker.codec import Codec
from ..engines.broker.operation_messages import Schema
from ..engines.broker.transports import Peer
from ..engines.port import AsyncEngine
from ..exceptions import BaseError, ConflictError, RefusedError, UnavailableError
from ..model import broker_registry

_READ_SECONDS: Final = 1.0
_CHANGE_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 3.0
_PROBE_SECONDS: Final = 5.0
_PROBED: Final[Tags] = frozenset({Tag("", "")})
"""No read depends on it."""

SendToClient: TypeAlias = Callable[[Peer, Codec, Any], None]
SendToBroker: TypeAlias = Callable[[str, Any], None]
Result = TypeVar("Result")


class Caching:
    """The caches of the clients of one store.

    Args:
        open_engine: Returns the engine of the store; the same one, unless it was closed.
        schema: Its tables.
        granters: How many brokers may grant caching at once; 0: this one never does.
        timing: The durations; None for ``leases.DEFAULT``.
        clock: Returns the seconds of a clock that advances during suspend.
    """

    def __init__(
        self,
        open_engine: Callable[[], AsyncEngine],
        schema: Schema,
        *,
        granters: int = 1,
        timing: Timing | None = None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._open_engine, self._schema, self._granters = open_engine, schema, granters
        self._timing, self._clock = timing or leases.DEFAULT, clock
        self._broker: coherence.Broker | None = None
        self._is_started = asyncio.Event()
        self._clients: dict[str, tuple[Peer, Codec]] = {}
        self._writes: dict[WriteId, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._is_leaving = self._is_probing = False
        self._has_left = asyncio.Event()

    def start(self, address: str, send_to_client: SendToClient, send_to_broker: SendToBroker) -> None:
        """Starts: other brokers reach this one at the address, or at several, separated by commas."""
        self._address = address
        self._send, self._send_to_broker = send_to_client, send_to_broker
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._broker = coherence.Broker(self._timing, address, lambda: secrets.token_hex(16), granters=0)
        self._is_started.set()

    @property
    def sessions(self) -> int:
        """The number of clients that cache."""
        return 0 if self._broker is None else len(self._broker.sessions)

    # Clients and other brokers.

    def receive(self, peer: Peer, codec: Codec, body: Any) -> None:
        """Processes a message of a session."""
        if self._broker is None:
            return
        message = cache_messages.from_struct(body)
        self._clients[message.session] = (peer, codec)
        if isinstance(body, cache_messages.Open) and not self._is_leaving:
            self._broker.membership.permit_joining(self._granters)
        self._broker.receive_client(message, self._clock())
        self._process_effects()

    def receive_broker(self, body: Any) -> None:
        """Processes a message of another broker."""
        if self._broker is not None:
            self._broker.receive_broker(cache_messages.from_struct(body), self._clock())
            self._process_effects()

    def begin_read(self, peer: Peer, codec: Codec, request: messages.Request) -> None:
        """Notes a read, before it is sent to the store."""
        assert request.read is not None
        if self._broker is not None:
            self._clients[request.read.session] = (peer, codec)
            self._broker.begin_read(request.read, self._tags(request.body), self._clock())
            self._process_effects()

    def finish_read(self, header: ReadHeader, body: messages.AnswerBody) -> messages.AnswerBody:
        """Returns the answer to a read, with its header if the session has not ended."""
        if self._broker is None or not isinstance(body, messages.Found | messages.Items | messages.Failed):
            return body
        is_error = isinstance(body, messages.Failed)
        answered = self._broker.answer(header, self._clock(), is_error=is_error)
        return body if answered is None else messages.Noted(answered, body)

    async def granters(self, failed: str | None) -> messages.Granting:
        """Returns the brokers that let clients cache: this one, if it does or may, or else all that do.

        Args:
            failed: The address of one that may have ended.

        Raises:
            BaseError: The store cannot be read.
        """
        await self._is_started.wait()
        assert self._broker is not None
        registry = await self._execute_read()
        own = self._broker.membership.id
        granting = {id_: entry for id_, entry in registry.items() if not entry.is_out}
        may_join = joined(registry, "", self._address, self._granters) is not None
        if not self._is_leaving and (own in granting or may_join):
            return messages.Granting(is_this=True, brokers=(messages.Granter(own, self._address),))
        if failed is not None and not self._is_probing and any(entry.shares(failed) for entry in granting.values()):
            self._run(self._probe())
        return messages.Granting(brokers=tuple(messages.Granter(id_, entry.address) for id_, entry in granting.items()))

    async def _probe(self) -> None:
        """Writes nothing: this evicts the brokers that do not answer, also if nobody writes."""
        self._is_probing = True
        try:
            with suppress(BaseError):
                await self.write(_PROBED, _do_nothing, Deadline(_PROBE_SECONDS))
        finally:
            self._is_probing = False

    # Writes.

    async def write(self, tags: Tags, execute: Callable[[], Awaitable[Result]], deadline: Deadline) -> Result:
        """Executes a write when no client uses an older answer, and returns when none will.

        Raises:
            UnavailableError: The clients could not be told before the deadline.
            BaseError: What ``execute`` raises.
        """
        await self._is_started.wait()
        assert self._broker is not None
        id_ = self._broker.begin_write(tags, self._clock())
        try:
            await self._reach(id_, deadline, "was not executed")
            try:
                result = await execute()
            except (RefusedError, ConflictError) as error:
                if isinstance(error, RefusedError) or error.code == DUPLICATE_KEY:
                    # The store will not execute it.
                    await self._acknowledge(id_, deadline)
                raise
            await self._acknowledge(id_, deadline)
            return result
        finally:
            # Without an effect after an acknowledgement.
            self._broker.abandon(id_)
            self._process_effects()

    def run_from_thread(self, write: Coroutine[Any, Any, Result]) -> Result:
        """Runs ``write`` for a thread other than that of the event loop.

        Raises:
            RefusedError: It is the thread of the event loop, which would wait for itself.
        """
        if threading.get_ident() == self._thread:
            write.close()
            raise RefusedError("a coroutine function writes with get_async(), not with get()", code="Blocking")
        return asyncio.run_coroutine_threadsafe(write, self._loop).result()

    async def _acknowledge(self, id_: WriteId, deadline: Deadline) -> None:
        assert self._broker is not None
        self._broker.answered(id_, self._clock())
        await self._reach(id_, deadline, "may have taken effect")

    async def _reach(self, id_: WriteId, deadline: Deadline, effect: str) -> None:
        """Waits for the next effect of a write."""
        reached = self._writes[id_] = asyncio.get_running_loop().create_future()
        try:
            self._process_effects()
            if not reached.done():
                async with asyncio.timeout(max(0.0, deadline.remaining())):
                    await reached
        except TimeoutError:
            raise UnavailableError(
                f"a write {effect}: the caches of other clients were not invalidated before the deadline",
                code="DeadlineExceeded",
                seconds=deadline.elapsed(),
            ) from None
        finally:
            del self._writes[id_]

    # The end.

    async def leave(self) -> None:
        """Ends the sessions and leaves the registry, so that no write waits for this broker."""
        self._is_leaving = True
        if self._broker is not None and self._broker.membership.id is not None:
            self._broker.leave(self._clock())
            self._process_effects()
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._has_left.wait()
            except TimeoutError:
                telemetry.debug("the broker did not leave the registry in time")
        self._has_left.set()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    # Effects and time.

    def _process_effects(self) -> None:
        assert self._broker is not None
        for effect in self._broker.take_effects(self._clock()):
            match effect:
                case coherence.ToClient(session, message):
                    self._send_to_client(session, message)
                case ToBroker(address, message):
                    self._send_to_broker(address, cache_messages.to_struct(message))
                case ReadRegistry(request):
                    self._run(self._read_registry(request))
                case ChangeRegistry():
                    self._run(self._change_registry(effect))
                case Execute(write) | Acknowledge(write):
                    if (reached := self._writes.get(write)) is not None and not reached.done():
                        reached.set_result(None)
        if self._broker.has_left:
            self._has_left.set()
        self._set_timer()

    def _send_to_client(self, session: str, message: SessionMessage) -> None:
        if (client := self._clients.get(session)) is not None:
            self._send(*client, cache_messages.to_struct(message))

    def _set_timer(self) -> None:
        broker = self._broker
        assert broker is not None
        if self._has_left.is_set() or not (broker.is_busy or len(broker.sessions)):
            return
        now, loop = self._clock(), asyncio.get_running_loop()
        due = loop.time() + max(0.0, broker.next_tick(now) - now)
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        # Not asked of the timer: uvloop's has no time if that is over.
        self._timer, self._due = loop.call_at(due, self._tick), due

    def _tick(self) -> None:
        assert self._broker is not None
        self._timer = None
        self._broker.tick(self._clock())
        self._clients = {id_: client for id_, client in self._clients.items() if self._broker.sessions.get(id_)}
        self._process_effects()

    def _run(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_registry(self, request: int) -> None:
        registry = None
        try:
            registry = await self._execute_read()
        except BaseError as error:
            telemetry.debug("the registry was not read: %s", type(error).__name__)
        assert self._broker is not None
        self._broker.answer_read(request, registry, self._clock())
        self._process_effects()

    async def _execute_read(self) -> Registry:
        engine = self._open_engine()
        await engine.prepare()
        return broker_registry.to_registry(await engine.execute(broker_registry.READ, Deadline(_READ_SECONDS)))

    async def _change_registry(self, effect: ChangeRegistry) -> None:
        outcome = Outcome.UNKNOWN
        change = broker_registry.change(effect.expected, effect.registry)._replace(token=secrets.token_hex(16))
        try:
            failures = await self._open_engine().execute(change, Deadline(_CHANGE_SECONDS))
            outcome = Outcome.NOT_CHANGED if failures else Outcome.CHANGED
        except BaseError as error:
            telemetry.debug("the registry was perhaps not changed: %s", type(error).__name__)
        assert self._broker is not None
        self._broker.answer_change(effect.request, outcome, self._clock())
        self._process_effects()

    def _tags(self, body: messages.RequestBody) -> Tags:
        if not isinstance(body, messages.Get | messages.Query):
            return NO_TAGS
        try:
            return tags_of_read(self._schema.to_operation(body))
        except RefusedError:
            return NO_TAGS


async def _do_nothing() -> None:
    """The request of a write that changes nothing."""
