"""Pages of specs and versions, read while others write, on the in-memory model and on SQLite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database import NotFoundError, TDatabase
from open_alchemy.package_database.database import SYSTEM, open_database
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.memory import MemoryEngine

NAMES = ("a", "a#0", "a#00000000000000000001", "a#b", "a#latest", "b")
SOURCES = SYSTEM._replace(seconds=lambda: 1)
STORES: dict[str, Callable[[], TDatabase]] = {
    "memory": lambda: open_database(MemoryEngine(), SOURCES),
    "sqlite": lambda: open_database(open_memory(SQLiteConfig(), TABLES), SOURCES),
}
ALL_STORES = pytest.mark.parametrize("open_store", STORES.values(), ids=STORES)

writes = st.lists(st.tuples(st.sampled_from(["publish", "delete"]), st.sampled_from(NAMES)), max_size=4)
initial = st.lists(st.sampled_from(NAMES), max_size=12)
limits = st.integers(1, 4)


class Writer:
    """Publishes versions with unique texts, and deletes specs."""

    def __init__(self, database: TDatabase) -> None:
        self.database = database
        self._numbers = count()

    def publish(self, name: str) -> None:
        self.database.create_update_spec(sub="u1", name=name, version=f"{next(self._numbers)}", model_count=1)

    def write(self, kind: str, name: str) -> None:
        if kind == "publish":
            self.publish(name)
        else:
            self.database.delete_spec(sub="u1", name=name)


@ALL_STORES
@given(names=initial, limit=limits, rounds=st.lists(writes, max_size=6))
def test_pages_of_specs_repeat_none_and_miss_none_that_exists_throughout(
    open_store: Callable[[], TDatabase], names: list[str], limit: int, rounds: list[list[tuple[str, str]]]
) -> None:
    database = open_store()
    writer = Writer(database)
    for name in names:
        writer.publish(name)
    found: list[str] = []
    page = database.list_specs(sub="u1", limit=limit)
    remaining = list(rounds)
    while True:
        found += [info["id"] for info in page]
        if len(page) < limit:
            break
        for kind, name in remaining.pop() if remaining else ():
            writer.write(kind, name)
        page = database.list_specs(sub="u1", limit=limit, after=found[-1])

    throughout = set(names) - {name for changes in rounds for kind, name in changes if kind == "delete"}
    assert found == sorted(set(found))
    assert throughout <= set(found)


@ALL_STORES
@given(names=initial, limit=limits, rounds=st.lists(writes, max_size=6))
def test_pages_of_versions_repeat_none_and_miss_none_that_exists_throughout(
    open_store: Callable[[], TDatabase], names: list[str], limit: int, rounds: list[list[tuple[str, str]]]
) -> None:
    database = open_store()
    writer = Writer(database)
    for name in ("a", *names):
        writer.publish(name)
    before = database.list_spec_versions(sub="u1", name="a")
    remaining = [[(kind, name) for kind, name in changes if (kind, name) != ("delete", "a")] for changes in rounds]
    found = database.list_spec_versions(sub="u1", name="a", limit=limit)
    page = found
    while len(page) == limit:
        for kind, name in remaining.pop() if remaining else ():
            writer.write(kind, name)
        page = database.list_spec_versions(sub="u1", name="a", limit=limit, after=found[-1]["updated_at"])
        found = [*found, *page]

    times = [info["updated_at"] for info in found]
    assert times == sorted(set(times))
    assert found == database.list_spec_versions(sub="u1", name="a")
    assert found[: len(before)] == before


@ALL_STORES
@given(names=initial, limit=limits)
def test_a_page_of_a_spec_that_was_deleted_is_an_error(
    open_store: Callable[[], TDatabase], names: list[str], limit: int
) -> None:
    database = open_store()
    writer = Writer(database)
    for name in names:
        writer.publish(name)
    database.delete_spec(sub="u1", name="a")

    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="a", limit=limit, after=0)
