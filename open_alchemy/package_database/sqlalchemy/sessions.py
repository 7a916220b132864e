"""Sessions that join a transaction, and their data managers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session
from transaction import Transaction, TransactionManager
from zope.sqlalchemy.datamanager import STATUS_CHANGED, SessionDataManager, TwoPhaseSessionDataManager

from ..coherence.dependency_recording import report_untracked
from ..exceptions import RefusedError
from .transaction_managers import SESSIONS

Enter: TypeAlias = Callable[[Connection], None]


class StoreSession(Session):
    """A session that prepares its transactions as its store requires.

    Args:
        bind: The engine.
        enter: Prepares a transaction that has just begun on a connection.
        options: Further arguments of ``Session``.
    """

    def __init__(self, bind: Engine, *, enter: Enter, **options: Any) -> None:
        super().__init__(bind, **options)
        event.listen(self, "after_begin", lambda _, __, connection: enter(connection))

    def get_bind(self, *arguments: Any, **options: Any) -> Engine | Connection:
        """Returns the engine, before every statement: a cached function depends on what it reads."""
        report_untracked()
        return super().get_bind(*arguments, **options)


class TransactionSession(StoreSession):
    """A session that a transaction commits or aborts, and that ends with it."""

    _is_ended = False

    def __init__(self, bind: Engine, *, enter: Enter, twophase: bool) -> None:
        super().__init__(bind, enter=enter, twophase=twophase)
        self._process = os.getpid()

    @property
    def is_usable(self) -> bool:
        """Whether the transaction is in progress, in this process."""
        return not self._is_ended and self._process == os.getpid()

    def get_bind(self, *arguments: Any, **options: Any) -> Engine | Connection:
        """Returns the engine, before every statement.

        Raises:
            RefusedError: The transaction has ended, or the process was forked.
        """
        if self._process != os.getpid():
            raise RefusedError("the session was opened before a fork: call get_session() again", code="Forked")
        if self._is_ended:
            raise RefusedError(
                "the transaction of the session has ended: call get_session() in each transaction", code="Closed"
            )
        return super().get_bind(*arguments, **options)

    def commit(self) -> NoReturn:
        """Refuses: other data managers would not commit.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError("the session is committed by its transaction: call transaction.commit()", code="Joined")

    def end(self) -> None:
        """Refuses all later statements."""
        self._is_ended = True


class _Ending:
    """Ends the session with its transaction; supports savepoints on every store."""

    session: TransactionSession | None
    _savepoint: Callable[[], object]

    def _finish(self, state: str) -> None:
        session = self.session
        try:
            super()._finish(state)  # type: ignore[misc]
        finally:
            if session is not None:
                session.end()

    @property
    def savepoint(self) -> Callable[[], object]:
        """Returns a function that creates a savepoint; zope.sqlalchemy excludes SQLite, for the driver's defaults."""
        return self._savepoint


class _OnePhase(_Ending, SessionDataManager):  # type: ignore[misc]
    """Commits when it votes, after all two-phase data managers."""


class _TwoPhase(_Ending, TwoPhaseSessionDataManager):  # type: ignore[misc]
    """Prepares when it votes, and commits with all others."""


def joined(manager: TransactionManager, key: object, create: Callable[[], TransactionSession]) -> TransactionSession:
    """Returns the session with a key in a manager's transaction; creates and joins one if there is none."""
    sessions = _sessions(manager.get())
    session = sessions.get(key)
    if session is None or not session.is_usable:
        session = create()
        _join(session, manager)
        sessions[key] = session
    return session


def _join(session: TransactionSession, manager: TransactionManager) -> None:
    (_TwoPhase if session.twophase else _OnePhase)(session, STATUS_CHANGED, manager)


def _sessions(current: Transaction) -> dict[object, TransactionSession]:
    try:
        found: dict[object, TransactionSession] = current.data(SESSIONS)
    except KeyError:
        found = {}
        current.set_data(SESSIONS, found)
    return found
