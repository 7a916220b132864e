"""The differences between SQL databases, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dialect:
    """One SQL database's variants of the statements.

    Attributes:
        types: The column type of each type of attribute: text, number, binary. A text type includes the collation that
            compares by the bytes of UTF-8.
        begin: Starts a transaction that writes.
        placeholder: Stands for a parameter.
        table_options: Follows ``CREATE TABLE (...)``.
        row_lock: Follows a ``SELECT`` inside a transaction, and locks its rows until the end of the transaction.
        integers: The numbers that a column can store.
        partition: What an index has in place of a partition key, and a comparison on both sides. Where it is not the
            key itself, a unique index takes the place of the primary key.
    """

    types: Mapping[Literal["S", "N", "B"], str]
    begin: str = "BEGIN"
    placeholder: str = "?"
    table_options: str = ""
    row_lock: str = ""
    integers: range = range(-(2**63), 2**63)
    partition: str = "{}"
