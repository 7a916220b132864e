"""What must hold after the last fault: writes end in time, nothing is left in memory, and reads are cached."""

from __future__ import annotations

from open_alchemy.package_database.coherence.cache import _MAX_RENEWALS
from tests.coherence.history import KEYS
from tests.coherence.network import CALM
from tests.coherence.processes import ORDINARY, BrokerProcess
from tests.coherence.world import World

ROUND_TRIPS = 0.5
"""Messages and requests in flight, and ticks."""


class NotRecoveredError(AssertionError):
    """Something that a fault caused has not ended."""


def recover(world: World) -> None:
    """Ends all faults, and checks the recovery of brokers and clients."""
    network = world.network
    network.temper = CALM
    network.cuts.clear()
    for process in (*world.brokers.values(), *world.clients):
        process.stopped_until = network.now
    for client in world.clients:
        client.forget_calls()
        client.read(KEYS[0])
    _check_writes(world)
    _wait(world, world.timing.hold + world.timing.rejoin + world.timing.max_age + 10)
    _check_memory(world)
    _check_caching(world)


def longest_write(world: World) -> float:
    """Returns how long a write takes at most: a broker dies while it waits for its dead client."""
    timing = world.timing
    clocks = 1 + timing.drift
    return clocks * (timing.lease + timing.silence + timing.death_wait() + ROUND_TRIPS)


def _check_writes(world: World) -> None:
    running = [broker for broker in world.brokers.values() if not broker.machine._is_leaving]
    before = len(world.acknowledged)
    for broker in running:
        broker.write(0, ORDINARY)
    _wait(world, longest_write(world))
    if len(world.acknowledged) < before + len(running):
        raise NotRecoveredError(f"a write has not ended after {longest_write(world):.1f} s")


def _check_memory(world: World) -> None:
    registered = [entry.address for entry in world.registry.values() if not entry.is_out]
    granters = min(world.plan.granters, sum(bool(broker.granters) for broker in world.brokers.values()))
    if len(registered) != granters or len(world.registry) != granters:
        raise NotRecoveredError(f"the registry is {world.registry}")
    for broker in world.brokers.values():
        if left := _unfinished(broker, len(world.clients)):
            raise NotRecoveredError(f"{broker} has {left}")
    for client in world.clients:
        if client.machine._reads or len(client.machine._renewals) > _MAX_RENEWALS:
            raise NotRecoveredError(f"{client} has {client.machine._reads} and {client.machine._renewals}")


def _unfinished(broker: BrokerProcess, clients: int) -> str:
    machine = broker.machine
    counts = {
        "writes": len(machine.writes),
        "holds": len(machine.holds) + len(machine.holds._until),
        "invalidations": len(machine._pending),
        "requests to the registry": max(0, len(machine.membership._requests) - 1),
        "brokers that are out": len(machine.membership._out_since),
        "sessions": max(0, len(machine.sessions) - clients),
        "reads": sum(len(session._reads) for session in machine.sessions._sessions.values()),
        "notes": sum(len(session._notes) for session in machine.sessions._sessions.values()),
        "revocations": sum(len(session._unanswered) for session in machine.sessions._sessions.values()),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _check_caching(world: World) -> None:
    granting = next(broker for broker in world.brokers.values() if broker.machine.membership.grants(broker.clock()))
    for client in world.clients:
        client.connect(granting)
        client.read(KEYS[0])
        _wait(world, ROUND_TRIPS / 5)
        if client.lookup(KEYS[0]) is None:
            raise NotRecoveredError(f"{client} caches nothing")


def _wait(world: World, seconds: float) -> None:
    world.network.run(world.network.now + seconds, world.check)
