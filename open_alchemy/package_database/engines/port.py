"""The interface between the database and a store: engines that execute operations, and the administration of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from ..core.deadline import Deadline
from ..core.operations import StoreOperation, Table
from .config import Config

Description: TypeAlias = Mapping[str, Any]


class Administration(Protocol):
    """The tables of one store, for tests, development and operators. Its methods raise what the engine raises."""

    def create(self, table: Table) -> None:
        """Creates a table, and waits until it can be used."""

    def delete(self, table: Table) -> bool:
        """Deletes a table with all that is in it, and returns whether it was there."""

    def describe(self, table: Table) -> Description | None:
        """Returns a table in the form of DynamoDB's DescribeTable, or None where it is not there."""

    def differences(self, table: Table, description: Description | None) -> list[str]:
        """Returns how a table, as it was described, differs from what it must be; empty where it does not."""

    def clear(self, table: Table) -> None:
        """Deletes every item of a table."""


class Engine(Protocol):
    """A store that carries out the vocabulary."""

    @property
    def config(self) -> Config:
        """Which store."""

    @property
    def attempt_seconds(self) -> float:
        """How long in seconds a request to the store may take once it is begun, whatever the deadline is."""

    def prepare(self) -> None:
        """Loads what the first call needs, before its deadline begins: the time that takes is not the store's.

        Raises:
            ConfigurationError: The store's configuration cannot be read.
        """

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Carries out an operation and returns its result, as ``operations`` describes it.

        Raises:
            RefusedError: The store refuses.
            UnavailableError: The store did not answer before the deadline.
            ConflictError: Other transactions were in the way until the deadline.
        """

    def close(self) -> None:
        """Closes the connections that it holds open."""


class AsyncEngine(Protocol):
    """A store that carries out the vocabulary in the running loop, and never blocks it. Otherwise an ``Engine``."""

    @property
    def attempt_seconds(self) -> float:
        """As the engine's."""

    async def prepare(self) -> None:
        """As the engine's."""

    async def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """As the engine's."""

    async def aclose(self) -> None:
        """Closes what is open in the running loop; it is opened anew by the next operation."""
