"""No history has a stale read; without any one rule of the protocol, some history has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.coherence.catchers import DELAYS, HISTORIES, RECOVERIES, find_catcher, table
from tests.coherence.choices import Script
from tests.coherence.histories import FEATURES, SHORT, run_histories
from tests.coherence.history import KEYS, History, StaleReadError
from tests.coherence.mutations import MUTATIONS, Mutation, applied
from tests.coherence.network import CALM
from tests.coherence.scenario import PARTS, Scenario, pairs, run_all, singles
from tests.coherence.scripts import SCRIPTS, Scripted
from tests.coherence.world import ANY, World, explain, fails, run_history

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulation.md"


def test_no_history_has_a_stale_read() -> None:
    features = run_histories(range(250))

    assert [feature for feature in FEATURES if not features[feature]] == []


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_no_history_of_many_has_a_stale_read(block: int) -> None:
    run_histories(range(1_000_000 + block * 1000, 1_000_000 + block * 1000 + 1000))


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.__name__)
def test_no_script_has_a_stale_read(script: Callable[[], World]) -> None:
    world = script()

    assert world.acknowledged
    assert world.network.features["cacheable"] or world.network.features["not cacheable"]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_reads_are_stale_only_without_the_rule(mutation: Mutation) -> None:
    with applied(mutation):
        catcher = find_catcher(mutation.name)
    catcher()


def test_the_document_lists_every_rule_and_what_catches_its_removal() -> None:
    assert {mutation.name for mutation in MUTATIONS} == {*HISTORIES, *SCRIPTS, *RECOVERIES, *DELAYS}
    assert table() in DOCUMENT.read_text(encoding="utf-8"), "python -m tests.coherence.catchers prints the table"


def test_the_history_finds_each_kind_of_stale_read() -> None:
    history = History(max_age=2.0)
    history.apply(["a1"], 1.0, is_late=True)
    history.check({"a1": 0}, 3.0, "a reader")
    with pytest.raises(StaleReadError, match="P3"):
        history.check({"a1": 0}, 3.1, "a reader")
    history.apply(["a1"], 3.0, is_late=False)
    with pytest.raises(StaleReadError, match="R1b"):
        history.check({"a1": 1}, 3.1, "a reader")
    history.acknowledge({"a1": 1})
    with pytest.raises(StaleReadError, match="R1:"):
        history.check({"a1": 0}, 3.0, "a reader")


def test_a_client_whose_reads_go_back_is_found() -> None:
    world = Scripted()
    world.join()
    world.client.seen[KEYS[0]] = {"a1": 1}
    with pytest.raises(StaleReadError, match="MR"):
        world.cache()


def test_a_violation_is_printed_as_a_short_history_that_repeats_it() -> None:
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == "revocation_drops_nothing")
    with applied(mutation), pytest.raises(StaleReadError, match=r"(?s)World\(Script\(\{.*Revoke\(") as failure:
        for seed in range(100):
            run_history(seed)
    text = str(failure.value)
    decisions = eval(text.split("World(Script(")[1].split("), Plan(", 1)[0])  # noqa: S307 (as printed)
    with applied(mutation):
        assert fails(decisions, ANY)
    assert explain(decisions, ANY) == "not repeated"


def test_a_script_without_decisions_is_an_undisturbed_history() -> None:
    script = Script({})

    World(script, SHORT, temper=CALM).run()

    assert script.record == [options.ordinary for options in script.options]


def test_a_small_history_writes_and_caches() -> None:
    scenario = Scenario({})

    scenario.run()

    assert len(scenario.acknowledged) == 2
    assert scenario.clients[0].machine.info().hits == 1


def test_no_single_deviation_from_a_small_history_leads_to_a_stale_read() -> None:
    assert run_all(singles()) > 500


def test_some_pairs_of_deviations_lead_to_no_stale_read() -> None:
    assert run_all(pairs(parts=40, stride=40)) > 75


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_no_pair_of_deviations_leads_to_a_stale_read(part: int) -> None:
    assert run_all(pairs(part, PARTS)) > 5000
