"""Which transaction manager a session joins: that of the context, of the task, or of the thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

import transaction
from transaction import TransactionManager

_selected: Final[ContextVar[TransactionManager | None]] = ContextVar("package_database_manager", default=None)
_of_tasks: Final[WeakKeyDictionary[asyncio.Task[Any], TransactionManager]] = WeakKeyDictionary()


def transaction_manager() -> TransactionManager:
    """Returns the transaction manager of the current context.

    It is the one that ``use_transaction_manager`` selected; in an asyncio task otherwise one of the task's own, which
    aborts when the task ends; elsewhere the one of the thread, which ``transaction.manager`` uses.
    """
    if (selected := _selected.get()) is not None:
        return selected
    task = _current_task()
    if task is None:
        return transaction.manager.manager
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


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
