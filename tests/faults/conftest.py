from __future__ import annotations

import pytest

from tests.faults.backend import Backend


@pytest.fixture(scope="session")
def _backend() -> Backend:
    return Backend()


@pytest.fixture
def backend(_backend: Backend) -> Backend:
    """A DynamoDB with the items of ``calls.UNTOUCHED``."""
    _backend.restore()
    return _backend
