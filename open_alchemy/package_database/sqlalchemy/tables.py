"""Tables of a database: the package's, those that an application declares, and those that are reflected."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Dialect, LargeBinary, MetaData, String, Table, types

from ..core import operations
from ..core.secret import Secret
from ..model.schema import TABLES

metadata: Final = MetaData()
"""Declare tables and ORM classes here that ``get_table`` shall return without reflection, on every instance."""


class SecretBinary(types.TypeDecorator[bytes]):
    """Bytes that are read as ``Secret``, without a readable repr."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Secret | None:
        """Hides what was read."""
        del dialect
        return None if value is None else Secret(value)


_TYPES: Final[dict[str, type[types.TypeEngine[Any]]]] = {"S": String, "N": BigInteger, "B": SecretBinary}


def package_tables(*, has_prefix: bool) -> dict[str, Table]:
    """Returns the package's tables, by their names on every store.

    Args:
        has_prefix: Whether their names in the database begin with ``package.``.
    """
    own = MetaData()
    return {table.name: _declared(table, own, has_prefix=has_prefix) for table in TABLES}


def _declared(table: operations.Table, own: MetaData, *, has_prefix: bool) -> Table:
    keys = (table.partition_key, table.sort_key)
    columns = [
        Column(found.name, _TYPES[found.type], primary_key=found.name in keys, nullable=found.is_optional)
        for found in table.attributes
    ]
    return Table(table.name if has_prefix else table.name.rpartition(".")[2], own, *columns)
