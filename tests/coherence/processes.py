"""The processes of a simulated history: what docs/caching.md demands of the owners of the state machines."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from open_alchemy.package_database.coherence.broker import Broker, ToClient
from open_alchemy.package_database.coherence.cache import CachedRead, ClientCache
from open_alchemy.package_database.coherence.leases import Instant
from open_alchemy.package_database.coherence.membership import ChangeRegistry, Outcome, ReadRegistry, Registry
from open_alchemy.package_database.coherence.messages import AnswerHeader, ClientMessage, Open, ReadHeader, WriteId
from open_alchemy.package_database.coherence.writes import Acknowledge, Execute, ToBroker
from tests.coherence.choices import COIN
from tests.coherence.history import READS, WRITE_TAGS, WRITES, StaleReadError, Value
from tests.coherence.network import DELAYS, Process

if TYPE_CHECKING:
    from tests.coherence.world import World

STORE_TIMEOUT = 0.38
"""An unanswered request may be executed later than this."""
ORDINARY, REFUSED, UNANSWERED, RETRIED, LATE = OUTCOMES = range(5)
"""The outcomes of a write."""
_OUTCOME_NAMES = ("executed", "refused", "unanswered", "retried", "late")


class BrokerProcess(Process):
    """A broker; ``machine`` is its state."""

    def __init__(self, world: World, name: str, granters: int) -> None:
        super().__init__(world.network, name)
        self.world, self.granters = world, granters
        self.writes: dict[WriteId, StoreRequest] = {}
        self.machine = self._new()
        self._tick_at = 0.0

    def _new(self) -> Broker:
        return Broker(self.world.timing, self.name, self.world.new_id, self.granters)

    def start(self) -> None:
        self.network.features["left"] += self.machine.has_left
        self.start_count += 1
        self.machine, self.writes, self._tick_at = self._new(), {}, 0.0
        self.step(self.machine.tick)

    def step(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls the state machine and does what it requests."""
        machine, now = self.machine, self.clock()
        result = call(*arguments, now, **named)
        for effect in machine.take_effects(now):
            self._perform(effect)
        due = machine.next_tick(now)
        if self._tick_at <= now or due < self._tick_at:
            self._tick_at = due
            self.network.after(max(0.001, self.until(due)), self, self._tick, due)
        return result

    def _tick(self, due: float) -> None:
        if due == self._tick_at:
            self._tick_at = 0.0
            self.step(self.machine.tick)

    def _perform(self, effect: Any) -> None:
        network, features = self.network, self.network.features
        match effect:
            case ToBroker(address, message):
                features[type(message).__name__] += 1
                receiver = self.world.brokers[address]
                network.send(self.name, receiver, receiver.receive, message)
            case ToClient(session, message):
                features[type(message).__name__] += 1
                self.world.to_client(self, session, message)
            case ReadRegistry(request):
                self._send_to_registry(request)
            case ChangeRegistry():
                self.world.change_registry(self, effect)
            case Execute(write):
                self.writes[write].send()
            case Acknowledge(write):
                self.world.acknowledge(self.writes.pop(write))

    def _send_to_registry(self, request: int) -> None:
        if self.network.is_cut(self.name, "registry"):
            self.network.after(STORE_TIMEOUT, self, self.answer_read, request, None)
        else:
            self.network.after(self.world.registry_delay(), None, self._read_registry, self.start_count, request)

    def _read_registry(self, start: int, request: int) -> None:
        if start == self.start_count:
            self.network.after(self.world.registry_delay(), self, self.answer_read, request, self.world.registry)

    def answer_read(self, request: int, registry: Registry | None) -> None:
        self.step(self.machine.answer_read, request, registry)

    def answer_change(self, request: int, outcome: Outcome) -> None:
        self.network.features[f"registry {outcome.value}"] += 1
        self.step(self.machine.answer_change, request, outcome)

    def receive(self, message: Any) -> None:
        self.step(self.machine.receive_broker, message)

    def receive_client(self, message: ClientMessage) -> None:
        self.step(self.machine.receive_client, message)

    def read(self, header: ReadHeader, key: Hashable) -> None:
        tags, items = READS[key]
        machine = self.machine
        if self.step(machine.begin_read, header, tags):
            self.network.after(self.world.store_delay(), self, self._read_store, machine, header, items)

    def _read_store(self, machine: Broker, header: ReadHeader, items: Sequence[str]) -> None:
        value = self.world.history.read(items)
        self.network.after(self.world.store_delay(), self, self._answer, machine, header, value)

    def _answer(self, machine: Broker, header: ReadHeader, value: Value) -> None:
        answer = machine.answer(header, self.clock())
        if answer is not None:
            self.network.features["cacheable" if answer.is_cacheable else "not cacheable"] += 1
            self.world.to_client(self, header.session, answer, value)

    def write(self, number: int, outcome: int) -> None:
        request = StoreRequest(self, number, outcome)

        def begin(tags: Any, now: float) -> None:
            request.write = self.machine.begin_write(tags, now)
            self.writes[request.write] = request

        self.step(begin, WRITE_TAGS[number])

    def disconnect(self, session: str) -> None:
        self.step(lambda now: self.machine.disconnected(session))


