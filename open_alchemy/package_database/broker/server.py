"""The broker: receives requests, executes a limited number of them at once, and answers.

A request that cannot be executed at once waits in a bounded queue; beyond it, requests fail at once. Nothing is started
that cannot end before its deadline. Every ``REPORT_SECONDS`` a client gets the ids of its requests that are not
answered yet.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, TypeAlias

from ..core.deadline import Deadline
from ..engines import telemetry
from ..engines.broker import messages
from ..engines.broker.codec import MESSAGEPACK, Buffer, Codec, MessageError, decode_request, encode
from ..engines.broker.exchange import STOPPING
from ..engines.broker.messages import VERSION, Answer, AnswerBody, Failed, Request, Working
from ..engines.broker.transports import Peer, ServerTransport
from ..exceptions import BaseError
from . import failures, rights
from .events import Events
from .limited_log import LimitedLog
from .metrics import Histogram
from .rights import ANYBODY, Client
from .store import Store

REPORT_SECONDS: Final = 0.5
MAX_QUEUED_BYTES: Final = 256_000_000
"""The bytes of the requests that wait."""
MAX_CLOSE_SECONDS: Final = 30.0
"""How long a stopping broker waits for requests at most."""
_MARGIN: Final = 1.0

Handler: TypeAlias = Callable[[Request, Deadline], Awaitable[AnswerBody]]
"""Executes a request, and returns the body of the answer."""
ImmediateHandler: TypeAlias = Callable[[Peer, Codec, Request], AnswerBody | None]
"""Answers a request when it is received, before any later message; None if there is no answer."""


class _Job:
    """A request that is not answered yet."""

    __slots__ = ("codec", "deadline", "handler", "peer", "request", "size")

    def __init__(
        self, peer: Peer, codec: Codec, request: Request, handler: Handler, deadline: Deadline, size: int
    ) -> None:
        self.peer = peer
        self.codec = codec
        self.request = request
        self.handler = handler
        self.deadline = deadline
        self.size = size

    @property
    def client(self) -> Hashable:
        """Who the limit of requests applies to: the user on all connections, or the connection."""
        return self.peer.user or self.peer.address

    @property
    def key(self) -> tuple[Peer, int]:
        return self.peer, self.request.id

    @property
    def what(self) -> str:
        return describe(self.request)


class Server:
    """A broker, in one event loop, on any number of transports.

    Args:
        stores: The stores by the name of their instance; the default one has an empty name.
        concurrency: How many requests are executed at once.
        queue: How many requests may wait.
        client_requests: How many requests of one client may be in progress or wait.
        find_client: Returns a client by its user; None if it may do nothing.
        events: The subscriptions to changes; None for new ones.
        clock: Returns the monotonic time in seconds.

    Attributes:
        events: The subscriptions to changes.
        handlers: Execute requests, in tasks of their own, by the type of the body.
        immediate: Answer requests when they are received, by the type of the body.
        errors: The number of requests that failed.
        sources: Return figures of other modules.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        *,
        concurrency: int = 64,
        queue: int = 2_000,
        client_requests: int = 1_000,
        find_client: Callable[[str], Client | None] = lambda _: ANYBODY,
        events: Events | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.events = events or Events(clock)
        self.handlers: dict[type, Handler] = {
            **dict.fromkeys((messages.Get, messages.Query, messages.Scan, messages.Transact), self._execute),
            messages.Administer: self._administer,
        }
        self.immediate: dict[type, ImmediateHandler] = {
            messages.Describe: lambda _, __, request: self._stores[request.instance].describe(),
            messages.Subscribe: self.events.subscribe,
            messages.Status: lambda *_: messages.Figures(self.figures()),
        }
        self.requests = self.errors = self.shed = self.refused = self.malformed = 0
        self.latency = Histogram()
        self.sources: list[Callable[[], Mapping[str, int | float]]] = []
        self._stores = stores
        self._concurrency = concurrency
        self._max_queued = queue
        self._client_requests = client_requests
        self._find_client = find_client
        self._log = LimitedLog(clock)
        self._clock = clock
        self._started = clock()
        self._jobs: dict[tuple[Peer, int], _Job] = {}
        self._of_client: Counter[Hashable] = Counter()
        self._queue: deque[_Job] = deque()
        self._queued_bytes = 0
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
        while self._queue:
            job = self._next()
            self._answer(job, _stopping(job.what))
        if self._tasks:
            end = max((job.deadline.remaining() for job in self._jobs.values()), default=0.0)
            _, late = await asyncio.wait(self._tasks, timeout=min(end, MAX_CLOSE_SECONDS) + _MARGIN)
            for task in late:
                task.cancel()
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
            "in_progress": len(self._tasks),
            "queued": len(self._queue),
            "queued_bytes": self._queued_bytes,
            "clients": len(self._of_client),
            **self.latency.figures(),
        }
        for source in self.sources:
            found.update(source())
        return found

    def receive(self, peer: Peer, data: Buffer) -> None:
        """Receives a request."""
        self.requests += 1
        try:
            codec, request = decode_request(data)
        except MessageError as error:
            self.errors += 1
            self.malformed += 1
            self._log.report("a malformed message was refused", f"{len(data)} bytes")
            self.send(peer, error.id, failures.refusal(str(error), "Malformed"), error.codec)
            return
        type_ = type(request.body)
        if (peer, request.id) in self._jobs:
            return  # Sent again, while it is executed.
        if (refused := rights.problem(self._find_client(peer.user), request)) is not None:
            self.refused += 1
            self._log.report("a request was refused", refused)
            self.send(peer, request.id, failures.refusal(refused, "Forbidden"), codec)
        elif request.instance not in self._stores:
            self.send(peer, request.id, failures.refusal("the broker has no such instance", "UnknownInstance"), codec)
        elif (immediate := self.immediate.get(type_)) is not None:
            body = immediate(peer, codec, request)
            if body is not None:
                self.send(peer, request.id, body, codec)
        elif not self._is_stopping and (body := self._execute_now(request)) is not None:
            self.send(peer, request.id, body, codec)
        elif (handler := self.handlers.get(type_)) is not None:
            self._admit(_Job(peer, codec, request, handler, self._deadline(request), len(data)))
        else:
            message = f"the broker does not offer {type_.__name__}"
            self.send(peer, request.id, failures.refusal(message, "NotOffered"), codec)

    def send(self, peer: Peer, id_: int, body: AnswerBody, codec: Codec = MESSAGEPACK) -> None:
        """Sends a message to a client; the id is 0 if it answers no request."""
        try:
            message = encode(Answer(VERSION, id_, body), codec)
        except MessageError:
            failed = Failed("RefusedError", "the result cannot be encoded", "NotEncodable")
            message = encode(Answer(VERSION, id_, failed), codec)
        peer.transport.send(peer.address, message)

    def _admit(self, job: _Job) -> None:
        if self._is_stopping:
            self.send(job.peer, job.request.id, _stopping(job.what), job.codec)
            return
        is_free = len(self._tasks) < self._concurrency
        if not is_free and (full := self._full(job)) is not None:
            self.shed += 1
            self._log.report(full)
            self.send(job.peer, job.request.id, failures.overloaded(job.what, full), job.codec)
            return
        self._jobs[job.key] = job
        self._of_client[job.client] += 1
        if is_free:
            self._start(job)
        else:
            self._queue.append(job)
            self._queued_bytes += job.size

    def _full(self, job: _Job) -> str | None:
        """Returns why a request cannot wait, or None if it can."""
        if len(self._queue) >= self._max_queued or self._queued_bytes + job.size > MAX_QUEUED_BYTES:
            return "the queue of the broker is full"
        if self._of_client[job.client] >= self._client_requests:
            return f"the client has {self._client_requests} requests without an answer"
        return None

    def _next(self) -> _Job:
        job = self._queue.popleft()
        self._queued_bytes -= job.size
        return job

    def _start(self, job: _Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        while self._queue and len(self._tasks) < self._concurrency:
            job = self._next()
            if job.deadline.allows():
                self._start(job)
            else:
                self.errors += 1
                self._answer(job, failures.not_started(job.what, job.deadline.elapsed()))

    async def _run(self, job: _Job) -> None:
        try:
            body = await job.handler(job.request, job.deadline)
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            body = self._failed(job, error)
        self._answer(job, body)

    def _failed(self, job: _Job, error: Exception) -> Failed:
        self.errors += 1
        id_ = secrets.token_hex(8)
        problem = failures.to_problem(error, job.what, id_)
        if problem.is_logged:
            # The text of an unexpected error may contain a value.
            text = str(error) if isinstance(error, BaseError) else f"at {failures.location(error)}"
            telemetry.logger().warning("%s failed, id %s: %s %s", job.what, id_, type(error).__name__, text)
        return problem.failed

    def _answer(self, job: _Job, body: AnswerBody) -> None:
        del self._jobs[job.key]
        self._of_client[job.client] -= 1
        if not self._of_client[job.client]:
            del self._of_client[job.client]
        self.latency.add(job.deadline.elapsed())
        self.send(job.peer, job.request.id, body, job.codec)

    def _deadline(self, request: Request) -> Deadline:
        attempt = self._stores[request.instance].engine.attempt_seconds
        return Deadline(request.seconds, attempt=attempt, clock=self._clock)

    def _execute_now(self, request: Request) -> AnswerBody | None:
        start = self._clock()
        body = self._stores[request.instance].execute_now(request)
        if body is not None:
            self.latency.add(self._clock() - start)
        return body

    async def _execute(self, request: Request, deadline: Deadline) -> AnswerBody:
        return await self._stores[request.instance].execute(request, deadline)

    async def _administer(self, request: Request, deadline: Deadline) -> AnswerBody:
        return await self._stores[request.instance].administer(request, deadline)

    def _report_work(self) -> None:
        """Sends each client the ids of its requests that were received a while ago."""
        self._report = asyncio.get_running_loop().call_later(REPORT_SECONDS, self._report_work)
        working: dict[tuple[Peer, bytes], tuple[Codec, list[int]]] = {}
        for (peer, id_), job in self._jobs.items():
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


def _stopping(what: str) -> Failed:
    return Failed("UnavailableError", f"{what} was not started: the broker stops", STOPPING)
