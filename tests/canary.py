"""Canary secrets, and the search for their traces in text and in log records."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HASH = b"canary-of-the-hash"
SALT = b"canary-of-the-salt"


def _traces(secret: bytes) -> list[str]:
    """Returns the forms of a secret: text, hexadecimal digits, and base64 in each of the three alignments."""
    encoded = [base64.b64encode(b"x" * shift + secret).decode().rstrip("=")[4:-2] for shift in range(3)]
    return [secret.decode(), secret.hex(), secret.hex(" "), *encoded]


_TRACES = _traces(HASH) + _traces(SALT)


def find(text: str) -> list[str]:
    """Returns the traces of secrets in a text."""
    return [trace for trace in _TRACES if trace in text]


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{self.format(record)} {vars(record)}")


@contextmanager
def record_logs() -> Iterator[Callable[[], str]]:
    """Sets every logger to DEBUG while the context is open, and gives a function that returns all records as text."""
    recorder = _Recorder()
    loggers = [logging.root, *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    levels = {logger: logger.level for logger in loggers if logger is logging.root or logger.level}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    logging.root.addHandler(recorder)
    try:
        yield lambda: "\n".join(recorder.records)
    finally:
        logging.root.removeHandler(recorder)
        for logger, level in levels.items():
            logger.setLevel(level)
