"""Clients with caches, brokers and a store as real processes that are stopped and killed, behind a hostile network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.model.schema import TABLES
from tests.broker.processes import free_port
from tests.broker.proxy import Proxy
from tests.broker.staleness import Call, read_calls, stale_reads

CLIENTS, BROKERS = 8, 2
MAX_DELAY = 0.03


class Processes:
    """The processes: brokers are numbered from 0, and so are clients."""

    def __init__(self, folder: Path, random: Random, granters: int) -> None:
        self._folder, self._random, self._granters = folder, random, granters
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
        return [call for path in self._folder.glob("*.log") for call in read_calls(path.read_text("utf-8"))]

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
        return self._start("tests.broker.cache_client", url, str(log), *map(str, (number, first, CLIENTS, seed)))

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


def disturb(processes: Processes, random: Random, seconds: float) -> None:
    """Stops, kills, cuts and delays at random."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(random.uniform(0.2, 1.0))
        with ExitStack() as stack:
            match random.choices(("client", "broker", "both", "kill client", "kill broker", "cut", "slow"))[0]:
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


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the platform cannot stop processes")
@pytest.mark.parametrize(
    ("granters", "seconds"),
    [pytest.param(2, 12.0), *(pytest.param(granters, 300.0, marks=pytest.mark.long) for granters in (1, 2))],
)
def test_no_read_is_stale_whatever_happens_to_processes(tmp_path: Path, granters: int, seconds: float) -> None:
    random = Random(os.environ.get("SEED") or time.time_ns())  # noqa: S311 (no secret)
    processes = Processes(tmp_path, random, granters)
    try:
        processes.wait_until_cached()
        disturb(processes, random, seconds)
    finally:
        processes.close()
    calls = processes.calls()
    assert stale_reads(calls) == []


def test_the_checker_finds_a_stale_read() -> None:
    calls = [Call("write", 0, 1, 0, 1), Call("write", 0, 2, 2, 3), Call("read", 0, 1, 3.5, 4), Call("read", 0, 1, 2, 9)]
    assert stale_reads(calls) == ["key 0: 1 was read 0.500 s after 2 was acknowledged"]
