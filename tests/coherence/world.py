"""Runs the real state machines of brokers and clients in virtual time, with faults, and checks every cached read.

A history is a function of its decisions (``Choices``). The owners below are what ``docs/caching.md`` demands of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, NamedTuple

from open_alchemy.package_database.coherence.broker import Broker, ToClient
from open_alchemy.package_database.coherence.cache import ClientCache
from open_alchemy.package_database.coherence.leases import Instant, Timing
from open_alchemy.package_database.coherence.messages import AnswerHeader, ClientMessage, ReadHeader, WriteId
from open_alchemy.package_database.coherence.registry import ChangeRegistry, Outcome, ReadRegistry, Registry, marked_out
from open_alchemy.package_database.coherence.writes import Acknowledge, Execute, ToBroker
from tests.coherence.choices import Choices, Script, shrink
from tests.coherence.history import KEYS, READS, WRITE_TAGS, WRITES, History, StaleReadError, Value
from tests.coherence.network import CALM, DELAYS, TEMPERS, Network, Process, Temper

FAST = Timing(
    lease=1.0,
    drift=0.25,
    view=1.0,
    beat=0.4,
    renew=0.4,
    silence=0.3,
    patience=0.2,
    hold=2.5,
    rejoin=2.0,
    max_age=2.0,
    tick=0.1,
)
"""Short durations and large drift: a history is short, and every margin is wide."""
DRIFT = FAST._replace(drift=1.0, hold=6.0, rejoin=3.0)
"""The clocks of two processes differ by a factor of up to 2."""
STORE_TIMEOUT = 0.7

STOP, RATE, RESTART, LEAVE, MOVE, CLIENT, EVICT, CUT, OUT, BREAK, ISOLATE = range(11)
"""A process stops, or its clock changes; a broker restarts or leaves; a client moves or restarts; a broker is evicted;
two processes cannot reach each other; a broker is out; it loses a session; it is isolated.
"""
FAULTS = (
    (2, 2, 1, 1, 2, 1, 2, 2, 1, 2, 2),
    (1, 1, 0, 0, 0, 0, 3, 1, 0, 0, 6),
    (1, 1, 5, 1, 0, 0, 0, 1, 0, 0, 2),
    (2, 1, 0, 0, 5, 1, 0, 0, 0, 4, 0),
    (5, 1, 0, 0, 0, 0, 2, 0, 3, 0, 0),
    (0, 1, 5, 0, 2, 0, 0, 0, 0, 0, 9),
    (0, 2, 0, 0, 0, 0, 4, 0, 2, 0, 6),
)
"""The weights of the faults; a history has one row, any of the first five or the one of its plan."""
_WANTED = (1,) * 2 ** len(KEYS)


class Plan(NamedTuple):
    """A kind of history.

    Attributes:
        brokers: How many brokers there are.
        clients: How many clients there are.
        granters: How many brokers may grant at once.
        writers: Brokers that only write.
        seconds: How long it takes.
        settle: When the faults and the operations begin: the brokers have joined.
        timing: The durations.
        faults: The kind of faults, a row of ``FAULTS``; None for any.
        temper: One of ``TEMPERS``; None for any.
    """

    brokers: int = 3
    clients: int = 2
    granters: int = 3
    writers: int = 1
    seconds: float = 7.0
    settle: float = 1.5
    timing: Timing = FAST
    faults: int | None = None
    temper: int | None = None


class _BrokerProcess(Process):
    def __init__(self, world: World, name: str, granters: int) -> None:
        super().__init__(name)
        self.world, self.granters = world, granters
        self.writes: dict[WriteId, _StoreRequest] = {}
        self.machine = self._new()
        self._tick_at = 0.0

    def _new(self) -> Broker:
        return Broker(self.world.timing, self.name, self.world.new_id, self.granters)

    @property
    def time(self) -> float:
        return self.clock(self.world.network.now)

    def start(self) -> None:
        self.start_count += 1
        self.machine, self.writes, self._tick_at = self._new(), {}, 0.0
        self.step(self.machine.tick)

    def step(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls the state machine and does what it requests."""
        machine, now = self.machine, self.time
        result = call(*arguments, now, **named)
        for effect in machine.take_effects(now):
            self._perform(effect)
        due = machine.next_tick(now)
        if self._tick_at <= now or due < self._tick_at:
            self._tick_at = due
            self.world.network.after(max(0.001, self.until(due, self.world.network.now)), self, self._tick, due)
        return result

    def _tick(self, due: float) -> None:
        if due == self._tick_at:
            self._tick_at = 0.0
            self.step(self.machine.tick)

    def _perform(self, effect: Any) -> None:
        world = self.world
        match effect:
            case ToBroker(address, message):
                receiver = world.brokers[address]
                world.network.send(self.name, receiver, receiver.receive, message)
            case ToClient(session, message):
                world.to_client(self, session, message)
            case ReadRegistry(request):
                if not world.network.is_cut(self.name, "registry"):
                    world.network.after(world.registry_delay(), None, self._read_registry, self.start_count, request)
            case ChangeRegistry():
                world.change_registry(self, effect)
            case Execute(write):
                self.writes[write].send()
            case Acknowledge(write):
                self.writes.pop(write).acknowledged()

    def _read_registry(self, start: int, request: int) -> None:
        if start == self.start_count:
            self.world.network.after(self.world.registry_delay(), self, self.answer_read, request, self.world.registry)

    def answer_read(self, request: int, registry: Registry) -> None:
        self.step(self.machine.answer_read, request, registry)

    def answer_change(self, request: int, outcome: Outcome) -> None:
        self.step(self.machine.answer_change, request, outcome)

    def receive(self, message: Any) -> None:
        self.step(self.machine.receive_broker, message)

    def receive_client(self, message: ClientMessage) -> None:
        self.step(self.machine.receive_client, message)

    def read(self, header: ReadHeader, key: Hashable) -> None:
        tags, items = READS[key]
        machine = self.machine
        if self.step(machine.begin_read, header, tags):
            self.world.network.after(self.world.store_delay(), self, self._read_store, machine, header, items)

    def _read_store(self, machine: Broker, header: ReadHeader, items: Sequence[str]) -> None:
        value = self.world.history.read(items)
        self.world.network.after(self.world.store_delay(), self, self._answer, machine, header, value)

    def _answer(self, machine: Broker, header: ReadHeader, value: Value) -> None:
        answer = machine.answer(header, self.time)
        if answer is not None:
            self.world.to_client(self, header.session, answer, value)

    def write(self, number: int, kind: int) -> None:
        request = _StoreRequest(self, number, kind)

        def begin(tags: Any, now: float) -> None:
            request.write = self.machine.begin_write(tags, now)
            self.writes[request.write] = request

        self.step(begin, WRITE_TAGS[number])

    def disconnect(self, session: str) -> None:
        self.step(lambda now: self.machine.disconnected(session))


