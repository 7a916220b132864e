"""A small history whose every deviation can be enumerated: one writer, one granter, one client, two writes.

Undisturbed, all decisions are 0. A deviation is one decision: a message or a request takes another time, is lost or
doubled, or a fault happens at one of the slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from tests.coherence.choices import Script, equal
from tests.coherence.faults import evict, isolate, leave, move, restart, restart_client, stop
from tests.coherence.history import KEYS
from tests.coherence.network import Temper
from tests.coherence.processes import ORDINARY
from tests.coherence.world import Plan, World

_ANY = Temper(equal(8), equal(8), equal(6), equal(6), equal(1))
_PLAN = Plan(brokers=2, clients=1, granters=1, seconds=5.5)
_SLOT = 0.1
_OPERATIONS = {0: "read", 2: "write", 4: "read", 6: "write", 7: "read", 9: "read"}
_FAULTS = (None, stop, restart, leave, move, restart_client, evict, isolate)
_ANY_FAULT = equal(len(_FAULTS))


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
                    writer.write(0, ORDINARY)
            if slot < 10 and (fault := _FAULTS[self.pick(_ANY_FAULT)]) is not None:
                fault(self, granter, client)
            self.network.run(self.network.now + _SLOT, self.check)


def deviations() -> list[tuple[int, int]]:
    """Returns all deviations, each as the number of a decision and the decision."""
    scenario = Scenario({})
    scenario.run()
    return [
        (number, decision)
        for number, options in enumerate(scenario.script.options)
        for decision in options.possible
        if decision != options.ordinary
    ]


def singles() -> Iterator[Mapping[int, int]]:
    """Returns the histories with one deviation."""
    return ({number: decision} for number, decision in deviations())


def pairs(stride: int = 1, first: int = 0) -> Iterator[Mapping[int, int]]:
    """Returns the histories with two deviations; with ``stride``, every so many of them."""
    for number, (one, other) in enumerate(combinations(deviations(), 2)):
        if number % stride == first and one[0] != other[0]:
            yield dict((one, other))
