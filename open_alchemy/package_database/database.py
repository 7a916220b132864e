"""The database's two APIs, sync and async: they bind every access pattern to an engine.

An API owns the deadline of a call and the sources of time and randomness. It resolves its engine once per call, so that
a call finishes on the engine on which it started. It knows no key and no store.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import update_wrapper
from typing import Any, Final, Self, TypeAlias

from .async_types import AsyncTDatabase
from .coherence.dependency_recording import report_untracked
from .core.deadline import Deadline
from .core.operations import Operation, Steps
from .core.runner import Result, Sources, drive, drive_async, execute_steps
from .engines.port import NOT_CACHED, AsyncEngine, Engine, cached_reads
from .engines.randomness import random
from .exceptions import ConfigurationError, NotFoundError, UnavailableError
from .model import ACCESS_PATTERNS
from .model.access_pattern import AccessPattern
from .model.validation import SECRETS, check, wrap_secrets
from .types import TConnectedDatabase

_Started: TypeAlias = tuple[Steps[Any], Operation]
"""Steps, and their first operation."""

SYSTEM: Final = Sources(
    # Looked up at the time of the call: tests replace time.time.
    seconds=lambda: time.time(),  # noqa: PLW0108
    monotonic=time.monotonic,
    sleep=time.sleep,
    revision=lambda: os.urandom(16).hex(),
    random=random,
)


class Database(TConnectedDatabase):
    """The sync API over an engine; ``TDatabase`` documents its functions.

    Args:
        resolve: Returns the engine; called once per call.
        sources: Where calls get time and randomness.
        close: Closes the connections; None closes the engine, which is final.
    """

    def __init__(
        self, resolve: Callable[[], Engine], sources: Sources = SYSTEM, close: Callable[[], None] | None = None
    ) -> None:
        self._resolve = resolve
        self._sources = sources
        self._close = close

    def __repr__(self) -> str:
        return _describe(self)

    @property
    def engine(self) -> Engine:
        """The engine that a call would use now."""
        return self._resolve()

    def close(self) -> None:
        """Closes the connections to the store. May be called again.

        Every later call raises ``RefusedError``, except on the object of ``get()``: it opens new connections.
        """
        (self._close or self.engine.close)()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncDatabase(AsyncTDatabase):
    """The async API over an engine; ``AsyncTDatabase`` documents its functions.

    Args:
        resolve: Returns the engine; called once per call.
        sources: Where calls get time and randomness.
        close: Closes the connections; None closes the engine, which is final.
    """

    def __init__(
        self,
        resolve: Callable[[], AsyncEngine],
        sources: Sources = SYSTEM,
        close: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._resolve = resolve
        self._sources = sources
        self._close = close

    def __repr__(self) -> str:
        return _describe(self)

    @property
    def engine(self) -> AsyncEngine:
        """The engine that a call would use now."""
        return self._resolve()

    async def aclose(self) -> None:
        """Closes the connections to the store. May be called again.

        Every later call raises ``RefusedError``, except on the object of ``get_async()``: it opens new connections.
        """
        await (self._close or self.engine.aclose)()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _describe(database: Database | AsyncDatabase) -> str:
    try:
        location = database.engine.config.location
    except (ConfigurationError, NotFoundError):
        location = "not configured"
    return f"<{type(database).__name__}: {location}>"


def open_database(engine: Engine, sources: Sources = SYSTEM) -> Database:
    """Returns the sync API over one engine."""
    return Database(lambda: engine, sources)  # type: ignore[abstract] # The functions are bound below.


def open_async_database(engine: AsyncEngine, sources: Sources = SYSTEM) -> AsyncDatabase:
    """Returns the async API over one engine."""
    return AsyncDatabase(lambda: engine, sources)  # type: ignore[abstract]


def run(steps: Steps[Result], engine: Engine, *, name: str) -> Result:
    """Runs steps that are not a function of the database, such as an operator's, as an unbounded call.

    Args:
        steps: The steps.
        engine: The engine.
        name: What error messages call the steps.
    """
    engine.prepare()
    return _drive(steps, next(steps), name, engine, SYSTEM, is_unbounded=True)


def _bind(pattern: AccessPattern[..., Any]) -> Callable[..., Any]:
    """Returns the method of the sync API that runs an access pattern."""

    # Without *args: a secret that is passed by position is refused in the caller's frame and is in none of ours.
    def method(self: Database, /, **arguments: Any) -> Any:
        try:
            check(arguments)
        except RecursionError:
            # The secrets among them may not be wrapped yet. A call of clear() might exceed the limit again.
            for name in (*arguments,):
                del arguments[name]
            raise
        return _run(pattern, _start(pattern, arguments), self._resolve(), self._sources)

    def stream(self: Database, /, **arguments: Any) -> Generator[Any]:
        check(arguments)
        return _stream(pattern, arguments, _start(pattern, arguments), self._resolve(), self._sources)

    return stream if pattern.is_stream else method


def _bind_async(pattern: AccessPattern[..., Any]) -> Callable[..., Any]:
    """Returns the method of the async API that runs an access pattern."""

    async def method(self: AsyncDatabase, /, **arguments: Any) -> Any:
        # A call that waits costs as little as possible before it does: ten thousand of them start at once.
        if not SECRETS.isdisjoint(arguments):
            try:
                wrap_secrets(arguments)
            except RecursionError:
                # They may not be wrapped yet.
                for name in (*arguments,):
                    del arguments[name]
                raise
        engine, start = self._resolve(), None
        if (waiting := engine.queue()) is not None:
            start = self._sources.monotonic()
            try:  # noqa: SIM105 (each waiting call would hold the context manager)
                await waiting
            except TimeoutError:
                pass
            seconds = self._sources.monotonic() - start
            if seconds >= engine.config.deadline:
                raise _not_started(pattern.name, seconds)
        check(arguments)
        started = _start(pattern, arguments)
        try:
            operation = _advance(*started, engine)
        except StopIteration as stop:
            return stop.value
        await engine.prepare()
        return await _drive_async(pattern, (started[0], operation), engine, self._sources, start)

    def stream(self: AsyncDatabase, /, **arguments: Any) -> AsyncGenerator[Any]:
        check(arguments)
        return _stream_async(pattern, arguments, _start(pattern, arguments), self._resolve(), self._sources)

    return stream if pattern.is_stream else method


def _start(pattern: AccessPattern[..., Any], arguments: dict[str, Any]) -> _Started:
    """Returns the steps and their first operation. The first step validates the arguments as a whole."""
    steps = pattern.steps(**arguments)
    return steps, next(steps)


def _run(pattern: AccessPattern[..., Any], started: _Started, engine: Engine, sources: Sources) -> Any:
    try:
        operation = _advance(*started, engine)
    except StopIteration as stop:
        return stop.value
    engine.prepare()
    return _drive(started[0], operation, pattern.name, engine, sources, is_unbounded=pattern.unbounded)


def _drive_async(
    pattern: AccessPattern[..., Any],
    started: _Started,
    engine: AsyncEngine,
    sources: Sources,
    start: float | None = None,
) -> Coroutine[Any, Any, Any]:
    """Returns the steps as a coroutine. Not part of the method: waiting calls would hold the closure's variables."""
    deadline = _deadline(engine, sources, is_unbounded=pattern.unbounded, start=start)
    return drive_async(
        execute_steps(*started, pattern.name, deadline, sources),
        lambda operation: engine.execute(operation, deadline),
    )


