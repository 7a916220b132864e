"""The engines of an instance with their connection pools: one for each server, and for each event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from ..engines import fork
from .store_interface import Store

_inherited: Final[list[object]] = []
"""The pools of the parent process, whose connections must not be closed in the child."""


class Pools:
    """Engines, each created on first use.

    Args:
        store: Creates them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engines: dict[tuple[str, bool], PooledEngine] = {}
        self._async_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopEngines] = WeakKeyDictionary()
        self._lock = threading.Lock()
        fork.register(self)

    def engine(self, server: str, *, allow_writes: bool) -> PooledEngine:
        """Returns the engine of a server."""
        key = (server, allow_writes)
        found = self._engines.get(key)
        if found is None:
            with self._lock:
                found = self._engines.get(key)
                if found is None:
                    found = self._engines[key] = PooledEngine(
                        self._store.engine(server, allow_writes=allow_writes), self._store.supports_two_phases
                    )
        return found

    async def async_engine(self, server: str, *, allow_writes: bool) -> AsyncEngine:
        """Returns the engine of a server for the running loop."""
        loop = asyncio.get_running_loop()
        engines = self._async_engines.get(loop)
        if engines is None:
            engines = self._async_engines[loop] = _LoopEngines()
            await engines.start()
        return engines.get((server, allow_writes), lambda: self._store.async_engine(server, allow_writes=allow_writes))

    def close(self) -> None:
        """Closes the connections. Those in use are closed when their sessions end; loops close their own."""
        with self._lock:
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.retire()
        for loop, found in list(self._async_engines.items()):
            found.close_in(loop)
        self._store.close()

    async def aclose(self) -> None:
        """Closes the connections, and waits for those of the running loop."""
        found = self._async_engines.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found.aclose()
        await self._store.aclose()
        self.close()

    def before_fork(self, end: float) -> None:
        """Closes idle connections where the child could damage the store."""
        del end
        self._store.before_fork([found.engine for found in tuple(self._engines.values())])

    def after_fork_in_child(self) -> None:
        """Drops all connections without closing them."""
        for found in self._engines.values():
            _inherited.append(found.engine.pool)
            found.engine.dispose(close=False)
        _inherited.extend(self._async_engines.values())
        self._async_engines = WeakKeyDictionary()
        self._lock = threading.Lock()


class PooledEngine:
    """An engine whose connections are closed when they are returned, once it is retired.

    Attributes:
        engine: SQLAlchemy's engine.
    """

    def __init__(self, engine: Engine, supports_two_phases: Callable[[Any], bool]) -> None:
        self.engine = engine
        self._is_retired = False
        self._read_two_phases = supports_two_phases
        self._two_phases: bool | None = None
        event.listen(engine, "checkin", self._checkin)

    def supports_two_phases(self) -> bool:
        """Returns whether transactions can be prepared; queries the server once."""
        if self._two_phases is None:
            with self.engine.connect() as connection:
                self._two_phases = self._read_two_phases(connection)
        return self._two_phases

    def retire(self) -> None:
        """Closes the idle connections now, and the others when they are returned."""
        self._is_retired = True
        self.engine.dispose()

    def _checkin(self, _: Any, record: Any) -> None:
        if self._is_retired:
            record.invalidate()


class _LoopEngines:
    """The engines of one event loop, which closes them when it shuts down."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, bool], AsyncEngine] = {}
        self._at_shutdown: AsyncGenerator[None] = self._dispose_at_shutdown()
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Registers the engines with the running loop."""
        await anext(self._at_shutdown)

    def get(self, key: tuple[str, bool], create: Callable[[], AsyncEngine]) -> AsyncEngine:
        """Returns an engine; creates it on first use."""
        found = self._engines.get(key)
        if found is None:
            found = self._engines[key] = create()
        return found

    async def aclose(self) -> None:
        """Closes the idle connections."""
        await self._at_shutdown.aclose()

    def close_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has the loop close the connections, from any thread."""
        # A closed loop has closed them.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._start_closing)

    def _start_closing(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self.aclose())

    async def _dispose_at_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            while self._engines:
                await self._engines.popitem()[1].dispose()
