"""Raises in the middle of a call, at a line that is chosen by its number."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class InterruptionError(BaseException):
    """Raised in the middle of a call."""


@contextmanager
def interrupted_at(number: int, is_counted: Callable[[FrameType], bool]) -> Iterator[None]:
    """Raises at a line of the counted frames, by the number of lines that this thread executed in them."""
    lines = 0

    def trace_line(_: FrameType, event: str, __: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if lines == number:
            raise InterruptionError
        return trace_line

    def trace_call(frame: FrameType, *_: Any) -> Any:
        return trace_line if is_counted(frame) else None

    tracer = sys.gettrace()
    sys.settrace(trace_call)
    try:
        yield
    finally:
        sys.settrace(tracer)
