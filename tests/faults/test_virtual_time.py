"""The faults in virtual time, where the effect, the error and the deadline are exact.

A pairwise selection of API, fault and call; with --long every combination.
"""

from __future__ import annotations

from itertools import product

import pytest

from open_alchemy import package_database
from open_alchemy.package_database.core.deadline import GRACE
from tests.apis import APIS
from tests.faults.backend import Backend
from tests.faults.calls import CALLS, READ_BEFORE_WRITING, UNTOUCHED, WRITES, stored
from tests.faults.faults import LATE, PERMANENT, TRANSIENT, Network
from tests.faults.virtual_time import Clock, open_virtual
from tests.pairwise import selected

DEADLINE = 5.0
REQUESTS = [(call, False) for call in CALLS] + [(call, True) for call in READ_BEFORE_WRITING]
"""Each call, and whether its first write meets the fault instead of its first request."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("api", "fault", "request_"), selected(product(APIS, TRANSIENT, REQUESTS)))
def test_a_transient_fault_changes_neither_result_nor_effect(
    backend: Backend, clock: Clock, api: str, fault: str, request_: tuple[str, bool]
) -> None:
    call, writes_only = request_
    network = Network(backend, TRANSIENT[fault], writes_only=writes_only)
    with open_virtual(api, network, clock, deadline=DEADLINE) as database:
        result = CALLS[call].perform(database)

    assert result == CALLS[call].result
    assert stored(backend) == CALLS[call].effect
    assert clock.now <= DEADLINE


@pytest.mark.parametrize(("api", "fault", "request_"), selected(product(APIS, PERMANENT, REQUESTS)))
def test_a_permanent_fault_is_a_typed_error_within_the_deadline(
    backend: Backend, clock: Clock, api: str, fault: str, request_: tuple[str, bool]
) -> None:
    call, writes_only = request_
    behaviour, error = PERMANENT[fault]
    network = Network(backend, behaviour, times=None, writes_only=writes_only)
    with (
        open_virtual(api, network, clock, deadline=DEADLINE) as database,
        pytest.raises(getattr(package_database, error)),
    ):
        CALLS[call].perform(database)

    assert clock.now <= DEADLINE + GRACE
    assert stored(backend) in (UNTOUCHED, CALLS[call].effect, *CALLS[call].partial)


@pytest.mark.parametrize(("api", "fault", "call"), selected(product(APIS, LATE, WRITES)))
def test_a_late_delivery_changes_nothing(backend: Backend, clock: Clock, api: str, fault: str, call: str) -> None:
    network = Network(backend, LATE[fault], writes_only=True)
    with open_virtual(api, network, clock) as database:
        CALLS[call].perform_with_later(database)
    expected = backend.items()

    network.deliver_late()

    assert backend.items() == expected
