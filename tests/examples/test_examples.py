"""The examples of the documentation run."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import UnavailableError

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

pytestmark = pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")


def client_of(app: Any) -> Any:
    from fastapi.testclient import TestClient  # deferred: every worker imports this module

    return TestClient(app)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_crawler_publishes_concurrently(capsys: pytest.CaptureFixture[str]) -> None:
    crawler = load("crawler")

    asyncio.run(crawler.main())
    asyncio.run(crawler.main())

    assert capsys.readouterr().out == "20 specs with 190 models\n" * 2


def test_the_service_returns_the_latest_version() -> None:
    package_database.get().create_update_spec(sub="u1", name="My.Spec", version="1.0", model_count=1)

    with client_of(load("service").app) as client:
        found = client.get("/u1/specs/my-spec/version")

    assert (found.status_code, found.json()) == (200, "1.0")


def test_the_service_answers_after_a_restart_in_the_same_process() -> None:
    app = load("service").app

    statuses = []
    for _ in range(2):
        with client_of(app) as client:
            statuses.append(client.get("/u1/specs/my-spec/version").status_code)

    assert statuses == [404, 404]


@pytest.mark.parametrize(
    ("sub", "error", "status", "detail"),
    [
        ("u1", None, 404, "the user has no spec 'my-spec'"),
        ("s" * 3000, None, 422, "sub must have"),
        ("u1", UnavailableError("http://10.0.0.1:8000 did not answer"), 503, "the database is unavailable"),
    ],
)
def test_the_service_maps_errors_to_statuses(
    monkeypatch: pytest.MonkeyPatch, sub: str, error: Exception | None, status: int, detail: str
) -> None:
    service = load("service")
    if error is not None:

        async def fail(**_: object) -> None:
            raise error

        monkeypatch.setattr(service.database, "get_latest_spec_version", fail)

    with client_of(service.app) as client:
        answer = client.get(f"/{sub}/specs/my-spec/version")

    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)
