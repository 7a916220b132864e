"""Messages of logical replication that a move cannot apply, or must pass over."""

from __future__ import annotations

from struct import pack

import pytest

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.engines.postgresql.pgoutput import Change, Transaction, decode

TABLE = pack(">i", 7)
RELATION = b"R" + TABLE + b"shard0001\0specs\0f"
COMMIT = b"C" + pack(">bqqq", 0, 1, 42, 0)


def row(*values: bytes | None) -> bytes:
    columns = (b"n" if value is None else b"t" + pack(">i", len(value)) + value for value in values)
    return pack(">h", len(values)) + b"".join(columns)


def test_other_messages_are_passed_over() -> None:
    messages = [b"B", b"O", b"Y", RELATION, b"M", b"I" + TABLE + b"N" + row(b"canary", None), COMMIT]

    (found,) = decode(messages)

    assert found == Transaction(42, [Change("specs", None, ["canary", None])])
    assert "canary" not in repr(found)


def test_a_truncated_table_is_refused() -> None:
    with pytest.raises(RefusedError, match="a change of the kind 'T' cannot be replicated"):
        list(decode([b"B", RELATION, b"T" + TABLE, COMMIT]))


@pytest.mark.parametrize("change", [b"U" + TABLE + b"N" + row(b"a"), b"D" + TABLE + b"K" + row(b"a")])
def test_a_change_without_the_whole_old_row_is_refused(change: bytes) -> None:
    with pytest.raises(RefusedError, match="the table specs lost its replica identity"):
        list(decode([b"B", RELATION, change, COMMIT]))
