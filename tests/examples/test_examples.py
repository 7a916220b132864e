"""The examples of the documentation run."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from open_alchemy import package_database

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

pytestmark = pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")


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


@pytest.mark.parametrize("start", ["first", "second"])
def test_the_service_returns_the_newest_version_in_each_start_of_a_process(start: str) -> None:
    package_database.get().create_update_spec(sub="u1", name="My.Spec", version="1.0", model_count=1)

    with TestClient(load("service").app) as client:
        found = client.get("/u1/specs/my-spec/version")
        missing = client.get("/u1/specs/other/version")

    assert (found.status_code, found.json()) == (200, "1.0")
    assert (missing.status_code, missing.json()) == (404, {"detail": "the user has no spec 'other'"})
