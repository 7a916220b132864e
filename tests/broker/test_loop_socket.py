"""A ZeroMQ socket in an event loop: its descriptor signals a change once, also if it happens during another call."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import zmq

from open_alchemy.package_database.engines.broker.zeromq import LoopSocket


class ScriptedSocket:
    """A socket whose descriptor gives no signal after the start.

    Args:
        is_connected: Whether it is connected; otherwise it connects during the first call of send.
    """

    closed = False

    def __init__(self, *, is_connected: bool) -> None:
        self.descriptor = -1
        self.received: list[bytes] = []
        self.sent: list[bytes] = []
        self._is_connected = is_connected

    def send(self, frame: bytes, flags: int) -> None:
        assert flags == zmq.NOBLOCK
        if not self._is_connected:
            self._is_connected = True
            raise zmq.Again
        self.sent.append(frame)

    def recv(self, flags: int, *, copy: bool) -> zmq.Frame:
        assert (flags, copy) == (zmq.NOBLOCK, False)
        if not self.received:
            raise zmq.Again
        return zmq.Frame(self.received.pop(0))

    def getsockopt(self, option: int) -> int:
        if option == zmq.FD:
            return self.descriptor
        return (zmq.POLLOUT if self._is_connected else 0) | (zmq.POLLIN if self.received else 0)

    def close(self, _: int) -> None:
        self.closed = True


@asynccontextmanager
async def opened(
    scripted: ScriptedSocket, receive: Callable[[list[zmq.Frame]], None] = lambda _: None
) -> AsyncGenerator[LoopSocket]:
    """Opens a socket, and waits until it has nothing to do."""
    silent, other = socket.socketpair()
    with silent, other:
        scripted.descriptor = silent.fileno()
        loop_socket = LoopSocket(scripted, receive)  # type: ignore[arg-type]
        await iterations()
        yield loop_socket
        loop_socket.close()


async def iterations() -> None:
    """Lets the event loop execute what is scheduled."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_messages_are_sent_in_order_if_the_socket_is_connected_while_the_first_is_queued() -> None:
    async def send() -> list[bytes]:
        scripted = ScriptedSocket(is_connected=False)
        async with opened(scripted) as loop_socket:
            loop_socket.send([b"first"])
            loop_socket.send([b"second"])
            await iterations()
            return scripted.sent

    assert asyncio.run(send()) == [b"first", b"second"]


def test_messages_of_one_iteration_are_sent_together() -> None:
    async def send() -> list[list[bytes]]:
        scripted = ScriptedSocket(is_connected=True)
        async with opened(scripted) as loop_socket:
            for number in range(4):
                loop_socket.send([b"%d" % number])
            at_once = scripted.sent.copy()
            await iterations()
            return [at_once, scripted.sent]

    assert asyncio.run(send()) == [[b"0"], [b"0", b"1", b"2", b"3"]]


def test_answers_are_sent_a_few_at_a_time() -> None:
    sent_before: list[int] = []

    async def answer() -> list[bytes]:
        scripted = ScriptedSocket(is_connected=True)

        def receive(frames: list[zmq.Frame]) -> None:
            sent_before.append(len(scripted.sent))
            loop_socket.send([frames[0].bytes])

        async with opened(scripted, receive) as loop_socket:
            scripted.received = [b"%d" % number for number in range(150)]
            loop_socket.send([b"start"])
            await iterations()
            return scripted.sent

    assert asyncio.run(answer()) == [b"start", *(b"%d" % number for number in range(150))]
    # 100 are received in an iteration; the first answer is sent at once, and the last ones are sent at the end.
    in_iteration = [0] + [1 + (number - 1) // 8 * 8 for number in range(1, 100)]
    assert sent_before == [1 + sent for sent in in_iteration] + [101 + sent for sent in in_iteration[:50]]


def test_a_message_whose_reception_fails_does_not_delay_others() -> None:
    errors: list[str] = []

    async def answer() -> list[bytes]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context["exception"])))
        scripted = ScriptedSocket(is_connected=True)

        def receive(frames: list[zmq.Frame]) -> None:
            loop_socket.send([frames[0].bytes])
            if frames[0].bytes == b"wrong":
                raise ValueError("wrong")

        async with opened(scripted, receive) as loop_socket:
            scripted.received = [b"wrong", b"right"]
            loop_socket.send([b"start"])
            await iterations()
            return scripted.sent

    assert asyncio.run(answer()) == [b"start", b"wrong", b"right"]
    assert errors == ["wrong"]


def test_a_socket_that_is_closed_while_it_receives_receives_and_sends_no_more() -> None:
    received: list[bytes] = []

    async def close() -> list[bytes]:
        scripted = ScriptedSocket(is_connected=True)

        def receive(frames: list[zmq.Frame]) -> None:
            received.append(frames[0].bytes)
            if len(received) == 2:
                loop_socket.close()
                for _ in range(8):
                    loop_socket.send([b"late"])

        async with opened(scripted, receive) as loop_socket:
            scripted.received = [b"%d" % number for number in range(4)]
            loop_socket.send([b"start"])
            await iterations()
            return scripted.sent

    assert asyncio.run(close()) == [b"start"]
    assert received == [b"0", b"1"]


def test_a_socket_sends_its_messages_before_it_closes() -> None:
    async def send() -> list[bytes]:
        scripted = ScriptedSocket(is_connected=True)
        async with opened(scripted) as loop_socket:
            loop_socket.send([b"first"])
            loop_socket.send([b"second"])
        return scripted.sent

    assert asyncio.run(send()) == [b"first", b"second"]
