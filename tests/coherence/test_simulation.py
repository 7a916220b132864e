"""No history has a stale read; without any one rule of the protocol, some history has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from tests.coherence.choices import Choices, Script
from tests.coherence.history import StaleReadError
from tests.coherence.mutations import MUTATIONS, Mutation, applied
from tests.coherence.network import CALM
from tests.coherence.plans import PLANS
from tests.coherence.scenario import Scenario, pairs, singles
from tests.coherence.witnesses import WITNESSES
from tests.coherence.world import Plan, World, explain, fails, run_history

SHORT = Plan(seconds=5.0)
ONE_GRANTER = Plan(granters=1)
LONG = (*PLANS.values(), ONE_GRANTER, Plan(brokers=4, clients=4, seconds=9.0), Plan(writers=0), Plan(clients=3))


@pytest.mark.parametrize("block", range(8))
def test_no_history_has_a_stale_read(block: int) -> None:
    for seed in range(block * 250, block * 250 + 250):
        run_history(seed, ONE_GRANTER._replace(seconds=5.0) if seed % 5 == 0 else SHORT)


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_no_history_of_many_has_a_stale_read(block: int) -> None:
    for seed in range(block * 1000, block * 1000 + 1000):
        plan = (Plan(), ONE_GRANTER, Plan(brokers=4, clients=4, seconds=9.0), Plan(writers=0), Plan(clients=3))[
            seed % 5
        ]
        run_history(1_000_000 + seed, plan)


def test_histories_use_their_caches() -> None:
    worlds = [run_history(seed, SHORT) for seed in range(20)]

    assert sum(client.machine.info().hits for world in worlds for client in world.clients) > 40
    assert sum(len(world.acknowledged) for world in worlds) > 40


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_rule_is_needed(mutation: Mutation) -> None:
    """The seed is that of the first history found; after a change of the simulator others may be needed."""
    plan, first = WITNESSES[mutation.name]
    with applied(mutation), pytest.raises(StaleReadError):
        for seed in range(first, first + 600):
            World(Choices(seed), PLANS[plan]).run()


def test_a_violation_is_printed_as_a_short_history_that_repeats_it() -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "revocation_drops_nothing")
    with applied(mutation), pytest.raises(StaleReadError, match=r"World\(Script\(\{.*Revoke\(") as failure:
        for seed in range(100):
            run_history(seed)
    text = str(failure.value)
    decisions = eval(text.split("World(Script(")[1].split("), Plan(", 1)[0])  # noqa: S307 (as printed)
    with applied(mutation):
        assert fails(decisions, Plan())
    assert explain(decisions, Plan()) == "not repeated"


def test_a_script_without_decisions_is_an_undisturbed_history() -> None:
    script = Script({})

    World(script, SHORT, temper=CALM).run()

    assert set(script.record) == {0}


def _run(histories: Iterable[Mapping[int, int]]) -> int:
    number = 0
    for deviations in histories:
        number += 1
        try:
            Scenario(deviations).run()
        except StaleReadError as error:
            raise StaleReadError(f"Scenario({deviations}).run(): {error}") from None
    return number


def test_a_small_history_writes_and_caches() -> None:
    scenario = Scenario({})

    scenario.run()

    assert len(scenario.acknowledged) == 2
    assert scenario.clients[0].machine.info().hits == 1


def test_no_single_deviation_from_a_small_history_leads_to_a_stale_read() -> None:
    assert _run(singles()) > 500


def test_some_pairs_of_deviations_lead_to_no_stale_read() -> None:
    assert _run(pairs(stride=400)) > 300


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_no_pair_of_deviations_leads_to_a_stale_read(part: int) -> None:
    assert _run(pairs(stride=20, first=part)) > 5000
