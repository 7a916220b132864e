"""Concurrent writers of one spec succeed within the deadline: in virtual time, with seeded randomness."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pytest

from open_alchemy.package_database.model import specs
from tests.simulation.contention import ClientCall, Simulation
from tests.simulation.invariants import check_specs, versions_of

LATENCY = 0.01
SPEC = {"sub": "u1", "name": "a"}


def writer(number: int, versions: int = 12) -> Iterator[ClientCall]:
    for version in range(versions):
        yield specs.create_update_spec, {**SPEC, "version": f"{number}.{version}", "model_count": 1}


@pytest.mark.parametrize("seed", range(3))
def test_16_writers_of_12_versions_each_succeed_in_half_of_the_deadline(seed: int) -> None:
    simulation = Simulation(LATENCY, seed)

    simulation.run(*(writer(number) for number in range(16)))

    assert [call.error for call in simulation.calls] == [None] * 192
    assert len(versions_of(simulation.store, "u1", "a")) == 192
    assert max(call.seconds for call in simulation.calls) < 2.5
    assert median(call.transactions for call in simulation.calls) <= 2
    check_specs(simulation.store)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_64_writers_succeed_before_the_deadline(seed: int) -> None:
    simulation = Simulation(LATENCY, seed)

    simulation.run(*(writer(number, 6) for number in range(64)))

    assert [call.error for call in simulation.calls] == [None] * 384
    assert max(call.seconds for call in simulation.calls) < 5


@pytest.mark.parametrize("seed", range(10))
def test_a_delete_finishes_beside_8_writers(seed: int) -> None:
    simulation = Simulation(LATENCY, seed)

    simulation.run(*(writer(number) for number in range(8)), iter([(specs.delete_spec, SPEC)]))

    assert {call.error for call in simulation.calls} == {None}
    check_specs(simulation.store)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("versions", [0, 120])
def test_a_delete_finishes_while_8_writers_never_pause(seed: int, versions: int) -> None:
    simulation = Simulation(LATENCY, seed)
    simulation.run(writer(0, versions))

    def restless_writer(number: int) -> Iterator[ClientCall]:
        while not is_deleted():
            yield from writer(number, 1)

    def is_deleted() -> bool:
        return any(call.name == "delete_spec" for call in simulation.calls)

    simulation.run(*map(restless_writer, range(8)), iter([(specs.delete_spec, SPEC)]))

    assert {call.error for call in simulation.calls} == {None}
    check_specs(simulation.store)


def test_a_single_writer_never_waits() -> None:
    simulation = Simulation(LATENCY)

    simulation.run(writer(0))

    assert max(call.seconds for call in simulation.calls) == pytest.approx(2 * LATENCY)
