"""Blocking calls through a broker, and what they consist of: a bare ZeroMQ echo, and the store's own time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from .examples import NAME, SPECS, SUB

DISTRIBUTIONS = ("pyzmq", "msgspec")
MEASURES_LATENCY = True


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases. The URL is a JSON object: the URLs of the servers by name."""
    from open_alchemy import package_database

    urls = json.loads(url)
    databases = {name: package_database.connect(urls[name]) for name in ("store", "broker")}
    databases["store"].create_update_spec(sub=SUB, name=NAME, version="1", model_count=3, title="A title")
    message = answer_of(urls["broker_address"])
    socket = connect(urls["echo"])

    def get(name: str) -> object:
        return databases[name].get_spec(sub=SUB, name=NAME)

    def echo() -> object:
        socket.send(message)
        return socket.recv()

    return {
        "get_spec": lambda: get("broker"),
        "store": lambda: get("store"),
        "echo": echo,
        "echo_and_store": lambda: (echo(), get("store")),
    }


def answer_of(address: str) -> bytes:
    """Returns the message with which a broker answers get_spec: the longer one of request and answer."""
    from open_alchemy.package_database.engines.broker import codec, messages

    get = messages.Get(SPECS, SUB, f"latest#{NAME}")
    socket = connect(address)
    socket.send(codec.encode(messages.Request(messages.VERSION, 1, time.time(), 5.0, get)))
    answer: bytes = socket.recv()
    socket.close()
    return answer


def connect(address: str) -> Any:
    """Returns a DEALER."""
    import zmq

    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(address)
    return socket
