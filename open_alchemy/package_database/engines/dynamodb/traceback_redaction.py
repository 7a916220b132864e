"""Removes the frames of exceptions: their local variables may contain secrets."""

from __future__ import annotations


def without_frames(error: BaseException) -> None:
    """Removes the frames of an exception, its causes and contexts."""
    seen: set[int] = set()
    behind: list[BaseException | None] = [error]
    while behind:
        current = behind.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            current.__traceback__ = None
            behind += [current.__cause__, current.__context__]
