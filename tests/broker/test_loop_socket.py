"""A ZeroMQ socket in an event loop: its descriptor signals a change once, also if it happens during another call."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import zmq

from open_alchemy.package_database.engines.broker.zeromq import LoopSocket


class ScriptedSocket:
    """A socket that is connected during the first call of send, of which its descriptor gives no further signal."""

    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.sent: list[Any] = []
        self._is_connected = False

    def send_multipart(self, frames: list[Any], flags: int) -> None:
        if not self._is_connected:
            self._is_connected = True
            raise zmq.Again
        self.sent.append(frames)

    def getsockopt(self, option: int) -> int:
        if option == zmq.FD:
            return self._descriptor
        return int(zmq.POLLOUT) if self._is_connected else 0

    def close(self, linger: int) -> None:
        self.closed = True


def test_a_message_is_sent_if_the_socket_is_connected_while_it_is_queued() -> None:
    async def send() -> list[Any]:
        silent, other = socket.socketpair()
        with silent, other:
            scripted = ScriptedSocket(silent.fileno())
            loop_socket = LoopSocket(scripted, lambda _: None)  # type: ignore[arg-type]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loop_socket.send([b"message"])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loop_socket.close()
            return scripted.sent

    assert asyncio.run(send()) == [[b"message"]]
