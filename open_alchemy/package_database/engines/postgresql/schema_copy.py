"""The SQL that copies a schema with whatever tables, sequences and functions it has. No I/O.

Definitions contain the name of the schema. So the copy is created under that name, and renamed in the same transaction.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..sql.statements import Statement

_FIRST: Final = "generations"
"""The table that every transaction locks first. Once it is locked, no transaction is in progress or can start."""

_UNSUPPORTED: Final = """
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%(schema)s)
AND (relkind NOT IN ('r', 'i', 'S', 't') OR relispartition OR relhasrules OR relrowsecurity)
UNION ALL SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = to_regnamespace(%(schema)s) AND NOT tgisinternal
UNION ALL SELECT typname FROM pg_type WHERE typnamespace = to_regnamespace(%(schema)s) AND typtype IN ('e', 'd', 'r')
UNION ALL SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'r' AND (attgenerated <> '' OR attidentity <> '')
"""
_DEFINITIONS: Final = """
WITH namespace AS (SELECT oid, nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = %(schema)s),
class AS (SELECT pg_class.* FROM pg_class, namespace WHERE relnamespace = namespace.oid AND relkind IN ('r', 'S')),
grants AS (
    SELECT format('SCHEMA %%I', nspname) AS object, nspowner AS owner, item.* FROM namespace, aclexplode(nspacl) AS item
    UNION ALL
    SELECT format(CASE relkind WHEN 'S' THEN 'SEQUENCE %%s' ELSE 'TABLE %%s' END, class.oid::regclass), relowner, item.*
    FROM class, aclexplode(relacl) AS item
    UNION ALL
    SELECT format('FUNCTION %%s', pg_proc.oid::regprocedure), proowner, item.*
    FROM pg_proc, namespace, aclexplode(proacl) AS item WHERE pronamespace = namespace.oid
)
SELECT 1, format('CREATE SEQUENCE %%s AS %%s INCREMENT %%s MINVALUE %%s MAXVALUE %%s START %%s CACHE %%s%%s',
       class.oid::regclass, seqtypid::regtype, seqincrement, seqmin, seqmax, seqstart, seqcache,
       CASE WHEN seqcycle THEN ' CYCLE' END)
FROM class JOIN pg_sequence ON seqrelid = class.oid
UNION ALL
SELECT 2, pg_get_functiondef(pg_proc.oid) FROM pg_proc, namespace WHERE pronamespace = namespace.oid
UNION ALL
SELECT 3, format('CREATE %%sTABLE %%s (%%s)', CASE relpersistence WHEN 'u' THEN 'UNLOGGED ' END, class.oid::regclass, (
    SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod))
        || CASE WHEN attcollation <> typcollation THEN (
               SELECT format(' COLLATE %%s', pg_collation.oid::regcollation) FROM pg_collation WHERE oid = attcollation)
           ELSE '' END
        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), ''), ', ' ORDER BY attnum)
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped))
    || coalesce(' WITH (' || array_to_string(reloptions, ', ') || ')', '')
FROM class WHERE relkind = 'r'
UNION ALL
SELECT CASE contype WHEN 'f' THEN 5 ELSE 4 END,
       format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
              conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN class ON class.oid = conrelid WHERE contype IN ('p', 'u', 'c', 'x', 'f')
