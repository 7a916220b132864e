"""Selects the transaction manager that a session joins: that of the context, of the task, or of the thread.

A task that has a session must not commit the thread's transaction: the session would be lost. So the
thread's transaction has a hook that refuses such a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

import transaction
from transaction import TransactionManager
from transaction.interfaces import NoTransaction

from ..exceptions import RefusedError

SESSIONS: Final = object()
"""The key of a transaction's sessions in its data."""

_selected: Final[ContextVar[TransactionManager | None]] = ContextVar("package_database_manager", default=None)
_of_tasks: Final[WeakKeyDictionary[asyncio.Task[Any], TransactionManager]] = WeakKeyDictionary()


def transaction_manager() -> TransactionManager:
    """Returns the transaction manager of the current context.

    It is the one that ``use_transaction_manager`` selected. Otherwise each asyncio task has a separate one, which
    aborts when the task ends, and outside of tasks it is that of the thread, which ``transaction.manager`` uses. In a
    task that has a session, ``transaction.commit()`` raises ``RefusedError``.
    """
    if (selected := _selected.get()) is not None:
        return selected
    task = _current_task()
    if task is None:
        return transaction.manager.manager
    with suppress(NoTransaction):
        _guard(transaction.manager.get())
    found = _of_tasks.get(task)
    if found is None:
        found = _of_tasks[task] = TransactionManager()
        manager = found
        task.add_done_callback(lambda _: manager.abort())
    return found


@contextmanager
def use_transaction_manager(manager: TransactionManager) -> Iterator[None]:
    """Selects a transaction manager in the current context, and for threads and tasks that copy it.

    Args:
        manager: The manager, such as ``request.tm`` of ``pyramid_tm``. The caller begins and ends its transactions.
    """
    token = _selected.set(manager)
    try:
        yield
    finally:
        _selected.reset(token)


def _guard(of_thread: transaction.Transaction) -> None:
    """Has the commit of a thread's transaction check the task that commits it."""
    try:
        of_thread.data(_check_task)
    except KeyError:
        of_thread.set_data(_check_task, True)  # noqa: FBT003 (only the key matters)
        of_thread.addBeforeCommitHook(_check_task)


def _check_task() -> None:
    task = _current_task()
    of_task = None if task is None else _of_tasks.get(task)
    if of_task is None:
        return
    with suppress(KeyError):
        of_task.get().data(SESSIONS)
        # The hooks are removed when one fails, so the next commit would not be checked.
        transaction.doom()
        raise RefusedError(
            "this commits the transaction of the thread, and the asyncio task has a session in one of its own: call "
            "transaction_manager().commit()",
            code="OfTask",
        )


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
