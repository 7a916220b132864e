"""This package on PostgreSQL with asyncio, and the same SELECT through psycopg_pool with as many connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

from .examples import NAME, SUB
from .postgresql_store import LATEST, SELECT, USERS, connect, create

DISTRIBUTIONS = ("psycopg", "psycopg-pool")


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases. Creates databases on the servers at two URLs, which a space separates."""
    from psycopg_pool import AsyncConnectionPool

    from open_alchemy import package_database

    first, second = url.split()
    one = create([first], "asyncio", 1)
    urls = {"one": one, "1": create([first], "first", 64), "2": create([first, second], "both", 64)}
    for created in urls.values():
        connect(created)
    databases = {name: package_database.aconnect(created) for name, created in urls.items()}
    users = cycle(USERS)
    pool: Any = AsyncConnectionPool(one, min_size=10, max_size=10, open=False)
    await pool.open()

    async def select() -> object:
        async with pool.connection() as connection:
            return await (await connection.execute(SELECT, LATEST)).fetchone()

    return {
        "get_spec": lambda: databases["one"].get_spec(sub=SUB, name=NAME),
        "select": select,
        "servers_1": lambda: databases["1"].get_spec(sub=next(users), name=NAME),
        "servers_2": lambda: databases["2"].get_spec(sub=next(users), name=NAME),
    }
