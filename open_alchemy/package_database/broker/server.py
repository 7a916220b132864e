"""The broker: receives requests, executes a limited number of them at once, and answers.

A request that can neither start nor wait (see ``admission``) is refused before its operation is decoded. Nothing is
started that cannot end before its deadline. Every ``REPORT_SECONDS`` a client gets the ids of its requests that are not
answered yet.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from ..core.deadline import Deadline
from ..engines import telemetry
from ..engines.broker import messages
from ..engines.broker.client_protocol import STOPPING
from ..engines.broker.codec import (
    MESSAGEPACK,
    Buffer,
    Codec,
    MessageError,
    decode_envelope,
    decode_request,
    encode,
)
from ..engines.broker.fragmentation import PART_BYTES
from ..engines.broker.messages import VERSION, Answer, AnswerBody, Failed, Request, Working
from ..engines.broker.transports import Peer, ServerTransport
from ..exceptions import BaseError
from . import error_responses, rights
from .admission import Admission, Job
from .metrics import Histogram
from .rate_limited_log import LimitedLog
from .rights import ANYBODY, Client
from .served_store import ServedStore
from .subscriptions import Subscriptions

REPORT_SECONDS: Final = 0.5
MAX_CLOSE_SECONDS: Final = 30.0
"""How long a stopping broker waits for requests at most."""
_MARGIN: Final = 1.0

Handler: TypeAlias = Callable[[Request, Deadline], Awaitable[AnswerBody]]
"""Executes a request, and returns the body of the answer."""
ImmediateHandler: TypeAlias = Callable[[Peer, Codec, Request], AnswerBody | None]
"""Answers a request when it is received, before any later message; None if there is no answer."""


class Reads(Protocol):
    """Notes the reads of clients with a cache."""

    def begin(self, peer: Peer, codec: Codec, request: Request) -> None:
        """A request with a header was received; it is not executed yet."""

    def finish(self, request: Request, body: AnswerBody) -> AnswerBody:
        """Returns the answer to it, which is sent at once."""


class Server:
    """A broker, in one event loop, on any number of transports.

    Args:
        stores: The stores by the name of their instance; the default one has an empty name.
        concurrency: How many requests are executed at once.
        queue: How many requests may wait.
        client_requests: How many requests of one client may be in progress or wait.
        find_client: Returns a client by its user; None if it may do nothing.
        subscriptions: The subscriptions to changes; None for new ones.
        clock: Returns the monotonic time in seconds.

    Attributes:
        stores: The stores.
        subscriptions: The subscriptions to changes.
        handlers: Execute requests, in tasks of their own, by the type of the body.
        immediate: Answer requests when they are received, by the type of the body.
        errors: The number of requests that failed.
        sources: Return figures of other modules.
        reads: The reads of clients with a cache, if the broker serves any.
        closers: Are awaited by ``aclose``, while clients are still connected.
    """

    def __init__(
        self,
        stores: Mapping[str, ServedStore],
        *,
        concurrency: int = 64,
        queue: int = 2_000,
        client_requests: int = 1_000,
        find_client: Callable[[str], Client | None] = lambda _: ANYBODY,
        subscriptions: Subscriptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subscriptions = subscriptions or Subscriptions(clock)
        self.handlers: dict[type, Handler] = {
            **dict.fromkeys((messages.Get, messages.Query, messages.Scan, messages.Transact), self._execute),
            messages.Administer: self._administer,
        }
        self.immediate: dict[type, ImmediateHandler] = {
            messages.Describe: lambda _, __, request: self.stores[request.instance].describe(),
            messages.Subscribe: self.subscriptions.subscribe,
            messages.Status: lambda *_: messages.Figures(self.figures()),
        }
        self.requests = self.errors = self.shed = self.refused = self.malformed = 0
        self.latency = Histogram()
        self.sources: list[Callable[[], Mapping[str, int | float]]] = []
        self.reads: Reads | None = None
        self.closers: list[Callable[[], Awaitable[None]]] = []
        self.stores = stores
        self._admission = Admission(concurrency, queue, client_requests)
        self._find_client = find_client
        self._log = LimitedLog(clock)
        self._clock = clock
        self._started = clock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: list[ServerTransport] = []
        self._is_stopping = False
        self._report: asyncio.TimerHandle | None = None

    async def start(self, transport: ServerTransport) -> str:
        """Receives requests through a transport from now on, and returns its address."""
        address = await transport.start(self.receive)
        self._transports.append(transport)
        if self._report is None:
            self._report = asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report_work)
        return address

    async def aclose(self) -> None:
        """Refuses new and waiting requests, waits for those in progress, and closes the transports."""
        self._is_stopping = True
        while (job := self._admission.take()) is not None:
            self._answer(job, _stopping(job.request))
        if self._tasks:
            end = max((job.deadline.remaining() for job in self._admission.jobs.values()), default=0.0)
            _, late = await asyncio.wait(self._tasks, timeout=min(end, MAX_CLOSE_SECONDS) + _MARGIN)
            for task in late:
                task.cancel()
        for close in self.closers:
            await close()
        if self._report is not None:
            self._report.cancel()
        for transport in self._transports:
            await transport.aclose()

    def figures(self) -> dict[str, int | float]:
        """Returns the figures of ``Status``."""
        found: dict[str, int | float] = {
            "uptime_seconds": self._clock() - self._started,
            "requests": self.requests,
            "errors": self.errors,
            "shed": self.shed,
            "refused": self.refused,
            "malformed": self.malformed,
            "in_progress": self._admission.in_progress,
            "queued": self._admission.queued,
            "queued_bytes": self._admission.queued_bytes,
            "clients": self._admission.clients,
            **self.latency.figures(),
        }
        for source in self.sources:
            found.update(source())
        return found

    def receive(self, peer: Peer, data: Buffer) -> None:
        """Receives a request."""
        self.requests += 1
        if self._shed_unread(peer, data):
            return
        try:
            codec, request = decode_request(data)
        except MessageError as error:
            self.errors += 1
            self.malformed += 1
            self._log.report("a malformed message was refused", f"{len(data)} bytes")
            self.send(peer, error.id, error_responses.refusal(str(error), "Malformed"), error.codec)
            return
        type_ = type(request.body)
        if (peer, request.id) in self._admission.jobs:
            return  # Sent again, while it is executed.
        if (refused := rights.problem(self._find_client(peer.user), request)) is not None:
            self.refused += 1
            self._log.report("a request was refused", refused)
            self._begin(peer, codec, request)
            self._send_answer(peer, codec, request, error_responses.refusal(refused, "Forbidden"))
        elif (store := self.stores.get(request.instance)) is None:
            self.send(
                peer, request.id, error_responses.refusal("the broker has no such instance", "UnknownInstance"), codec
            )
        elif (immediate := self.immediate.get(type_)) is not None:
            body = immediate(peer, codec, request)
            if body is not None:
                self.send(peer, request.id, body, codec)
        elif type_ in self.handlers:
            self._begin(peer, codec, request)
            body = self._answer_now(peer, request, store, len(data))
            if body is None:
                deadline = Deadline(request.seconds, attempt=store.engine.attempt_seconds, clock=self._clock)
                self._add(Job(peer, codec, request, store, deadline, len(data)))
            else:
                self._send_answer(peer, codec, request, body)
        else:
            message = f"the broker does not offer {type_.__name__}"
            self.send(peer, request.id, error_responses.refusal(message, "NotOffered"), codec)

    def send(self, peer: Peer, id_: int, body: AnswerBody, codec: Codec = MESSAGEPACK) -> None:
        """Sends a message to a client; the id is 0 if it answers no request."""
        try:
            message = encode(Answer(VERSION, id_, body), codec)
        except MessageError:
            failed = Failed("RefusedError", "the result cannot be encoded", "NotEncodable")
            message = encode(Answer(VERSION, id_, failed), codec)
        report = encode(Answer(VERSION, 0, Working((id_,))), codec) if id_ and len(message) > PART_BYTES else None
        peer.transport.send(peer.address, message, report)

    def _shed_unread(self, peer: Peer, data: Buffer) -> bool:
        """Refuses a request that can neither start nor wait, without decoding its body; returns whether it did."""
        reason = self._admission.refusal(peer, len(data))
        if reason is None or self._is_stopping or (decoded := decode_envelope(data)) is None:
            return False
        codec, envelope = decoded
        if (peer, envelope.id) in self._admission.jobs:
            return True
        if envelope.read is not None or envelope.type not in self.handlers:
            return False
        if envelope.type is messages.Get and (store := self.stores.get(envelope.instance)) and store.can_read_now:
            return False
        self.send(peer, envelope.id, self._shed(envelope.type.__name__, reason), codec)
        return True

    def _shed(self, what: str, reason: str) -> Failed:
        self.shed += 1
        self._log.report(reason)
        return error_responses.overloaded(what, reason)

    def _answer_now(self, peer: Peer, request: Request, store: ServedStore, size: int) -> AnswerBody | None:
        """Returns the answer to a request that is refused, or that the store answers at once; otherwise None."""
        if self._is_stopping:
            return _stopping(request)
        start = self._clock()
        if type(request.body) is messages.Get and (found := store.read_now(request.body)) is not None:
            self.latency.add(self._clock() - start)
            return found
        reason = self._admission.refusal(peer, size)
        return None if reason is None else self._shed(describe(request), reason)

    def _add(self, job: Job) -> None:
        if self._admission.add(job):
            self._start(job)

    def _start(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        while (job := self._admission.next()) is not None:
            if job.deadline.allows():
                self._start(job)
            else:
                self.errors += 1
                self._answer(job, error_responses.not_started(describe(job.request), job.deadline.elapsed()))

    async def _run(self, job: Job) -> None:
        try:
            body = await self.handlers[type(job.request.body)](job.request, job.deadline)
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            body = self._failed(job, error)
        self._answer(job, body)

    def _failed(self, job: Job, error: Exception) -> Failed:
        self.errors += 1
        id_, what = secrets.token_hex(8), describe(job.request)
        problem = error_responses.to_problem(error, what, id_)
        if problem.is_logged:
            # The text of an unexpected error may contain a value.
            text = str(error) if isinstance(error, BaseError) else f"at {error_responses.location(error)}"
            telemetry.logger().warning("%s failed, id %s: %s %s", what, id_, type(error).__name__, text)
        return problem.failed

    def _answer(self, job: Job, body: AnswerBody) -> None:
        self._admission.remove(job)
        self.latency.add(job.deadline.elapsed())
        self._send_answer(job.peer, job.codec, job.request, body)

    def _begin(self, peer: Peer, codec: Codec, request: Request) -> None:
        if request.read is not None and self.reads is not None:
            self.reads.begin(peer, codec, request)

    def _send_answer(self, peer: Peer, codec: Codec, request: Request, body: AnswerBody) -> None:
        if request.read is not None and self.reads is not None:
            body = self.reads.finish(request, body)
        self.send(peer, request.id, body, codec)

    async def _execute(self, request: Request, deadline: Deadline) -> AnswerBody:
        return await self.stores[request.instance].execute(request, deadline)

    async def _administer(self, request: Request, deadline: Deadline) -> AnswerBody:
        return await self.stores[request.instance].administer(request, deadline)

    def _report_work(self) -> None:
        """Sends each client the ids of its requests that were received a while ago."""
        self._report = asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report_work)
        working: dict[tuple[Peer, bytes], tuple[Codec, list[int]]] = {}
        for (peer, id_), job in self._admission.jobs.items():
            if job.deadline.elapsed() >= REPORT_SECONDS / 2:
                working.setdefault((peer, job.codec.first), (job.codec, []))[1].append(id_)
        for (peer, _), (codec, ids) in working.items():
            self.send(peer, 0, Working(tuple(ids)), codec)


def describe(request: Request) -> str:
    """Returns what a request is, without a value."""
    body: Any = request.body
    match body:
        case messages.Transact(actions=actions):
            return f"Transact on {', '.join(sorted({action.table for action in actions}))}"
        case messages.Call(function=function):
            return f"the call of {function}"
    table = getattr(body, "table", "")
    return f"{type(body).__name__} on {table}" if table else type(body).__name__


def _stopping(request: Request) -> Failed:
    return Failed("UnavailableError", f"{describe(request)} was not started: the broker stops", STOPPING)
