"""Measures the throughput of a broker at 10 times the load that it can serve: ``python -m benchmarks.broker_overload``.

The store behind the broker takes a fixed time for each operation, so that the peak is ``CONCURRENCY / STORE_SECONDS``
requests per second. Clients send at a fixed rate, whatever is answered. The throughput depends on the time that other
processes leave to the broker; its CPU time for a request that it serves, and for one that it refuses, does not.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

from open_alchemy.package_database.broker.main import serve
from open_alchemy.package_database.broker.served_store import ServedStore
from open_alchemy.package_database.broker.server import Server
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.engines.broker.codec import Buffer, decode_answer, encode
from open_alchemy.package_database.engines.broker.messages import VERSION, Failed, Get, Request
from open_alchemy.package_database.engines.broker.zeromq import ZeroMQConnection, ZeroMQServer
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.testing.memory import AsyncMemoryEngine, MemoryEngine

from .peers.cache_calls import cpu_seconds

CONCURRENCY: Final = 16
STORE_SECONDS: Final = 0.05
CLIENTS: Final = 10
SECONDS: Final = 10.0
_TICK: Final = 0.01


class _SlowEngine(AsyncMemoryEngine):
    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        await asyncio.sleep(STORE_SECONDS)
        return await super().execute(operation, deadline)


def _run_broker(ready: Pipe) -> None:
    engine = _SlowEngine()
    store = ServedStore(lambda: engine, MemoryEngine().administration, TABLES)
    server = Server({"": store}, concurrency=CONCURRENCY, queue=100)
    asyncio.run(serve(server, [ZeroMQServer("tcp://127.0.0.1:*")], ready.send))


async def _offer(address: str, rate: float) -> Counter[str]:
    """Sends requests at a rate, and returns the numbers of results and of refusals."""
    answers: Counter[str] = Counter()

    def receive(data: Buffer) -> None:
        answers["refused" if isinstance(decode_answer(data).body, Failed) else "served"] += 1

    connections = [ZeroMQConnection(address, receive) for _ in range(CLIENTS)]
    start = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - start) < SECONDS:
        while sent < rate * elapsed:
            sent += 1
            request = Request(VERSION, sent, time.time(), 1.0, Get(SPECS.name, "u", "latest#a"))
            connections[sent % CLIENTS].send(encode(request))
        await asyncio.sleep(_TICK)
    counted = Counter(answers)
    counted["sent"] = sent
    for connection in connections:
        await connection.aclose()
    return counted


class Load(NamedTuple):
    """What a broker did under a load.

    Attributes:
        answers: The numbers of results, of refusals and of requests.
        cpu: The CPU time of the broker in seconds.
    """

    answers: Counter[str]
    cpu: float


def measure(address: str, broker: BaseProcess, rate: float) -> Load:
    """Sends requests at a rate."""
    assert broker.pid is not None
    before = cpu_seconds(broker.pid)
    answers = asyncio.run(_offer(address, rate))
    return Load(answers, cpu_seconds(broker.pid) - before)


def main() -> None:
    """Prints the throughput at the peak and at 10 times its rate, and the cost of a request."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    broker = context.Process(target=_run_broker, args=(sender,), daemon=True)
    broker.start()
    address = receiver.recv()
    peak = CONCURRENCY / STORE_SECONDS
    try:
        loads = [measure(address, broker, factor * peak) for factor in (1, 10)]
        for load in loads:
            print({name: f"{count / SECONDS:.0f}/s" for name, count in load.answers.items()})
        at_peak, beyond = loads
        print(f"served at 10 times the peak: {beyond.answers['served'] / at_peak.answers['served']:.0%} of the peak")
        of_served = at_peak.cpu / at_peak.answers["served"]
        of_refused = (beyond.cpu - of_served * beyond.answers["served"]) / max(1, beyond.answers["refused"])
        print(f"CPU time of the broker: {of_served * 1e6:.0f} us served, {of_refused * 1e6:.0f} us refused")
    finally:
        broker.terminate()
        broker.join()


if __name__ == "__main__":
    main()
