"""The suite ``broker``: calls through a broker, against bare clients of the same transports and the store itself."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from .environments import PACKAGE_BROKER, PACKAGE_NATS, PeerError
from .loopback import running
from .peers.broker_calls_async import BATCH
from .results import CPU, MEDIAN, P99, RATE, Goal, Results, Sample, Suite
from .rounds import Measure, calls_jobs, interleave
from .settings import Settings, started
from .workers import SCRIPTS, Peer, variables_of

_CLIENT: Final = Peer("this package", "broker_calls", PACKAGE_BROKER)
_ASYNC_CLIENT: Final = Peer("this package, asyncio", "broker_calls_async", PACKAGE_BROKER)
_NATS_CLIENT: Final = Peer("this package on NATS", "broker_nats", PACKAGE_NATS)
_SLOW_SECONDS: Final = 0.005
_PROCESSES: Final = 4
_CALLS: Final = {
    "get_spec": ("get_spec", 1),
    "get_spec of the store": ("store", 1),
    "ZeroMQ echo": ("echo", 1),
    "ZeroMQ echo, and get_spec of the store": ("echo_and_store", 1),
}
_CONCURRENT: Final = {
    "get_spec": ("get_spec", 1),
    "zmq.asyncio echo, and get_spec of the store": ("echo_and_store", 1),
    "get_spec, 64 concurrent": ("get_spec", 64),
    "zmq.asyncio echo, 64 concurrent": ("echo", 64),
    "get_spec of a store 5 ms away": ("slow", 1),
    "get_spec of a store 5 ms away, through a broker": ("slow_broker", 1),
}
_ECHO: Final = "ZeroMQ echo, 64 clients"
_ECHO_AND_STORE: Final = "ZeroMQ echo, 64 clients, and get_spec of the store"
_BATCHES: Final = {_ECHO: ("echo_clients", 1), _ECHO_AND_STORE: ("echo_clients_and_store", 1)}
_WORKERS: Final = "get_spec of {} clients, --workers {}"
_NATS: Final = {
    "get_spec": ("get_spec", 1),
    "nats-py request": ("request", 1),
    "nats-py request, and get_spec of the store": ("request_and_store", 1),
    "get_spec, 64 concurrent": ("get_spec", 64),
    "nats-py request, 64 concurrent": ("request", 64),
}


def _measure(settings: Settings) -> Results:
    rounds, seconds = (3, 0.05) if settings.is_quick else (11, 0.15)
    with ExitStack() as stack:
        store = f"sqlite:///{stack.enter_context(TemporaryDirectory())}/a.db"
        slow = stack.enter_context(running("benchmarks.canned", str(_SLOW_SECONDS))).replace("http://", "dynamodb://")
        python = settings.python(PACKAGE_BROKER)
        address = stack.enter_context(_broker(python, store))
        urls = {
            "store": store,
            "broker_address": address,
            "broker": _client_url(address),
            "slow": slow,
            "slow_broker": _client_url(stack.enter_context(_broker(python, slow))),
            "echo": stack.enter_context(_server(python, SCRIPTS / "echo.py", "zeromq")),
        }
        blocking = stack.enter_context(started((_CLIENT,), settings, json.dumps(urls)))
        loops = stack.enter_context(started((_ASYNC_CLIENT,), settings, json.dumps(urls)))
        batches = calls_jobs(loops, _BATCHES, seconds)
        jobs = {
            **calls_jobs(blocking, _CALLS, seconds),
            **calls_jobs(loops, _CONCURRENT, seconds),
            **{name: _per_request(job) for name, job in batches.items()},
            **_process_jobs(stack, settings, urls, seconds),
            **_nats_jobs(stack, settings, urls, seconds),
        }
        return interleave(jobs, rounds)


def _process_jobs(
    stack: ExitStack, settings: Settings, urls: dict[str, str], seconds: float
) -> dict[tuple[str, str], Measure | str]:
    """Starts brokers of one and of several processes, and as many clients of each, which make calls at once."""
    jobs: dict[tuple[str, str], Measure | str] = {}
    for processes in (1, _PROCESSES):
        broker = _broker(settings.python(PACKAGE_BROKER), urls["store"], arguments=("--workers", str(processes)))
        client_urls = json.dumps({**urls, "broker": _client_url(stack.enter_context(broker))})
        clients = [stack.enter_context(started((_ASYNC_CLIENT,), settings, client_urls)) for _ in range(_PROCESSES)]
        case = _WORKERS.format(_PROCESSES, processes)
        calls = [calls_jobs(workers, {case: ("get_spec", 16)}, seconds) for workers in clients]
        jobs[case, _ASYNC_CLIENT.name] = _at_once([job for of_client in calls for job in of_client.values()])
    return jobs


def _at_once(jobs: Sequence[Measure | str]) -> Measure | str:
    """Returns a job that executes others at once; its rate is the sum of theirs."""
    measures = [job for job in jobs if not isinstance(job, str)]
    if len(measures) < len(jobs):
        return next(job for job in jobs if isinstance(job, str))

    def measure() -> Sample:
        with ThreadPoolExecutor(len(measures)) as threads:
            samples = list(threads.map(lambda job: job(), measures))
        cpu = sum(sample.cpu for sample in samples) / len(samples)
        median = sum(sample.median for sample in samples) / len(samples)
        wall = 1 / sum(1 / sample.wall for sample in samples)
        return Sample(cpu, wall, 0.0, median, max(sample.p99 for sample in samples))

    return measure


def _per_request(job: Measure | str) -> Measure | str:
    """Returns a job whose samples are those of a request, where a call makes a batch of them."""
    if isinstance(job, str):
        return job

    def measure() -> Sample:
        sample = job()
        return Sample(sample.cpu / BATCH, sample.wall / BATCH)

    return measure


def _nats_jobs(
    stack: ExitStack, settings: Settings, urls: dict[str, str], seconds: float
) -> dict[tuple[str, str], Measure | str]:
    """Starts the servers, and returns the jobs; their reason if NATS cannot be installed or started."""
    try:
        python = settings.python(PACKAGE_NATS)
        nats = stack.enter_context(_nats_server(python))
        broker = stack.enter_context(_broker(python, urls["store"], f"{nats}/benchmark"))
        stack.enter_context(_server(python, SCRIPTS / "echo.py", "nats", nats))
    except PeerError as error:
        return {(case, _NATS_CLIENT.name): str(error) for case in _NATS}
    urls = {**urls, "nats": nats, "nats_broker": broker}
    return calls_jobs(stack.enter_context(started((_NATS_CLIENT,), settings, json.dumps(urls))), _NATS, seconds)


def _client_url(address: str) -> str:
    return address.replace("tcp://", "broker://")


@contextmanager
def _broker(
    python: Path, store: str, listen: str = "tcp://127.0.0.1:*", arguments: Sequence[str] = ()
) -> Iterator[str]:
    """Runs a broker, and yields its address."""
    command = ("-m", "open_alchemy.package_database.cli", "broker", "--url", store, "--listen", listen)
    with _server(python, *command, *arguments) as address:
        yield listen if listen.startswith("nats://") else address


@contextmanager
def _server(python: Path, *arguments: str | Path) -> Iterator[str]:
    """Runs a server, and yields its address: the last word of the first line that it prints.

    Raises:
        PeerError: It does not start.
    """
    variables = variables_of(_CLIENT, "http://127.0.0.1:1")
    with subprocess.Popen([python, *arguments], env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            if not words:
                raise PeerError(f"{arguments[-1]} did not start")
            yield words[-1]
        finally:
            process.terminate()


@contextmanager
def _nats_server(python: Path) -> Iterator[str]:
    """Runs a NATS server on a free port, and yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command: Sequence[str | Path] = (python.parent / "nats-server", "-a", "127.0.0.1", "-p", str(port))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise PeerError("nats-server did not start")


