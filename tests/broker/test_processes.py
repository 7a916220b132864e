"""Clients with caches and brokers as real processes that are stopped and killed, behind a network that fails.

The brokers are reached at TCP addresses or through a NATS server, which is restarted. ``quick`` has the durations.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from open_alchemy.package_database.engines.broker.cache_clock import boot_time
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import TABLES
from tests.broker.bus_processes import NATSProcess
from tests.broker.hostile import wait_until
from tests.broker.processes import free_port
from tests.broker.proxy import Proxy
from tests.broker.staleness import Call, read_calls, stale_reads

BROKERS = 2
MAX_DELAY = 0.03
LONG = 150
FAULTS = ("client", "broker", "both", "kill client", "kill broker", "cut", "slow")
BUS_FAULTS = ("client", "broker", "cut", "bus")
"""Those that a bus changes, in the ordinary run."""


class Setting(NamedTuple):
    """What is started.

    Attributes:
        granters: How many brokers may grant caching.
        clients: The number of clients.
        on_nats: Whether brokers and clients use a NATS server.
        command: The module that runs a broker.
    """

    granters: int = 1
    clients: int = 3
    on_nats: bool = False
    command: str = "tests.broker.quick"


class Processes:
    """The processes: brokers are numbered from 0, and so are clients."""

    def __init__(self, folder: Path, random: Random, setting: Setting) -> None:
        self._folder, self._random, self._setting = folder, random, setting
        self.store = f"sqlite:///{folder / 'store.db'}"
        engine = from_url(self.store, {}).open_engine(TABLES)
        for table in TABLES:
            engine.administration().create(table)
        engine.close()
        self.bus = NATSProcess() if setting.on_nats else None
        self._ports = [self.bus.port] * 2 if self.bus else [free_port() for _ in range(BROKERS)]
        self.proxies = [Proxy(port, random) for port in self._ports]
        for proxy in self.proxies:
            proxy.delay = MAX_DELAY
        self._logs: list[Path] = []
        self.brokers = [self._start_broker(number) for number in range(BROKERS)]
        self.clients = [self._start_client(number) for number in range(setting.clients)]

    def restart_broker(self, number: int) -> None:
        """Kills a broker, and starts another one at its address."""
        _kill(self.brokers[number])
        self.brokers[number] = self._start_broker(number)

    def restart_client(self, number: int) -> None:
        """Kills a client, and starts another one."""
        _kill(self.clients[number])
        self.clients[number] = self._start_client(number)

    def calls(self) -> list[Call]:
        """Returns what the clients did."""
        return [call for log in self._logs for call in _calls_of(log)]

    def summary(self) -> str:
        """Returns the figures of a run."""
        kinds = Counter(call.kind for call in self.calls())
        reads = kinds["read"] + kinds["hit"]
        return f"{reads:,} reads, {kinds['hit']:,} from memory; {kinds['write']:,} acknowledged writes"

    def wait_until_cached(self) -> None:
        """Waits until each client has written, and has read something from memory."""
        start = boot_time()
        numbers = range(len(self.clients))
        wait_until(lambda: all({"write", "hit"} <= self._kinds_since(start, number) for number in numbers), 120, 0.05)

    def restart_bus(self, seconds: float) -> None:
        """Kills the server of the bus, if there is one, and starts it again after some seconds."""
        if self.bus is not None:
            self.bus.stop()
            time.sleep(seconds)
            self.bus.start()

    def close(self) -> None:
        """Ends everything."""
        for process in (*self.clients, *self.brokers):
            _kill(process)
        if self.bus is not None:
            self.bus.stop()
        for proxy in self.proxies:
            proxy.close()

    def _start_broker(self, number: int) -> subprocess.Popen[bytes]:
        place = f"127.0.0.1:{self.proxies[number].port}"
        if self._setting.on_nats:
            arguments = ["--listen", f"nats://{place}/tests"]
        else:
            arguments = ["--listen", f"tcp://127.0.0.1:{self._ports[number]}", "--advertise", f"tcp://{place}"]
        granters = str(self._setting.granters)
        return self._start(self._setting.command, "broker", "--url", self.store, "--granters", granters, *arguments)

    def _kinds_since(self, start: float, number: int) -> set[str]:
        """Returns the kinds of calls that a client has started since a time."""
        log = next(log for log in reversed(self._logs) if log.name.startswith(f"{number}-"))
        return {call.kind for call in _calls_of(log) if call.start >= start}

    def _start_client(self, number: int) -> subprocess.Popen[bytes]:
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
        url = f"nats://{hosts}/tests" if self._setting.on_nats else f"broker://{hosts}"
        log = self._folder / f"{number}-{len(self._logs)}.log"
        log.touch()
        self._logs.append(log)
        numbers = (number, len(self._logs) * 100_000, self._setting.clients, self._random.randrange(1_000_000))
        return self._start("tests.broker.cache_client", f"{url}?cache=1000", str(log), *map(str, numbers))

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        # The errors of a process that is killed at any moment are expected.
        return subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )


def _calls_of(log: Path) -> list[Call]:
    return read_calls(log.read_text("utf-8"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.send_signal(signal.SIGCONT)
    process.wait()


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stops a process, and lets it go on."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def delayed(proxy: Proxy, delay: float) -> Iterator[None]:
    """Changes the delay of a proxy for a while."""
    proxy.delay = delay
    try:
        yield
    finally:
        proxy.delay = MAX_DELAY


def disturb(processes: Processes, random: Random, faults: Sequence[str]) -> None:
    """Stops, kills, cuts and delays: each kind of fault once, in random order."""
    for fault in random.sample(faults, len(faults)):
        time.sleep(random.uniform(0.05, 0.25))
        with ExitStack() as stack:
            match fault:
                case "client":
                    stack.enter_context(stopped(random.choice(processes.clients)))
                case "broker":
                    stack.enter_context(stopped(random.choice(processes.brokers)))
                case "both":
                    stack.enter_context(stopped(random.choice(processes.clients)))
                    stack.enter_context(stopped(random.choice(processes.brokers)))
                case "kill client":
                    processes.restart_client(random.randrange(len(processes.clients)))
                case "kill broker":
                    processes.restart_broker(random.randrange(BROKERS))
                case "cut":
                    random.choice(processes.proxies).cut()
                case "slow":
                    stack.enter_context(delayed(random.choice(processes.proxies), random.choice((0.0, 10 * MAX_DELAY))))
                case "bus":
                    processes.restart_bus(random.uniform(0.0, 0.75))
            # Up to longer than a lease.
            time.sleep(random.uniform(0.05, 0.75))


@pytest.fixture
def random() -> Random:
    return Random(os.environ.get("SEED") or time.time_ns())  # noqa: S311 (no secret)


@contextmanager
def started(folder: Path, random: Random, setting: Setting) -> Iterator[Processes]:
    """Starts the processes, and ends them."""
    processes = Processes(folder, random, setting)
    try:
        yield processes
    finally:
        processes.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the platform cannot stop processes")
@pytest.mark.parametrize(
    ("setting", "faults", "rounds"),
    [
        pytest.param(Setting(granters=2), FAULTS, 1, id="tcp"),
        pytest.param(Setting(clients=2, on_nats=True), BUS_FAULTS, 1, id="nats"),
        *(
            pytest.param(setting, faults, LONG, id=f"{name}, {setting.granters}", marks=pytest.mark.long)
            for granters in (1, 2)
            for setting, faults, name in (
                (Setting(granters, 8), FAULTS, "tcp"),
                (Setting(granters, 8, on_nats=True), (*FAULTS, "bus"), "nats"),
            )
        ),
    ],
)
def test_no_read_is_stale_whatever_happens_to_processes(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    random: Random,
    setting: Setting,
    faults: Sequence[str],
    rounds: int,
) -> None:
    with started(tmp_path, random, setting) as processes:
        processes.wait_until_cached()
        for _ in range(rounds):
            disturb(processes, random, faults)
        processes.wait_until_cached()
    if rounds >= LONG:
        with capsys.disabled():
            print(f"\n{rounds} rounds, {setting}: {processes.summary()}")  # noqa: T201 (the figures)
    assert stale_reads(processes.calls()) == []


@pytest.mark.parametrize("on_nats", [pytest.param(False, marks=pytest.mark.long), True])
def test_reads_are_stale_without_revocations(tmp_path: Path, random: Random, on_nats: bool) -> None:  # noqa: FBT001 (a parameter)
    setting = Setting(clients=2, on_nats=on_nats, command="tests.broker.broker_without_revocations")
    with started(tmp_path, random, setting) as processes:
        wait_until(lambda: stale_reads(processes.calls()) != [], 120, 0.05)


def test_the_checker_finds_a_stale_read() -> None:
    calls = [Call("write", 0, 1, 0, 1), Call("write", 0, 2, 2, 3), Call("read", 0, 1, 3.5, 4), Call("read", 0, 1, 2, 9)]
    assert stale_reads(calls) == ["key 0: 1 was read 0.500 s after 2 was acknowledged"]
