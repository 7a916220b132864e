"""Which test fails without each rule of ``mutations``; ``python -m tests.coherence.catchers`` prints the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from tests.coherence import test_delays as delays
from tests.coherence.choices import Choices
from tests.coherence.mutations import MUTATIONS
from tests.coherence.plans import PLANS
from tests.coherence.recovery import recover
from tests.coherence.scripts import SCRIPTS
from tests.coherence.world import World

SEEDS: Final = 600
"""The histories that are tried from the stated seed: a change of the simulator changes those of all seeds."""
HISTORIES: Final[Mapping[str, tuple[str, int]]] = {
    "member_from_answer": ("any", 46),
    "no_join_wait": ("any", 9),
    "same_id_after_restart": ("evict, drift 2", 22),
    "no_wait_for_the_evicted": ("any", 46),
    "eviction_removes": ("any", 46),
    "removed_before_dead": ("any", 45),
    "out_ignored": ("any", 1),
    "sessions_survive_eviction": ("evict", 14),
    "eviction_answers_pending": ("slow messages", 0),
    "lease_without_membership": ("any", 46),
    "lease_from_answer": ("leave", 36),
    "lease_without_drift": ("any, drift 2", 13),
    "cache_survives_session": ("any", 4),
    "messages_of_old_sessions": ("any, drift 2", 43),
    "ended_session_forgotten": ("slow messages", 21),
    "note_after_store_read": ("any", 7),
    "spoil_unchecked": ("any", 5),
    "hold_checked_at_answer": ("any", 10),
    "no_hold": ("any", 4),
    "answer_without_clients": ("any", 13),
    "unanswered_revocations_forgotten": ("any", 8),
    "done_lifts_all": ("any", 1),
    "any_id_answers": ("join", 31),
    "revocation_drops_nothing": ("any", 0),
    "first_tag_only": ("any", 0),
    "no_check_after": ("leave", 5),
    "no_round_before": ("any", 1),
    "hold_age_unchecked": ("join", 29),
    "view_age_unchecked": ("evict", 10),
    "done_when_retried": ("any", 50),
    "own_sessions_skipped": ("any", 0),
    "no_max_age": ("any", 8),
    "age_from_answer": ("slow messages", 127),
    "notes_forgotten_early": ("any", 2),
    "lease_ignores_wall_clock": ("slow messages", 2),
    "age_ignores_wall_clock": ("slow messages", 127),
}
"""The plan and the seed of a history with a stale read."""
RECOVERIES: Final[Mapping[str, tuple[str, int]]] = {
    "dead_brokers_stay": ("any", 0),
    "holds_stay": ("any", 1),
    "sessions_stay": ("leave", 14),
}
"""The plan and the seed of a history after which something is left."""
DELAYS: Final[Mapping[str, Callable[[], None]]] = {
    "silence_ignored": delays.test_a_dead_broker_delays_a_write_once,
    "granters_unlimited": delays.test_one_granter_at_a_time,
    "own_address_stays": delays.test_a_restarted_broker_grants_after_the_join_wait,
    "waiting_not_sent": delays.test_a_broker_that_waits_for_a_dead_client_is_not_evicted,
    "lease_waited_for_forever": delays.test_a_dead_client_delays_a_write_by_at_most_its_lease,
    "patience_unlimited": delays.test_a_half_open_client_does_not_delay_writes_forever,
    "own_silence_counts": delays.test_a_writer_that_was_stopped_evicts_no_other_broker,
}
"""The test of a worst-case delay that fails."""


def find_catcher(name: str) -> Callable[[], object]:
    """Returns what fails without a rule; raises ``LookupError`` if it does not."""
    for catcher in _catchers(name):
        try:
            catcher()
        except AssertionError:
            return catcher
    raise LookupError(f"nothing fails with {name}")


def _catchers(name: str) -> Iterator[Callable[[], object]]:
    """Yields a script, the test of a delay, or histories."""
    if name in SCRIPTS or name in DELAYS:
        yield {**SCRIPTS, **DELAYS}[name]
        return
    plan, first = {**HISTORIES, **RECOVERIES}[name]
    for seed in range(first, first + SEEDS):
        yield partial(_run_history, plan, seed, with_recovery=name in RECOVERIES)


def _run_history(plan: str, seed: int, *, with_recovery: bool) -> None:
    world = World(Choices(seed), PLANS[plan])
    world.run()
    if with_recovery:
        recover(world)


def table() -> str:
    """Returns the table of docs/simulation.md."""
    rows = (f"| {mutation.rule} | `{mutation.name}` | {_caught_by(mutation.name)} |" for mutation in MUTATIONS)
    return "\n".join(("| rule | mutation | caught by |", "|---|---|---|", *rows, ""))


def _caught_by(name: str) -> str:
    if name in HISTORIES:
        return f"history ({HISTORIES[name][0]})"
    return "script" if name in SCRIPTS else "recovery" if name in RECOVERIES else "delay"


if __name__ == "__main__":
    print(table())  # noqa: T201
