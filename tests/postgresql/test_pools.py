"""The waits of the two pools; ``test_pool_core`` tests what both decide."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines.postgresql import fair_semaphore
from open_alchemy.package_database.engines.postgresql.async_pool import AsyncPool
from open_alchemy.package_database.engines.postgresql.connection import (
    AsyncConnection,
)
from open_alchemy.package_database.engines.postgresql.fair_semaphore import FairSemaphore
from open_alchemy.package_database.engines.postgresql.io_requests import BatchSteps, OnServer
from open_alchemy.package_database.engines.postgresql.retry import NO_ANSWER
from open_alchemy.package_database.engines.postgresql.shard_map_file import Server
from open_alchemy.package_database.engines.sql.statements import Statement


def read() -> BatchSteps[str]:
    yield Statement("SELECT 1")
    return "read"


def test_a_permit_that_arrives_when_a_wait_ends_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    semaphore = FairSemaphore(0)

    class Lock:
        """Its wait ends when the semaphore has passed it the permit."""

        def acquire(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                semaphore.release()
            return timeout is None

        def release(self) -> None:
            pass

    monkeypatch.setattr(fair_semaphore, "threading", SimpleNamespace(Lock=Lock))

    assert semaphore.acquire(1.0)


def test_an_async_connection_is_opened_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stay_silent(_: str, **options: Any) -> None:
        await asyncio.Event().wait()

    async def use() -> Any:
        pool = AsyncPool(Server("db1", "", range(1, 2)), 1, 5.0)
        found = await pool.execute(OnServer("db1", read, "reading"), Deadline(0.01))
        await pool.aclose()
        return found

    monkeypatch.setattr(AsyncConnection, "connect", stay_silent)

    assert asyncio.run(use()) is NO_ANSWER