def _advance(steps: Steps[Any], operation: Operation, engine: Engine | AsyncEngine) -> Operation:
    """Runs steps as long as their results are in memory, and returns the first operation that must be executed.

    Raises:
        StopIteration: None must be; its value is the result of the steps.
    """
    find = cached_reads(engine)
    if find is None:
        report_untracked()
        return operation
    while (result := find(operation)) is not NOT_CACHED:
        operation = steps.send(result)
    return operation


def _stream(
    pattern: AccessPattern[..., Any], arguments: dict[str, Any], started: _Started, engine: Engine, sources: Sources
) -> Generator[Any]:
    while True:
        items, after = _run(pattern, started, engine, sources)
        yield from items
        if after is None:
            return
        started = _start(pattern, {**arguments, "after": after})


async def _stream_async(
    pattern: AccessPattern[..., Any],
    arguments: dict[str, Any],
    started: _Started,
    engine: AsyncEngine,
    sources: Sources,
) -> AsyncGenerator[Any]:
    while True:
        try:
            first = _advance(*started, engine)
        except StopIteration as stop:
            items, after = stop.value
        else:
            await engine.prepare()
            items, after = await _drive_async(pattern, (started[0], first), engine, sources)
        for item in items:
            yield item
        if after is None:
            return
        started = _start(pattern, {**arguments, "after": after})


def _drive(
    steps: Steps[Result], first: Operation, name: str, engine: Engine, sources: Sources, *, is_unbounded: bool
) -> Result:
    deadline = _deadline(engine, sources, is_unbounded=is_unbounded)
    return drive(
        execute_steps(steps, first, name, deadline, sources),
        lambda operation: engine.execute(operation, deadline),
        sources.sleep,
    )


def _deadline(
    engine: Engine | AsyncEngine, sources: Sources, *, is_unbounded: bool, start: float | None = None
) -> Deadline:
    return Deadline(
        engine.config.deadline,
        renewable=is_unbounded,
        attempt=engine.attempt_seconds,
        clock=sources.monotonic,
        start=start,
    )


def _not_started(name: str, seconds: float) -> UnavailableError:
    return UnavailableError(
        f"{name} was not started: it waited in the queue for a connection until the deadline ({seconds:.1f} s)",
        code="PoolTimeoutError",
        seconds=seconds,
    )


for _pattern in ACCESS_PATTERNS:
    for _api, _bound in ((Database, _bind(_pattern)), (AsyncDatabase, _bind_async(_pattern))):
        # The name, signature and documentation are the interface's.
        update_wrapper(_bound, getattr(_api, _pattern.name))
        _bound.__qualname__ = f"{_api.__name__}.{_pattern.name}"
        setattr(_api, _pattern.name, _bound)
