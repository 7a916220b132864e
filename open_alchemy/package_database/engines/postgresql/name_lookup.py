"""Looks up the hosts of a connection string within the deadline of a call, for threads.

Otherwise psycopg looks them up in the thread of the call, and a resolver that does not answer blocks it for many
seconds. asyncio's lookups are bounded already: they can be cancelled.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from ipaddress import ip_address
from threading import Thread
from typing import Any

from psycopg import OperationalError
from psycopg.conninfo import conninfo_to_dict

from ...core.deadline import Deadline
from .connection import DeadlineExceededError

_PORT = "5432"


def with_addresses(conninfo: str, deadline: Deadline) -> dict[str, Any]:
    """Returns the parameters of a connection string, with the addresses of its hosts where it has none.

    A host that cannot be looked up keeps its name, so that psycopg reports it.

    Raises:
        OperationalError: A host is not a name.
        DeadlineExceededError: The resolver did not answer before the deadline.
    """
    parameters: dict[str, Any] = conninfo_to_dict(conninfo)
    hosts = str(parameters.get("host") or os.environ.get("PGHOST", "")).split(",")
    if "hostaddr" in parameters or "PGHOSTADDR" in os.environ or not any(map(_is_name, hosts)):
        return parameters
    ports = str(parameters.get("port") or os.environ.get("PGPORT") or _PORT).split(",")
    if len(ports) not in (1, len(hosts)):
        return parameters  # psycopg reports it.
    targets = [
        (host, address, port)
        for host, port in zip(hosts, ports * (len(hosts) // len(ports)), strict=True)
        for address in (_look_up(host, deadline) if _is_name(host) else [""])
    ]
    columns = zip(("host", "hostaddr", "port"), zip(*targets, strict=True), strict=True)
    return {**parameters, **{name: ",".join(values) for name, values in columns}}


def _is_name(host: str) -> bool:
    """Returns whether a host is a name, and not an address, a folder of sockets or absent."""
    if not host or host.startswith(("/", "@")):
        return False
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def _look_up(host: str, deadline: Deadline) -> list[str]:
    found: Future[list[str]] = Future()
    Thread(target=_resolve, args=(host, found), daemon=True, name="package-database-name-lookup").start()
    try:
        return found.result(timeout=max(0.0, deadline.remaining()))
    except FutureTimeoutError:
        raise DeadlineExceededError from None
    except OSError:
        return [""]
    except UnicodeError:
        # Such as for an empty label. psycopg would raise it.
        raise OperationalError(f"failed to resolve host {host!r}: it is not a name") from None


def _resolve(host: str, found: Future[list[str]]) -> None:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        found.set_result([str(address[0]) for *_, address in answers] or [""])
    except (OSError, UnicodeError) as error:
        found.set_exception(error)
