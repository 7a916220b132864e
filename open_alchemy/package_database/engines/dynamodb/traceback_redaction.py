"""Takes from exceptions what their frames hold: local variables, and in them secrets."""

from __future__ import annotations


def without_frames(error: BaseException) -> None:
    """Takes the frames of the libraries, and so their local variables, off an exception and those behind it."""
    seen: set[int] = set()
    behind: list[BaseException | None] = [error]
    while behind:
        current = behind.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            current.__traceback__ = None
            behind += [current.__cause__, current.__context__]
