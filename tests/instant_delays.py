"""Attempts of DynamoDB's HTTP clients over sockets, without waiting between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from open_alchemy.package_database.core.runner import Sources
from open_alchemy.package_database.database import SYSTEM
from open_alchemy.package_database.engines.dynamodb import engine
from open_alchemy.package_database.engines.dynamodb.timeouts import Timeouts

_DELAY = 15.0
"""A quarter of the deadline of ``tests.apis.config_of``: four attempts fit into it."""


@contextmanager
def instant_delays(**timeouts: float) -> Iterator[Sources]:
    """Lets delays end at once and move the clock of deadlines, of APIs that are opened in the context.

    Args:
        timeouts: Replaces timeouts of an attempt. Only what nobody answers may have short ones.
    """
    now = 0.0

    def draw() -> float:
        nonlocal now
        now += _DELAY
        return 0.0

    of = Timeouts.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "random", draw)
        patch.setattr(Timeouts, "of", lambda deadline: of(deadline)._replace(**timeouts))
        yield SYSTEM._replace(monotonic=lambda: now, random=draw)
