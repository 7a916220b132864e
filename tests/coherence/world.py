"""Runs the real state machines of brokers and clients in virtual time, with faults, and checks every cached read.

A history is a function of its decisions (``Choices``).
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final, NamedTuple

from open_alchemy.package_database.coherence.leases import Timing
from open_alchemy.package_database.coherence.membership import ChangeRegistry, Outcome, Registry
from tests.coherence.choices import COIN, Choices, Script, equal, shrink, weights
from tests.coherence.faults import FAULTS, KINDS
from tests.coherence.history import KEYS, WRITES, History, StaleReadError
from tests.coherence.network import CALM, DELAYS, TEMPERS, Network, Temper
from tests.coherence.processes import OUTCOMES, STORE_TIMEOUT, BrokerProcess, ClientProcess, StoreRequest

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
_RATES: Final = equal(3)
_PAUSES: Final = weights(4, 3, 2)
_KEYS: Final = equal(2 ** len(KEYS))
_IS_WRITE: Final = weights(6, 1)
_WRITES: Final = weights(4, 2, 2, 2)
_OUTCOMES: Final = weights(16, 2, 1, 1, 1)
_IS_UNKNOWN: Final = weights(12, 1)
assert len(_WRITES.possible) == len(WRITES)
assert len(_OUTCOMES.possible) == len(OUTCOMES)


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
        faults: The kind of faults, one of ``KINDS``; None for one of the first five.
        temper: One of ``TEMPERS``; None for one of the first four.
    """

    brokers: int = 3
    clients: int = 2
    granters: int = 3
    writers: int = 1
    seconds: float = 7.0
    settle: float = 1.5
    timing: Timing = FAST
    faults: str | None = None
    temper: int | None = None


ANY: Final = Plan()


class World:
    """A store, brokers and clients.

    Attributes:
        registry: The registry in the store.
        acknowledged: The writes whose callers have a result.
        sessions: The client of each session, and its start.
    """

    def __init__(
        self, choices: Choices, plan: Plan = ANY, temper: Temper | None = None, *, is_traced: bool = False
    ) -> None:
        self.timing, self.plan = plan.timing, plan
        if temper is None:
            temper = TEMPERS[choices.pick(equal(4)) if plan.temper is None else plan.temper]
        self.pick = choices.pick
        self.network = Network(choices, temper, is_traced=is_traced)
        self.history = History(plan.timing.max_age)
        self.registry: Registry = {}
        self.sessions: dict[str, tuple[ClientProcess, int]] = {}
        self.acknowledged: list[StoreRequest] = []
        self._ids = count()
        self._checked = 0
        self._temper = temper
        self._faults = KINDS[plan.faults or tuple(KINDS)[choices.pick(equal(5))]]
        self.brokers: dict[str, BrokerProcess] = {}
        for number in range(plan.brokers):
            name = f"b{number}"
            granters = 0 if number >= plan.brokers - plan.writers else plan.granters
            self.brokers[name] = BrokerProcess(self, name, granters)
        self.clients = [ClientProcess(self, f"c{number}") for number in range(plan.clients)]
        self._any_client, self._any_broker = equal(plan.clients), equal(plan.brokers)

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def store_delay(self) -> float:
        return self.network.delay(self.network.temper.store) / 2

    def registry_delay(self) -> float:
        return self.network.delay(self.network.temper.registry) / 2

    def any_broker(self) -> BrokerProcess:
        return self.brokers[f"b{self.pick(self._any_broker)}"]

    def any_rate(self) -> float:
        return 1 + self.timing.drift * self.pick(_RATES) / 2

    # Messages and requests.

    def to_client(self, broker: BrokerProcess, session: str, *message: Any) -> None:
        client, start = self.sessions[session]
        if client.start_count == start:
            self.network.stream((broker.name, client.name), client, client.receive, *message)

    def change_registry(self, broker: BrokerProcess, change: ChangeRegistry) -> None:
        network = self.network
        if network.is_cut(broker.name, "registry"):
            network.after(STORE_TIMEOUT, broker, broker.answer_change, change.request, Outcome.UNKNOWN)
            return
        if self.pick(_IS_UNKNOWN):
            network.after(STORE_TIMEOUT, broker, broker.answer_change, change.request, Outcome.UNKNOWN)
            if self.pick(COIN):
                network.after(self.registry_delay(), None, self._apply_change, None, 0, change)
            return
        network.after(self.registry_delay(), None, self._apply_change, broker, broker.start_count, change)

    def _apply_change(self, broker: BrokerProcess | None, start: int, change: ChangeRegistry) -> None:
        is_expected = self.registry == change.expected
        if is_expected:
            self.registry = change.registry
        if broker is not None and broker.start_count == start:
            outcome = Outcome.CHANGED if is_expected else Outcome.NOT_CHANGED
            self.network.after(self.registry_delay(), broker, broker.answer_change, change.request, outcome)

    def acknowledge(self, request: StoreRequest) -> None:
        request.acknowledged()
        self.acknowledged.append(request)
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
        for process in (*self.brokers.values(), *self.clients):
            process.set_rate(self.any_rate())
        self.start()
        while self.network.now < self.plan.seconds:
            self._operation()
            self.network.run(self.network.now + DELAYS[self.pick(_PAUSES)], self.check)

    def check(self) -> None:
        """Checks what cached reads would return now, if the store or an acknowledgement has changed it."""
        if self._checked != self.history.changes:
            self._checked = self.history.changes
            for client in self.clients:
                client.check()

    def _operation(self) -> None:
        """Begins a read, a write or a fault."""
        client = self.clients[self.pick(self._any_client)]
        wanted = self.pick(_KEYS)
        for number, key in enumerate(KEYS):
            if wanted >> number & 1 and client.is_running:
                client.read(key)
        broker = self.any_broker()
        if self.pick(_IS_WRITE) and broker.is_running:
            broker.write(self.pick(_WRITES), self.pick(_OUTCOMES))
        if self.pick(self._temper.fault):
            fault = FAULTS[self.pick(self._faults)]
            self.network.features[fault.__name__] += 1
            fault(self, broker, client)


def run_history(seed: int, plan: Plan = ANY) -> World:
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
