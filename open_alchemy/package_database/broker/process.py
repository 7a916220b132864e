"""The process of a broker: opens the store and the transports, and stops on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from ..core.operations import Table
from ..engines.broker import adapters
from ..engines.broker.messages import Call
from ..engines.broker.transports import ServerTransport
from ..engines.broker.zeromq import ZeroMQServer
from ..engines.port import Config
from ..exceptions import BaseError, ConfigurationError
from .events import Events
from .exposed import Function
from .functions import Functions, load
from .publishing import publishing_engines
from .served_instance import ServedInstance
from .server import Server
from .store import Store


class Options(NamedTuple):
    """How a broker runs.

    Attributes:
        listen: The addresses at which it listens.
        concurrency: How many requests are executed at once.
        queue: How many requests may wait.
        allows_administration: Whether clients may create, empty and delete tables.
        expose: The modules whose exposed functions clients may call.
    """

    listen: Sequence[str]
    concurrency: int = 64
    queue: int = 1_000
    allows_administration: bool = False
    expose: Sequence[str] = ()


def run(config: Config, tables: Sequence[Table], options: Options, ready: Callable[[str], None]) -> None:
    """Runs a broker until SIGTERM or SIGINT.

    Args:
        config: The store.
        tables: Its tables.
        options: How it runs.
        ready: Is called with each address at which the broker listens.

    Raises:
        ConfigurationError: The broker cannot listen at an address, the store cannot be opened, or a module cannot be
            imported.
    """
    exposed = load(options.expose) if options.expose else {}
    transports = [open_transport(address) for address in options.listen]
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, tables, options, transports, ready, exposed))


def open_transport(address: str) -> ServerTransport:
    """Returns the transport of an address.

    Raises:
        ConfigurationError: The address has no known transport, or others than this machine can reach it.
    """
    if not address.startswith("tcp://"):
        return adapters.open_server(address)
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if not _is_loopback(host):
        raise ConfigurationError(
            f"a broker without keys listens on a loopback address, such as tcp://127.0.0.1:5757, and not on {host!r}: "
            "anybody who can connect can read and write everything"
        )
    return ZeroMQServer(address)


async def serve(server: Server, transports: Sequence[ServerTransport], ready: Callable[[str], None]) -> None:
    """Runs a server until the task is cancelled."""
    try:
        for transport in transports:
            ready(await server.start(transport))
        await asyncio.Event().wait()
    finally:
        await server.aclose()


@asynccontextmanager
async def open_server(
    config: Config, tables: Sequence[Table], options: Options, exposed: Mapping[str, Function]
) -> AsyncGenerator[Server]:
    """Opens a store, and returns a server for it; closes the store at the end."""
    events = Events()
    engine, blocking = publishing_engines(config, tables, events)
    await engine.prepare()
    store = Store(engine, blocking.administration, tables, allows_administration=options.allows_administration)
    server = Server({"": store}, concurrency=options.concurrency, queue=options.queue, events=events)
    instance = ServedInstance(blocking, engine)
    server.handlers[Call] = Functions(exposed, {"": instance}).call
    try:
        yield server
    finally:
        with suppress(BaseError):
            await instance.shut_down()


async def _serve(
    config: Config,
    tables: Sequence[Table],
    options: Options,
    transports: Sequence[ServerTransport],
    ready: Callable[[str], None],
    exposed: Mapping[str, Function],
) -> None:
    async with open_server(config, tables, options, exposed) as server:
        task = asyncio.ensure_future(serve(server, transports, ready))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
