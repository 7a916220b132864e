"""A wrapper of an engine for asyncio that can read an item at once where the engine can."""

from __future__ import annotations

from typing import Any

from ..core.operations import Get
from ..engines.port import immediate_read
from ..engines.wrapper import AsyncEngineWrapper
from ..exceptions import UnavailableError


class ImmediateWrapper(AsyncEngineWrapper):
    """An engine for asyncio, with ``ImmediateReads``."""

    def read_now(self, operation: Get) -> Any:
        """Reads an item, where the engine can do that without waiting; see ``ImmediateReads``."""
        read_now = immediate_read(self._engine)
        if read_now is None:
            raise UnavailableError("the engine cannot read without waiting")
        return read_now(operation)
