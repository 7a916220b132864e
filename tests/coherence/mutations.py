"""The rules of the protocol, each removed from the real state machines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

from open_alchemy.package_database.coherence.broker import Broker
from open_alchemy.package_database.coherence.cache import ClientCache, _Entries
from open_alchemy.package_database.coherence.leases import ClientLease, Holds, Timing
from open_alchemy.package_database.coherence.membership import Entry, Membership, removed
from open_alchemy.package_database.coherence.messages import Invalidate, Invalidated
from open_alchemy.package_database.coherence.sessions import Session, Sessions
from open_alchemy.package_database.coherence.writes import Phase, Writes
from tests.coherence.processes import ClientProcess

Patch = tuple[type, str, Callable[..., Any]]


class Mutation(NamedTuple):
    """A removed rule."""

    name: str
    rule: str
    patches: Callable[[], tuple[Patch, ...]]


MUTATIONS: list[Mutation] = []


def mutation(rule: str) -> Callable[[Callable[[], tuple[Patch, ...]]], Callable[[], tuple[Patch, ...]]]:
    def register(patches: Callable[[], tuple[Patch, ...]]) -> Callable[[], tuple[Patch, ...]]:
        MUTATIONS.append(Mutation(patches.__name__, rule, patches))
        return patches

    return register


@contextmanager
def applied(removed_rule: Mutation) -> Iterator[None]:
    """Removes a rule."""
    with ExitStack() as stack:
        for owner, name, replacement in removed_rule.patches():
            stack.enter_context(mock.patch.object(owner, name, replacement))
        yield


def _beats(change: Callable[[Membership, Any, float, float], None]) -> tuple[Patch, ...]:
    """Changes what an answer of the registry led to. The arguments: the state, the request, and the time."""
    read, changed = Membership.answer_read, Membership.answer_change

    def answer_read(self: Membership, request: int, registry: Any, now: float) -> None:
        sent, before = self._requests.get(request), self._view_start
        read(self, request, registry, now)
        if sent is not None:
            change(self, sent, before, now)

    def answer_change(self: Membership, request: int, outcome: Any, now: float) -> None:
        sent, before = self._requests.get(request), self._view_start
        changed(self, request, outcome, now)
        if sent is not None:
            change(self, sent, before, now)

    return (Membership, "answer_read", answer_read), (Membership, "answer_change", answer_change)


# Rules 1 to 3.


@mutation("1: the age of a view counts from the start of its read")
def view_age_from_answer() -> tuple[Patch, ...]:
    def change(self: Membership, sent: Any, before: float, now: float) -> None:
        if self._view_start != before:
            self._view_start = now

    return _beats(change)


@mutation("1: a membership counts from the start of the read")
def member_from_answer() -> tuple[Patch, ...]:
    def change(self: Membership, sent: Any, before: float, now: float) -> None:
        if self.id is not None and self.view is not None and self.id in self.view and not self.view[self.id].is_out:
            self._member_until = now + self._timing.lease

    return _beats(change)


@mutation("2: a broker waits before it grants")
def no_join_wait() -> tuple[Patch, ...]:
    return ((Timing, "join_wait", lambda self: 0.0),)


@mutation("2: the join wait includes the drift")
def join_wait_without_drift() -> tuple[Patch, ...]:
    return ((Timing, "join_wait", lambda self: self.view),)


@mutation("2: the join wait counts from the answer of the registration")
def join_wait_from_request() -> tuple[Patch, ...]:
    def change(self: Membership, sent: Any, before: float, now: float) -> None:
        if sent.kind in ("join", "confirm") and self._registered == now:
            self._granting_from = sent.start + self._timing.join_wait()

    return _beats(change)


@mutation("2: a new id for each start")
def same_id_after_restart() -> tuple[Patch, ...]:
    register = Membership.__init__

    def start(self: Membership, timing: Timing, address: str, new_id: Any, granters: int) -> None:
        register(self, timing, address, lambda: address, granters)

    return (
        (Membership, "__init__", start),
        (Membership, "_join", _join_again),
    )


def _join_again(self: Membership, now: float) -> None:
    """Goes on with the entry that is there."""
    view = dict(self.view or {})
    view[self._address] = Entry(self._address)
    self._change("join", view, now, self._address)


@mutation("3: an evicted broker is waited for")
def no_wait_for_the_evicted() -> tuple[Patch, ...]:
    return ((Timing, "death_wait", lambda self: 0.0),)


@mutation("3: the wait for an evicted broker includes the drift")
def death_without_drift() -> tuple[Patch, ...]:
    return ((Timing, "death_wait", lambda self: self.lease),)


@mutation("3: the wait counts from the answer that showed the broker out")
def death_from_start_of_read() -> tuple[Patch, ...]:
    def change(self: Membership, sent: Any, before: float, now: float) -> None:
        for id_, since in self._out_since.items():
            if since == now:
                self._out_since[id_] = sent.start

    return _beats(change)


@mutation("3: eviction marks, and does not remove")
def eviction_removes() -> tuple[Patch, ...]:
    def evict(self: Membership, id_: str, now: float) -> None:
        if self.view is not None and id_ != self.id and not self._has_request("evict", id_):
            self._change("evict", removed(self.view, [id_]), now, id_)

    return ((Membership, "evict", evict),)


@mutation("3: only a dead broker is removed")
def removed_before_dead() -> tuple[Patch, ...]:
    tick = Membership.tick

    def early(self: Membership, now: float) -> None:
        tick(self, now)
        if self.view is not None and self.id is not None and not self._has_request("remove", ""):
            out = [id_ for id_, entry in self.view.items() if entry.is_out]
            if out:
                self._change("remove", removed(self.view, out), now)

    return ((Membership, "tick", early),)


@mutation("3: a broker that sees itself out is no member")
def out_ignored() -> tuple[Patch, ...]:
    observe = Membership._observe

    def ignore(self: Membership, registry: Any, start: float, now: float) -> None:
        with mock.patch.object(Membership, "_lose"):
            observe(self, registry, start, now)
        if self.id is not None and self.id in registry:
            self._member_until = max(self._member_until, start + self._timing.lease)

    return ((Membership, "_observe", ignore),)


@mutation("3: the sessions of an evicted broker end")
def sessions_survive_eviction() -> tuple[Patch, ...]:
    def forget(self: Broker) -> None:
        self.holds.clear()
        self._pending.clear()

    return ((Broker, "_forget", forget), (Membership, "_lose", _lose_and_rejoin_at_once))


def _lose_and_rejoin_at_once(self: Membership, now: float) -> None:
    self.id, self._granting_from, self._member_until, self._join_from = None, math.inf, -math.inf, now


@mutation("3: an evicted broker does not answer pending invalidations")
def eviction_answers_pending() -> tuple[Patch, ...]:
    forget = Broker._forget

    def answering(self: Broker) -> None:
        for pending in self._pending:
            message = pending.message
            self._reply(message, Invalidated(message.to, message.write, message.sending))
        forget(self)

    return ((Broker, "_forget", answering),)


# Rule 4.


@mutation("4: a lease ends within the membership")
def lease_beyond_membership() -> tuple[Patch, ...]:
    def lease(self: Broker, now: float) -> float:
        return self._timing.lease if self.membership.lease_left(now) > 0 else 0.0

    return ((Broker, "_lease", lease),)


@mutation("4: only a member grants a lease")
def lease_without_membership() -> tuple[Patch, ...]:
    return ((Broker, "_lease", lambda self, now: self._timing.lease if self.membership.id else 0.0),)


@mutation("4: the client counts its lease from the sending of Renew")
def lease_from_answer() -> tuple[Patch, ...]:
    receive = ClientProcess.receive

    def later(self: ClientProcess, message: Any, *value: Any) -> None:
        self.machine._renewals = dict.fromkeys(self.machine._renewals, self.time)
        receive(self, message, *value)

    return ((ClientProcess, "receive", later),)


@mutation("4: the client shortens its lease by the drift")
def lease_without_drift() -> tuple[Patch, ...]:
    return ((Timing, "usable", lambda self, seconds: seconds),)


@mutation("4: a gap ends the session")
def gap_ignored() -> tuple[Patch, ...]:
    def accept(self: ClientCache, message: Any) -> Any:
        if message.session != self._session or message.number < self._received:
            return False, []
        self._received = message.number + 1
        return True, []

    return ((ClientCache, "_accept", accept),)


@mutation("4: the end of a session empties the cache")
def cache_survives_session() -> tuple[Patch, ...]:
    def end(self: ClientCache) -> None:
        self._session = None
        self._reads.clear()
        self._renewals.clear()

    return ((ClientCache, "_end", end),)


@mutation("4: messages of an ended session are ignored")
def messages_of_old_sessions() -> tuple[Patch, ...]:
    accept, end = ClientCache._accept, ClientCache._end

    def any_session(self: ClientCache, message: Any) -> Any:
        if message.session != self._session:
            return True, []
        return accept(self, message)

    def keep_reads(self: ClientCache) -> None:
        reads = dict(self._reads)
        end(self)
        self._reads.update(reads)

    return ((ClientCache, "_accept", any_session), (ClientCache, "_end", keep_reads))


@mutation("4: a session that ended at the broker is waited for")
def ended_session_forgotten() -> tuple[Patch, ...]:
    end = Session.end

    def forgotten(self: Session) -> None:
        end(self)
        self.lease_until = -math.inf

    return ((Session, "end", forgotten),)


# Rule 5.


@mutation("5: a read is noted before the store executes it")
def note_after_store_read() -> tuple[Patch, ...]:
    answer = Broker.answer
    tags: dict[Any, Any] = {}
    begin = Broker.begin_read

    def begin_read(self: Broker, header: Any, read_tags: Any, now: float) -> bool:
        tags[header] = read_tags
        return begin(self, header, read_tags, now)

    def late(self: Broker, header: Any, now: float, **named: Any) -> Any:
        session = self.sessions.get(header.session)
        if session is not None and (read := session._reads.get(header.number)) is not None:
            read.is_good = self._is_good(tags[header], now)
        return answer(self, header, now, **named)

    return ((Broker, "begin_read", begin_read), (Broker, "answer", late))


@mutation("5: an invalidation spoils the reads under way")
def spoil_unchecked() -> tuple[Patch, ...]:
    return ((Session, "_spoil", lambda self, tags: None),)


@mutation("5: a held tag is not cacheable at the note")
def hold_checked_at_answer() -> tuple[Patch, ...]:
    begin, answer = Broker.begin_read, Broker.answer
    tags: dict[Any, Any] = {}

    def begin_read(self: Broker, header: Any, read_tags: Any, now: float) -> bool:
        tags[header] = read_tags
        with mock.patch.object(Broker, "_is_good", lambda self, tags, now: self.membership.grants(now)):
            return begin(self, header, read_tags, now)

    def late(self: Broker, header: Any, now: float, **named: Any) -> Any:
        is_error = self.holds.is_held(tags[header], now)
        return answer(self, header, now, is_error=is_error)

    return ((Broker, "begin_read", begin_read), (Broker, "answer", late))


@mutation("5: the join wait is over at the note")
def grant_checked_at_answer() -> tuple[Patch, ...]:
    answer = Broker.answer

    def late(self: Broker, header: Any, now: float, **named: Any) -> Any:
        return answer(self, header, now, is_error=not self.membership.grants(now))

    return (
        (Broker, "_is_good", lambda self, tags, now: not self.holds.is_held(tags, now)),
        (Broker, "answer", late),
    )


# Rule 6.


@mutation("6: the tags are held")
def no_hold() -> tuple[Patch, ...]:
    return ((Holds, "hold", lambda self, write, tags, until: None),)


@mutation("6: the answer waits for the clients")
def answer_without_clients() -> tuple[Patch, ...]:
    return ((Sessions, "still_awaited", lambda self, awaited, now: False),)


@mutation("6: a repeated invalidation waits for revocations that are unanswered")
def unanswered_revocations_forgotten() -> tuple[Patch, ...]:
    invalidate = Sessions.invalidate

    def only_new(self: Sessions, tags: Any, now: float) -> Any:
        messages, awaited = invalidate(self, tags, now)
        sent = {message.session for message in messages}
        return messages, {session: number for session, number in awaited.items() if session in sent}

    return ((Sessions, "invalidate", only_new),)


@mutation("6: Done lifts the holds of its write only")
def done_lifts_all() -> tuple[Patch, ...]:
    return ((Holds, "lift", lambda self, write: self.clear()), (Holds, "expire", lambda self, now: None))


@mutation("6: only the broker with the id answers")
def any_id_answers() -> tuple[Patch, ...]:
    receive = Broker.receive_broker

    def answering(self: Broker, message: Any, now: float) -> None:
        if isinstance(message, Invalidate) and message.to != self.membership.id:
            self._reply(message, Invalidated(message.to, message.write, message.sending))
        receive(self, message, now)

    return ((Broker, "receive_broker", answering),)


@mutation("6: the client drops the entries")
def revocation_drops_nothing() -> tuple[Patch, ...]:
    return ((_Entries, "revoke", lambda self, tags: None),)


@mutation("6: an invalidation concerns all tags of the write")
def first_tag_only() -> tuple[Patch, ...]:
    invalidate = Broker._invalidate

    def first(self: Broker, message: Invalidate, now: float) -> None:
        invalidate(self, message._replace(tags=tuple(sorted(message.tags, key=str))[:1]), now)

    return ((Broker, "_invalidate", first),)


# Rule 7.


@mutation("7: the check after the store's answer")
def no_check_after() -> tuple[Patch, ...]:
    ensure = Writes._ensure

    def unchecked(self: Writes, id_: Any, now: float) -> None:
        write = self._writes.get(id_)
        if write is not None and write.phase is Phase.AFTER:
            self._continue(id_, write)
        else:
            ensure(self, id_, now)

    return ((Writes, "_ensure", unchecked),)


@mutation("7: the round before the store request")
def no_round_before() -> tuple[Patch, ...]:
    ensure = Writes._ensure

    def at_once(self: Writes, id_: Any, now: float) -> None:
        write = self._writes.get(id_)
        if write is not None and write.phase is Phase.BEFORE:
            self._continue(id_, write)
        else:
            ensure(self, id_, now)

    return ((Writes, "_ensure", at_once),)


@mutation("7: a hold counts only while it is in force")
def hold_age_unchecked() -> tuple[Patch, ...]:
    return ((Timing, "hold_in_force", lambda self: 1e8),)


@mutation("7: the time in force is shortened by the drift")
def hold_without_drift() -> tuple[Patch, ...]:
    return ((Timing, "hold_in_force", lambda self: self.hold),)


@mutation("7: the time in force counts from the sending")
def hold_from_answer() -> tuple[Patch, ...]:
    answered = Writes.invalidated

    def later(self: Writes, id_: Any, broker: str, sending: int, now: float) -> None:
        round_ = self._round(id_, broker)
        if round_ is not None and sending < len(round_.sent):
            round_.sent[sending] = now
        answered(self, id_, broker, sending, now)

    return ((Writes, "invalidated", later),)


@mutation("7: an answer belongs to one sending")
def answer_of_any_sending() -> tuple[Patch, ...]:
    answered = Writes.invalidated

    def newest(self: Writes, id_: Any, broker: str, sending: int, now: float) -> None:
        round_ = self._round(id_, broker)
        if round_ is not None:
            answered(self, id_, broker, len(round_.sent) - 1, now)

    return ((Writes, "invalidated", newest),)


@mutation("7: the view is younger than V")
def view_age_unchecked() -> tuple[Patch, ...]:
    return ((Membership, "is_view_current", lambda self, now: self.view is not None),)


@mutation("7: no Done if the outcome is unknown")
def done_when_unknown() -> tuple[Patch, ...]:
    def abandon(self: Writes, id_: Any) -> None:
        write = self._writes.pop(id_, None)
        if write is not None:
            self._done(id_, write)

    return ((Writes, "abandon", abandon),)


@mutation("7: no Done if an attempt was not answered")
def done_when_retried() -> tuple[Patch, ...]:
    answered = Writes.answered
    return ((Writes, "answered", lambda self, id_, now, is_final: answered(self, id_, now, is_final=True)),)


@mutation("7: the writing broker's own sessions are treated alike")
def own_sessions_skipped() -> tuple[Patch, ...]:
    not_dead = Membership.not_dead
    return ((Membership, "not_dead", lambda self, now: [id_ for id_ in not_dead(self, now) if id_ != self.id]),)


# Rule 8, and what the rules leave to the implementation.


@mutation("8: the maximum age")
def no_max_age() -> tuple[Patch, ...]:
    return ((ClientCache, "_is_young", lambda self, read, now: True),)


@mutation("8: the age counts from the sending of the read")
def age_from_answer() -> tuple[Patch, ...]:
    receive = ClientProcess.receive

    def later(self: ClientProcess, message: Any, *value: Any) -> None:
        self.machine._reads = {n: read._replace(sent=self.time) for n, read in self.machine._reads.items()}
        receive(self, message, *value)

    return ((ClientProcess, "receive", later),)


@mutation("a note is forgotten only when no client uses the answer any more")
def notes_forgotten_early() -> tuple[Patch, ...]:
    return ((Timing, "note_life", lambda self: self.max_age / 4),)


@mutation("a broker that leaves waits for its sessions")
def leaves_at_once() -> tuple[Patch, ...]:
    def leave(self: Broker, now: float) -> None:
        self._is_leaving = True
        self.membership.permit_joining(0)
        self.sessions.clear()
        self.membership.leave(now)

    return ((Broker, "leave", leave),)


@mutation("a lease ends by the wall clock too")
def lease_ignores_wall_clock() -> tuple[Patch, ...]:
    return ((ClientLease, "is_valid", lambda self, now: now.monotonic < self._until),)


@mutation("an entry ends by the wall clock too")
def age_ignores_wall_clock() -> tuple[Patch, ...]:
    return ((ClientCache, "_is_young", lambda self, read, now: now.monotonic - read.sent < self._timing.max_age),)


# Without these rules no read is stale, but a write waits too long, or memory grows.


@mutation("3: a broker that does not answer is evicted")
def silence_ignored() -> tuple[Patch, ...]:
    return ((Membership, "evict", lambda self, id_, now: None),)


@mutation("3: dead brokers are removed")
def dead_brokers_stay() -> tuple[Patch, ...]:
    change = Membership._change

    def keep(self: Membership, kind: Any, *arguments: Any) -> None:
        if kind != "remove":
            change(self, kind, *arguments)

    return ((Membership, "_change", keep),)


@mutation("2: the number of brokers that grant is limited")
def granters_unlimited() -> tuple[Patch, ...]:
    join = Membership._join

    def unlimited(self: Membership, now: float) -> None:
        self._granters = 99
        join(self, now)

    return ((Membership, "_join", unlimited),)


@mutation("2: a broker that joins marks the entries with its address as out")
def own_address_stays() -> tuple[Patch, ...]:
    def join(self: Membership, now: float) -> None:
        view, id_ = self.view or {}, self._new_id()
        if sum(not entry.is_out for entry in view.values()) < self._granters:
            self._change("join", {**view, id_: Entry(self._address)}, now, id_)

    return ((Membership, "_join", join),)


@mutation("6: a broker that waits for its clients sends Waiting")
def waiting_not_sent() -> tuple[Patch, ...]:
    reply = Broker._reply

    def silent(self: Broker, message: Any, answer: Any) -> None:
        if isinstance(answer, Invalidated):
            reply(self, message, answer)

    return ((Broker, "_reply", silent),)


@mutation("6: the wait for a client ends with its lease")
def lease_waited_for_forever() -> tuple[Patch, ...]:
    return (
        (Session, "is_clear", lambda self, number, now: not any(n <= number for n in self._unanswered)),
        (Sessions, "expire", lambda self, now, timing: None),
    )


@mutation("6: a hold ends by itself")
def holds_stay() -> tuple[Patch, ...]:
    return ((Holds, "expire", lambda self, now: None),)


@mutation("a client with an unanswered revocation gets no further lease")
def patience_unlimited() -> tuple[Patch, ...]:
    renew = Session.renew
    return (
        (Session, "renew", lambda self, number, seconds, patience, now: renew(self, number, seconds, math.inf, now)),
    )


@mutation("sessions without a client end")
def sessions_stay() -> tuple[Patch, ...]:
    return ((Sessions, "expire", lambda self, now, timing: None),)


@mutation("a broker that was stopped does not evict others for its own silence")
def own_silence_counts() -> tuple[Patch, ...]:
    tick = Writes.tick

    def late(self: Writes, now: float) -> None:
        self._ticked = now
        tick(self, now)

    return ((Writes, "tick", late),)
