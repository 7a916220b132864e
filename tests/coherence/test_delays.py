"""The worst-case delays of docs/caching.md with the ordinary durations, in virtual time."""

from __future__ import annotations

from open_alchemy.package_database.coherence.leases import Timing
from tests.coherence.choices import Script
from tests.coherence.history import KEYS
from tests.coherence.network import CALM
from tests.coherence.world import Plan, World

ORDINARY = Timing()
TAG_OF_FIRST_KEY = 0
"""The write of the item that the first key reads."""
JOINED = 6.0


def _world(granters: int = 2) -> World:
    world = World(Script({}), Plan(brokers=3, clients=2, granters=granters, settle=JOINED, timing=ORDINARY), CALM)
    world.start()
    return world


def _run(world: World, seconds: float) -> None:
    world.network.run(world.network.now + seconds, world.check)


def _delay(world: World, limit: float = 30.0) -> float:
    """Returns how long a write of the third broker, which only writes, takes."""
    before, start = len(world.acknowledged), world.network.now
    world.brokers["b2"].write(TAG_OF_FIRST_KEY, 0)
    while len(world.acknowledged) == before and world.network.now < start + limit:
        _run(world, 0.005)
    return world.network.now - start


def _cache(world: World) -> None:
    for client in world.clients:
        client.read(KEYS[0])
    _run(world, 0.1)
    for client in world.clients:
        assert client.lookup(KEYS[0]) is not None


def _stop(world: World, name: str) -> None:
    process = next(process for process in (*world.brokers.values(), *world.clients) if process.name == name)
    process.stopped_until = 1e9


def test_a_write_takes_some_round_trips() -> None:
    world = _world()
    _cache(world)

    assert _delay(world) < 0.15
    assert all(client.lookup(KEYS[0]) is None for client in world.clients)


def test_a_dead_client_delays_a_write_by_at_most_its_lease() -> None:
    longest = 0.0
    for tenths in range(6):
        world = _world()
        _cache(world)
        _run(world, tenths / 10)
        _stop(world, "c0")
        longest = max(longest, _delay(world))
        assert _delay(world) < 0.15

    assert 1.5 < longest <= 2.1


def test_a_dead_broker_delays_a_write_once() -> None:
    longest = 0.0
    for tenths in range(6):
        world = _world()
        _cache(world)
        _run(world, tenths / 10)
        _stop(world, "b0")
        longest = max(longest, _delay(world))
        assert _delay(world) < 0.15

    assert 2.4 < longest <= 2.6


def test_a_broker_that_dies_during_the_write_delays_it_as_much() -> None:
    world = _world()
    _cache(world)
    _stop(world, "c0")
    world.network.after(0.05, None, _stop, world, "b0")

    assert _delay(world) <= 2.1 + 2.6


def test_a_half_open_client_does_not_delay_writes_forever() -> None:
    """It renews its lease but receives nothing: its revocation stays unanswered, so that it gets no further lease."""
    world = _world()
    _cache(world)
    session = world.clients[0].machine._session
    assert session is not None
    deliver = world.to_client
    world.to_client = lambda broker, id_, *message: (  # type: ignore[method-assign]
        None if id_ == session else deliver(broker, id_, *message)
    )

    assert _delay(world) <= ORDINARY.patience + 2.1


def test_a_read_never_waits_for_a_write() -> None:
    world = _world()
    _cache(world)
    _stop(world, "c0")
    world.brokers["b2"].write(TAG_OF_FIRST_KEY, 0)
    _run(world, 0.1)
    reader = world.clients[1]

    reader.read(KEYS[0])
    _run(world, 0.06)

    assert not world.acknowledged
    assert not reader.is_reading(KEYS[0])
    assert reader.lookup(KEYS[0]) is None


def test_after_the_crash_of_a_writer_its_tags_are_cacheable_again_when_the_holds_are_over() -> None:
    world = _world()
    _cache(world)
    world.brokers["b2"].write(TAG_OF_FIRST_KEY, 0)
    _run(world, 0.015)
    _stop(world, "b2")
    client = world.clients[0]

    client.read(KEYS[0])
    _run(world, 0.1)
    assert client.lookup(KEYS[0]) is None

    _run(world, ORDINARY.hold)
    client.read(KEYS[0])
    _run(world, 0.1)
    assert client.lookup(KEYS[0]) is not None


def test_a_client_without_a_broker_stops_to_use_its_cache_by_its_own_clock() -> None:
    world = _world()
    _cache(world)
    client = world.clients[0]
    for broker in world.brokers:
        world.network.cuts[frozenset((client.name, broker))] = 1e9

    _run(world, 2.1)

    assert client.lookup(KEYS[0]) is None


def test_a_broker_that_leaves_delays_no_write() -> None:
    world = _world()
    _cache(world)
    broker = world.brokers["b0"]

    broker.step(broker.machine.leave)
    assert _delay(world) < 0.15
    _run(world, 3.0)

    assert broker.machine.has_left
    assert broker.name not in {entry.address for entry in world.registry.values()}
    assert _delay(world) < 0.15


def test_a_restarted_broker_grants_after_the_join_wait() -> None:
    world = _world()
    broker = world.brokers["b0"]

    broker.start()
    granted = next((step / 20 for step in range(200) if _grants(world, step)), None)

    assert granted is not None
    assert 2.0 < granted < 2.2


def _grants(world: World, step: int) -> bool:
    del step
    broker = world.brokers["b0"]
    if broker.machine.membership.grants(broker.clock()):
        return True
    _run(world, 0.05)
    return False


def test_a_broker_that_waits_for_a_dead_client_is_not_evicted() -> None:
    world = _world()
    _cache(world)
    registry = world.registry
    _stop(world, "c0")

    assert _delay(world) > 1.0
    assert world.registry == registry


def test_a_writer_that_was_stopped_evicts_no_other_broker() -> None:
    world = _world()
    _cache(world)
    registry, writer = world.registry, world.brokers["b2"]
    writer.write(TAG_OF_FIRST_KEY, 0)
    writer.stopped_until = world.network.now + 1.0

    _run(world, 2.0)

    assert len(world.acknowledged) == 1
    assert world.registry == registry


def test_an_evicted_broker_stays_out_and_joins_again() -> None:
    world = _world()
    broker, other = world.brokers["b0"], world.brokers["b1"]
    first = broker.machine.membership.id
    assert first is not None

    other.step(other.machine.membership.evict, first)
    _run(world, 9.0)
    assert broker.machine.membership.id is None
    _run(world, 4.0)

    assert broker.machine.membership.id not in (None, first)
    assert first not in world.registry


def test_one_granter_at_a_time() -> None:
    world = _world(granters=1)
    assert len(world.registry) == 1

    holder = next(iter(world.registry.values())).address
    _stop(world, holder)
    assert _delay(world) <= 2.6
    _run(world, 4.0)

    assert [entry.address for entry in world.registry.values() if not entry.is_out] == [
        name for name in ("b0", "b1") if name != holder
    ]
