"""The engine and the reference model return the same results for operations that Hypothesis draws.

Every public key belongs to one item: the model has no unique index.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import (
    AllOf,
    AnyOf,
    AtLeast,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Get,
    Item,
    Missing,
    Page,
    Put,
    Query,
    Scan,
    StoreOperation,
    Table,
    Transact,
)
from open_alchemy.package_database.engines.port import Engine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.engine import open_memory
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore

# Few, so that they repeat, with characters that are special in SQL or in the order of bytes.
KEYS = ["a", "a#", "a#b", "A", "a\0", "a\0b", "a%", "a_", "*", "é", "\ud7ff", "\ue000", "\U00010000", "\U0010ffff", "'"]
keys = st.sampled_from(KEYS)
partitions = st.sampled_from(["a", "é"])
values: dict[str, st.SearchStrategy[Any]] = {
    "S": st.sampled_from(["", "9", "10", "99", "100", "a\0b", "é"]),
    "N": st.sampled_from([0, 1, 2**63 - 1, -(2**63)]),
    "B": st.sampled_from([b"", b"\0\xff"]),
}
tables = st.sampled_from(TABLES)


def keyed(table: Table) -> set[str]:
    names = {table.partition_key, table.sort_key}
    return names.union(*({index.partition_key, index.sort_key or table.sort_key} for index in table.indexes))


@st.composite
def items(draw: st.DrawFn, table: Table) -> Item:
    kept = keyed(table)
    drawn: dict[str, Any] = {}
    for attribute in table.attributes:
        if attribute.name == "public_key":
            drawn[attribute.name] = f"{draw(partitions)} {drawn['sub']} {drawn['id']}"
        elif attribute.name in (table.partition_key, *(index.partition_key for index in table.indexes)):
            drawn[attribute.name] = draw(partitions)
        elif attribute.name in kept:
            drawn[attribute.name] = draw(keys)
        elif draw(st.booleans()):
            drawn[attribute.name] = draw(values[attribute.type])
    return drawn


def simple_conditions(table: Table) -> st.SearchStrategy[Condition]:
    texts = [attribute.name for attribute in table.attributes if attribute.type == "S"]
    names = st.sampled_from([attribute.name for attribute in table.attributes])
    equal: list[st.SearchStrategy[Condition]] = [
        st.builds(Equal, st.just(attribute.name), keys if attribute.name in keyed(table) else values[attribute.type])
        for attribute in table.attributes
    ]
    conditions: list[st.SearchStrategy[Condition]] = [
        st.builds(Missing, names),
        st.builds(Equal, st.sampled_from(texts), keys),
        *equal,
    ]
    if table is SPECS:
        digits = st.sampled_from(["9", "10", "99", "100"])
        conditions += [st.builds(kind, st.just("updated_at"), digits) for kind in (Below, AtLeast)]
    return st.one_of(conditions)


def conditions(table: Table) -> st.SearchStrategy[Condition]:
    return st.recursive(
        simple_conditions(table),
        lambda parts: st.builds(
            lambda kind, found: kind(tuple(found)), st.sampled_from([AllOf, AnyOf]), st.lists(parts, max_size=3)
        ),
        max_leaves=4,
    )


@st.composite
def actions(draw: st.DrawFn) -> Put | Delete | Check:
    table = draw(tables)
    item = draw(items(table))
    if "updated_at" in item:
        item = {**item, "updated_at": draw(st.sampled_from(["9", "10", "99", "100"]))}
    kind = draw(st.sampled_from([Put, Put, Delete, Check]))
    if kind is Check:
        return Check(table, table.key_of(item), draw(conditions(table)))
    condition = draw(st.none() | conditions(table))
    return Put(table, item, condition) if kind is Put else Delete(table, table.key_of(item), condition)


def place(action: Put | Delete | Check) -> tuple[str, ...]:
    key = action.table.key_of(action.item) if isinstance(action, Put) else action.key
    return (action.table.name, *key.values())


@st.composite
def queries(draw: st.DrawFn) -> Query:
    table = draw(tables)
    index = draw(st.sampled_from([None, *table.indexes]))
    has_sort_key = index is None or index.sort_key is not None
    prefix = draw(st.just("") | keys | st.just("a")) if has_sort_key else ""
    partition = draw(items(table))[(index or table).partition_key]
    names = [attribute.name for attribute in table.attributes]
    attributes = draw(st.none() | st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple))
    return Query(table, str(partition), prefix, index, attributes)


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    table = draw(tables)
    partition = draw(st.none() | partitions)
    after = draw(st.none() | items(table).map(table.key_of))
    if after is not None and partition is not None:
        after = {**after, table.partition_key: partition}
    return Scan(table, draw(st.sampled_from([1, 2, 100])), after, partition)


class EngineMachine(RuleBasedStateMachine):
    """Executes any operations on both.

    Args:
        engine: The engine of an empty store.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.model = MemoryEngine(MemoryStore())
        self.engine = engine

    def ask(self, operation: StoreOperation) -> None:
        expected = self.model.execute(operation, Deadline(60))
        assert self.engine.execute(operation, Deadline(60)) == expected

    @rule(found=st.lists(actions(), min_size=1, max_size=6, unique_by=place))
    def transact(self, found: list[Put | Delete | Check]) -> None:
        self.ask(Transact(tuple(found)))

    @rule(query=queries())
    def query(self, query: Query) -> None:
        self.ask(query)

    @rule(scan=scans())
    def scan(self, scan: Scan) -> None:
        one_more: Page = self.model.execute(scan._replace(limit=scan.limit + 1), Deadline(60))
        items = one_more.items[: scan.limit]
        after = scan.table.key_of(items[-1]) if one_more.items[scan.limit :] else None
        assert self.engine.execute(scan, Deadline(60)) == Page(items, after)

    @rule(data=st.data(), table=tables)
    def get(self, data: st.DataObject, table: Table) -> None:
        self.ask(Get(table, table.key_of(data.draw(items(table)))))

    @invariant()
    def both_contain_the_same_items(self) -> None:
        for table in TABLES:
            for key in ("a", "é"):
                self.ask(Query(table, key))


class SQLiteMachine(EngineMachine):
    """Compares SQLite in memory."""

    def __init__(self) -> None:
        super().__init__(open_memory(SQLiteConfig(), TABLES))


TestSQLiteMachine = SQLiteMachine.TestCase
# A step is a drawn operation and four queries.
TestSQLiteMachine.settings = settings(max_examples=settings().max_examples // 8, stateful_step_count=20)
