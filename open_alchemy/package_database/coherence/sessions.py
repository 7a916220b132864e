"""The sessions of one broker: what each client may have cached, and which revocations it has not answered.

A session is an ordered stream with numbered messages. A gap ends it. A session that ended here is waited for until its
lease is over, or until its client has stated that it no longer uses it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .leases import Timing
from .messages import AnswerHeader, Lease, Revoke, SessionMessage, Tag, Tags


class _Read:
    __slots__ = ("is_good", "tags")

    def __init__(self, tags: Tags, *, is_good: bool) -> None:
        self.tags, self.is_good = tags, is_good


class _Revocation(NamedTuple):
    tags: Tags
    sent: float


class Session:
    """One session at the broker.

    Attributes:
        id: Its id.
        lease_until: When its lease is over on the broker's clock.
        last_message: When the last message of the client arrived.
        is_ended: Nothing is sent or accepted any more.
    """

    def __init__(self, id_: str, now: float) -> None:
        self.id = id_
        self.lease_until = self.last_message = now
        self.is_ended = False
        self._received = 0
        self._sent = 0
        self._reads: dict[int, _Read] = {}
        self._notes: dict[Tag, float] = {}
        self._unanswered: dict[int, _Revocation] = {}

    def accept(self, number: int, now: float) -> bool:
        """Returns whether to process a message: whether it is the next one. A gap ends the session."""
        if number > self._received:
            self.end()
        if self.is_ended or number < self._received:
            return False
        self._received += 1
        self.last_message = now
        return True

    def end(self) -> None:
        """Sends and accepts nothing any more. Its lease, its notes and its revocations remain."""
        self.is_ended = True
        self._reads.clear()

    def renew(self, number: int, seconds: float, patience: float, now: float) -> Lease | None:
        """Returns a lease; None if there is no time left or the client does not answer a revocation."""
        if seconds <= 0 or any(now - revocation.sent > patience for revocation in self._unanswered.values()):
            return None
        # Never earlier than before: the lease ends with the membership.
        self.lease_until = now + seconds
        return Lease(self.id, self._number(), number, seconds)

    def begin_read(self, read: int, tags: Tags, *, is_good: bool) -> None:
        """Notes a read before the store executes it."""
        self._reads[read] = _Read(tags, is_good=is_good and bool(tags))

    def answer(self, read: int, now: float, *, is_error: bool = False) -> AnswerHeader | None:
        """Returns the header of an answer; None if the session has ended."""
        noted = self._reads.pop(read, None)
        if self.is_ended or noted is None:
            return None
        is_good = noted.is_good and not is_error
        if is_good:
            for tag in noted.tags:
                self._notes.pop(tag, None)  # The newest notes are the last.
                self._notes[tag] = now
        return AnswerHeader(self.id, self._number(), read, is_good)

    def invalidate(self, tags: Tags, now: float) -> Revoke | None:
        """Spoils the reads under way and returns what to send to the client, if it may have cached any of the tags."""
        self._spoil(tags)
        noted = tags & self._notes.keys()
        if not noted or self.is_ended:
            return None
        for tag in noted:
            del self._notes[tag]
        number = self._number()
        self._unanswered[number] = _Revocation(frozenset(noted), now)
        return Revoke(self.id, number, tuple(noted))

    def awaited(self, tags: Tags) -> float:
        """Returns up to which revocation the client must answer before no older answer on the tags is used; -1: none.

        A session that ended with such answers never answers: infinity.
        """
        numbers = [number for number, revocation in self._unanswered.items() if revocation.tags & tags]
        if self.is_ended:
            return math.inf if numbers or tags & self._notes.keys() else -1
        return max(numbers, default=-1)

    def is_clear(self, number: float, now: float) -> bool:
        """Returns whether the client has answered the revocations up to a number, or its lease is over."""
        return now >= self.lease_until or (not self.is_ended and not any(n <= number for n in self._unanswered))

    def revoked(self, number: int) -> None:
        """The client answered a revocation; the stream is ordered, so it has processed the earlier ones too."""
        self._unanswered = {n: revocation for n, revocation in self._unanswered.items() if n > number}

    def forget_notes(self, noted_before: float) -> None:
        """Forgets answers that the client no longer uses, because of their age."""
        for tag, noted in list(self._notes.items()):
            if noted >= noted_before:
                break
            del self._notes[tag]

    def _spoil(self, tags: Tags) -> None:
        for read in self._reads.values():
            if read.tags & tags:
                read.is_good = False

    def _number(self) -> int:
        self._sent += 1
        return self._sent - 1


class Sessions:
    """The sessions of one broker by id."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, id_: str) -> Session | None:
        """Returns a session, also one that has ended here, or None."""
        return self._sessions.get(id_)

    def ids(self) -> list[str]:
        """Returns the ids of the sessions that have not ended."""
        return [session.id for session in self._sessions.values() if not session.is_ended]

    def open(self, id_: str, now: float) -> Session:
        """Returns a new session."""
        session = self._sessions[id_] = Session(id_, now)
        return session

    def close(self, id_: str | None) -> None:
        """Forgets a session whose client no longer uses it."""
        if id_ is not None:
            self._sessions.pop(id_, None)

    def clear(self) -> None:
        """Forgets all sessions."""
        self._sessions.clear()

    def invalidate(self, tags: Tags, now: float) -> tuple[list[SessionMessage], dict[str, float]]:
        """Returns the revocations to send, and up to which revocation each session is to be waited for."""
        messages: list[SessionMessage] = []
        awaited: dict[str, float] = {}
        for session in self._sessions.values():
            if (revoke := session.invalidate(tags, now)) is not None:
                messages.append(revoke)
            if (number := session.awaited(tags)) >= 0:
                awaited[session.id] = number
        return messages, awaited

    def still_awaited(self, awaited: dict[str, float], now: float) -> bool:
        """Returns whether a client may still use an older answer. Removes those that do not: they never will again."""
        while awaited:
            id_ = next(iter(awaited))
            if self._is_awaited(id_, awaited[id_], now):
                return True
            del awaited[id_]
        return False

    def expire(self, now: float, timing: Timing) -> None:
        """Forgets sessions that ended and whose lease is over, and notes that are too old to matter.

        Ends the sessions without a message for so long that their client must be gone.
        """
        for session in list(self._sessions.values()):
            session.forget_notes(now - timing.note_life())
            if now - session.last_message > timing.hold:
                session.end()
            if session.is_ended and now >= session.lease_until:
                del self._sessions[session.id]

    def _is_awaited(self, id_: str, number: float, now: float) -> bool:
        session = self._sessions.get(id_)
        return session is not None and not session.is_clear(number, now)
