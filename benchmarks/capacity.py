"""What requests cost on AWS, in capacity units, by the sizes of the items.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

READ_BYTES: Final = 4096
"""One strongly consistent read unit (4 KB)."""
WRITE_BYTES: Final = 1024
"""One write unit (1 KB)."""
TRANSACTION: Final = 2
"""A write in a transaction is carried out twice, to prepare it and to commit it."""


@dataclass(slots=True)
class Tally:
    """What a conversation has cost so far."""

    requests: int = 0
    read_units: float = 0.0
    write_units: float = 0.0


def value_size(value: Mapping[str, Any]) -> int:
    """Returns the bytes of an attribute value of type S or N as DynamoDB counts them."""
    if "N" in value:
        # A byte for every two significant digits, and one more.
        digits = value["N"].lstrip("-").strip("0").replace(".", "")
        return (len(digits) + 1) // 2 + 1
    return len(value["S"].encode())


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Returns the bytes of an item: the names and values of its attributes."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def read_units(sizes: Iterable[int], *, consistent: bool) -> float:
    """Returns what one request reads: the bytes of all its items together, in steps of 4 KB, at least one."""
    units = max(1, -(-sum(sizes) // READ_BYTES))
    return units if consistent else units / 2


def write_units(sizes: Iterable[int], *, transaction: bool, indexes: int = 0) -> float:
    """Returns what one request writes: each item by itself, in steps of 1 KB, in the table and its local indexes.

    Args:
        sizes: For each item the larger of its sizes before and after; 0 where none was there, which costs one unit.
        transaction: Whether it is a transaction.
        indexes: Local indexes that project the whole item.
    """
    units = sum(max(1, -(-size // WRITE_BYTES)) for size in sizes)
    return units * (1 + indexes) * (TRANSACTION if transaction else 1)