ORDINARY, REFUSED, UNANSWERED, RETRIED, LATE = range(5)


class _StoreRequest:
    """A write on its way: its outcome is one of the five above."""

    def __init__(self, broker: _BrokerProcess, number: int, kind: int) -> None:
        self.broker, self.items, self.kind = broker, WRITES[number], kind
        self.write: WriteId | None = None
        self.versions: Value = {}
        self._machine = broker.machine
        self._sent = self._view_start = 0.0
        self._holds_from: list[float] = []

    def send(self) -> None:
        network, world = self.broker.world.network, self.broker.world
        assert self.write is not None
        writes = self._machine.writes
        self._holds_from = [round_.holds_from for round_ in writes._writes[self.write].rounds.values()]
        self._view_start = self._machine.membership._view_start
        if self.kind in (UNANSWERED, LATE):
            if self.kind == LATE:
                network.after(world.timing.hold + world.store_delay(), None, self._apply)
            elif network.choices.pick((1, 1)):
                network.after(world.store_delay(), None, self._apply)
            network.after(STORE_TIMEOUT, self.broker, self._abandon)
            return
        network.after(2 * world.store_delay(), None, self._execute)
        if self.kind == RETRIED and network.choices.pick((1, 1)):
            network.after(world.store_delay() + DELAYS[2], None, self._apply)

    def _execute(self) -> None:
        if self.kind != REFUSED:
            self.versions = self._apply()
        self.broker.world.network.after(self.broker.world.store_delay(), self.broker, self._answered)

    def _apply(self) -> Value:
        world = self.broker.world
        now, timing = self.broker.time, world.timing
        is_late = now - self._view_start >= timing.view or any(
            now - held >= timing.hold_in_force() for held in self._holds_from if held > -1e9
        )
        return world.history.apply(self.items, world.network.now, is_late=is_late)

    def _answered(self) -> None:
        self.broker.step(self._machine.answered, self.write, is_final=self.kind != RETRIED)

    def _abandon(self) -> None:
        assert self.write is not None
        write = self.write
        self.broker.writes.pop(write, None)
        self.broker.step(lambda now: self._machine.abandon(write))

    def acknowledged(self) -> None:
        self.broker.world.acknowledge(self)


