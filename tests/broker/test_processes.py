"""Clients with caches, brokers and a store as real processes that are stopped and killed, behind a hostile network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import TABLES
from tests.broker.hostile import wait_until
from tests.broker.processes import free_port
from tests.broker.proxy import Proxy
from tests.broker.staleness import Call, read_calls, stale_reads

CLIENTS, BROKERS = 8, 2
MAX_DELAY = 0.03
LONG = 300.0


class Processes:
    """The processes: brokers are numbered from 0, and so are clients."""

    def __init__(self, folder: Path, random: Random, granters: int, *, ignores_revocations: bool = False) -> None:
        self._folder, self._random, self._granters = folder, random, granters
        self._ignores_revocations = ignores_revocations
        self.store = f"sqlite:///{folder / 'store.db'}"
        engine = from_url(self.store, {}).open_engine(TABLES)
        for table in TABLES:
            engine.administration().create(table)
        engine.close()
        self._ports = [free_port() for _ in range(BROKERS)]
        self.proxies = [Proxy(port, random) for port in self._ports]
        for proxy in self.proxies:
            proxy.delay = MAX_DELAY
        self._generation = 0
        self.brokers = [self._start_broker(number) for number in range(BROKERS)]
        self.clients = [self._start_client(number) for number in range(CLIENTS)]

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
        return [call for log in self._logs() for call in log]

    def _logs(self) -> list[list[Call]]:
        return [read_calls(path.read_text("utf-8")) for path in self._folder.glob("*.log")]

    def summary(self) -> str:
        """Returns the figures of a run."""
        calls = self.calls()
        kinds = Counter(call.kind for call in calls)
        hits = sum(max((call.number for call in log if call.kind == "hits"), default=0) for log in self._logs())
        return (
            f"{kinds['read']:,} reads, {hits:,} from memory; {kinds['write']:,} acknowledged writes; "
            f"{len(stale_reads(calls)):,} stale reads"
        )

    def wait_until_cached(self) -> None:
        """Waits until each client has written, and has read something from memory."""
        end = time.monotonic() + 60
        while len({call.key for call in self.calls() if call.kind == "write"}) < CLIENTS or not self.have_hits():
            assert time.monotonic() < end
            time.sleep(0.2)

    def have_hits(self) -> bool:
        """Returns whether each client has read something from memory."""
        return len({call.key for call in self.calls() if call.kind == "hits" and call.number}) == CLIENTS

    def close(self) -> None:
        """Ends everything."""
        for process in (*self.clients, *self.brokers):
            _kill(process)
        for proxy in self.proxies:
            proxy.close()

    def _start_broker(self, number: int) -> subprocess.Popen[bytes]:
        listen = f"tcp://127.0.0.1:{self._ports[number]}"
        advertise = f"tcp://127.0.0.1:{self.proxies[number].port}"
        return self._start(
            *("open_alchemy.package_database.cli", "broker", "--url", self.store, "--listen", listen),
            *("--advertise", advertise, "--granters", str(self._granters)),
        )

    def _start_client(self, number: int) -> subprocess.Popen[bytes]:
        self._generation += 1
        url = f"broker://{','.join(f'127.0.0.1:{proxy.port}' for proxy in self.proxies)}?cache=1000"
        log = self._folder / f"{number}-{self._generation}.log"
        first = self._generation * 100_000
        seed = self._random.randrange(1_000_000)
        return self._start(
            "tests.broker.cache_client",
            url,
            str(log),
            *map(str, (number, first, CLIENTS, seed, int(self._ignores_revocations))),
        )

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        # The errors of a process that is killed at any moment are expected.
        return subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.send_signal(signal.SIGCONT)
    process.wait(20)


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stops a process, and lets it go on."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def disturb(processes: Processes, random: Random, seconds: float) -> Counter[str]:
    """Stops, kills, cuts and delays at random; returns how often what."""
    end, faults = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < end:
        time.sleep(random.uniform(0.2, 1.0))
        fault = random.choice(("client", "broker", "both", "kill client", "kill broker", "cut", "slow"))
        faults[fault] += 1
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
                    processes.restart_client(random.randrange(CLIENTS))
                case "kill broker":
                    processes.restart_broker(random.randrange(BROKERS))
                case "cut":
                    random.choice(processes.proxies).cut()
                case "slow":
                    random.choice(processes.proxies).delay = random.choice((0.0, MAX_DELAY, 10 * MAX_DELAY))
            time.sleep(random.uniform(0.1, 3.0))
    return faults


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the platform cannot stop processes")
@pytest.mark.parametrize(
    ("granters", "seconds"),
    [pytest.param(2, 20.0), *(pytest.param(granters, LONG, marks=pytest.mark.long) for granters in (1, 2))],
)
def test_no_read_is_stale_whatever_happens_to_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], granters: int, seconds: float
) -> None:
    random = Random(os.environ.get("SEED") or time.time_ns())  # noqa: S311 (no secret)
    processes = Processes(tmp_path, random, granters)
    try:
        processes.wait_until_cached()
        faults = disturb(processes, random, seconds)
    finally:
        processes.close()
    calls = processes.calls()
    if seconds >= LONG:
        with capsys.disabled():
            print(f"\n{seconds:.0f} s, granters {granters}: {processes.summary()}; {dict(faults)}")  # noqa: T201 (the figures)
    assert stale_reads(calls) == []


@pytest.mark.long
def test_clients_that_ignore_revocations_read_stale_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processes = Processes(tmp_path, Random(0), 2, ignores_revocations=True)  # noqa: S311 (no secret)
    try:
        processes.wait_until_cached()
        wait_until(lambda: len(stale_reads(processes.calls())) > 0, 60)
    finally:
        processes.close()
    with capsys.disabled():
        print(f"\nwithout revocations: {processes.summary()}")  # noqa: T201 (the figures)


def test_the_checker_finds_a_stale_read() -> None:
    calls = [Call("write", 0, 1, 0, 1), Call("write", 0, 2, 2, 3), Call("read", 0, 1, 3.5, 4), Call("read", 0, 1, 2, 9)]
    assert stale_reads(calls) == ["key 0: 1 was read 0.500 s after 2 was acknowledged"]