SUITE: Final = Suite(
    "broker",
    _measure,
    (RATE, MEDIAN, P99, CPU),
    (
        Goal(
            "latency of get_spec through a broker / ZeroMQ echo and the store",
            MEDIAN,
            ("get_spec", _CLIENT.name),
            ("ZeroMQ echo, and get_spec of the store", _CLIENT.name),
            1.5,
        ),
        Goal(
            "the same with asyncio / zmq.asyncio echo and the store",
            MEDIAN,
            ("get_spec", _ASYNC_CLIENT.name),
            ("zmq.asyncio echo, and get_spec of the store", _ASYNC_CLIENT.name),
            1.5,
        ),
        Goal(
            "rate of 64 concurrent calls through a broker / ZeroMQ echo of 64 clients",
            RATE,
            ("get_spec, 64 concurrent", _ASYNC_CLIENT.name),
            (_ECHO, _ASYNC_CLIENT.name),
            0.7,
            is_floor=True,
        ),
        Goal(
            "rate of 64 concurrent calls through a broker / ZeroMQ echo of 64 clients and the store",
            RATE,
            ("get_spec, 64 concurrent", _ASYNC_CLIENT.name),
            (_ECHO_AND_STORE, _ASYNC_CLIENT.name),
            0.7,
            is_floor=True,
        ),
        Goal(
            "rate of 64 concurrent calls through a broker / zmq.asyncio echo",
            RATE,
            ("get_spec, 64 concurrent", _ASYNC_CLIENT.name),
            ("zmq.asyncio echo, 64 concurrent", _ASYNC_CLIENT.name),
            0.7,
            is_floor=True,
        ),
        Goal(
            "latency of get_spec through a broker on NATS / nats-py request and the store",
            MEDIAN,
            ("get_spec", _NATS_CLIENT.name),
            ("nats-py request, and get_spec of the store", _NATS_CLIENT.name),
            1.5,
        ),
        Goal(
            f"rate of {_PROCESSES} clients, --workers {_PROCESSES} / --workers 1",
            RATE,
            (_WORKERS.format(_PROCESSES, _PROCESSES), _ASYNC_CLIENT.name),
            (_WORKERS.format(_PROCESSES, 1), _ASYNC_CLIENT.name),
            1.0,
            is_floor=True,
        ),
        Goal(
            "latency of get_spec of a store 5 ms away, through a broker / directly",
            MEDIAN,
            ("get_spec of a store 5 ms away, through a broker", _ASYNC_CLIENT.name),
            ("get_spec of a store 5 ms away", _ASYNC_CLIENT.name),
            1.1,
        ),
    ),
)