class _ClientProcess(Process):
    def __init__(self, world: World, name: str) -> None:
        super().__init__(name)
        self.world = world
        self.broker: _BrokerProcess = world.brokers["b0"]
        self.machine = self._new()
        self.reading: set[Hashable] = set()
        self.seen: dict[Hashable, Value] = {}
        self._keys: dict[int, Hashable] = {}

    def _new(self) -> ClientCache:
        return ClientCache(self.world.timing, self.world.new_id, max_entries=2)

    @property
    def time(self) -> Instant:
        return Instant(self.clock(self.world.network.now))

    def start(self, broker: _BrokerProcess) -> None:
        self.start_count += 1
        self.machine, self.seen = self._new(), {}
        self.connect(broker)
        self._tick()

    def connect(self, broker: _BrokerProcess) -> None:
        self.broker = broker
        self.reading.clear()
        self._send(self.machine.connected(self.time))

    def _tick(self) -> None:
        self._send(self.machine.tick(self.time))
        self.world.network.after(self.world.timing.renew / 2, self, self._tick)

    def _send(self, messages: Sequence[ClientMessage], *key: Hashable) -> None:
        for message in messages:
            call = self.broker.read if isinstance(message, ReadHeader) else self.broker.receive_client
            self.world.sessions[message.session] = (self, self.start_count)
            stream = (self.name, self.broker.name)
            self.world.network.stream(stream, self.broker, call, message, *key)

    def read(self, key: Hashable) -> None:
        if key in self.reading or self.machine.lookup(key, self.time) is not None:
            return
        header = self.machine.begin_read(key, READS[key][0], self.time)
        if header is not None:
            self.reading.add(key)
            self._keys[header.number] = key
            self._send([header], key)

    def receive(self, message: Any, value: Value | None = None) -> None:
        session = self.machine._session
        if isinstance(message, AnswerHeader):
            read, messages = self.machine.answer(message, value, self.time)
            if message.session == session and value is not None:
                key = self._keys.get(message.read)
                self.reading.discard(key)
                if read is not None:
                    self.seen[read.key] = value
        else:
            messages = self.machine.receive(message, self.time)
        if self.machine._session != session:
            self.reading.clear()
        self._send(messages)

    def check(self) -> None:
        reads = self.machine._entries._reads
        if not reads:
            return
        now = self.time
        for key in KEYS:
            read = reads.get(key)
            if read is not None and self.machine.is_valid(read, now):
                self.world.history.check(read.value, self.world.network.now, self.name)
                for name, version in self.seen.get(key, {}).items():
                    if read.value[name] < version:
                        raise StaleReadError(
                            f"MR: {self.name} reads version {read.value[name]} of {name} after {version}"
                        )


