"""A small history whose every deviation can be enumerated: one writer, one granter, one client, two writes.

A deviation is one decision: a message or a request takes another time, is lost or doubled, a write has another
outcome, or a fault happens at one of the slots. ``python -m tests.coherence.scenario`` runs all with up to two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from tests.coherence.choices import Script, equal
from tests.coherence.faults import (
    break_session,
    evict,
    freeze_client,
    isolate,
    leave,
    move,
    restart,
    restart_client,
    stop,
)
from tests.coherence.history import KEYS, StaleReadError
from tests.coherence.network import Temper
from tests.coherence.processes import OUTCOMES
from tests.coherence.world import Plan, World

_ANY = Temper(equal(8), equal(8), equal(6), equal(6), equal(1))
_PLAN = Plan(brokers=2, clients=1, granters=1, seconds=5.5)
_SLOT = 0.1
_OPERATIONS = {0: "read", 2: "write", 4: "read", 6: "write", 7: "read", 9: "read"}
_FAULTS = (None, stop, restart, leave, move, restart_client, evict, isolate, freeze_client, break_session)
_ANY_FAULT, _ANY_OUTCOME = equal(len(_FAULTS)), equal(len(OUTCOMES))
PARTS = 20


class Scenario(World):
    """The history with some deviations."""

    def __init__(self, deviations: Mapping[int, int]) -> None:
        self.script = Script(deviations)
        super().__init__(self.script, _PLAN, _ANY)

    def run(self) -> None:
        self.start()
        for slot in range(int((_PLAN.seconds - _PLAN.settle) / _SLOT)):
            client, granter, writer = self.clients[0], self.brokers["b0"], self.brokers["b1"]
            if slot in _OPERATIONS:
                if _OPERATIONS[slot] == "read":
                    client.read(KEYS[0])
                elif writer.is_running:
                    writer.write(0, self.pick(_ANY_OUTCOME))
            if slot < 10 and (fault := _FAULTS[self.pick(_ANY_FAULT)]) is not None:
                fault(self, granter, client)
            self.network.run(self.network.now + _SLOT, self.check)


def _later(deviations: Mapping[int, int]) -> Iterator[Mapping[int, int]]:
    """Returns the histories with one more deviation, which is later than these."""
    scenario = Scenario(deviations)
    scenario.run()
    for number, options in enumerate(scenario.script.options):
        if number > max(deviations, default=-1):
            for decision in options.possible:
                if decision != options.ordinary:
                    yield {**deviations, number: decision}


def singles() -> Iterator[Mapping[int, int]]:
    """Returns the histories with one deviation."""
    return _later({})


def pairs(part: int = 0, parts: int = 1, stride: int = 1) -> Iterator[Mapping[int, int]]:
    """Returns the histories with two deviations, or a part of them; ``stride`` skips some of these."""
    later = (pair for single in islice(singles(), part, None, parts) for pair in _later(single))
    return islice(later, 0, None, stride)


def run_all(histories: Iterable[Mapping[int, int]]) -> int:
    """Returns the number of histories; raises ``StaleReadError``."""
    number = 0
    for deviations in histories:
        number += 1
        try:
            Scenario(deviations).run()
        except StaleReadError as error:
            raise StaleReadError(f"Scenario({deviations}).run(): {error}") from None
    return number


if __name__ == "__main__":
    print(f"{run_all(singles()):,} histories with one deviation", flush=True)  # noqa: T201
    for part in range(PARTS):
        print(f"{run_all(pairs(part, PARTS)):,} histories with two, part {part} of {PARTS}", flush=True)  # noqa: T201
