"""Keeps botocore from telling what a request or an answer holds.

At level DEBUG botocore logs whole bodies: it would show secret key hashes and salts to whoever collects logs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("botocore", "urllib3")
_state = threading.local()


class _Silence(logging.Filter):
    """Drops what this thread logs while it makes a request of ours, and leaves all else alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not getattr(_state, "is_discreet", False)


_SILENCE = _Silence()


def silence_libraries() -> None:
    """Puts the filter on every logger of the libraries; call it when they are loaded.

    A filter on a logger does not apply to the loggers below it (Python, logging), so each gets its own.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_SILENCE)


@contextmanager
def discretion() -> Iterator[None]:
    """Drops what the libraries log in this thread while the context is open."""
    _state.is_discreet = True
    try:
        yield
    finally:
        _state.is_discreet = False
