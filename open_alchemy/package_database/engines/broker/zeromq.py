"""ZeroMQ: a DEALER for each broker at a client, a ROUTER at a broker.

Sockets are used without ``zmq.asyncio``, which needs a task and a future for each message. The file descriptor of a
socket signals only changes of its state (https://api.zeromq.org/master:zmq-getsockopt, ZMQ_FD), so that the state is
checked again after each use of the socket. Messages are sent a few at a time: each one that finds the thread of ZeroMQ
idle wakes it, which costs more than everything else about a small message, but the peer is idle while none is sent.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Hashable
from itertools import count
from pathlib import Path
from typing import Any, Final

import zmq

from ...core.secret import Secret
from ...exceptions import ConfigurationError
from . import routing_ids
from .codec import Buffer
from .curve import ZAP_ADDRESS, Security, answer_zap, secure_client, secure_server, user_of
from .fragmentation import MAX_BYTES, PART_BYTES, Assembler, split
from .send_budget import TRACKED_BYTES, SendBudget
from .transports import Peer

_HEARTBEAT: Final = {zmq.HEARTBEAT_IVL: 1_000, zmq.HEARTBEAT_TIMEOUT: 3_000, zmq.HEARTBEAT_TTL: 4_000}
"""Milliseconds: a connection without an answer to a PING is closed within 4 seconds."""
_LIMITS: Final = {
    # A longer message ends its connection when its length is announced.
    zmq.MAXMSGSIZE: MAX_BYTES,
    zmq.HANDSHAKE_IVL: 5_000,
    zmq.BACKLOG: 1_000,
    # Messages of one client.
    zmq.RCVHWM: 100,
    zmq.SNDHWM: 1_000,
}
# Integers: the operators of enumerations take longer than a system call.
_DISCONNECTED: Final = int(zmq.Event.DISCONNECTED)
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_POLLOUT: Final = int(zmq.POLLOUT)
_NO_BLOCK: Final = int(zmq.NOBLOCK)
_SEND_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_MAX_RECEIVED: Final = 100
"""Messages that are received before other work of the event loop."""
_MAX_OUTGOING: Final = 8
"""Messages that are sent together."""
_MAX_UNSENT: Final = 1_000
_MAX_UNSENT_SECONDS: Final = 1.0
"""After this time a client sends a request again, so that the message is dropped."""
_LINGER: Final = 1_000
_CLIENT_LINGER: Final = 100


class _Socket(zmq.Socket[bytes]):
    """A socket without the Python layer of ``send``, which takes longer than the rest of it."""

    send = zmq.backend.Socket.send  # type: ignore[assignment] # Without the arguments that only draft sockets have.


class BlockingZeroMQ:
    """A DEALER for one thread at a time."""

    def __init__(self, address: str, key_file: Path | None = None) -> None:
        self._socket = _dealer(address, key_file)
        self._timeouts = {zmq.SNDTIMEO: -1, zmq.RCVTIMEO: -1}
        self._monitor: zmq.Socket[bytes] | None = None
        self.is_lost = False

    def watch(self) -> None:
        """Notices from now on when the connection ends."""
        if self._monitor is None:
            self._monitor = self._socket.get_monitor_socket(_DISCONNECTED)
        while self._monitor.poll(0):
            self._monitor.recv_multipart()
        self.is_lost = False

    def send(self, message: Secret, seconds: float) -> bool:
        """Sends a message when the broker is connected."""
        self._set(zmq.SNDTIMEO, seconds)
        try:
            self._socket.send(message)
        except zmq.Again:
            return False
        return True

    def receive(self, seconds: float) -> Buffer | None:
        """Returns the next message in time."""
        if self._monitor is not None and not self._wait(self._monitor, seconds):
            return None
        self._set(zmq.RCVTIMEO, seconds)
        try:
            return memoryview(self._socket.recv())
        except zmq.Again:
            return None

    def close(self) -> None:
        """Closes the socket, and drops what is not sent."""
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close()
        self._socket.close()

    def _wait(self, monitor: zmq.Socket[bytes], seconds: float) -> bool:
        """Waits for a message or the end of the connection; returns whether there may be a message."""
        ready = dict(zmq.zmq_poll([(self._socket, _POLLIN), (monitor, _POLLIN)], round(seconds * 1000)))
        if self._socket in ready or monitor not in ready:
            return True
        monitor.recv_multipart()
        self.is_lost = True
        return False

    def _set(self, option: zmq.SocketOption, seconds: float) -> None:
        milliseconds = max(1, round(seconds * 1000))
        if self._timeouts[option] != milliseconds:
            self._timeouts[option] = milliseconds
            self._socket.setsockopt(option, milliseconds)


class LoopSocket:
    """A socket in the running event loop.

    Args:
        socket: The socket.
        receive: Is called with the frames of each message.
    """

    def __init__(self, socket: zmq.Socket[bytes], receive: Callable[[list[zmq.Frame]], None]) -> None:
        self.socket = socket
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._descriptor = int(socket.getsockopt(zmq.FD))
        self._is_scheduled = False
        self._outgoing: list[list[Any]] = []
        self._unsent: deque[tuple[float, list[Any]]] = deque(maxlen=_MAX_UNSENT)
        self._loop.add_reader(self._descriptor, self._process)
        # What happened before is not signalled.
        self._schedule()

    def send(self, frames: list[Any]) -> None:
        """Sends a message in this iteration of the event loop or the next, or when the peer is connected, if soon."""
        if self._is_scheduled:
            self._outgoing.append(frames)
            if len(self._outgoing) >= _MAX_OUTGOING:
                self._send_outgoing()
        elif not self.socket.closed:
            self._send(frames)
            self._schedule()

    def withdraw(self, message: Any) -> bool:
        """Drops an unsent message, by its last frame; returns False if it is not among them."""
        for entry in self._unsent:
            if entry[1][-1] is message:
                self._unsent.remove(entry)
                return True
        return False

    def receive_all(self) -> None:
        """Receives what can be received now."""
        while not self._receive_and_send():
            pass

    def close(self, linger: int = 0) -> None:
        """Closes the socket."""
        if not self.socket.closed:
            self._send_outgoing()
            self._loop.remove_reader(self._descriptor)
            self.socket.close(linger)

    def _send(self, frames: list[Any]) -> None:
        self._flush()
        try:
            if not self._unsent:
                self._send_now(frames)
                return
        except zmq.Again:
            pass
        except zmq.ZMQError:
            return  # The client is gone.
        # After the earlier ones: messages are sent in order.
        self._unsent.append((self._loop.time() + _MAX_UNSENT_SECONDS, frames))

    def _send_now(self, frames: list[Any]) -> None:
        for frame in frames[:-1]:
            self.socket.send(frame, _SEND_MORE)
        self.socket.send(frames[-1], _NO_BLOCK)

    def _send_outgoing(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for frames in () if self.socket.closed else outgoing:
            self._send(frames)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._process)

    def _process(self) -> None:
        is_finished = False
        self._is_scheduled = True
        try:
            is_finished = self._receive_and_send()
        finally:
            self._is_scheduled = False
            if not is_finished:
                self._schedule()

    def _receive_and_send(self) -> bool:
        """Receives messages, then sends the queued ones; returns False if there may be more messages."""
        received = 0
        while not self.socket.closed and ((events := self._events()) or self._outgoing):
            if events & _POLLOUT:
                self._flush()
            if events & _POLLIN and received < _MAX_RECEIVED:
                # The first one is answered at once. Only if there are more, the events are not read after each one.
                received += self._receive_some(_MAX_RECEIVED - received if received else 1)
                if received == 1:
                    self._send_outgoing()
            else:
                self._send_outgoing()
                if received == _MAX_RECEIVED:
                    return False
        return True

    def _receive_some(self, limit: int) -> int:
        """Receives some messages, and returns their number."""
        for number in range(limit):
            try:
                frames = [self.socket.recv(_NO_BLOCK, copy=False)]
            except zmq.Again:
                return number
            while frames[-1].more:
                frames.append(self.socket.recv(_NO_BLOCK, copy=False))
            self._receive(frames)
            if self.socket.closed:
                return number
        return limit

    def _events(self) -> int:
        """Returns what can be done now. The descriptor does not signal again what this call has seen."""
        relevant = _POLLIN | _POLLOUT if self._unsent else _POLLIN
        return int(self.socket.getsockopt(_EVENTS)) & relevant

    def _flush(self) -> None:
        while self._unsent and not self.socket.closed:
            end, frames = self._unsent[0]
            try:
                if self._loop.time() < end:
                    self._send_now(frames)
            except zmq.Again:
                return
            self._unsent.popleft()


class ZeroMQConnection:
    """A DEALER in the running event loop.

    Args:
        address: The address of the broker.
        receive: Is called with each message.
        key_file: The keys of the client; None for no encryption.
        reconnects: Whether a broken connection is opened again.
    """

    def __init__(
        self,
        address: str,
        receive: Callable[[Buffer], None],
        key_file: Path | None = None,
        *,
        reconnects: bool = True,
    ) -> None:
        socket = _dealer(address, key_file, reconnects=reconnects)
        assembler = Assembler(MAX_BYTES)

        def deliver(frames: list[zmq.Frame]) -> None:
            if (message := assembler.add("", frames[-1].buffer)) is not None:
                receive(message)

        self._socket = LoopSocket(socket, deliver)
        self._monitor: LoopSocket | None = None

    def send(self, message: Secret) -> None:
        """Sends a message."""
        self._socket.send([message])

    def broadcast(self, message: Secret) -> None:
        """Sends a message: each broker has a connection of its own."""
        self.send(message)

    def withdraw(self, message: Secret) -> bool:
        """Drops a message that waits for the connection."""
        return self._socket.withdraw(message)

    def watch(self, lost: Callable[[], None]) -> None:
        """Calls a function from now on when the connection ends."""

        def end(_: object) -> None:
            self._socket.receive_all()
            lost()

        if self._monitor is None:
            self._monitor = LoopSocket(self._socket.socket.get_monitor_socket(_DISCONNECTED), end)

    async def aclose(self) -> None:
        """Closes the socket; its thread sends what is queued for a broker that is connected."""
        if self._monitor is not None and not self._socket.socket.closed:
            self._socket.socket.disable_monitor()
            self._monitor.close()
        self._socket.close(_CLIENT_LINGER)


class ZeroMQServer:
    """A ROUTER.

    Args:
        address: Where it listens, such as ``tcp://127.0.0.1:5757``; port 0 or ``*`` selects a free port.
        security: The keys of the broker, and which clients may connect; None for no encryption.
        listener: The descriptor of a listening TCP socket that several processes share.
    """

    def __init__(self, address: str, security: Security | None = None, listener: int | None = None) -> None:
        self._address = address
        self._security = security
        self._listener = listener
        # Each context has one authenticator.
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: LoopSocket | None = None
        self._authenticator: LoopSocket | None = None
        self._budget = SendBudget()
        self._numbers = count(secrets.randbits(48))

    async def start(self, receive: Callable[[Peer, Buffer], None]) -> str:
        """Listens."""
        if self._security is not None:
            self._authenticator = self._authenticate(self._security)
        socket = self._open()

        is_secured = self._security is not None

        def deliver(frames: list[zmq.Frame]) -> None:
            if len(frames) == 2:  # noqa: PLR2004 (the routing id and the message)
                id_, message = frames
                receive(Peer(self, id_.bytes, user_of(message) if is_secured else ""), message.buffer)

        self._socket = LoopSocket(socket, deliver)
        address: str = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        return address

    def send(self, address: Hashable, message: Secret, report: Secret | None = None) -> None:
        """Sends a message; drops it if the client is gone, or if too much waits for it."""
        size = len(message)
        if self._socket is None or (size >= TRACKED_BYTES and not self._budget.allows(address, size)):
            return
        if size <= PART_BYTES:
            self._send(self._socket, address, message)
            return
        for part in split(message, PART_BYTES, next(self._numbers), report):
            self._send(self._socket, address, part)

    async def aclose(self) -> None:
        """Closes the sockets; their thread sends what is queued."""
        for socket in filter(None, (self._socket, self._authenticator)):
            socket.close(_LINGER)
        self._socket = self._authenticator = None
        await asyncio.to_thread(self._context.term)

    def _send(self, socket: LoopSocket, address: Hashable, message: Secret) -> None:
        if len(message) < TRACKED_BYTES:
            socket.send([address, message])
            return
        frame = zmq.Frame(message, track=True, copy=False)
        socket.send([address, frame])
        self._budget.add(address, frame.tracker, len(message))

    def _open(self) -> zmq.Socket[bytes]:
        routing_ids.seed()
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER, socket_class=_Socket)
        options = {**_HEARTBEAT, **_LIMITS, zmq.IPV6: "[" in self._address}
        if self._listener is not None:
            options[zmq.USE_FD] = self._listener
        for option, value in options.items():
            socket.setsockopt(option, value)
        if self._security is not None:
            secure_server(socket, self._security.keys)
        try:
            socket.bind(self._address)
        except zmq.ZMQError as error:
            socket.close()
            raise ConfigurationError(f"the broker cannot listen on {self._address}: {error.strerror}") from error
        return socket

    def _authenticate(self, security: Security) -> LoopSocket:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.REP)
        socket.bind(ZAP_ADDRESS)

        def answer(frames: list[zmq.Frame]) -> None:
            authenticator.send(answer_zap([frame.bytes for frame in frames], security.allows))

        authenticator = LoopSocket(socket, answer)
        return authenticator


def _dealer(address: str, key_file: Path | None, *, reconnects: bool = True) -> zmq.Socket[bytes]:
    context: zmq.Context[Any] = zmq.Context.instance()
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER, socket_class=_Socket)
    if key_file is not None:
        secure_client(socket, key_file)
    # IMMEDIATE: a message is not queued for a broker that is not connected, where it would be sent much later.
    options = {**_HEARTBEAT, zmq.IMMEDIATE: 1, zmq.LINGER: 0, zmq.IPV6: "[" in address}
    options |= {zmq.RECONNECT_IVL: 100 if reconnects else -1, zmq.RECONNECT_IVL_MAX: 1_000}
    for option, value in options.items():
        socket.setsockopt(option, value)
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigurationError(f"the address of a broker cannot be used: {error.strerror}") from error
    return socket
