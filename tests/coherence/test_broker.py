"""The transitions of a broker: registry, sessions, holds and writes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from open_alchemy.package_database.coherence.broker import Broker, ToClient
from open_alchemy.package_database.coherence.leases import Holds, Timing
from open_alchemy.package_database.coherence.membership import (
    ChangeRegistry,
    Entry,
    Outcome,
    ReadRegistry,
    joined,
    marked_out,
    removed,
)
from open_alchemy.package_database.coherence.messages import (
    AnswerHeader,
    Close,
    Done,
    Ended,
    Invalidate,
    Invalidated,
    Lease,
    Open,
    ReadHeader,
    Renew,
    Revoke,
    Revoked,
    Tag,
    Waiting,
    WriteId,
)
from open_alchemy.package_database.coherence.sessions import Session
from open_alchemy.package_database.coherence.writes import Acknowledge, Execute, ToBroker

TIMING = Timing()
A, B = Tag("t", "p", "a"), Tag("t", "p", "b")
OTHER, OTHER_WRITE = Entry("other"), WriteId("w", 1)


class Driver:
    """A broker with a registry that answers at once, unless ``answers`` is False."""

    def __init__(self, registry: Mapping[str, Entry] | None = None, granters: int = 2) -> None:
        ids = count()
        self.registry: dict[str, Entry] = dict(registry or {})
        self.answers = True
        self.broker = Broker(TIMING, "me", lambda: f"id{next(ids)}", granters)

    def do(self, call: Any, *arguments: Any, now: float = 0.0, **named: Any) -> list[Any]:
        """Calls the broker; returns its effects other than requests to the registry, which are answered."""
        call(*arguments, now, **named)
        effects = []
        pending = self.broker.take_effects(now)
        while pending:
            effect = pending.pop(0)
            if not isinstance(effect, ReadRegistry | ChangeRegistry):
                effects.append(effect)
            elif self.answers:
                self._answer(effect, now)
                pending += self.broker.take_effects(now)
        return effects

    def _answer(self, effect: ReadRegistry | ChangeRegistry, now: float) -> None:
        if isinstance(effect, ReadRegistry):
            self.broker.answer_read(effect.request, self.registry, now)
        elif effect.expected == self.registry:
            self.registry = dict(effect.registry)
            self.broker.answer_change(effect.request, Outcome.CHANGED, now)
        else:
            self.broker.answer_change(effect.request, Outcome.NOT_CHANGED, now)

    def tick(self, now: float) -> list[Any]:
        return self.do(self.broker.tick, now=now)

    def client(self, message: Any, now: float) -> list[Any]:
        return self.do(self.broker.receive_client, message, now=now)

    def message(self, message: Any, now: float) -> list[Any]:
        return self.do(self.broker.receive_broker, message, now=now)

    def read(self, number: int, now: float, *tags: Tag, session: str = "s") -> AnswerHeader | None:
        header = ReadHeader(session, number)
        self.broker.begin_read(header, frozenset(tags or (A,)), now)
        return self.broker.answer(header, now)


def granter() -> Driver:
    """A broker that grants since 2.02 s, and has at 3 s a session with a lease of 2 s that has cached A."""
    driver = Driver()
    for tenths in range(31):
        driver.tick(tenths / 10)
    driver.client(Open("s", 0, None), 3)
    driver.client(Renew("s", 1), 3)
    assert driver.read(2, 3) == AnswerHeader("s", 1, 2, is_cacheable=True)
    return driver


def invalidate(sending: int = 0, to: str = "id1", *tags: Tag, write: WriteId = OTHER_WRITE) -> Invalidate:
    return Invalidate(to, write, sending, tags or (A,), "writer")


@pytest.fixture
def driver() -> Driver:
    return granter()


# The registry.


def test_a_broker_joins_and_marks_the_entries_with_its_address() -> None:
    driver = Driver({"old": Entry("me"), "x": OTHER})

    driver.tick(0)

    assert driver.registry == {"old": Entry("me", is_out=True), "x": OTHER, "id1": Entry("me")}
    assert driver.broker.membership.lease_left(0.5) == 1.5


def test_a_broker_does_not_join_while_others_grant() -> None:
    driver = Driver({"x": OTHER}, granters=1)

    driver.tick(0)

    assert driver.registry == {"x": OTHER}


def test_the_functions_of_the_registry() -> None:
    registry = {"x": OTHER}

    assert joined(registry, "y", "me", 1) is None
    assert joined(registry, "y", "other", 1) == {"x": Entry("other", is_out=True), "y": Entry("other")}
    assert joined({"x": Entry("a,b")}, "y", "b,c", 1) == {"x": Entry("a,b", is_out=True), "y": Entry("b,c")}
    assert marked_out(registry, "y") is None
    assert marked_out({"x": Entry("other", is_out=True)}, "x") is None
    assert removed(registry, ["y"]) is None
    assert removed(registry, ["x"]) == {}


def _join_with_unknown_outcome(driver: Driver) -> ChangeRegistry:
    driver.answers = False
    driver.broker.tick(0)
    (read,) = driver.broker.take_effects(0)
    assert isinstance(read, ReadRegistry)
    driver.broker.answer_read(read.request, driver.registry, 0)
    (change,) = driver.broker.take_effects(0)
    assert isinstance(change, ChangeRegistry)
    driver.broker.answer_change(change.request, Outcome.UNKNOWN, 1)
    return change


@pytest.mark.parametrize("is_applied", [False, True])
def test_a_join_with_unknown_outcome_is_confirmed_or_repeated_with_another_id(is_applied: bool) -> None:  # noqa: FBT001
    driver = Driver()
    change = _join_with_unknown_outcome(driver)
    confirm = driver.broker.take_effects(1)[0]
    assert isinstance(confirm, ReadRegistry)

    driver.registry = dict(change.registry) if is_applied else {}
    driver.answers = True
    driver.do(lambda now: driver.broker.answer_read(confirm.request, driver.registry, now), now=2)

    if is_applied:
        assert driver.broker.membership.id == "id1"
        assert not driver.broker.membership.grants(4.0)
        assert driver.broker.membership.grants(4.03)
    else:
        assert list(driver.registry) == ["id2"]


def test_a_failed_confirmation_leads_to_another_id() -> None:
    driver = Driver()
    driver.registry = dict(_join_with_unknown_outcome(driver).registry)
    confirm = driver.broker.take_effects(1)[0]
    assert isinstance(confirm, ReadRegistry)
    driver.broker.answer_read(confirm.request, None, 1.5)

    driver.answers = True
    driver.tick(2)

    assert driver.registry.pop("id1") == Entry("me", is_out=True)
    assert list(driver.registry.values()) == [Entry("me")]


def test_an_unknown_answer_of_the_registry_is_ignored(driver: Driver) -> None:
    driver.broker.answer_read(99, {}, 3)
    driver.broker.answer_change(99, Outcome.CHANGED, 3)

    assert driver.broker.membership.id == "id1"


def test_an_older_read_does_not_replace_the_view(driver: Driver) -> None:
    driver.answers = False
    membership = driver.broker.membership
    driver.tick(4)
    (slow,) = (number for number, request in membership._requests.items() if request.start == 4)
    driver.answers = True
    driver.registry = {**driver.registry, "x": OTHER}
    driver.tick(4.5)

    driver.broker.answer_read(slow, {"id1": Entry("me")}, 4.6)

    assert membership.view == driver.registry


def test_an_evicted_broker_forgets_its_sessions_and_joins_again_later(driver: Driver) -> None:
    driver.message(invalidate(), 3)
    driver.registry = {"id1": Entry("me", is_out=True)}

    effects = driver.tick(3.6)

    assert effects[-1] == ToClient("s", Ended("s"))
    assert Invalidated not in {type(effect.message) for effect in effects}
    assert len(driver.broker.sessions) == len(driver.broker.holds) == 0
    assert driver.client(Renew("s", 2), 3.6) == [ToClient("s", Ended("s"))]
    driver.tick(13.5)
    assert driver.broker.membership.id is None
    driver.tick(14)
    assert driver.broker.membership.id not in (None, "id1")


def test_a_dead_broker_is_removed(driver: Driver) -> None:
    driver.registry = {**driver.registry, "x": OTHER._replace(is_out=True)}

    driver.tick(3.5)
    driver.tick(5.5)
    assert "x" in driver.registry
    driver.tick(6)
    assert "x" not in driver.registry


class Slow(Driver):
    """A broker whose requests to the registry a test answers."""

    def __init__(self, granters: int = 2) -> None:
        super().__init__(granters=granters)
        self.answers = False

    def request(self, now: float) -> int:
        """Returns the newest request after a tick."""
        self.broker.tick(now)
        return self.broker.take_effects(now)[-1].request  # type: ignore[union-attr]


def test_the_age_of_a_view_and_of_a_membership_count_from_the_start_of_the_read() -> None:
    slow = Slow()
    slow.broker.answer_read(slow.request(0), {}, 0)
    slow.broker.answer_change(slow.request(0), Outcome.CHANGED, 0)
    slow.broker.answer_read(slow.request(1), {"id1": Entry("me")}, 2.9)

    assert slow.broker.membership.is_view_current(2.99)
    assert slow.broker.membership.lease_left(2.9) == pytest.approx(0.1)
    assert not slow.broker.membership.is_view_current(3.0)


def test_a_read_that_began_before_the_registration_does_not_end_the_membership() -> None:
    slow = Slow()
    slow.broker.answer_read(slow.request(0), {}, 0)
    (join,) = slow.broker.membership._requests
    read = slow.request(0.5)
    slow.broker.answer_change(join, Outcome.CHANGED, 0.6)

    slow.broker.answer_read(read, {}, 0.7)

    assert slow.broker.membership.id == "id1"


def test_unanswered_reads_of_the_registry_are_bounded() -> None:
    slow = Slow()
    for seconds in range(100):
        slow.request(seconds)

    assert len(slow.broker.membership._requests) <= 4


def test_the_join_wait_counts_from_the_answer_of_the_registration() -> None:
    slow = Slow()
    slow.broker.answer_read(slow.request(0), {}, 0)
    slow.broker.answer_change(slow.request(0), Outcome.CHANGED, 1)

    assert not slow.broker.membership.grants(3.019)
    assert slow.broker.membership.grants(3.021)


def test_a_broker_is_dead_some_time_after_the_answer_that_showed_it_out() -> None:
    slow = Slow(granters=0)
    slow.broker.answer_read(slow.request(0), {"x": OTHER._replace(is_out=True)}, 1)

    assert not slow.broker.membership.is_dead("x", 3.019)
    assert slow.broker.membership.is_dead("x", 3.021)


# Sessions.


def test_a_lease_ends_within_the_membership(driver: Driver) -> None:
    driver.answers = False

    assert driver.client(Renew("s", 3), 4) == [ToClient("s", Lease("s", 2, 3, 1.0))]
    assert driver.client(Renew("s", 4), 5) == []


def test_a_gap_ends_a_session_and_a_repetition_is_ignored(driver: Driver) -> None:
    assert driver.client(Open("s", 0, None), 3) == []
    assert driver.client(Renew("s", 1), 3) == []
    assert not driver.broker.begin_read(ReadHeader("s", 2), frozenset((A,)), 3)
    assert driver.client(Renew("s", 9), 3) == [ToClient("s", Ended("s"))]
    assert driver.client(Renew("s", 3), 3) == [ToClient("s", Ended("s"))]
    assert driver.client(Revoked("unknown", 3, 1), 3) == [ToClient("unknown", Ended("unknown"))]


def test_a_read_before_the_join_wait_is_not_cacheable() -> None:
    driver = Driver()
    driver.tick(0)
    driver.client(Open("s", 0, None), 1)

    assert driver.read(1, 2.0) == AnswerHeader("s", 0, 1, is_cacheable=False)
    assert driver.read(2, 2.03) == AnswerHeader("s", 1, 2, is_cacheable=True)


def test_a_read_that_began_before_the_join_wait_was_over_is_not_cacheable() -> None:
    driver = Driver()
    driver.tick(0)
    driver.client(Open("s", 0, None), 1)
    header = ReadHeader("s", 1)
    driver.broker.begin_read(header, frozenset((A,)), 2.0)

    assert driver.broker.answer(header, 2.03) == AnswerHeader("s", 0, 1, is_cacheable=False)


def test_a_broker_that_leaves_waits_for_its_sessions(driver: Driver) -> None:
    assert driver.do(driver.broker.leave, now=3) == [ToClient("s", Ended("s"))]
    assert driver.registry == {"id1": Entry("me")}

    driver.client(Open("t", 0, "s"), 3.1)
    driver.tick(3.2)

    assert driver.registry == {}
    assert driver.broker.has_left


def test_a_broker_leaves_again_after_another_change_of_the_registry(driver: Driver) -> None:
    driver.client(Close("s"), 3)
    driver.answers = False
    membership = driver.broker.membership
    driver.do(driver.broker.leave, now=3.1)
    (leave,) = (number for number, request in membership._requests.items() if request.kind == "leave")
    driver.tick(3.2)
    assert [request.kind for request in membership._requests.values()].count("leave") == 1

    driver.answers = True
    driver.registry = {**driver.registry, "x": OTHER}
    driver.do(driver.broker.answer_change, leave, Outcome.NOT_CHANGED, now=3.3)
    driver.tick(3.4)

    assert driver.registry == {"x": OTHER}
    assert driver.broker.has_left


def test_a_read_of_a_held_tag_is_not_cacheable(driver: Driver) -> None:
    driver.message(invalidate(), 3)

    answers = [driver.read(3, 3.1), driver.read(4, 3.1, B)]

    assert [answer and answer.is_cacheable for answer in answers] == [False, True]


def test_an_invalidation_spoils_a_read_under_way(driver: Driver) -> None:
    header = ReadHeader("s", 3)
    assert driver.broker.begin_read(header, frozenset((A,)), 3)
    driver.message(invalidate(), 3)
    driver.message(Done("id1", OTHER_WRITE), 3)

    answer = driver.broker.answer(header, 3)

    assert answer == AnswerHeader("s", 3, 3, is_cacheable=False)


def test_an_invalidation_does_not_spoil_a_read_of_another_tag(driver: Driver) -> None:
    header = ReadHeader("s", 3)
    driver.broker.begin_read(header, frozenset((B,)), 3)
    driver.message(invalidate(), 3)

    answer = driver.broker.answer(header, 3)

    assert answer is not None
    assert answer.is_cacheable


def test_an_error_is_not_cacheable(driver: Driver) -> None:
    header = ReadHeader("s", 3)
    driver.broker.begin_read(header, frozenset((A,)), 3)

    answer = driver.broker.answer(header, 3, is_error=True)

    assert answer is not None
    assert not answer.is_cacheable


def test_a_read_without_a_session_has_no_header(driver: Driver) -> None:
    assert not driver.broker.begin_read(None, frozenset((A,)), 3)
    assert driver.broker.answer(ReadHeader("unknown", 1), 3) is None
    header = ReadHeader("s", 3)
    driver.broker.begin_read(header, frozenset((A,)), 3)
    driver.broker.disconnected("s")
    driver.broker.disconnected("unknown")
    assert driver.broker.answer(header, 3) is None


def test_an_invalidation_is_answered_when_the_client_has_answered(driver: Driver) -> None:
    assert driver.message(invalidate(), 3) == [ToClient("s", Revoke("s", 2, (A,)))]
    assert driver.tick(3.1) == []
    assert driver.tick(3.2) == [ToBroker("writer", Waiting("id1", OTHER_WRITE))]

    assert driver.client(Revoked("s", 3, 2), 3.3) == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, 0))]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_each_answer_of_a_client_is_processed_without_a_search(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, *, is_reversed: bool
) -> None:
    sessions = [f"s{number}" for number in range(100)]
    for session in sessions:
        driver.client(Open(session, 0, None), 3)
        driver.client(Renew(session, 1), 3)
        driver.read(2, 3, B, session=session)
    driver.message(invalidate(0, "id1", B), 3)
    checks = count()
    is_clear = Session.is_clear

    def counted(session: Session, number: float, now: float) -> bool:
        next(checks)
        return is_clear(session, number, now)

    monkeypatch.setattr(Session, "is_clear", counted)

    effects = []
    for session in reversed(sessions) if is_reversed else sessions:
        effects += driver.client(Revoked(session, 3, 2), 3)

    assert [type(effect.message) for effect in effects] == [Invalidated]
    assert next(checks) <= 2 * len(sessions)


def test_an_invalidation_is_answered_when_the_lease_is_over(driver: Driver) -> None:
    driver.message(invalidate(), 3)

    assert Invalidated not in {type(effect.message) for effect in driver.tick(4.99)}
    assert driver.tick(5.0) == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, 0))]


def test_a_second_invalidation_waits_for_the_same_client(driver: Driver) -> None:
    driver.message(invalidate(), 3)

    assert driver.message(invalidate(1), 3) == []
    effects = driver.client(Revoked("s", 3, 2), 3)
    assert effects == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, sending)) for sending in (0, 1)]


def test_other_tags_and_ids_are_not_waited_for(driver: Driver) -> None:
    assert driver.message(invalidate(0, "id1", B), 3) == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, 0))]
    assert driver.message(invalidate(0, "id7"), 3) == []


@pytest.mark.parametrize("message", [Close("s"), Open("t", 0, "s")])
def test_a_session_that_ended_is_waited_for_until_its_client_does_not_use_it(driver: Driver, message: Any) -> None:
    driver.broker.disconnected("s")
    assert driver.message(invalidate(), 3.0) == []

    assert driver.client(message, 3.1) == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, 0))]


def test_a_session_that_ended_without_the_tag_is_not_waited_for(driver: Driver) -> None:
    driver.broker.disconnected("s")

    assert driver.message(invalidate(0, "id1", B), 3.0) == [ToBroker("writer", Invalidated("id1", OTHER_WRITE, 0))]


def test_sessions_are_forgotten(driver: Driver) -> None:
    driver.broker.disconnected("s")
    driver.tick(4.9)
    assert len(driver.broker.sessions) == 1
    driver.tick(5)
    assert len(driver.broker.sessions) == 0

    driver.client(Open("t", 0, None), 5)
    driver.tick(15.1)
    assert len(driver.broker.sessions) == 0


def test_notes_are_forgotten_when_no_client_uses_the_answer(driver: Driver) -> None:
    session = driver.broker.sessions.get("s")
    assert session is not None
    session.forget_notes(2.9)
    assert session._notes
    session.forget_notes(3.1)
    assert not session._notes


# Holds.


def test_a_hold_belongs_to_its_write() -> None:
    holds = Holds()
    first, second = WriteId("w", 1), WriteId("w", 2)
    holds.hold(first, frozenset((A, B)), 10)
    holds.hold(second, frozenset((A,)), 12)

    holds.lift(first)
    holds.lift(WriteId("w", 3))

    assert holds.is_held([A], 11.9)
    assert not holds.is_held([A], 12)
    assert not holds.is_held([B], 0)
    holds.expire(12)
    assert len(holds) == 0


def test_a_repeated_invalidation_extends_the_hold(driver: Driver) -> None:
    driver.message(invalidate(), 3)
    driver.message(invalidate(1), 8)
    assert driver.broker.holds.is_held([A], 17.9)
    driver.message(Done("id1", WriteId("w", 9)), 9)
    assert driver.broker.holds.is_held([A], 17.9)
    driver.message(Done("id1", OTHER_WRITE), 9)
    assert not driver.broker.holds.is_held([A], 9)


# Writes.


def pure_writer() -> Driver:
    """A broker that only writes, with another one in the registry."""
    driver = Driver({"x": OTHER}, granters=0)
    driver.tick(0)
    return driver


@pytest.fixture
def writer() -> Driver:
    return pure_writer()


def begin(writer: Driver, now: float = 0.0) -> tuple[WriteId, list[Any]]:
    found: list[WriteId] = []
    effects = writer.do(lambda at: found.append(writer.broker.begin_write(frozenset((A,)), at)), now=now)
    return found[0], effects


def test_a_write_is_executed_after_the_round_and_acknowledged_without_another(writer: Driver) -> None:
    write, effects = begin(writer)
    assert effects == [ToBroker("other", Invalidate("x", write, 0, (A,), "me"))]

    assert writer.message(Invalidated("x", write, 0), 0.01) == [Execute(write)]
    done = [Acknowledge(write), ToBroker("other", Done("x", write))]
    assert writer.do(writer.broker.answered, write, now=0.02) == done
    assert len(writer.broker.writes) == 0


def test_a_write_without_tags_is_executed_at_once(writer: Driver) -> None:
    effects = writer.do(lambda now: writer.broker.begin_write(frozenset(), now))

    assert [type(effect) for effect in effects] == [Execute]


def test_without_a_final_answer_the_holds_run_out(writer: Driver) -> None:
    write, _ = begin(writer)
    writer.message(Invalidated("x", write, 0), 0.01)

    assert writer.do(writer.broker.answered, write, now=0.02, is_final=False) == [Acknowledge(write)]


def test_an_abandoned_write_is_done_only_before_its_request(writer: Driver) -> None:
    first, _ = begin(writer)
    second, _ = begin(writer)
    writer.message(Invalidated("x", second, 0), 0.01)

    def abandon(now: float) -> None:
        for write in (first, second, second):
            writer.broker.abandon(write)

    assert writer.do(abandon) == [ToBroker("other", Done("x", first))]
    assert writer.do(writer.broker.answered, second, now=1) == []
    assert writer.message(Invalidated("x", second, 0), 1) == []
    assert writer.message(Waiting("x", second), 1) == []


def test_an_invalidation_is_repeated_and_a_silent_broker_is_evicted(writer: Driver) -> None:
    begin(writer)
    sent = [effect.message.sending for hundredths in range(1, 50) for effect in writer.tick(hundredths / 100)]
    assert sent == [1]
    assert writer.registry == {"x": OTHER}

    writer.tick(0.5)
    assert writer.registry == {"x": Entry("other", is_out=True)}
    effects = [effect for hundredths in range(51, 252) for effect in writer.tick(hundredths / 100)]
    assert Execute not in {type(effect) for effect in effects}
    assert Execute in {type(effect) for effect in writer.tick(2.53)}


def test_a_broker_that_waits_is_not_evicted(writer: Driver) -> None:
    write, _ = begin(writer)
    for tenths in range(1, 20):
        writer.message(Waiting("x", write), tenths / 10)
        writer.tick(tenths / 10)

    assert writer.registry == {"x": OTHER}


def test_a_writer_that_was_stopped_does_not_evict_at_once(writer: Driver) -> None:
    begin(writer)
    writer.tick(0.02)

    writer.tick(60)
    assert writer.registry == {"x": OTHER}
    for tenths in range(1, 6):
        writer.tick(60 + tenths / 10)
    assert writer.registry == {"x": Entry("other", is_out=True)}


def test_a_hold_that_is_over_is_renewed_before_the_acknowledgement(writer: Driver) -> None:
    write, _ = begin(writer)
    writer.message(Invalidated("x", write, 0), 0.01)

    effects = writer.do(writer.broker.answered, write, now=9.95)

    assert effects == [ToBroker("other", Invalidate("x", write, 1, (A,), "me"))]
    assert writer.message(Invalidated("x", write, 0), 9.96) == []
    assert writer.message(Invalidated("x", write, 1), 9.97)[0] == Acknowledge(write)


def test_a_hold_is_in_force_from_its_sending_on(writer: Driver) -> None:
    write, _ = begin(writer)
    writer.message(Invalidated("x", write, 0), 5)

    effects = writer.do(writer.broker.answered, write, now=9.95)

    assert Acknowledge not in {type(effect) for effect in effects}


def test_a_late_answer_of_an_earlier_sending_counts(writer: Driver) -> None:
    write, _ = begin(writer)
    writer.tick(0.02)
    writer.tick(0.25)

    assert writer.message(Invalidated("x", write, 0), 0.3) == [Execute(write)]


def test_a_write_waits_for_a_current_view(writer: Driver) -> None:
    writer.answers = False
    write, _ = begin(writer, 2.5)
    assert writer.message(Invalidated("x", write, 0), 2.6) == []

    writer.answers = True
    assert writer.tick(3.1) == [Execute(write)]


def test_a_write_before_the_first_view_waits() -> None:
    writer = Driver(granters=0)
    writer.answers = False
    write, effects = begin(writer)
    assert effects == []

    writer.answers = True
    assert writer.tick(0.6) == [Execute(write)]


def test_a_write_revokes_the_answers_of_its_own_broker(driver: Driver) -> None:
    write, effects = begin(driver, 3)
    assert effects == [ToClient("s", Revoke("s", 2, (A,)))]

    assert driver.client(Revoked("s", 3, 2), 3.01) == [Execute(write)]
    assert driver.do(driver.broker.answered, write, now=3.02) == [Acknowledge(write)]
    assert len(driver.broker.holds) == 0


def test_the_next_tick_is_soon_while_something_waits(driver: Driver) -> None:
    assert driver.broker.next_tick(3) == 3.5
    begin(driver, 3)
    assert driver.broker.next_tick(3) == 3.02


@pytest.mark.parametrize(
    "change",
    [{"lease": 0}, {"drift": -0.1}, {"beat": 2.0}, {"hold": 2.5}, {"rejoin": 2.5}],
    ids=lambda change: next(iter(change)),
)
def test_durations_that_contradict_each_other_are_refused(change: dict[str, float]) -> None:
    TIMING.check()
    with pytest.raises(ValueError, match="must be"):
        TIMING._replace(**change).check()
