"""This package on PostgreSQL with asyncio, and the same SELECT through psycopg_pool with as many connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .examples import NAME, SUB
from .postgresql_store import LATEST, SELECT, connect, create

DISTRIBUTIONS = ("psycopg", "psycopg-pool")


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases. Creates a database on the server at a URL."""
    from psycopg_pool import AsyncConnectionPool

    from open_alchemy import package_database

    created = create(url, "asyncio", 1)
    connect(created)
    database = package_database.aconnect(created)
    pool: Any = AsyncConnectionPool(created, min_size=10, max_size=10, open=False)
    await pool.open()

    async def select() -> object:
        async with pool.connection() as connection:
            return await (await connection.execute(SELECT, LATEST)).fetchone()

    return {"get_spec": lambda: database.get_spec(sub=SUB, name=NAME), "select": select}
