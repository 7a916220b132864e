"""The transitions of a client's cache."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from open_alchemy.package_database.coherence.cache import CachedRead, ClientCache
from open_alchemy.package_database.coherence.leases import ClientLease, Instant, Timing
from open_alchemy.package_database.coherence.messages import (
    AnswerHeader,
    Close,
    Ended,
    Lease,
    Open,
    ReadHeader,
    Renew,
    Revoke,
    Revoked,
    Tag,
)

TIMING = Timing()
A, B, PARTITION = Tag("t", "p", "a"), Tag("t", "p", "b"), Tag("t", "p")


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_000_000 + seconds)


class Client:
    """A client with a session and a lease until 2 s after its start, and the messages of its broker."""

    def __init__(self, max_entries: int = 10) -> None:
        ids = count()
        self.cache = ClientCache(TIMING, lambda: f"s{next(ids)}", max_entries)
        self.numbers = count()
        self.opened = self.cache.connected(at(0))
        self.receive(Lease, 1, 2.02)

    def receive(self, message: Any, *fields: Any) -> list[Any]:
        return self.cache.receive(message("s0", next(self.numbers), *fields))

    def read(self, key: Tag, value: str, *tags: Tag, now: float = 0, is_cacheable: bool = True) -> CachedRead | None:
        header = self.cache.begin_read(key, frozenset(tags or (key,)), at(now))
        assert header is not None
        answer = AnswerHeader("s0", next(self.numbers), header.number, is_cacheable)
        read, messages = self.cache.answer(answer, value)
        assert not messages
        return read

    def value(self, key: Tag, now: float = 0.1) -> Any:
        read = self.cache.lookup(key, at(now))
        return None if read is None else read.value


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_session_begins_with_a_request_for_a_lease(client: Client) -> None:
    assert client.opened == [Open("s0", 0, None), Renew("s0", 1)]


def test_a_cacheable_answer_is_used_until_the_lease_is_over(client: Client) -> None:
    client.read(A, "1")

    assert [client.value(A, now) for now in (0, 1.999, 2.0)] == ["1", "1", None]
    assert client.cache.info()[:2] == (2, 1)


def test_the_cache_is_kept_while_the_lease_lapses(client: Client) -> None:
    client.read(A, "1")
    assert client.value(A, 2.5) is None
    assert client.cache.tick(at(3)) == [Renew("s0", 3)]

    client.receive(Lease, 3, 2.02)

    assert client.value(A, 4.9) == "1"


def test_a_lease_is_requested_in_time(client: Client) -> None:
    assert client.cache.tick(at(0.49)) == []
    assert client.cache.tick(at(0.5)) == [Renew("s0", 2)]
    assert client.cache.tick(at(0.6)) == []
    assert client.cache.next_tick() == 1.0


def test_a_late_lease_counts_from_its_request(client: Client) -> None:
    client.read(A, "1")
    client.cache.tick(at(1))

    client.receive(Lease, 3, 2.02)

    assert [client.value(A, now) for now in (2.99, 3.0)] == ["1", None]


def test_a_lease_that_was_not_requested_is_ignored(client: Client) -> None:
    client.read(A, "1")

    client.receive(Lease, 77, 1000.0)

    assert client.value(A, 2.0) is None


def test_unanswered_requests_for_a_lease_are_bounded(client: Client) -> None:
    for seconds in range(1, 100):
        client.cache.tick(at(seconds))

    assert len(client.cache._renewals) <= 8


def test_an_answer_that_is_not_cacheable_replaces_an_older_one(client: Client) -> None:
    client.read(A, "1")

    client.read(A, "2", is_cacheable=False)

    assert client.value(A) is None


def test_a_revocation_drops_the_entries_with_its_tags_and_is_answered(client: Client) -> None:
    first = client.read(A, "1")
    client.read(B, "2")
    client.read(PARTITION, "1, 2", PARTITION)
    assert first is not None

    assert client.receive(Revoke, (A, PARTITION)) == [Revoked("s0", 5, 4)]

    assert [client.value(key) for key in (A, B, PARTITION)] == [None, "2", None]
    assert first.is_dropped


def test_a_query_is_dropped_by_its_partition() -> None:
    client = Client()
    query: Any = ("t", "p", "prefix")
    client.read(query, "1, 2", PARTITION)
    assert client.value(query) == "1, 2"

    client.receive(Revoke, (PARTITION,))

    assert client.value(query) is None
    assert not client.cache._entries._keys


def test_queries_of_a_partition_are_dropped_by_it(client: Client) -> None:
    first: Any = ("t", "p", "first")
    second: Any = ("t", "p", "second")
    client.read(first, "1", PARTITION)
    client.read(second, "2", PARTITION)
    client.read(first, "3", is_cacheable=False)
    assert [client.value(key) for key in (first, second)] == [None, "2"]

    client.receive(Revoke, (PARTITION,))

    assert client.value(second) is None


def test_an_entry_is_not_used_after_the_maximum_age(client: Client) -> None:
    client.read(A, "1")
    client.cache.tick(at(59))
    client.receive(Lease, 3, 2.02)

    assert [client.value(A, now) for now in (59.9, 60)] == ["1", None]


def test_the_wall_clock_ends_a_lease_too(client: Client) -> None:
    client.read(A, "1")

    assert client.cache.lookup(A, Instant(0.1, 1_000_000 + 2.5)) is None
    assert client.cache.lookup(A, Instant(0.1, 1_000_000 - 500)) is not None


def test_the_wall_clock_ends_an_entry_too(client: Client) -> None:
    """The monotonic clock stops while the machine is frozen, and the broker forgets what the client has cached."""
    client.read(A, "1")
    client.cache.tick(Instant(1, 1_000_000 + 59.5))
    client.receive(Lease, 3, 2.02)

    assert client.cache.lookup(A, Instant(1.1, 1_000_000 + 59.6)) is not None
    assert client.cache.lookup(A, Instant(1.6, 1_000_000 + 60.1)) is None


def test_the_latest_lease_counts() -> None:
    lease = ClientLease()
    lease.extend(at(0), 5)
    lease.extend(at(1), 1)

    assert lease.is_valid(at(4.9))
    lease.end()
    assert not lease.is_valid(at(0))


def test_the_least_recently_used_entry_is_evicted() -> None:
    client = Client(max_entries=2)
    client.read(A, "1")
    client.read(B, "2")
    client.value(A)

    client.read(PARTITION, "3")

    assert [client.value(key) for key in (A, B, PARTITION)] == ["1", None, "3"]
    assert client.cache.info().entries == 2


def test_a_gap_ends_the_session_and_begins_another(client: Client) -> None:
    client.read(A, "1")
    next(client.numbers)

    assert client.receive(Revoke, (B,)) == [Open("s1", 0, "s0")]
    assert client.value(A) is None


def test_a_gap_before_an_answer_ends_the_session(client: Client) -> None:
    header = client.cache.begin_read(A, frozenset((A,)), at(0))
    assert header == ReadHeader("s0", 2)

    read, messages = client.cache.answer(AnswerHeader("s0", 7, 2, is_cacheable=True), "1")

    assert (read, messages) == (None, [Open("s1", 0, "s0")])


def test_a_repeated_message_and_those_of_other_sessions_are_ignored(client: Client) -> None:
    client.read(A, "1")

    assert client.cache.receive(Revoke("s0", 0, (A,))) == []
    assert client.cache.receive(Revoke("old", 1, (A,))) == []
    assert client.cache.receive(Ended("old")) == []
    assert client.cache.answer(AnswerHeader("old", 1, 2, is_cacheable=True), "0") == (None, [])
    assert client.value(A) == "1"


def test_sessions_with_a_known_broker_name_it(client: Client) -> None:
    client.cache.disconnected()
    assert client.cache.connected(at(0.1), "id1") == [Open("s1", 0, None, "id1"), Renew("s1", 1)]
    assert client.cache.receive(Ended("s1")) == [Open("s2", 0, "s1", "id1")]


def test_a_session_that_the_broker_ended_is_replaced(client: Client) -> None:
    client.read(A, "1")

    assert client.cache.receive(Ended("s0")) == [Open("s1", 0, "s0")]
    assert client.value(A) is None
    assert client.cache.tick(at(0.5)) == [Renew("s1", 1)]


def test_without_a_connection_nothing_is_cached(client: Client) -> None:
    client.read(A, "1")

    client.cache.disconnected()

    assert client.value(A) is None
    assert client.cache.begin_read(A, frozenset((A,)), at(0)) is None
    assert client.cache.tick(at(9)) == []
    assert client.cache.close() == []


def test_a_read_without_tags_is_not_cached(client: Client) -> None:
    assert client.cache.begin_read(A, frozenset(), at(0)) is None


def test_only_permitted_tables_are_cached() -> None:
    cache = ClientCache(TIMING, lambda: "s0", 10, frozenset(("specs",)))
    cache.connected(at(0))

    assert cache.begin_read(A, frozenset((A,)), at(0)) is None
    assert cache.begin_read(A, frozenset((A._replace(table="specs"),)), at(0)) is not None


def test_closing_tells_the_broker_not_to_wait(client: Client) -> None:
    client.read(A, "1")

    assert client.cache.close() == [Close("s0")]
    assert client.value(A) is None


def test_clearing_keeps_the_session(client: Client) -> None:
    client.read(A, "1")

    client.cache.clear()

    assert client.value(A) is None
    client.read(A, "2")
    assert client.value(A) == "2"


def test_no_repr_contains_a_value(client: Client) -> None:
    read = client.read(A, "the secret")

    assert "the secret" not in f"{client.cache!r} {read!r} {client.cache.info()!r} {client.cache._entries!r}"
