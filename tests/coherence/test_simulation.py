"""No history has a stale read; without any one rule of the protocol, some history has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from tests.coherence import test_broker, test_cache
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


@pytest.mark.parametrize("block", range(4))
def test_no_history_has_a_stale_read(block: int) -> None:
    for seed in range(block * 150, block * 150 + 150):
        run_history(seed, ONE_GRANTER._replace(seconds=5.0) if seed % 5 == 0 else SHORT)


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_no_history_of_many_has_a_stale_read(block: int) -> None:
    for seed in range(block * 1000, block * 1000 + 1000):
        run_history(1_000_000 + seed, LONG[seed % len(LONG)])


def test_histories_use_their_caches() -> None:
    worlds = [run_history(seed, SHORT) for seed in range(20)]

    assert sum(client.machine.info().hits for world in worlds for client in world.clients) > 40
    assert sum(len(world.acknowledged) for world in worlds) > 40


def _mutation(name: str) -> Mutation:
    return next(mutation for mutation in MUTATIONS if mutation.name == name)


@pytest.mark.parametrize("name", WITNESSES)
def test_without_a_rule_a_history_has_a_stale_read(name: str) -> None:
    """The seed is that of the first history found; after a change of the simulator others may be needed."""
    plan, first = WITNESSES[name]
    with applied(_mutation(name)), pytest.raises(StaleReadError):
        for seed in range(first, first + 600):
            World(Choices(seed), PLANS[plan]).run()


TRANSITIONS: dict[str, Callable[[], None]] = {
    "view_age_from_answer": test_broker.test_the_age_of_a_view_and_of_a_membership_count_from_the_start_of_the_read,
    "join_wait_from_request": test_broker.test_the_join_wait_counts_from_the_answer_of_the_registration,
    "death_without_drift": test_broker.test_a_broker_is_dead_some_time_after_the_answer_that_showed_it_out,
    "death_from_start_of_read": test_broker.test_a_broker_is_dead_some_time_after_the_answer_that_showed_it_out,
    "grant_checked_at_answer": test_broker.test_a_read_that_began_before_the_join_wait_was_over_is_not_cacheable,
    "leaves_at_once": lambda: test_broker.test_a_broker_that_leaves_waits_for_its_sessions(test_broker.granter()),
    "last_lease_counts": lambda: test_broker.test_the_latest_end_of_a_lease_counts(test_broker.granter()),
    "hold_from_answer": lambda: test_broker.test_a_hold_is_in_force_from_its_sending_on(test_broker.pure_writer()),
    "answer_of_any_sending": lambda: test_broker.test_a_hold_that_is_over_is_renewed_before_the_acknowledgement(
        test_broker.pure_writer()
    ),
    "done_when_unknown": lambda: test_broker.test_an_abandoned_write_is_done_only_before_its_request(
        test_broker.pure_writer()
    ),
    "gap_ignored": lambda: test_cache.test_a_gap_ends_the_session_and_begins_another(test_cache.Client()),
    "view_age_unchecked": lambda: test_broker.test_a_write_waits_for_a_current_view(test_broker.pure_writer()),
}
"""The rules whose violation few random histories show, and the test of the transition."""


@pytest.mark.parametrize("name", TRANSITIONS)
def test_without_a_rule_the_test_of_its_transition_fails(name: str) -> None:
    TRANSITIONS[name]()
    with applied(_mutation(name)), pytest.raises(AssertionError):
        TRANSITIONS[name]()


def test_every_mutation_is_caught() -> None:
    assert {mutation.name for mutation in MUTATIONS} == WITNESSES.keys() | TRANSITIONS.keys()


def test_a_violation_is_printed_as_a_short_history_that_repeats_it() -> None:
    mutation = _mutation("revocation_drops_nothing")
    with applied(mutation), pytest.raises(StaleReadError, match=r"(?s)World\(Script\(\{.*Revoke\(") as failure:
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
    assert _run(pairs(stride=1600)) > 75


@pytest.mark.long
@pytest.mark.parametrize("part", range(20))
def test_no_pair_of_deviations_leads_to_a_stale_read(part: int) -> None:
    assert _run(pairs(stride=20, first=part)) > 5000
