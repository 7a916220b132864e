"""Creating, describing, emptying and deleting tables on a real local server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError, UnavailableError
from open_alchemy.package_database.engines.dynamodb import administration as module
from open_alchemy.package_database.engines.dynamodb.administration import DynamoDBAdministration
from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
from open_alchemy.package_database.engines.port import KeyInfo
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from open_alchemy.package_database.testing import dynamodb_server
from tests.apis import config_of, connect_to
from tests.canned_server import fail, reset, serve, succeed
from tests.unit.test_differences import described


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with dynamodb_server.run() as found:
        yield found


@pytest.fixture
def administration(url: str) -> Iterator[DynamoDBAdministration]:
    tables = DynamoDBAdministration(DynamoDBEngine(config_of(url)))
    yield tables
    for table in (SPECS, CREDENTIALS):
        tables.delete(table)


def test_a_table_is_created_and_deleted(administration: DynamoDBAdministration) -> None:
    assert administration.describe(SPECS) is None

    administration.create(SPECS)
    info = administration.describe(SPECS)

    assert info is not None
    assert info.status == "ACTIVE"
    assert info.keys == KeyInfo("package.specs", "sub", "updated_at_id")
    assert info.indexes == (KeyInfo("idUpdatedAt", "sub", "id_updated_at"),)
    assert administration.describe(CREDENTIALS) is None
    assert administration.delete(SPECS) is True
    assert administration.delete(SPECS) is False


def test_an_existing_table_is_not_created_again(administration: DynamoDBAdministration) -> None:
    administration.create(SPECS)

    with pytest.raises(RefusedError, match="CreateTable on package.specs was refused with ResourceInUseException"):
        administration.create(SPECS)


def test_clearing_a_table_deletes_every_page(administration: DynamoDBAdministration, url: str) -> None:
    administration.create(SPECS)
    database = connect_to(config_of(url))
    for number in range(8):
        database.create_update_spec(sub=f"u{number}", name="a", version="1", model_count=1, description="x" * 150_000)

    administration.clear(SPECS)

    assert [database.list_specs(sub=f"u{number}") for number in range(8)] == [[]] * 8


def test_creating_a_table_waits_until_it_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    creating, active = ({"Table": {"TableStatus": status}} for status in ("CREATING", "ACTIVE"))
    monkeypatch.setattr(module, "_POLL", 0.01)
    with serve(succeed({}), fail("ResourceNotFoundException"), succeed(creating), succeed(active)) as server:
        DynamoDBAdministration(DynamoDBEngine(config_of(server.url))).create(SPECS)

        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("method", "code"), [("create", "ResourceInUseException"), ("delete", "ResourceNotFoundException")]
)
def test_a_repeated_request_that_took_effect_before_is_a_success(method: str, code: str) -> None:
    active = succeed({"Table": {"TableStatus": "ACTIVE"}})
    first = [active] if method == "delete" else []
    last = active if method == "create" else fail("ResourceNotFoundException")
    with serve(*first, reset, fail(code), last) as server:
        getattr(DynamoDBAdministration(DynamoDBEngine(config_of(server.url))), method)(SPECS)

        assert len(server.requests) == len(first) + 3


def test_waiting_for_an_inactive_table_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 2 * module._DEADLINE)
    with serve(succeed({}), succeed({"Table": {"TableStatus": "CREATING"}})) as server:
        tables = DynamoDBAdministration(DynamoDBEngine(config_of(server.url)))
        with pytest.raises(UnavailableError, match="package.specs was not active after"):
            tables.create(SPECS)


def test_a_table_that_cannot_be_described_is_an_error() -> None:
    with serve(fail("AccessDeniedException")) as server, pytest.raises(RefusedError, match="AccessDenied"):
        DynamoDBAdministration(DynamoDBEngine(config_of(server.url))).describe(SPECS)


@pytest.mark.parametrize("table", [{}, {"TableName": "x"}, {"KeySchema": 1}, {"TableStatus": "ACTIVE"}])
@pytest.mark.parametrize("question", ["describe", "differences"])
def test_a_malformed_description_is_unavailable(question: str, table: dict[str, Any]) -> None:
    with serve(succeed({"Table": table})) as server, pytest.raises(UnavailableError, match="is malformed"):
        getattr(DynamoDBAdministration(DynamoDBEngine(config_of(server.url))), question)(SPECS)


def test_a_table_of_production_must_have_backups_and_keep_its_items() -> None:
    table = {"Table": described(SPECS)}
    backups: dict[str, Any] = {"ContinuousBackupsDescription": {}}
    expiry = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "updated_at"}}
    with serve(succeed(table), succeed(backups), succeed(expiry)) as server:
        config = config_of(server.url)._replace(stage="PROD")
        found = DynamoDBAdministration(DynamoDBEngine(config)).differences(SPECS)

    assert found == [
        "it has no point-in-time recovery",
        "it deletes items whose updated_at has passed (time to live)",
    ]


def test_a_table_that_may_not_be_deleted_is_an_error() -> None:
    active = succeed({"Table": {"TableStatus": "ACTIVE"}})
    with serve(active, fail("AccessDeniedException")) as server, pytest.raises(RefusedError, match="AccessDenied"):
        DynamoDBAdministration(DynamoDBEngine(config_of(server.url))).delete(SPECS)


def test_deleting_a_table_waits_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    active, deleting = (succeed({"Table": {"TableStatus": status}}) for status in ("ACTIVE", "DELETING"))
    with serve(active, succeed({}), deleting, fail("ResourceNotFoundException")) as server:
        assert DynamoDBAdministration(DynamoDBEngine(config_of(server.url))).delete(SPECS) is True

        assert len(server.requests) == 4
