"""One broker: its membership, its sessions, its holds and its writes, fed with time and messages.

Composes the state machines of this package; see the package for the interface. Every method is one step: nothing may
run between its start and the removal of the effects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from .leases import Holds, Timing
from .membership import Membership, Outcome, Registry, RegistryEffect
from .messages import (
    AnswerHeader,
    BrokerMessage,
    Close,
    Done,
    Ended,
    Invalidate,
    Invalidated,
    Open,
    ReadHeader,
    Renew,
    Revoked,
    SessionMessage,
    Tags,
    Waiting,
    WriteId,
)
from .sessions import Session, Sessions
from .writes import ToBroker, WriteEffect, Writes


class ToClient(NamedTuple):
    """Send a message on the connection on which the session's last message arrived, in this order, or end it."""

    session: str
    message: SessionMessage


Effect: TypeAlias = ToClient | RegistryEffect | WriteEffect


class _Pending:
    """An ``Invalidate`` that is not answered yet, because clients may still use older answers."""

    __slots__ = ("awaited", "message", "waiting_from")

    def __init__(self, message: Invalidate, awaited: dict[str, float], now: float) -> None:
        self.message, self.awaited, self.waiting_from = message, awaited, now


class Broker:
    """The state of one broker process, for one store.

    Args:
        timing: The durations; the same in all processes.
        address: Where other brokers send messages to this one.
        new_id: Returns a unique text.
        granters: How many brokers may grant caching at once; the same in all brokers. 0: this one never does.
    """

    def __init__(self, timing: Timing, address: str, new_id: Callable[[], str], granters: int = 1) -> None:
        self.membership = Membership(timing, address, new_id, granters)
        self.sessions = Sessions()
        self.holds = Holds()
        self.writes = Writes(timing, self.membership, new_id(), address)
        self._timing, self._address = timing, address
        self._pending: list[_Pending] = []
        self._effects: list[Effect] = []
        self._is_leaving = False

    # Time and effects.

    def take_effects(self, now: float) -> list[Effect]:
        """Returns what is to be done since the last call, in this order. Messages to itself are processed."""
        effects: list[Effect] = []
        while pending := self._effects + self.membership.effects + self.writes.effects:
            for part in (self._effects, self.membership.effects, self.writes.effects):
                part.clear()
            for effect in pending:
                if isinstance(effect, ToBroker) and effect.address == self._address:
                    self.receive_broker(effect.message, now)
                else:
                    effects.append(effect)
        return effects

    def next_tick(self, now: float) -> float:
        """Returns when ``tick`` is due next, at the latest."""
        return now + self._timing.tick if self.is_busy else self.membership.next_tick()

    @property
    def is_busy(self) -> bool:
        """Whether a write, a revocation or ``leave`` is unfinished."""
        return bool(self._pending or len(self.writes) or self._is_leaving)

    def tick(self, now: float) -> None:
        """Does what the time requires."""
        self.membership.tick(now)
        self.holds.expire(now)
        self.sessions.expire(now, self._timing)
        self._settle(now)
        self.writes.tick(now)
        if self._is_leaving and not len(self.sessions):
            self.membership.leave(now)

    # The registry.

    def answer_read(self, request: int, registry: Registry | None, now: float) -> None:
        """Processes the answer to ``ReadRegistry``; None if the read failed."""
        id_ = self.membership.id
        self.membership.answer_read(request, registry, now)
        self._after_registry(id_, now)

    def answer_change(self, request: int, outcome: Outcome, now: float) -> None:
        """Processes the outcome of ``ChangeRegistry``."""
        id_ = self.membership.id
        self.membership.answer_change(request, outcome, now)
        self._after_registry(id_, now)

    def _after_registry(self, id_: str | None, now: float) -> None:
        if id_ is not None and self.membership.id != id_:
            self._forget()
        self.membership.tick(now)
        self.writes.tick(now)

    def _forget(self) -> None:
        """This broker is out. Its clients' leases still run, so nothing that waits for them is answered."""
        for session in self.sessions.ids():
            self._effects.append(ToClient(session, Ended(session)))
        self.sessions.clear()
        self.holds.clear()
        self._pending.clear()

    # Sessions.

    def receive_client(self, message: Open | Renew | Revoked | Close, now: float) -> None:
        """Processes a message of a client, except ``ReadHeader``: see ``begin_read``."""
        match message:
            case Close(id_):
                self.sessions.close(id_)
            case Open(id_, _, replaces, to):
                self.sessions.close(replaces)
                is_accepted = to in (None, self.membership.id) and not self._is_leaving
                if is_accepted and self.sessions.get(id_) is None:
                    self.sessions.open(id_, now).accept(0, now)
            case Renew():
                if (session := self._accept(message, now)) is not None:
                    self._renew(session, message, now)
            case Revoked():
                if (session := self._accept(message, now)) is not None:
                    session.revoked(message.revoke)
        self._settle(now)

    def begin_read(self, header: ReadHeader | None, tags: Tags, now: float) -> bool:
        """Notes a read, before its request is sent to the store.

        The store read must be linearizable and must begin after this call.

        Returns:
            Whether to call ``answer`` with the result; if not, the result is sent without a header.
        """
        session = None if header is None else self._accept(header, now)
        if session is None or header is None:
            return False
        session.begin_read(header.number, tags, is_good=self._is_good(tags, now))
        return True

    def answer(self, header: ReadHeader, now: float, *, is_error: bool = False) -> AnswerHeader | None:
        """Returns the header of an answer, which is sent with it on the connection of the session, in this order.

        None: the session has ended, and the answer is sent without a header.
        """
        session = self.sessions.get(header.session)
        return None if session is None else session.answer(header.number, now, is_error=is_error)

    def disconnected(self, id_: str) -> None:
        """The connection of a session is broken."""
        if (session := self.sessions.get(id_)) is not None:
            session.end()

    def _is_good(self, tags: Tags, now: float) -> bool:
        return self.membership.grants(now) and not self.holds.is_held(tags, now)

    def _accept(self, message: Renew | ReadHeader | Revoked, now: float) -> Session | None:
        """Returns the session if the message is its next one."""
        session = self.sessions.get(message.session)
        if session is not None and session.accept(message.number, now):
            return session
        if session is None or session.is_ended:
            self._effects.append(ToClient(message.session, Ended(message.session)))
        return None

    def _renew(self, session: Session, message: Renew, now: float) -> None:
        seconds = 0.0 if self._is_leaving else self._lease(now)
        lease = session.renew(message.number, seconds, self._timing.patience, now)
        if lease is not None:
            self._effects.append(ToClient(session.id, lease))

    def _lease(self, now: float) -> float:
        """A lease ends within the membership."""
        return min(self._timing.lease, self.membership.lease_left(now))

    # Other brokers.

    def receive_broker(self, message: BrokerMessage, now: float) -> None:
        """Processes a message of a broker, or of this one."""
        match message:
            case Invalidate() if message.to == self.membership.id:
                self._invalidate(message, now)
            case Invalidated(id_, write, sending):
                self.writes.invalidated(write, id_, sending, now)
            case Waiting(id_, write):
                self.writes.waiting(write, id_, now)
            case Done(to, write) if to == self.membership.id:
                self.holds.lift(write)
            case _:
                pass  # For another id.

    def _invalidate(self, message: Invalidate, now: float) -> None:
        tags = frozenset(message.tags)
        self.holds.hold(message.write, tags, now + self._timing.hold)
        messages, awaited = self.sessions.invalidate(tags, now)
        self._effects += [ToClient(revoke.session, revoke) for revoke in messages]
        self._pending.append(_Pending(message, awaited, now))
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Answers the invalidations for which no client is awaited any more."""
        pending, self._pending = self._pending, []
        for invalidation in pending:
            message = invalidation.message
            if not self.sessions.still_awaited(invalidation.awaited, now):
                self._reply(message, Invalidated(message.to, message.write, message.sending))
                continue
            self._pending.append(invalidation)
            if now >= invalidation.waiting_from + self._timing.silence / 3:
                invalidation.waiting_from = now
                self._reply(message, Waiting(message.to, message.write))

    def _reply(self, message: Invalidate, answer: Invalidated | Waiting) -> None:
        self._effects.append(ToBroker(message.reply_to, answer))

    # Writes.

    def begin_write(self, tags: Tags, now: float) -> WriteId:
        """Begins a write: ``Execute``, and after ``answered``, ``Acknowledge`` follow among the effects."""
        return self.writes.begin(tags, now)

    def answered(self, write: WriteId, now: float, *, is_final: bool = True) -> None:
        """The store executed or refused the write; ``is_final``: it will not execute an earlier attempt later."""
        self.writes.answered(write, now, is_final=is_final)

    def abandon(self, write: WriteId) -> None:
        """The caller gets an error: the outcome is unknown, or the deadline is exceeded."""
        self.writes.abandon(write)

    # Leaving.

    def leave(self, now: float) -> None:
        """Leaves without a delay for writers: ends all sessions, then removes itself from the registry.

        Tick until ``has_left``. A process that ends earlier delays one write as a crash does.
        """
        self._is_leaving = True
        self.membership.permit_joining(0)
        for id_ in self.sessions.ids():
            self.disconnected(id_)
            self._effects.append(ToClient(id_, Ended(id_)))
        self.tick(now)

    @property
    def has_left(self) -> bool:
        """Whether ``leave`` is complete."""
        return self._is_leaving and self.membership.id is None
