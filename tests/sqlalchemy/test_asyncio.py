"""Sessions in asyncio: transactions of tasks, and sessions with their own commit."""

from __future__ import annotations

import asyncio

import pytest
import transaction
from sqlalchemy import func, select, text
from transaction.interfaces import DoomedTransaction

from open_alchemy import package_database
from open_alchemy.package_database.exceptions import RefusedError
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import (
    get_async_session,
    get_session,
    get_table,
    transaction_manager,
    use_transaction_manager,
)
from tests.sqlalchemy.conftest import notes


def test_an_async_session_commits_itself(instance: Instance) -> None:
    table = get_table("notes")

    async def work() -> None:
        async with get_async_session() as session:
            await session.execute(table.insert(), {"text": "kept"})
            await session.commit()
            await session.execute(table.insert(), {"text": "lost"})

    asyncio.run(work())

    assert notes() == ["kept"]


def test_async_sessions_run_concurrently(one_phase_instance: Instance) -> None:
    table = get_table("notes")

    async def add(number: int) -> None:
        async with get_async_session() as session:
            await session.execute(table.insert(), {"text": str(number)})
            await session.execute(select(func.pg_sleep(0.01)))
            await session.commit()

    async def work() -> None:
        await asyncio.gather(*(add(number) for number in range(20)))

    asyncio.run(work())

    assert len(notes()) == 20


@pytest.mark.parametrize("statement", ["UPDATE {specs} SET title = 'x'", "DELETE FROM {specs}"])
def test_an_async_session_is_read_only_on_the_tables_of_the_package(instance: Instance, statement: str) -> None:
    package_database.get().create_update_spec(sub="u1", name="spec", version="1", model_count=1)

    async def work() -> None:
        async with get_async_session(sub="u1") as session:
            specs = '"package.specs"' if session.get_bind().dialect.name == "sqlite" else "specs"
            await session.execute(text(statement.format(specs=specs)))
            await session.commit()

    with pytest.raises(RefusedError, match="allow_writes=True"):
        asyncio.run(work())


def test_an_async_session_works_in_the_shard_of_its_user(shards_instance: Instance) -> None:
    async def schema(sub: str) -> object:
        async with get_async_session(sub=sub) as session:
            return (await session.execute(text("SELECT current_schema()"))).scalar()

    async def work() -> list[object]:
        return [await schema(f"u{number}") for number in range(8)]

    assert set(asyncio.run(work())) == {f"shard000{number}" for number in range(1, 5)}


def test_an_async_session_keeps_its_instance(sqlite_instance: Instance) -> None:
    session = get_async_session()

    async def work() -> object:
        async with session as opened:
            return (await opened.execute(text("SELECT count(*) FROM notes"))).scalar()

    assert asyncio.run(work()) == 0


def test_tasks_that_interleave_have_transactions_of_their_own(instance: Instance) -> None:
    table = get_table("notes")
    turns = [asyncio.Event(), asyncio.Event()]

    async def first() -> None:
        get_session().execute(select(func.count()).select_from(table))
        turns[0].set()
        await turns[1].wait()
        transaction_manager().abort()

    async def second() -> None:
        await turns[0].wait()
        get_session().execute(table.insert(), {"text": "second"})
        transaction_manager().commit()
        turns[1].set()

    async def work() -> None:
        await asyncio.gather(first(), second())

    asyncio.run(work())

    assert notes() == ["second"]


def test_the_transaction_of_a_task_is_aborted_at_its_end(instance: Instance) -> None:
    table = get_table("notes")

    async def work() -> object:
        session = get_session()
        session.execute(table.insert(), {"text": "lost"})
        return session

    session = asyncio.run(work())

    assert notes() == []
    with pytest.raises(RefusedError, match="has ended"):
        session.execute(text("SELECT 1"))  # type: ignore[attr-defined]


def test_a_commit_of_the_thread_is_refused_while_the_task_has_a_session(sqlite_instance: Instance) -> None:
    table = get_table("notes")

    async def work() -> None:
        for number in range(2):
            get_session().execute(table.insert(), {"text": str(number)})
            with pytest.raises(RefusedError, match=r"call transaction_manager\(\)\.commit\(\)"):
                transaction.commit()
            with pytest.raises(DoomedTransaction):
                transaction.commit()
            transaction.abort()
            with pytest.raises(RefusedError, match="of the thread"), transaction.manager:
                get_session()
            transaction.abort()
            transaction_manager().commit()
            transaction.commit()

    asyncio.run(work())

    assert notes() == ["0", "1"]


def test_a_commit_of_the_thread_by_another_task_is_not_refused(sqlite_instance: Instance) -> None:
    async def work() -> None:
        get_session().execute(text("SELECT 1"))
        await asyncio.create_task(commit())
        with use_transaction_manager(transaction.manager.manager):
            get_session().execute(get_table("notes").insert(), {"text": "thread"})
        await asyncio.create_task(commit())

    async def commit() -> None:
        transaction.commit()

    asyncio.run(work())

    assert notes() == ["thread"]


def test_the_selected_manager_is_shared_with_threads_of_a_request(instance: Instance) -> None:
    table = get_table("notes")
    manager = transaction.TransactionManager(explicit=True)

    async def work() -> None:
        with use_transaction_manager(manager), manager:
            await asyncio.to_thread(lambda: get_session().execute(table.insert(), {"text": "thread"}))

    asyncio.run(work())

    assert notes() == ["thread"]
