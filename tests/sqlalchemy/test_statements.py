"""What is refused on PostgreSQL before it is sent."""

from __future__ import annotations

import pytest

from open_alchemy.package_database.sqlalchemy.write_protection import controls_transaction, is_own


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("COMMIT", True),
        (" commit ", True),
        ("SELECT 1; ROLLBACK", True),
        ("ROLLBACK TO SAVEPOINT a", False),
        ("rollback transaction to a", False),
        ("SELECT 'a; COMMIT'", False),
        ("SELECT E'\\'; COMMIT'", False),
        ("SELECT 1 -- ; COMMIT", False),
        ("SELECT $a$; COMMIT$a$", False),
        ("DO $$ BEGIN NULL; END $$", False),
        ("PREPARE plan AS SELECT 1", False),
        ("/* x */ START TRANSACTION", True),
    ],
)
def test_control_of_transactions_is_recognized(statement: str, expected: bool) -> None:  # noqa: FBT001
    assert controls_transaction(statement) is expected


def test_the_tables_of_the_package_are_recognized() -> None:
    assert is_own("specs", "shard0001", None)
    assert is_own("tokens", None, 1)
    assert is_own("anything", "package_database", None)
    assert not is_own("specs", None, None)
    assert not is_own("notes", "shard0001", None)
    assert not is_own("specs", "public", None)
