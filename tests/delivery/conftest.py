"""Fixtures of the tests of the delivery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.simple_index import SimpleIndex, serve


@pytest.fixture
def index() -> Iterator[SimpleIndex]:
    with serve() as server:
        yield server
