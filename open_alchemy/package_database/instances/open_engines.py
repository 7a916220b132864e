"""The open engines of the instances of a file: those used last, and those in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import ref

from .closer import closer
from .file_format import DEFAULT_MAX_OPEN
from .state_lock import state

EngineType = TypeVar("EngineType")


class Slot(Generic[EngineType]):
    """The place of one engine, for threads or for asyncio, of one instance.

    Attributes:
        open: Opens the engine, which closes itself when nothing refers to it.
        engine: Returns the engine as long as anything refers to it.
        is_listed: False when the instance was removed from the file.
    """

    __slots__ = ("engine", "is_listed", "open")

    def __init__(self, open: Callable[[], EngineType]) -> None:  # noqa: A002
        self.open = open
        self.engine: Callable[[], EngineType | None] = _none
        self.is_listed = True


class OpenEngines:
    """Refers to the engines that were used last.

    Any other engine that a call uses is closed at the end of the call, or is used again by the next call.

    Attributes:
        max_open: The most engines that it refers to.
    """

    def __init__(self) -> None:
        self.max_open = DEFAULT_MAX_OPEN
        self._recent: OrderedDict[Slot[Any], Any] = OrderedDict()

    def get(self, slot: Slot[EngineType]) -> EngineType:
        """Returns the engine of a slot, and opens it if it is closed."""
        try:
            engine: EngineType = self._recent[slot]
            self._recent.move_to_end(slot)
        except KeyError:
            # Never used, or removed by another thread a moment ago.
            return self._open(slot)
        return engine

    def remove(self, slot: Slot[EngineType]) -> EngineType | None:
        """Removes the engine of a slot, also from calls to come, and returns it if it is open."""
        with state.lock:
            # First a reference: without one, the engine would be closed later, by another thread.
            engine, slot.engine = slot.engine(), _none
            self._recent.pop(slot, None)
        return engine

    def unlist(self, slot: Slot[Any]) -> None:
        """Closes an engine when its calls end, for good."""
        with state.lock:
            slot.is_listed = False
            self._recent.pop(slot, None)
        closer.start()

    def limit(self, max_open: int) -> None:
        """Changes the number of engines that stay open."""
        with state.lock:
            self.max_open = max_open
            self._close_surplus()

    def _open(self, slot: Slot[EngineType]) -> EngineType:
        closer.close_if_many_wait()
        with state.lock:
            engine = slot.engine()
            if engine is None:
                engine = slot.open()
                slot.engine = ref(engine)
            if slot.is_listed:
                self._recent[slot] = engine
                self._close_surplus()
        return engine

    def _close_surplus(self) -> None:
        while len(self._recent) > self.max_open:
            self._recent.popitem(last=False)
            closer.start()


def _none() -> None:
    """Returns no engine."""
