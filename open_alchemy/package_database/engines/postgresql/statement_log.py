"""Logs statements with their durations, and never a parameter. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .io_requests import Batch, BatchSteps, Result

if TYPE_CHECKING:
    from logging import Logger


def logged(
    steps: BatchSteps[Result], logger: Logger, clock: Callable[[], float] = time.perf_counter
) -> BatchSteps[Result]:
    """Logs each statement of the steps, also one that fails."""
    rows: Any = None
    while True:
        try:
            request = steps.send(rows)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        started = clock()
        try:
            rows = yield request
        finally:
            seconds = clock() - started
            for statement in request.statements if isinstance(request, Batch) else (request,):
                log_statement(logger, statement.text, seconds)


def log_statement(logger: Logger, text: str, seconds: float) -> None:
    """Logs a statement."""
    logger.debug("%s (%.3f ms)", text, seconds * 1000)
