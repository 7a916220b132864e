"""The configured store, as the operator's commands use it: below the functions of the database."""

from __future__ import annotations

from typing import Any, TypeVar

from .. import process
from ..config import Config
from ..engines.dynamodb.administration import Administration
from ..engines.dynamodb.engine import DynamoDBEngine
from ..exceptions import BaseError
from ..facade import Database, run
from ..operations import Failures, Page, Scan, Steps, StoreOperation, Transact
from ..tables.schema import TABLES

Result = TypeVar("Result")


def place_of(config: Config) -> str:
    """Returns where a configured store is, in words."""
    return config.endpoint_url or f"AWS, region {config.region}"


class Store:
    """The configured store. Its methods raise what an engine raises.

    Attributes:
        place: Where it is.
    """

    def __init__(self) -> None:
        database = process.get()
        assert isinstance(database, Database)
        self._database = database
        self.place = place_of(process.configure())

    def read(self, scan: Scan) -> Page:
        """Reads a page."""
        page: Page = self.run(_ask(scan), name="a scan")
        return page

    def transact(self, transaction: Transact) -> Failures:
        """Carries out a transaction."""
        failures: Failures = self.run(_ask(transaction), name="a transaction")
        return failures

    def run(self, steps: Steps[Result], *, name: str) -> Result:
        """Runs steps, which may stand still as long as a call of the database."""
        return run(steps, self._database.engine, seconds=self._database.deadline, name=name)

    def expected_items(self) -> int | None:
        """Returns about how many items the tables hold, or None where the store does not say.

        DynamoDB counts every six hours (AWS, DescribeTable, ItemCount).
        """
        engine = self._database.engine
        if not isinstance(engine, DynamoDBEngine):
            return None
        try:
            descriptions = [Administration(engine).describe(table) or {} for table in TABLES]
        except BaseError:
            # Who may read may not be allowed to describe.
            return None
        return sum(description.get("ItemCount", 0) for description in descriptions) or None


def _ask(operation: StoreOperation) -> Steps[Any]:
    return (yield operation)
