"""Histories with exact times, for the rules whose removal random histories seldom show.

In each, a writer, a granter and a client run until the client has cached an old version that a removed rule lets a
write overtake. With all rules the history ends with an acknowledged write and without a stale read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from open_alchemy.package_database.coherence.leases import Timing
from open_alchemy.package_database.coherence.membership import marked_out
from open_alchemy.package_database.coherence.messages import Invalidated
from tests.coherence.choices import Script, Weights, weights
from tests.coherence.history import KEYS, WRITES
from tests.coherence.network import CALM, DELAYS, LOST
from tests.coherence.processes import ORDINARY, UNANSWERED
from tests.coherence.world import DRIFT, FAST, Plan, World

SHORT = 0.005
"""How long a message or a request takes one way."""
JOINED = 1.6
"""When the granter has joined, if it started at once."""
A, B = WRITES.index(("a1",)), WRITES.index(("b1",))


class Scripted(World):
    """A granter, a writer and a client.

    Attributes:
        store_seconds: How long a request to the store takes one way.
        registry_seconds: How long a request to the registry takes one way.
    """

    def __init__(self, timing: Timing = FAST, granter_rate: float = 1.0, writer_rate: float = 1.0) -> None:
        self.store_seconds = self.registry_seconds = SHORT
        super().__init__(Script({}), Plan(brokers=2, clients=1, granters=1, timing=timing), CALM)
        self.granter, self.writer, self.client = self.brokers["b0"], self.brokers["b1"], self.clients[0]
        self.granter.set_rate(granter_rate)
        self.writer.set_rate(writer_rate)

    def store_delay(self) -> float:
        return self.store_seconds

    def registry_delay(self) -> float:
        return self.registry_seconds

    def until(self, time: float) -> None:
        """Runs to a time."""
        self.network.run(time, self.check)

    def after(self, seconds: float) -> None:
        """Runs for a time."""
        self.until(self.network.now + seconds)

    def join(self) -> float:
        """Starts all processes, and returns the time when the granter lets clients cache."""
        self.writer.start()
        self.granter.start()
        self.client.start(self.granter)
        self.until(JOINED)
        return JOINED

    def cut(self, *names: str) -> None:
        """The processes cannot reach each other any more."""
        self.network.cuts[frozenset(names)] = 1e9

    def mend(self) -> None:
        """Some time later, all processes reach each other again, and what waits ends."""
        self.after(0.6)
        self.network.cuts.clear()
        self.after(10)

    def cache(self) -> None:
        """The client reads; if it may, it caches the result."""
        self.client.read(KEYS[0])
        self.after(4 * SHORT + 2 * DELAYS[0])

    def write_slowly(self, seconds: float, number: int = A) -> None:
        """A write that the store executes this time after its request."""
        self.store_seconds = seconds / 2
        self.writer.write(number, ORDINARY)
        self.after(DELAYS[0] * 2 + SHORT)
        self.store_seconds = SHORT

    def cut_granter(self) -> None:
        """Only the client reaches the granter any more."""
        self.cut("b0", "registry")
        self.cut("b0", "b1")

    @property
    def granter_id(self) -> str:
        id_ = self.granter.machine.membership.id
        assert id_ is not None
        return id_


def _join_after_the_last_view(world: Scripted, *, view: float = SHORT) -> None:
    """A granter joins after the read that makes the writer's view.

    Args:
        world: The world.
        view: How long the answer of the writer's read takes.
    """
    world.writer.start()
    start = FAST.beat
    world.until(start + SHORT / 2)
    world.registry_seconds = view
    world.until(start + SHORT * 1.5)
    world.registry_seconds = SHORT
    world.cut("b1", "registry")
    world.granter.start()
    world.client.start(world.granter)


def view_as_old_as_its_answer() -> World:
    world = Scripted()
    _join_after_the_last_view(world, view=1.0)
    world.until(1.6)
    world.client.connect(world.granter)
    world.write_slowly(0.3)
    world.until(1.72)
    world.cache()
    world.mend()
    return world


def join_overtaken_by_a_view() -> World:
    """The writer reads its view while the registration of the granter is on its way."""
    world = Scripted()
    world.writer.start()
    world.until(0.37)
    world.granter.start()
    world.after(SHORT * 1.5)
    world.registry_seconds = 0.43
    world.after(SHORT)
    world.registry_seconds = SHORT
    world.client.start(world.granter)
    world.until(0.812)
    world.cut("b1", "registry")
    world.until(1.45)
    world.write_slowly(0.3)
    world.until(1.66)
    world.client.connect(world.granter)
    world.cache()
    world.mend()
    return world


def join_of_a_fast_clock() -> World:
    world = Scripted(granter_rate=1 + FAST.drift)
    _join_after_the_last_view(world)
    world.until(1.18)
    world.write_slowly(0.15)
    world.until(1.24)
    world.cache()
    world.mend()
    return world


def read_answered_after_the_join_wait() -> World:
    world = Scripted()
    _join_after_the_last_view(world)
    world.until(1.2)
    world.client.read(KEYS[0])
    world.after(DELAYS[0] + SHORT / 2)
    world.store_seconds = 1.0
    world.after(SHORT)
    world.store_seconds = SHORT
    world.writer.write(A, ORDINARY)
    world.until(1.9)
    world.client.machine.tick(world.client.time)
    world.mend()
    return world


def evicted_broker_and_a_fast_writer() -> World:
    """The granter does not notice its eviction; its client gets a lease just before the membership ends."""
    world = Scripted(timing=DRIFT, writer_rate=1 + DRIFT.drift)
    world.join()
    world.until(2.412)
    world.writer.step(world.writer.machine.membership.evict, world.granter_id)
    world.cut_granter()
    world.until(2.5)
    world.writer.write(A, ORDINARY)
    world.until(2.8)
    world.client.connect(world.granter)
    world.cache()
    world.mend()
    return world


def eviction_seen_by_a_slow_read() -> World:
    """The writer's read of the registry begins long before the last beat of the granter."""
    world = Scripted()
    world.join()
    world.until(1.9)
    world.registry_seconds = 0.55
    world.writer.step(world.writer.machine.membership.need_view)
    world.registry_seconds = SHORT
    world.until(2.42)
    world.registry = marked_out(world.registry, world.granter_id) or {}
    world.cut_granter()
    world.until(2.6)
    world.writer.write(A, ORDINARY)
    world.until(3.1)
    world.client.connect(world.granter)
    world.cache()
    world.mend()
    return world


