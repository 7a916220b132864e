"""A store as the operator's commands use it: below the functions of the database."""

from __future__ import annotations

from typing import Any, TypeVar

from .. import process, stores
from ..exceptions import BaseError, RefusedError
from ..facade import Database, run
from ..operations import Failures, Get, Item, Page, Scan, Steps, StoreOperation, Transact
from ..tables.schema import TABLES

Result = TypeVar("Result")


class Store:
    """A store. Its methods raise what an engine raises.

    Attributes:
        place: Where it is, in words.
        administration: Its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        config = database.engine.config
        self.place = stores.place(config)
        self.administration = stores.administer(config)

    @classmethod
    def configured(cls) -> Store:
        """Returns the store that is configured."""
        database = process.get()
        assert isinstance(database, Database)
        return cls(database)

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
        return run(steps, self._database.engine, seconds=self._database.deadline, name=name)

    def check_tables(self) -> None:
        """Checks that the tables are there, where that may be asked: a file is made by the first read.

        Raises:
            RefusedError: A table is missing.
        """
        try:
            missing = [table.name for table in TABLES if self.administration.describe(table) is None]
        except BaseError:
            # Who may read may not be allowed to describe; and if the store is down, reading will tell.
            return
        if missing:
            raise RefusedError(f"there is no {' and no '.join(missing)} at {self.place}")

    def expected_items(self) -> int | None:
        """Returns about how many items the tables hold, or None where the store does not say.

        DynamoDB counts every six hours (AWS, DescribeTable, ItemCount).
        """
        try:
            descriptions = [self.administration.describe(table) or {} for table in TABLES]
        except BaseError:
            # Who may read may not be allowed to describe.
            return None
        return sum(description.get("ItemCount", 0) for description in descriptions) or None


def _ask(operation: StoreOperation) -> Steps[Any]:
    return (yield operation)
