"""No history has a stale read; without any one rule of the protocol, some history has."""

from __future__ import annotations

import pytest

from tests.coherence.choices import Choices, Script
from tests.coherence.history import StaleReadError
from tests.coherence.mutations import MUTATIONS, Mutation, applied
from tests.coherence.network import CALM
from tests.coherence.witnesses import WITNESSES
from tests.coherence.world import Plan, World, explain, fails, run_history

SHORT = Plan(seconds=5.0)
ONE_GRANTER = Plan(granters=1)


@pytest.mark.parametrize("block", range(8))
def test_no_history_has_a_stale_read(block: int) -> None:
    for seed in range(block * 250, block * 250 + 250):
        run_history(seed, ONE_GRANTER._replace(seconds=5.0) if seed % 5 == 0 else SHORT)


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_no_history_of_many_has_a_stale_read(block: int) -> None:
    for seed in range(block * 1000, block * 1000 + 1000):
        plan = (Plan(), ONE_GRANTER, Plan(brokers=4, clients=4, seconds=9.0), Plan(writers=0), Plan(clients=3))[seed % 5]
        run_history(1_000_000 + seed, plan)


def test_histories_use_their_caches() -> None:
    worlds = [run_history(seed, SHORT) for seed in range(20)]

    assert sum(client.machine.info().hits for world in worlds for client in world.clients) > 40
    assert sum(len(world.acknowledged) for world in worlds) > 40


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_rule_is_needed(mutation: Mutation) -> None:
    """The seed is that of the first history found; after a change of the simulator others may be needed."""
    first = WITNESSES[mutation.name]
    with applied(mutation), pytest.raises(StaleReadError):
        for seed in range(first, first + 600):
            World(Choices(seed)).run()


def test_a_violation_is_printed_as_a_short_history_that_repeats_it() -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "revocation_drops_nothing")
    with applied(mutation), pytest.raises(StaleReadError, match=r"World\(Script\(\{.*Revoke\(") as failure:
        for seed in range(100):
            run_history(seed)
    text = str(failure.value)
    decisions = eval(text.split("World(Script(")[1].split("), Plan(")[0])  # noqa: S307 (as printed)
    with applied(mutation):
        assert fails(decisions, Plan())
    assert explain(decisions, Plan()) == "not repeated"


def test_a_script_without_decisions_is_an_undisturbed_history() -> None:
    script = Script({})

    World(script, SHORT, temper=CALM).run()

    assert set(script.record) == {0}


def _deviations(plan: Plan, limit: int) -> int:
    """Runs every history that deviates once from one of the first decisions; returns how many."""
    script = Script({})
    World(script, plan).run()
    options = script.options[:limit]
    for number, count in enumerate(options):
        for decision in range(1, count):
            World(Script({number: decision}), plan).run()
    return sum(options) - len(options)