def lease_at_the_end_of_a_membership() -> World:
    world = Scripted()
    world.join()
    world.until(2.015)
    world.writer.step(world.writer.machine.membership.evict, world.granter_id)
    world.cut_granter()
    world.until(2.5)
    world.writer.write(A, ORDINARY)
    world.until(2.9)
    world.client.connect(world.granter)
    world.cache()
    world.mend()
    return world


def hold_of_a_fast_clock() -> World:
    world = Scripted(granter_rate=1 + FAST.drift)
    start = world.join()
    world.write_slowly(2.2)
    world.until(start + 2.05)
    world.cache()
    world.mend()
    return world


def hold_with_a_late_answer() -> World:
    world = Scripted(granter_rate=1 + FAST.drift)
    start = world.join()
    world.writer.write(A, ORDINARY)
    world.after(DELAYS[0] / 2)
    world.network.temper = CALM._replace(message=_only(DELAYS.index(0.06)))
    world.after(DELAYS[0])
    world.network.temper = CALM
    world.store_seconds = 0.99
    world.until(start + 0.075)
    world.store_seconds = SHORT
    world.until(start + 2.005)
    world.cache()
    world.mend()
    return world


def hold_with_a_repeated_answer() -> World:
    world = Scripted(granter_rate=1 + FAST.drift)
    start = world.join()
    world.write_slowly(2.2)
    (write,) = world.writer.writes
    world.until(start + 2.05)
    world.cache()
    world.network.temper = CALM._replace(message=_only(LOST))
    world.until(start + 2.25)
    world.writer.receive(Invalidated(world.granter_id, write, 0))
    world.check()
    world.network.temper = CALM
    world.mend()
    return world


def write_of_unknown_outcome() -> World:
    """The store executes a write after its caller has an error."""
    world = Scripted()
    start = world.join()
    world.writer.write(A, UNANSWERED)
    (request,) = world.writer.writes.values()
    world.until(start + 0.45)
    world.cache()
    world.network.after(SHORT, None, request._apply)
    world.after(1.0)
    world.writer.write(A, ORDINARY)
    world.mend()
    return world


def lost_revocation() -> World:
    """The client receives the second of two revocations."""
    world = Scripted()
    world.join()
    world.client.read(KEYS[1])
    world.cache()
    world.writer.write(A, ORDINARY)
    world.after(DELAYS[0] / 2)
    world.network.temper = CALM._replace(stream=_only(LOST))
    world.after(DELAYS[0])
    world.network.temper = CALM
    world.writer.write(B, ORDINARY)
    world.mend()
    return world


def broker_that_leaves() -> World:
    world = Scripted()
    world.join()
    world.client.connect(world.granter)
    world.cache()
    world.cut("b0", "c0")
    world.granter.step(world.granter.machine.leave)
    world.after(2 * SHORT)
    world.writer.step(world.writer.machine.membership.need_view)
    world.after(2 * SHORT)
    world.writer.write(A, ORDINARY)
    world.mend()
    return world


def _only(option: int) -> Weights:
    return weights(*(0,) * option, 1)


SCRIPTS: Final[Mapping[str, Callable[[], World]]] = {
    "view_age_from_answer": view_as_old_as_its_answer,
    "join_wait_without_drift": join_of_a_fast_clock,
    "join_wait_from_request": join_overtaken_by_a_view,
    "grant_checked_at_answer": read_answered_after_the_join_wait,
    "death_without_drift": evicted_broker_and_a_fast_writer,
    "death_from_start_of_read": eviction_seen_by_a_slow_read,
    "lease_beyond_membership": lease_at_the_end_of_a_membership,
    "hold_without_drift": hold_of_a_fast_clock,
    "hold_from_answer": hold_with_a_late_answer,
    "answer_of_any_sending": hold_with_a_repeated_answer,
    "done_when_unknown": write_of_unknown_outcome,
    "gap_ignored": lost_revocation,
    "leaves_at_once": broker_that_leaves,
}
"""The history for each mutation."""
