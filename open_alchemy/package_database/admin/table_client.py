"""A client of a store for the operator's commands: it scans, writes transactions and describes tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ..core.operations import Failures, Page, Scan, Steps, StoreOperation, Table, Transact
from ..database import Database, open_database, run
from ..engines.port import TableInfo
from ..exceptions import RefusedError
from ..instances import api
from ..model.schema import TABLES

Result = TypeVar("Result")


class AdminClient:
    """Runs operations and steps on the engine of a database. Its methods raise the errors of the engine.

    Attributes:
        location: The location of the store, for messages.
        administration: Creates, describes and deletes the tables of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.location = database.engine.config.location
        self.administration = database.engine.administration()

    @classmethod
    def configured(cls) -> AdminClient:
        """Returns a client of the configured store."""
        return cls(open_database(api.current().engine()))

    def read(self, scan: Scan) -> Page:
        """Reads a page."""
        page: Page = self.run(_single(scan), name="a scan")
        return page

    def transact(self, transaction: Transact) -> Failures:
        """Executes a transaction."""
        failures: Failures = self.run(_single(transaction), name="a transaction")
        return failures

    def run(self, steps: Steps[Result], *, name: str) -> Result:
        """Runs an access pattern with the deadline of a call, which every completed operation restarts."""
        return run(steps, self._database.engine, name=name)

    def check_tables(self) -> None:
        """Checks that the tables exist, if the credentials allow ``DescribeTable``.

        Raises:
            RefusedError: A table does not exist.
        """
        described = zip(TABLES, self._describe(TABLES) or (), strict=False)
        missing = [table.name for table, info in described if info is None]
        if missing:
            raise RefusedError(f"{' and '.join(missing)} do not exist at {self.location}")

    def identity(self, tables: Sequence[Table], *attributes: str) -> str | None:
        """Returns a string that is unique to these tables, not only their names; None if they cannot be described.

        Args:
            tables: The tables.
            attributes: The attributes of their descriptions to use: ``TableArn`` contains the account and the region,
                and ``TableId`` changes if a table is deleted and created again (AWS, TableDescription). A store without
                them is identified by its location.
        """
        descriptions = self._describe(tables)
        if descriptions is None:
            return None
        identities = [info.identity for info in descriptions if info is not None]
        found = [identity[name] for identity in identities for name in attributes if name in identity]
        return ", ".join([self.location, *found])

    def expected_items(self, tables: Sequence[Table]) -> int | None:
        """Returns the approximate number of items of tables, or None if the store does not count them.

        DynamoDB counts every six hours (AWS, DescribeTable, ItemCount).
        """
        return sum(info.items for info in self._describe(tables) or () if info is not None) or None

    def _describe(self, tables: Sequence[Table]) -> list[TableInfo | None] | None:
        try:
            return [self.administration.describe(table) for table in tables]
        except RefusedError:
            # A policy that allows to read items may not allow DescribeTable.
            return None


def _single(operation: StoreOperation) -> Steps[Any]:
    return (yield operation)
