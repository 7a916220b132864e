"""A store as the operator's commands use it: below the functions of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from .. import instances
from ..core.operations import Failures, Get, Item, Page, Scan, Steps, StoreOperation, Table, Transact
from ..database import Database, open_database, run
from ..engines.port import TableInfo
from ..exceptions import RefusedError
from ..model.schema import TABLES

Result = TypeVar("Result")


class Store:
    """A store. Its methods raise what an engine raises.

    Attributes:
        place: Where it is, in words.
        administration: Its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.place = database.engine.config.location
        self.administration = database.engine.administration()

    @classmethod
    def configured(cls) -> Store:
        """Returns the store that is configured."""
        return cls(open_database(instances.current().engine()))

    def read(self, scan: Scan) -> Page:
        """Reads a page."""
        page: Page = self.run(_ask(scan), name="a scan")
        return page

    def get(self, get: Get) -> Item | None:
        """Reads an item."""
        item: Item | None = self.run(_ask(get), name="a read")
        return item

    def transact(self, transaction: Transact) -> Failures:
        """Carries out a transaction."""
        failures: Failures = self.run(_ask(transaction), name="a transaction")
        return failures

    def run(self, steps: Steps[Result], *, name: str) -> Result:
        """Runs steps, which may stand still as long as a call of the database."""
        return run(steps, self._database.engine, name=name)

    def check_tables(self) -> None:
        """Checks that the tables are there, where that may be asked: a file is made by the first read.

        Raises:
            RefusedError: A table is missing.
        """
        missing = [
            table.name
            for table, description in zip(TABLES, self._describe(TABLES) or (), strict=False)
            if description is None
        ]
        if missing:
            raise RefusedError(f"there is no {' and no '.join(missing)} at {self.place}")

    def identity(self, tables: Sequence[Table], *attributes: str) -> str | None:
        """Returns what tells tables from others of their names, or None where they may not be described.

        Args:
            tables: The tables.
            attributes: Of their descriptions: ``TableArn`` names the account and the region, and ``TableId`` is another
                for a table that was deleted and created again (AWS, TableDescription). A store that has none of them is
                what its place says.
        """
        descriptions = self._describe(tables)
        if descriptions is None:
            return None
        identities = [info.identity for info in descriptions if info is not None]
        found = [identity[name] for identity in identities for name in attributes if name in identity]
        return ", ".join([self.place, *found])

    def expected_items(self, tables: Sequence[Table]) -> int | None:
        """Returns about how many items tables hold, or None where the store does not say.

        DynamoDB counts every six hours (AWS, DescribeTable, ItemCount).
        """
        return sum(info.items for info in self._describe(tables) or () if info is not None) or None

    def _describe(self, tables: Sequence[Table]) -> list[TableInfo | None] | None:
        try:
            return [self.administration.describe(table) for table in tables]
        except RefusedError:
            # Who may read may not be allowed to describe.
            return None


def _ask(operation: StoreOperation) -> Steps[Any]:
    return (yield operation)