class World:
    """A store, brokers and clients."""

    def __init__(
        self,
        choices: Choices,
        plan: Plan = Plan(),  # noqa: B008 (immutable)
        temper: Temper | None = None,
        *,
        is_traced: bool = False,
    ) -> None:
        self.timing, self.plan = plan.timing, plan
        if temper is None:
            temper = TEMPERS[choices.pick((1,) * 4) if plan.temper is None else plan.temper]
        self.network = Network(choices, temper, is_traced=is_traced)
        self.history = History(plan.timing.max_age)
        self.registry: Registry = {}
        self.sessions: dict[str, tuple[_ClientProcess, int]] = {}
        self.acknowledged: list[_StoreRequest] = []
        self._ids = count()
        self._is_acknowledged = False
        self._temper = temper
        self._faults = FAULTS[choices.pick((1,) * 5) if plan.faults is None else plan.faults]
        self.brokers: dict[str, _BrokerProcess] = {}
        for number in range(plan.brokers):
            name = f"b{number}"
            granters = 0 if number >= plan.brokers - plan.writers else plan.granters
            self.brokers[name] = _BrokerProcess(self, name, granters)
        self.clients = [_ClientProcess(self, f"c{number}") for number in range(plan.clients)]

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def store_delay(self) -> float:
        return self.network.delay(self.network.temper.store) / 2

    def registry_delay(self) -> float:
        return self.network.delay(self.network.temper.registry) / 2

    # Messages and requests.

    def to_client(self, broker: _BrokerProcess, session: str, *message: Any) -> None:
        client, start = self.sessions[session]
        if client.start_count == start:
            self.network.stream((broker.name, client.name), client, client.receive, *message)

    def change_registry(self, broker: _BrokerProcess, change: ChangeRegistry) -> None:
        network = self.network
        if network.is_cut(broker.name, "registry"):
            network.after(STORE_TIMEOUT, broker, broker.answer_change, change.request, Outcome.UNKNOWN)
            return
        if network.choices.pick((12, 1)):
            network.after(STORE_TIMEOUT, broker, broker.answer_change, change.request, Outcome.UNKNOWN)
            if network.choices.pick((1, 1)):
                network.after(self.registry_delay(), None, self._apply_change, None, 0, change)
            return
        network.after(self.registry_delay(), None, self._apply_change, broker, broker.start_count, change)

    def _apply_change(self, broker: _BrokerProcess | None, start: int, change: ChangeRegistry) -> None:
        is_expected = self.registry == change.expected
        if is_expected:
            self.registry = change.registry
        if broker is not None and broker.start_count == start:
            outcome = Outcome.CHANGED if is_expected else Outcome.NOT_CHANGED
            self.network.after(self.registry_delay(), broker, broker.answer_change, change.request, outcome)

    def acknowledge(self, request: _StoreRequest) -> None:
        self.acknowledged.append(request)
        self._is_acknowledged = True
        self.history.acknowledge(request.versions)

    # A history.

    def start(self) -> None:
        """Starts all processes; they run undisturbed until the brokers have joined."""
        self.network.temper = CALM
        for broker in self.brokers.values():
            broker.start()
        granting = [broker for broker in self.brokers.values() if broker.granters]
        for number, client in enumerate(self.clients):
            client.start(granting[number % len(granting)])
        self.network.run(self.plan.settle, self.check)
        self.network.temper = self._temper

    def run(self) -> None:
        """Runs a history; raises ``StaleReadError``."""
        pick = self.network.choices.pick
        for process in (*self.brokers.values(), *self.clients):
            process.set_rate(1 + self.timing.drift * pick((1, 1, 1)) / 2, 0.0)
        self.start()
        while self.network.now < self.plan.seconds:
            self._operation()
            self.network.run(self.network.now + DELAYS[pick((4, 3, 2))], self.check)

    def check(self, process: Process | None) -> None:
        """Checks what cached reads would return now."""
        if isinstance(process, _ClientProcess):
            process.check()
        elif process is None or self._is_acknowledged:
            self._is_acknowledged = False
            for client in self.clients:
                client.check()

    def _operation(self) -> None:
        """Begins a read, a write or a fault."""
        pick = self.network.choices.pick
        client = self.clients[pick((1,) * len(self.clients))]
        wanted = pick(_WANTED)
        for number, key in enumerate(KEYS):
            if wanted >> number & 1 and client.stopped_until <= self.network.now:
                client.read(key)
        broker = self._any_broker()
        if pick((6, 1)) and broker.stopped_until <= self.network.now:
            broker.write(pick((4, 2, 2, 2)), pick((8, 1, 1, 1, 1)))
        if pick((1 - self._temper.fault, self._temper.fault)):
            self.fault(pick(self._faults), client, broker)

    def _any_broker(self) -> _BrokerProcess:
        return self.brokers[f"b{self.network.choices.pick((1,) * len(self.brokers))}"]

    def fault(  # noqa: C901, PLR0912 (one branch per fault)
        self, kind: int, client: _ClientProcess, broker: _BrokerProcess
    ) -> None:
        """Lets something fail."""
        network, now = self.network, self.network.now
        pick = network.choices.pick
        process: Process = (broker, client)[pick((1, 1))]
        other = self._any_broker()
        if kind == STOP:
            process.stopped_until = now + DELAYS[2 + pick((1, 1, 1, 1))]
        elif kind == RATE:
            process.set_rate(1 + self.timing.drift * pick((1, 1, 1)) / 2, now)
        elif kind == RESTART:
            broker.stopped_until = now
            broker.start()
        elif kind == LEAVE and broker.stopped_until <= now:
            broker.step(broker.machine.leave)
            network.after(DELAYS[2 + pick((1, 1, 1))], broker, broker.start)
        elif kind == MOVE and client.stopped_until <= now:
            client.connect(other)
        elif kind == CLIENT and client.stopped_until <= now:
            client.start(other)
        elif kind == EVICT and other.stopped_until <= now and broker.machine.membership.id is not None:
            other.step(other.machine.membership.evict, broker.machine.membership.id)
        elif kind == CUT:
            network.cuts[frozenset((broker.name, (other, client)[pick((1, 1))].name))] = (
                now + DELAYS[3 + pick((1, 1, 1))]
            )
        elif kind == OUT and broker.machine.membership.id is not None:
            self.registry = marked_out(self.registry, broker.machine.membership.id) or self.registry
        elif kind == BREAK and broker.stopped_until <= now and (session := client.machine._session) is not None:
            broker.disconnect(session)
        elif kind == ISOLATE:
            until = now + DELAYS[3 + pick((1, 3, 1))]
            if pick((1, 1)):
                network.cuts[frozenset((broker.name, "registry"))] = until
            if pick((1, 1)):
                for name in self.brokers.keys() - {broker.name}:
                    network.cuts[frozenset((broker.name, name))] = until


def run_history(seed: int, plan: Plan = Plan()) -> World:  # noqa: B008 (immutable)
    """Runs a history; a violation has the fewest decisions that repeat it, and a trace."""
    world = World(Choices(seed), plan)
    try:
        world.run()
    except StaleReadError as violation:
        record = world.network.choices.record
        raise StaleReadError(
            f"seed {seed}: {violation}\n{explain(shrink(record, lambda d: fails(d, plan)), plan)}"
        ) from None
    return world


def fails(decisions: Any, plan: Plan) -> bool:
    """Returns whether a history with these decisions violates the guarantee."""
    try:
        World(Script(decisions), plan).run()
    except StaleReadError:
        return True
    return False


def explain(decisions: Any, plan: Plan) -> str:
    """Returns the decisions and the trace of a history."""
    world = World(Script(decisions), plan, is_traced=True)
    try:
        world.run()
    except StaleReadError as violation:
        assert world.network.trace is not None
        return "\n".join((f"World(Script({decisions}), {plan}).run()", *world.network.trace, str(violation)))
    return "not repeated"
