"""What may fail in a simulated history, except messages and requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from open_alchemy.package_database.coherence.membership import marked_out
from tests.coherence.choices import COIN, Weights, equal, weights
from tests.coherence.network import DELAYS
from tests.coherence.processes import BrokerProcess, ClientProcess

if TYPE_CHECKING:
    from tests.coherence.world import World

Fault: TypeAlias = Callable[["World", BrokerProcess, ClientProcess], None]


def stop(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A process stops, and goes on."""
    process = (broker, client)[world.pick(COIN)]
    process.stopped_until = world.network.now + DELAYS[2 + world.pick(equal(4))]


def change_rate(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A clock advances at another rate."""
    (broker, client)[world.pick(COIN)].set_rate(world.any_rate())


def restart(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker crashes and starts again."""
    del world, client
    broker.stopped_until = broker.network.now
    broker.start()


def leave(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker ends cleanly, and starts again."""
    del client
    if broker.is_running:
        broker.step(broker.machine.leave)
        world.network.after(DELAYS[2 + world.pick(equal(3))], broker, broker.start)


def move(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A client opens a session at another broker, or at the same one."""
    del broker
    other = world.any_broker()
    if client.is_running:
        client.connect(other, other.machine.membership.id)


def restart_client(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A client crashes and starts again."""
    del broker
    other = world.any_broker()
    if client.is_running:
        client.start(other)


def freeze_client(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A client stops, and so does its monotonic clock."""
    del broker
    if client.is_running:
        seconds = DELAYS[2 + world.pick(equal(3))]
        client.stopped_until = world.network.now + seconds
        client.frozen += client.until(client.clock() + seconds)


def evict(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker evicts another one, which may be alive."""
    del client
    other, id_ = world.any_broker(), broker.machine.membership.id
    if other.is_running and id_ is not None:
        other.step(other.machine.membership.evict, id_)


def mark_out(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """Another process evicts a broker."""
    del client
    if (id_ := broker.machine.membership.id) is not None:
        world.registry = marked_out(world.registry, id_) or world.registry


def cut(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker cannot reach another one, or a client."""
    other = (world.any_broker(), client)[world.pick(COIN)]
    world.network.cuts[frozenset((broker.name, other.name))] = _end_of_cut(world, equal(3))


def isolate(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker cannot reach the registry, or the other brokers."""
    del client
    until = _end_of_cut(world, weights(1, 3, 1))
    if world.pick(COIN):
        world.network.cuts[frozenset((broker.name, "registry"))] = until
    if world.pick(COIN):
        for name in world.brokers.keys() - {broker.name}:
            world.network.cuts[frozenset((broker.name, name))] = until


def break_session(world: World, broker: BrokerProcess, client: ClientProcess) -> None:
    """A broker loses the connection of a client; the client does not notice it."""
    del world
    if broker.is_running and (session := client.machine._session) is not None:
        broker.disconnect(session)


def _end_of_cut(world: World, options: Weights) -> float:
    return world.network.now + DELAYS[3 + world.pick(options)]


FAULTS: Final[tuple[Fault, ...]] = (
    stop,
    change_rate,
    restart,
    leave,
    move,
    restart_client,
    evict,
    cut,
    mark_out,
    break_session,
    isolate,
    freeze_client,
)
KINDS: Final[Mapping[str, Weights]] = {
    "any": weights(2, 2, 1, 1, 2, 1, 2, 2, 1, 2, 2, 1),
    "isolated brokers": weights(1, 1, 0, 0, 0, 0, 3, 1, 0, 0, 6),
    "restarts": weights(1, 1, 5, 1, 0, 0, 0, 1, 0, 0, 2),
    "sessions": weights(2, 1, 0, 0, 5, 1, 0, 0, 0, 4, 0, 3),
    "evictions": weights(5, 1, 0, 0, 0, 0, 2, 0, 3, 0, 0),
    "joins": weights(0, 1, 5, 0, 2, 0, 0, 0, 0, 0, 9),
    "live evictions": weights(0, 2, 0, 0, 0, 0, 4, 0, 2, 0, 6),
    "leaving brokers": weights(1, 1, 0, 6, 3, 0, 0, 0, 0, 1, 2),
}
"""How probable each fault is."""
