"""The processes of a broker: one, or several workers that accept connections from the same listening socket.

A connection stays in its worker, so that its requests are received in their order, and a request that is sent again
meets the one in progress. A worker that dies is replaced, and its clients connect to another one.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..core.operations import Table
from ..engines.broker import messages
from ..engines.broker.bus import BusServer
from ..engines.broker.curve import Security
from ..engines.broker.curve_keys import read_broker_keys
from ..engines.broker.transports import ServerTransport
from ..engines.sqlite.config import SQLiteConfig
from ..exceptions import ConfigurationError
from ..instances import api as instances
from .coherence_handlers import connect_caches
from .exposed import Function
from .function_executor import Functions, load
from .key_files import BROKER_FILE, CLIENTS_FILE
from .listeners import address_of, check_address, is_tcp, listen, open_transport
from .metrics import Figures
from .metrics_server import start_http
from .rights import ANYBODY, Client, ClientsFile
from .served_instances import Find, ServedInstances, ServedStores, find_instance
from .server import Server
from .shared_metrics import SharedFigures
from .subscriptions import Subscriptions
from .supervisor import Worker, supervise
from .worker_change_relay import WorkerLinks, WorkerSubscriptions

_FIGURES_SECONDS = 0.5


class Options(NamedTuple):
    """How a broker runs.

    Attributes:
        listen: The addresses at which it listens.
        concurrency: How many requests a worker executes at once.
        queue: How many requests may wait in a worker.
        allows_administration: Whether clients may create, empty and delete tables.
        client_requests: How many requests of one client may be in progress or wait.
        workers: The number of processes.
        metrics: ``HOST:PORT`` of the HTTP server for figures; None for none.
        keys: The folder with the keys of the broker and the file of its clients; None for no encryption.
        expose: The modules whose exposed functions clients may call.
        advertise: Where other brokers reach this one; empty for the first TCP address.
        granters: How many brokers of a store may grant caching at once; the same in all of them.
    """

    listen: Sequence[str]
    concurrency: int = 64
    queue: int = 2_000
    allows_administration: bool = False
    client_requests: int = 1_000
    workers: int = 1
    metrics: str | None = None
    keys: Path | None = None
    expose: Sequence[str] = ()
    advertise: str = ""
    granters: int = 1


class Access(NamedTuple):
    """Who may connect to a broker with keys."""

    security: Security
    clients: ClientsFile


class Shared(NamedTuple):
    """What the workers share; created before they are forked."""

    figures: SharedFigures
    links: WorkerLinks | None


def run(tables: Sequence[Table], options: Options, ready: Callable[[str], None]) -> None:
    """Runs a broker of the selected instance, or of all instances, until SIGTERM or SIGINT.

    Args:
        tables: The tables.
        options: How it runs.
        ready: Is called with each address at which the broker listens.

    Raises:
        ConfigurationError: An option is invalid, the broker cannot listen at an address, the store cannot be opened, or
            a module cannot be imported.
    """
    _check_stores(options.workers)
    if options.workers > 1 and options.advertise:
        raise ConfigurationError("--advertise: each of several --workers has an address of its own")
    for address in options.listen:
        check_address(address, has_keys=options.keys is not None)
    read_access(options.keys)
    metrics = None if options.metrics is None else listen(f"tcp://{options.metrics}")
    shared = Shared(SharedFigures(options.workers), WorkerLinks(options.workers) if options.workers > 1 else None)
    if options.workers == 1:
        _run_worker(Worker(0), tables, options, [None] * len(options.listen), metrics, shared, ready)
        return
    listeners = [listen(address) if is_tcp(address) else None for address in options.listen]
    for address, listener in zip(options.listen, listeners, strict=True):
        ready(address if listener is None else address_of(listener))
    supervise(
        options.workers,
        lambda worker: _run_worker(worker, tables, options, listeners, metrics, shared, lambda _: None),
        shared.figures.is_written,
    )


def cancel_once(task: asyncio.Task[None]) -> None:
    """Cancels a task. Another signal does not interrupt what the task does at its end."""
    if not task.cancelling():
        task.cancel()


async def serve(
    server: Server,
    transports: Sequence[ServerTransport],
    ready: Callable[[str], None],
    *,
    advertise: str = "",
    key_file: Path | None = None,
) -> None:
    """Runs a server until the task is cancelled.

    Args:
        server: The server.
        transports: How its clients reach it.
        ready: Is called with each address at which the server listens.
        advertise: Where other brokers reach this one; empty for the first TCP address.
        key_file: The keys of the broker; None for no encryption.
    """
    try:
        addresses = [await server.start(transport) for transport in transports]
        buses = [transport for transport in transports if isinstance(transport, BusServer)]
        connect_caches(server, advertise or next(filter(is_tcp, addresses), ""), key_file, buses)
        for address in addresses:
            ready(address)
        await asyncio.Event().wait()
    finally:
        await server.aclose()


@asynccontextmanager
async def open_server(
    find: Find,
    tables: Sequence[Table],
    options: Options,
    exposed: Mapping[str, Function],
    access: Access | None = None,
    subscriptions: Subscriptions | None = None,
) -> AsyncGenerator[Server]:
    """Opens instances, and returns a server for them; closes them at the end."""
    subscriptions = subscriptions or Subscriptions()
    instances = ServedInstances(find, subscriptions, tables, options.granters)
    stores = ServedStores(instances, tables, allows_administration=options.allows_administration)
    server = Server(
        stores,
        concurrency=options.concurrency,
        queue=options.queue,
        client_requests=options.client_requests,
        find_client=find_anybody if access is None else access.clients.find,
        subscriptions=subscriptions,
    )
    server.sources.append(stores.figures)
    server.handlers[messages.Call] = Functions(exposed, instances).call
    if access is not None:
        server.sources.append(access.clients.figures)
    try:
        if "" in stores:
            await stores[""].engine.prepare()
        yield server
    finally:
        await instances.aclose()


def _run_worker(
    worker: Worker,
    tables: Sequence[Table],
    options: Options,
    listeners: Sequence[socket.socket | None],
    metrics: socket.socket | None,
    shared: Shared,
    ready: Callable[[str], None],
) -> None:
    # In the worker: the modules of the application may start threads.
    exposed = load(options.expose) if options.expose else {}
    access = read_access(options.keys)
    security = None if access is None else access.security
    transports = [
        open_transport(address, security, None if listener is None else listener.fileno())
        for address, listener in zip(options.listen, listeners, strict=True)
    ]
    if options.workers > 1 and (shared_address := next(filter(is_tcp, options.listen), None)) is not None:
        # The first one, because other brokers must reach this worker and no other.
        transports.insert(0, open_transport(f"{shared_address.rpartition(':')[0]}:*", security))

    async def main() -> None:
        subscriptions = None
        if shared.links is not None:
            subscriptions = WorkerSubscriptions(shared.links, worker.number)
            subscriptions.start()
        async with open_server(find_instance, tables, options, exposed, access, subscriptions) as server:
            await _serve(worker, server, options, transports, metrics, shared, ready)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


async def _serve(
    worker: Worker,
    server: Server,
    options: Options,
    transports: Sequence[ServerTransport],
    metrics: socket.socket | None,
    shared: Shared,
    ready: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()

    def figures() -> Figures:
        shared.figures.write(worker.number, {**server.figures(), "workers": 1})
        return shared.figures.total()

    def publish() -> None:
        figures()
        loop.call_later(_FIGURES_SECONDS, publish)

    server.immediate[messages.Status] = lambda *_: messages.Figures(dict(figures()))
    key_file = None if options.keys is None else options.keys / BROKER_FILE
    task = asyncio.ensure_future(serve(server, transports, ready, advertise=options.advertise, key_file=key_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, cancel_once, task)
    if worker.supervisor is not None:
        loop.add_reader(worker.supervisor, cancel_once, task)
    http = None if metrics is None else await start_http(metrics, figures, lambda: not task.cancelling())
    publish()
    try:
        with suppress(asyncio.CancelledError):
            await task
    finally:
        if http is not None:
            http.close()


def find_anybody(_: str) -> Client:
    """Returns a client with all rights."""
    return ANYBODY


def read_access(folder: Path | None) -> Access | None:
    """Returns the keys and clients in a folder; None if there is none.

    Raises:
        ConfigurationError: A file cannot be read or is invalid.
    """
    if folder is None:
        return None
    keys = read_broker_keys(folder / BROKER_FILE)
    clients = ClientsFile(folder / CLIENTS_FILE, broker=keys.public)
    return Access(Security(keys, clients.allows), clients)


def _check_stores(workers: int) -> None:
    """Checks the configuration of the instances: several processes do not share a database in memory."""
    selected = instances.selected_instance()
    found = [selected] if selected is not None else list(map(instances.directory().get, instances.instances()))
    for instance in found or [instances.current()]:
        config = instance.config
        if workers > 1 and isinstance(config, SQLiteConfig) and config.path is None:
            raise ConfigurationError("--workers: sqlite:// is in memory, and each worker would have another database")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
