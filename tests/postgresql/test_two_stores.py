"""One process serves an instance on PostgreSQL and one on DynamoDB, and an operator moves one to the other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.instance_file import InstanceFile
from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing import dynamodb_server
from tests.instances.servers import SERVICES, load, request


@pytest.fixture
def directory(tmp_path: Path, url: str) -> Iterator[InstanceFile]:
    """The instances "sql" on PostgreSQL and "document" on DynamoDB, both empty."""
    with dynamodb_server.run() as server:
        administration = dynamodb_server.config_of(server).open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        urls = {"sql": url, "document": server.replace("http:", "dynamodb:")}
        path = tmp_path / "instances.toml"
        path.write_text("".join(f'[instances.{name}]\nurl = "{urls[name]}"\n' for name in urls))
        directory = InstanceFile(str(path), os.environ)
        with api.replaced(lambda: directory):
            yield directory
        directory.close()


def copy() -> Result:
    return CliRunner().invoke(commands, ["copy", "--instance", "sql", "--to-instance", "document"])


def test_one_process_serves_two_stores_and_one_is_copied_to_the_other(directory: InstanceFile) -> None:
    with ExitStack() as stack:
        ports = {
            service: stack.enter_context(SERVICES[service](load(service)))
            for service in ("flask_service", "fastapi_service")
        }

        def publish(instance: str) -> None:
            for service, port in ports.items():
                stored = request(port, f"/specs/u1/{instance}-{service}", {"InstanceId": instance}, "PUT")
                assert (stored.status, json.loads(stored.body)) == (200, {"instance": instance})

        def listed(instance: str) -> list[list[str]]:
            answers = [request(port, "/specs/u1", {"InstanceId": instance}) for port in ports.values()]
            return [sorted(json.loads(answer.body)) for answer in answers]

        publish("sql")
        before = listed("sql"), listed("document")
        copied = copy()
        after = listed("sql"), listed("document")
        publish("document")
        apart = listed("sql"), listed("document")
        again = copy()

    of_sql = ["sql-fastapi_service", "sql-flask_service"]
    of_document = ["document-fastapi_service", "document-flask_service"]
    assert before == ([of_sql] * 2, [[]] * 2)
    assert after == ([of_sql] * 2, [of_sql] * 2)
    assert apart == ([of_sql] * 2, [of_document + of_sql] * 2)
    assert copied.exit_code == 0, copied.output
    assert "verified: versions: 2" in copied.output
    # The target has other items by now.
    assert again.exit_code == 1
    assert "the instance sql and the instance document differ: versions of specs: 2 and 4" in again.output
