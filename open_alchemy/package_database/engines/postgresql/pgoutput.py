"""Decodes the messages of logical replication (``pgoutput``, protocol version 1). Pure.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

The tables have ``REPLICA IDENTITY FULL``, so an update and a delete contain the whole old row: it identifies the row,
and has the values that the new row omits because they are unchanged and stored out of line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ...exceptions import RefusedError

_INT16: Final = Struct(">h")
_INT32: Final = Struct(">i")
_COMMIT: Final = Struct(">bqqq")
_ROW_HEADER: Final = 5
"""Bytes of the kind of a message and the id of its table."""
_UNCHANGED: Final = "u"

Row: TypeAlias = Sequence[str | None]


class Change(NamedTuple):
    """A change of a row: an insert has no ``old`` row, a delete has no ``new`` one."""

    table: str
    old: Row | None
    new: Row | None

    def __repr__(self) -> str:
        return f"Change({self.table!r})"


class Transaction(NamedTuple):
    """The changes of a committed transaction, and the position in the WAL after its commit."""

    end: int
    changes: Sequence[Change]


def decode(messages: Iterable[bytes]) -> Iterator[Transaction]:
    """Yields the transactions of complete messages.

    Raises:
        RefusedError: A message cannot be applied, such as that of a ``TRUNCATE``.
    """
    tables: dict[int, str] = {}
    changes: list[Change] = []
    for message in messages:
        match chr(message[0]):
            case "B":
                changes = []
            case "R":
                (id_,) = _INT32.unpack_from(message, 1)
                _, name, _ = message[_ROW_HEADER:].split(b"\0", 2)
                tables[id_] = name.decode()
            case "I" | "U" | "D":
                changes.append(_change(message, tables))
            case "C":
                _, _, end, _ = _COMMIT.unpack_from(message, 1)
                yield Transaction(end, changes)
            case "O" | "Y" | "M":
                pass  # The origin of a transaction, a type, a message of pg_logical_emit_message.
            case kind:
                raise RefusedError(f"a change of the kind {kind!r} cannot be replicated: run the command again")


def _change(message: bytes, tables: dict[int, str]) -> Change:
    (id_,) = _INT32.unpack_from(message, 1)
    rows: dict[str, Row] = {}
    place = _ROW_HEADER
    while place < len(message):
        kind = chr(message[place])
        rows[kind], place = _row(message, place + 1, rows.get("O"))
    if "K" in rows or (message[:1] == b"U" and "O" not in rows):
        raise RefusedError(f"the table {tables[id_]} lost its replica identity: run the command again")
    return Change(tables[id_], rows.get("O"), rows.get("N"))


def _row(message: bytes, place: int, old: Row | None) -> tuple[Row, int]:
    (columns,) = _INT16.unpack_from(message, place)
    place += _INT16.size
    row: list[str | None] = []
    for column in range(columns):
        kind, place = chr(message[place]), place + 1
        value = None
        if kind == _UNCHANGED and old is not None:
            value = old[column]
        elif kind == "t":
            (length,) = _INT32.unpack_from(message, place)
            place += _INT32.size + length
            value = message[place - length : place].decode()
        row.append(value)
    return row, place


def composite(row: Row) -> str:
    """Returns a row in the text format of composite types.

    https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX
    """
    return f"({','.join('' if value is None else _quoted(value) for value in row)})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '""')
    return f'"{escaped}"'
