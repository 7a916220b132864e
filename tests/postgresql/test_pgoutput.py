"""Messages of logical replication, built by hand from PostgreSQL's documentation of the format."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.engines.postgresql.pgoutput import Change, Transaction, composite, decode

TABLE = 7
UNCHANGED = "unchanged"
BEGIN = b"B" + pack(">qqi", 90, 0, 1)
RELATION = b"R" + pack(">i", TABLE) + b"shard0001\0specs\0" + b"f" + pack(">h", 0)

Row = tuple[str | None, ...]
rows = st.lists(st.none() | st.text(), min_size=1, max_size=4).map(tuple)


def tuple_data(row: Row) -> bytes:
    columns = pack(">h", len(row))
    for value in row:
        if value is None or value is UNCHANGED:
            columns += b"n" if value is None else b"u"
        else:
            columns += b"t" + pack(">i", len(value.encode())) + value.encode()
    return columns


def change(kind: bytes, **found: Row) -> bytes:
    return kind + pack(">i", TABLE) + b"".join(name.encode() + tuple_data(row) for name, row in found.items())


def commit(end: int) -> bytes:
    return b"C" + pack(">bqqq", 0, 90, end, 0)


@given(rows, rows)
def test_the_changes_of_a_transaction_are_decoded(old: Row, new: Row) -> None:
    messages = [BEGIN, RELATION, change(b"I", N=new), change(b"U", O=old, N=new), change(b"D", O=old), commit(100)]

    (found,) = decode(messages)

    assert found.end == 100
    assert [(c.table, _tuple(c.old), _tuple(c.new)) for c in found.changes] == [
        ("specs", None, new),
        ("specs", old, new),
        ("specs", old, None),
    ]


def _tuple(row: object) -> object:
    return tuple(row) if isinstance(row, list) else row


def test_an_unchanged_value_is_that_of_the_old_row() -> None:
    update = change(b"U", O=("1", "long", None), N=("2", UNCHANGED, "x"))

    (found,) = decode([BEGIN, RELATION, update, commit(100)])

    assert found.changes[0].new == ["2", "long", "x"]


def test_a_table_is_described_once_for_several_transactions() -> None:
    insert = change(b"I", N=("1",))

    found = list(decode([BEGIN, RELATION, insert, commit(100), BEGIN, insert, commit(200)]))

    assert found == [Transaction(end, [Change("specs", None, ["1"])]) for end in (100, 200)]


def test_a_transaction_without_its_commit_is_not_returned() -> None:
    assert list(decode([BEGIN, RELATION, change(b"I", N=("1",))])) == []


@pytest.mark.parametrize("kind", [b"O", b"Y", b"M"])
def test_messages_without_changes_are_ignored(kind: bytes) -> None:
    assert list(decode([BEGIN, kind + b"anything", commit(100)])) == [Transaction(100, [])]


@pytest.mark.parametrize("kind", [b"T", b"S", b"?"])
def test_a_change_that_cannot_be_applied_is_refused(kind: bytes) -> None:
    with pytest.raises(RefusedError, match="cannot be replicated"):
        list(decode([BEGIN, kind + b"anything", commit(100)]))


@pytest.mark.parametrize("message", [change(b"U", N=("1",)), change(b"U", K=("1",), N=("2",)), change(b"D", K=("1",))])
def test_a_change_without_the_whole_old_row_is_refused(message: bytes) -> None:
    with pytest.raises(RefusedError, match="the table specs lost its replica identity"):
        list(decode([BEGIN, RELATION, message, commit(100)]))


def test_the_representation_of_a_change_has_no_value() -> None:
    assert repr(Change("specs", ["canary"], ["canary"])) == "Change('specs')"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((None,), "()"),
        ((None, "", "a"), '(,"","a")'),
        (('"', "\\", "(,)"), '("""","\\\\","(,)")'),
    ],
)
def test_a_row_is_written_as_a_composite_value(row: Row, text: str) -> None:
    assert composite(row) == text