UNION ALL
SELECT 4, pg_get_indexdef(indexrelid) FROM pg_index JOIN class ON class.oid = indrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 6, format('GRANT %%s ON %%s TO %%s', privilege_type, object,
       CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM grants WHERE grantee <> owner
ORDER BY 1, 2
"""
_TABLES: Final = """
SELECT relname, coalesce((
    SELECT array_agg(pg_get_indexdef(indexrelid, place, true) ORDER BY place)
    FROM (SELECT indexrelid, indnkeyatts FROM pg_index WHERE indrelid = class.oid AND indisunique AND indpred IS NULL
          ORDER BY indisprimary DESC, indexrelid LIMIT 1) AS identity, generate_series(1, indnkeyatts) AS place
), '{}'), greatest(reltuples, 0)::bigint
FROM pg_class AS class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' ORDER BY relname
"""
_SEQUENCES: Final = "SELECT sequencename FROM pg_sequences WHERE schemaname = %s ORDER BY 1"


class CopiedTable(NamedTuple):
    """A table to copy.

    Attributes:
        name: Its name.
        identity: The expressions of its primary key or of another unique index; empty without one.
        rows: About how many rows it has.
    """

    name: str
    identity: tuple[str, ...]
    rows: int


def unsupported(schema: str) -> tuple[str, dict[str, str]]:
    """Returns the query for the names of what is in a schema and cannot be copied."""
    return _UNSUPPORTED, {"schema": schema}


def definitions(schema: str) -> tuple[str, dict[str, str]]:
    """Returns the query for the statements, in their second column, that create what is in a schema, and its grants."""
    return _DEFINITIONS, {"schema": schema}


def tables(schema: str) -> Statement:
    """Returns the query for the tables of a schema, each a row of the values of ``CopiedTable``."""
    return Statement(_TABLES, (schema,))


def sequences(schema: str) -> Statement:
    """Returns the query for the names of the sequences of a schema."""
    return Statement(_SEQUENCES, (schema,))


def lock(schema: str, found: list[CopiedTable], mode: str) -> str:
    """Returns the statements that lock tables, when no transaction is in progress."""
    names = ", ".join(_name(schema, table.name) for table in found)
    return f"LOCK TABLE {_name(schema, _FIRST)} IN ACCESS EXCLUSIVE MODE; LOCK TABLE {names} IN {mode} MODE"


def copy_out(schema: str, table: str) -> str:
    """Returns the statement that reads a table."""
    return f"COPY {_name(schema, table)} TO STDOUT"


def copy_in(schema: str, table: str) -> str:
    """Returns the statement that fills a table."""
    return f"COPY {_name(schema, table)} FROM STDIN"


def checksum(schema: str, table: str) -> str:
    """Returns the query for the number of rows and the sum of their hashes, which does not depend on their order."""
    digest = "('x' || left(encode(sha256(convert_to(item::text, 'UTF8')), 'hex'), 16))::bit(64)::bigint"
    return f"SELECT count(*), coalesce(sum({digest}), 0) FROM {_name(schema, table)} AS item"  # noqa: S608 (names of the schema)


def count(schema: str, table: str) -> str:
    """Returns the query for the number of rows."""
    return f"SELECT count(*) FROM {_name(schema, table)}"  # noqa: S608 (names of the schema)


def read_sequence(schema: str, sequence: str) -> str:
    """Returns the query for the state of a sequence."""
    return f"SELECT last_value, is_called FROM {_name(schema, sequence)}"  # noqa: S608 (names of the schema)


def set_sequence(schema: str, sequence: str, state: tuple[int, bool]) -> Statement:
    """Returns the statement that sets a sequence."""
    return Statement("SELECT setval(%s::regclass, %s, %s)", (_name(schema, sequence), *state))


def insert(schema: str, table: str) -> str:
    """Returns the statement that inserts a row, whose parameter is its composite value."""
    name = _name(schema, table)
    return f"INSERT INTO {name} SELECT (%s::{name}).*"


def delete(schema: str, table: CopiedTable) -> str:
    """Returns the statement that deletes a row, whose parameter is its composite value."""
    name = _name(schema, table.name)
    if not table.identity:
        # Of equal rows, only one.
        row = f"SELECT ctid FROM {name} AS item WHERE item = %s::{name} LIMIT 1"  # noqa: S608 (names of the schema)
        return f"DELETE FROM {name} WHERE ctid = ({row})"  # noqa: S608 (names of the schema)
    keys = ", ".join(table.identity)
    return f"DELETE FROM {name} WHERE ({keys}) = (SELECT {keys} FROM (SELECT (%s::{name}).*) AS old)"  # noqa: S608 (names of the schema)


def _name(schema: str, relation: str) -> str:
    quoted = relation.replace('"', '""')
    return f'{schema}."{quoted}"'
