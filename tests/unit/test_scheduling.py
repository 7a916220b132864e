"""The distribution of the tests over workers."""

from __future__ import annotations

import pytest

from tests.scheduling import priority, scope


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/postgresql/test_a.py::test_a", "postgresql"),
        ("tests/sqlalchemy/test_a.py::test_a[1-postgresql]", "sqlalchemy"),
        ("tests/contract/test_a.py::test_a[postgresql, async-1]", "postgresql"),
        ("tests/contract/test_a.py::test_a[cache, postgresql]", "postgresql"),
        ("tests/contract/test_a.py::test_a[amqp, sqlite, memory]", "amqp"),
        ("tests/contract/test_a.py::test_a[sqlite, file, async]", "contract[sqlite, file, async]"),
        ("tests/contract/test_a.py::test_a[sqlite, file-other0]", "contract[sqlite, file]"),
        ("tests/broker/test_a.py::test_a[two messages-amqp]", "amqp"),
        ("tests/unit/test_a.py::TestA::test_a[a/b-c]", "tests/unit/test_a.py::TestA::test_a"),
        ("test_a.py::test_a", "test_a.py::test_a"),
    ],
)
def test_tests_that_share_a_server_run_in_one_worker(nodeid: str, expected: str) -> None:
    assert scope(nodeid) == expected


def test_slow_tests_start_first() -> None:
    names = ["unit", "broker", "postgresql", "infrastructure"]

    assert sorted(names, key=lambda name: priority(f"tests/{name}/test_a.py::test_a")) == names[::-1]