class StoreRequest:
    """A write.

    Attributes:
        versions: The versions that it made, if the store answered.
        begun: When it began.
    """

    def __init__(self, broker: BrokerProcess, number: int, outcome: int) -> None:
        self.broker, self.items, self.outcome = broker, WRITES[number], outcome
        self.write: WriteId | None = None
        self.versions: Value = {}
        self.begun = broker.network.now
        self._answered_at = self._view_start = 0.0
        self._machine = broker.machine
        self._holds_from: list[float] = []

    def send(self) -> None:
        network, world = self.broker.network, self.broker.world
        assert self.write is not None
        self._count(_OUTCOME_NAMES[self.outcome])
        if len(self.items) > 1:
            self._count("of several items")
        writes = self._machine.writes
        self._holds_from = [round_.holds_from for round_ in writes._writes[self.write].rounds.values()]
        self._view_start = self._machine.membership._view_start
        if self.outcome in (UNANSWERED, LATE):
            if self.outcome == LATE:
                network.after(world.timing.hold + world.store_delay(), None, self._apply)
            elif network.choices.pick(COIN):
                network.after(world.store_delay(), None, self._apply)
            network.after(STORE_TIMEOUT, self.broker, self._abandon)
            return
        network.after(2 * world.store_delay(), None, self._execute)
        if self.outcome == RETRIED and network.choices.pick(COIN):
            network.after(world.store_delay() + DELAYS[2], None, self._apply)

    def acknowledged(self) -> None:
        """Its caller has the result."""
        if self.broker.clock() > self._answered_at:
            self._count("checked again")

    def _count(self, what: str) -> None:
        self.broker.network.features[f"write {what}"] += 1

    def _execute(self) -> None:
        if self.outcome != REFUSED:
            self.versions = self._apply()
        self.broker.network.after(self.broker.world.store_delay(), self.broker, self._answered)

    def _apply(self) -> Value:
        now, timing = self.broker.clock(), self.broker.world.timing
        is_late = now - self._view_start >= timing.view or any(
            now - held >= timing.hold_in_force() for held in self._holds_from if held > -1e9
        )
        return self.broker.world.history.apply(self.items, self.broker.network.now, is_late=is_late)

    def _answered(self) -> None:
        self._answered_at = self.broker.clock()
        self.broker.step(self._machine.answered, self.write, is_final=self.outcome != RETRIED)

    def _abandon(self) -> None:
        assert self.write is not None
        write = self.write
        self.broker.writes.pop(write, None)
        self.broker.step(lambda now: self._machine.abandon(write))


class ClientProcess(Process):
    """A client; ``machine`` is its cache.

    Attributes:
        session_count: Counts its starts for the messages of brokers.
        cached: The last cached result of each read.
        seen: The newest result of each read.
        frozen: For how long its monotonic clock stood still while its wall clock advanced.
    """

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.network, name)
        self.world = world
        self.broker = world.brokers["b0"]
        self.machine = self._new()
        self.cached: dict[Hashable, CachedRead] = {}
        self.seen: dict[Hashable, Value] = {}
        self.frozen = 0.0
        self._reading: dict[Hashable, int] = {}

    def _new(self) -> ClientCache:
        return ClientCache(self.world.timing, self.world.new_id, max_entries=2)

    @property
    def time(self) -> Instant:
        now = self.clock()
        return Instant(now - self.frozen, now)

    def start(self, broker: BrokerProcess) -> None:
        self.start_count += 1
        self.machine = self._new()
        self.cached.clear()
        self.seen.clear()
        self.connect(broker)
        self._tick()

    def connect(self, broker: BrokerProcess, to: str | None = None) -> None:
        self.broker = broker
        self._reading.clear()
        self._send(self.machine.connected(self.time, to))

    def read(self, key: Hashable) -> None:
        """Begins a read, unless it is answered from memory or one is under way."""
        if self.lookup(key) is not None or key in self._reading:
            return
        header = self.machine.begin_read(key, READS[key][0], self.time)
        if header is not None:
            self._reading[key] = header.number
            self._send([header], key)

    def forget_calls(self) -> None:
        """The callers of the reads under way have an error."""
        self._reading.clear()

    def is_reading(self, key: Hashable) -> bool:
        return key in self._reading

    def lookup(self, key: Hashable) -> CachedRead | None:
        return self.machine.lookup(key, self.time)

    def receive(self, message: Any, value: Value | None = None) -> None:
        session = self.machine._session
        if isinstance(message, AnswerHeader):
            assert value is not None
            messages = self._answer(message, value)
        else:
            messages = self.machine.receive(message)
        if self.machine._session != session:
            self.network.features["session lost"] += 1
            self._reading.clear()
        self._send(messages)

    def check(self) -> None:
        """Checks what a cached read would return now."""
        now = self.time
        for key, read in self.cached.items():
            if self.machine.is_valid(read, now):
                self.world.history.check(read.value, self.network.now, self.name)
                self._check_order(key, read.value)

    def _answer(self, message: AnswerHeader, value: Value) -> list[ClientMessage]:
        read, messages = self.machine.answer(message, value)
        if read is not None:
            self.cached[read.key] = read
        for key, number in self._reading.items():
            if number == message.read and message.session == self.machine._session:
                del self._reading[key]
                self._check_order(key, value)
                self.seen[key] = value
                break
        return messages

    def _check_order(self, key: Hashable, value: Value) -> None:
        """Checks that the reads of a key do not go back in time."""
        for name, version in self.seen.get(key, {}).items():
            if value[name] < version:
                raise StaleReadError(f"MR: {self.name} reads version {value[name]} of {name} after {version}")

    def _tick(self) -> None:
        self._send(self.machine.tick(self.time))
        due = self.until(self.machine.next_tick() + self.frozen)
        self.network.after(max(self.world.timing.tick, due), self, self._tick)

    def _send(self, messages: Sequence[ClientMessage], *key: Hashable) -> None:
        for message in messages:
            self.network.features[type(message).__name__] += 1
            if isinstance(message, Open):
                self.world.sessions[message.session] = (self, self.start_count)
            call = self.broker.read if isinstance(message, ReadHeader) else self.broker.receive_client
            self.network.stream((self.name, self.broker.name), self.broker, call, message, *key)
