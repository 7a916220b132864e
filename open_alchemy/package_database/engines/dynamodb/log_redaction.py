"""Drops the log records of botocore and urllib3 about requests of the package.

At level DEBUG botocore logs whole bodies, with secret key hashes and salts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("botocore", "urllib3")
_state = threading.local()


class _LibraryFilter(logging.Filter):
    """Drops the records of a thread while it makes a request of the package."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not getattr(_state, "is_suppressed", False)


_FILTER = _LibraryFilter()


def silence_libraries() -> None:
    """Adds the filter to every logger of the libraries. Call it when they are loaded.

    A filter on a logger does not apply to the loggers below it (Python, logging), so each gets its own.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_FILTER)


@contextmanager
def suppress_library_logs() -> Iterator[None]:
    """Drops the libraries' log records of this thread while the context is open."""
    _state.is_suppressed = True
    try:
        yield
    finally:
        _state.is_suppressed = False
