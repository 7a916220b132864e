"""Functions of an application, which tests expose."""

from __future__ import annotations

import asyncio
import enum
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import select

from open_alchemy.package_database import BaseError, NotFoundError, exposed, get, get_async, instance_id
from open_alchemy.package_database.exceptions import RefusedError
from open_alchemy.package_database.sqlalchemy import get_async_session, get_table

runs: list[str] = []
"""The calls that ran."""
started = threading.Event()
"""Set when ``never`` runs."""
releases: list[asyncio.Event] = []
"""End the calls of ``never``, in the event loop of each."""


class NoBudgetError(BaseError):
    """An error of the application."""


class NoDiskError(RefusedError):
    """An error of the application that has a code."""


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Tree:
    name: str
    digest: bytes = b"\x00\xff"
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    price: Decimal = Decimal("1.10")
    colour: Colour = Colour.RED
    tags: set[str] = field(default_factory=set)
    counts: dict[int, float] = field(default_factory=dict)
    children: list[Tree] = field(default_factory=list)


@exposed
async def names(sub: str) -> list[str]:
    return [found["name"] for found in await get_async().list_specs(sub=sub)]


@exposed
async def publish(sub: str, name: str, model_count: int = 1) -> None:
    runs.append(threading.current_thread().name)
    await get_async().create_update_spec(sub=sub, name=name, version="1", model_count=model_count)


@exposed
def count(sub: str, *, at_least: int = 0) -> int:
    runs.append(threading.current_thread().name)
    return max(at_least, get().count_customer_models(sub=sub))


@exposed
def publish_in_thread(sub: str, name: str) -> None:
    get().create_update_spec(sub=sub, name=name, version="1", model_count=1)


@exposed
async def names_by_session(sub: str) -> list[str]:
    specs = await asyncio.to_thread(get_table, "package.specs")
    async with get_async_session() as session:
        latest = specs.c.updated_at_id.startswith("latest#")
        return list(await session.scalars(select(specs.c.name).where(specs.c.sub == sub, latest)))


@exposed
async def double(tree: Tree) -> Tree:
    return Tree("root", children=[tree, tree])


@exposed
async def names_of_both(first: str, second: str) -> list[str]:
    """Calls another exposed function."""
    return [*await names(first), *await names(second)]


@exposed
async def current_instance() -> str | None:
    return instance_id()


@exposed
async def zeros(size: int) -> bytes:
    return bytes(size)


@exposed
async def wrong_result() -> list[str]:
    return ["a", 1]  # type: ignore[list-item]


def _raise(kind: str) -> None:
    errors: dict[str, BaseException] = {
        "application": NoBudgetError("no budget for u"),
        "store": NoDiskError("the disk is full", code="Full"),
        "package": NotFoundError("there is no such thing"),
        "unexpected": ValueError("canary"),
        "interrupt": KeyboardInterrupt(),
        "exit": SystemExit(3),
        "cancelled": asyncio.CancelledError(),
        "stop": StopIteration(),
        "generator": GeneratorExit(),
    }
    raise errors[kind]


@exposed
async def fail(kind: str) -> None:
    _raise(kind)


@exposed
def fail_in_thread(kind: str) -> None:
    _raise(kind)


@exposed
async def never() -> None:
    runs.append("never")
    releases.append(asyncio.Event())
    started.set()
    await releases[-1].wait()


@exposed
async def once() -> None:
    runs.append("once")


@exposed(repeatable=True)
async def repeatable() -> None:
    runs.append("repeatable")
