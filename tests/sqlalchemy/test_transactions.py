"""Sessions join the transaction of the thread or task, with other data managers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import copy_context

import pytest
import transaction
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from transaction.interfaces import NoTransaction
from zope.sqlalchemy import mark_changed

from open_alchemy.package_database.exceptions import RefusedError
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_session, get_table, transaction_manager
from tests.sqlalchemy.conftest import notes


class OtherManager:
    """Another data manager of a transaction; records its calls, and fails where it is told to."""

    def __init__(self, key: str = "a", failing: str = "") -> None:
        self.transaction_manager = transaction.manager
        self.calls: list[str] = []
        self._key = key
        self._failing = failing

    def sortKey(self) -> str:  # noqa: N802 (the interface's name)
        return self._key

    def _record(self, name: str) -> None:
        self.calls.append(name)
        if name == self._failing:
            raise RuntimeError(name)

    def abort(self, _: object) -> None:
        self._record("abort")

    def tpc_begin(self, _: object) -> None:
        self._record("tpc_begin")

    def commit(self, _: object) -> None:
        self._record("commit")

    def tpc_vote(self, _: object) -> None:
        self._record("tpc_vote")

    def tpc_finish(self, _: object) -> None:
        self._record("tpc_finish")

    def tpc_abort(self, _: object) -> None:
        self._record("tpc_abort")


def add(value: str) -> None:
    get_session().execute(get_table("notes").insert(), {"text": value})


@pytest.fixture
def prepared(instance: Instance) -> Iterator[None]:
    """Checks that no prepared transaction is left."""
    yield
    if get_session().get_bind().dialect.name == "postgresql":
        assert get_session().execute(text("SELECT count(*) FROM pg_prepared_xacts")).scalar() == 0


pytestmark = pytest.mark.usefixtures("prepared")


def test_a_commit_of_the_transaction_commits_the_session() -> None:
    add("one")

    before = notes()
    transaction.commit()

    assert before == []
    assert notes() == ["one"]


def test_an_abort_of_the_transaction_rolls_the_session_back() -> None:
    add("one")

    transaction.abort()

    assert notes() == []


def test_all_calls_in_a_transaction_return_the_same_session() -> None:
    first = get_session()
    again = get_session()
    transaction.commit()

    assert first is again
    assert get_session() is not first


def test_textual_statements_are_committed_without_mark_changed() -> None:
    get_session().execute(text("INSERT INTO notes (text) VALUES (:text)"), {"text": "one"})
    transaction.commit()

    assert notes() == ["one"]


def test_mark_changed_has_no_effect() -> None:
    add("one")
    mark_changed(get_session())
    transaction.commit()

    assert notes() == ["one"]


def test_a_commit_is_one_for_all_data_managers() -> None:
    other = OtherManager()
    transaction.get().join(other)
    add("one")

    transaction.commit()

    assert other.calls == ["tpc_begin", "commit", "tpc_vote", "tpc_finish"]
    assert notes() == ["one"]


@pytest.mark.parametrize("failing", ["tpc_begin", "commit", "tpc_vote"])
def test_a_failure_of_an_earlier_data_manager_rolls_the_session_back(failing: str) -> None:
    transaction.get().join(OtherManager("a", failing))
    add("one")

    with pytest.raises(RuntimeError, match=failing):
        transaction.commit()
    transaction.abort()

    assert notes() == []


def test_a_failure_of_the_session_aborts_the_other_data_managers() -> None:
    add("one")
    transaction.commit()
    other = OtherManager()
    transaction.get().join(other)

    with pytest.raises(IntegrityError):
        add("one")
    transaction.abort()

    assert other.calls == ["abort"]
    assert notes() == ["one"]


def test_a_savepoint_rolls_back_what_follows_it() -> None:
    add("one")
    savepoint = transaction.savepoint()
    add("two")
    savepoint.rollback()
    add("three")
    transaction.commit()

    assert notes() == ["one", "three"]


def test_a_session_that_joined_after_a_savepoint_is_replaced_when_it_rolls_back() -> None:
    savepoint = transaction.savepoint()
    add("one")
    savepoint.rollback()
    add("two")
    transaction.commit()

    assert notes() == ["two"]


@pytest.mark.parametrize("end", [transaction.commit, transaction.abort])
def test_a_session_cannot_be_used_after_its_transaction(end: object) -> None:
    session = get_session()
    session.execute(text("SELECT 1"))
    assert callable(end)
    end()

    with pytest.raises(RefusedError, match="has ended"):
        session.execute(text("SELECT 1"))


def test_a_session_is_not_committed_alone() -> None:
    add("one")

    with pytest.raises(RefusedError, match="transaction.commit"):
        get_session().commit()


def test_an_explicit_manager_must_have_begun() -> None:
    manager = transaction.TransactionManager(explicit=True)

    with pytest.raises(NoTransaction):
        get_session(manager=manager)


def test_an_explicit_manager_commits_its_sessions_alone() -> None:
    add("thread")
    transaction.commit()
    manager = transaction.TransactionManager(explicit=True)

    with manager:
        get_session(manager=manager).execute(get_table("notes").insert(), {"text": "explicit"})
    transaction.abort()

    assert notes() == ["thread", "explicit"]


def test_a_doomed_transaction_commits_nothing() -> None:
    add("one")
    transaction.doom()

    with pytest.raises(transaction.interfaces.DoomedTransaction):
        transaction.commit()
    transaction.abort()

    assert notes() == []


def test_threads_have_transactions_of_their_own() -> None:
    barrier = threading.Barrier(8)
    sessions: list[object] = []

    def work(number: int) -> None:
        barrier.wait()
        with transaction.manager:
            sessions.append(get_session())
            assert transaction_manager() is transaction.manager.manager
        for attempt in transaction.manager.attempts(100):
            with attempt:
                add(f"thread {number}")
                if number % 2:
                    transaction.doom()
            if number % 2:
                break

    def run(number: int) -> None:
        try:
            work(number)
        except transaction.interfaces.DoomedTransaction:
            transaction.abort()

    threads = [threading.Thread(target=copy_context().run, args=(run, number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(map(id, sessions))) == 8
    assert sorted(notes()) == [f"thread {number}" for number in (0, 2, 4, 6)]
