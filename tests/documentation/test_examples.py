"""Every Python example of the documentation runs, in the order of its page, on an empty SQLite database."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_alchemy.package_database.instances import api
from tests.plugin.conftest import Run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

# On other stores: test_the_restore_copies_the_items_of_a_user and tests/postgresql/test_datastore.py run them.
ON_OTHER_STORES = {"operating.md", "datastore.md"}


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


# A block with a test is run as a test module. The other blocks of a page run as one program with top-level `await`.
PROGRAMS = {
    page.name: "\n".join(block for block in blocks(page) if "def test_" not in block)
    for page in PAGES
    if page.name not in ON_OTHER_STORES
}
TESTS = {
    f"{page.name}, {number}": block
    for page in PAGES
    for number, block in enumerate(blocks(page), start=1)
    if "def test_" in block
}


@pytest.fixture
def empty_database(tmp_path: Path, fresh_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new process in an empty folder, whose database is a SQLite file there."""
    for name in [name for name in os.environ if name.startswith(("STAGE", "AWS_", "PACKAGE_DATABASE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PACKAGE_DATABASE_URL", "sqlite:///examples.db")
    monkeypatch.chdir(tmp_path)
    yield
    api.current().close()


@pytest.mark.usefixtures("empty_database")
@pytest.mark.parametrize("page", [name for name, program in PROGRAMS.items() if program])
def test_the_examples_of_a_page_run(page: str) -> None:
    code = compile(PROGRAMS[page], page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)

    result = eval(code, {"__name__": "example"})  # noqa: S307 (returns the coroutine of an `await`)
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("block", TESTS.values(), ids=TESTS)
def test_an_example_of_a_test_passes(block: str, service: pytest.Pytester, run_alone: Run) -> None:
    service.makepyfile(block)

    assert run_alone("--package-database-engine=sqlite").ret == 0


@pytest.mark.long
def test_the_examples_for_services_and_testers_pass_mypy_strict(tmp_path: Path) -> None:
    """``scripts/check`` runs this test too."""
    pytest.importorskip("mypy", reason="scripts/install dev installs it")
    pages = ("services.md", "testing.md", "upgrading.md")
    for page in pages:
        for number, block in enumerate(blocks(ROOT / "docs" / page)):
            (tmp_path / f"{page.removesuffix('.md')}_{number}.py").write_text(block, encoding="utf-8")

    options = ("--strict", "--config-file=", "--explicit-package-bases", "--namespace-packages")
    finished = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={tmp_path / 'cache'}", *sorted(tmp_path.glob("*.py"))],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("page", "name"), [("services", "service"), ("functions", "broker/queries"), ("functions", "broker/search_index")]
)
def test_a_page_shows_the_whole_example(page: str, name: str) -> None:
    source = (ROOT / "docs" / "examples" / f"{name}.py").read_text(encoding="utf-8")

    assert source in blocks(ROOT / "docs" / f"{page}.md")


def test_the_restore_copies_the_items_of_a_user(_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    if not _database.startswith("http"):
        pytest.skip("needs a DynamoDB")
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": _database,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "restore",
        "AWS_SECRET_ACCESS_KEY": "restore",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("dynamodb")
    for table in ("package.specs.restored", "restored.target"):
        client.create_table(
            TableName=table,
            KeySchema=[
                {"AttributeName": "sub", "KeyType": "HASH"},
                {"AttributeName": "updated_at_id", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "sub", "AttributeType": "S"},
                {"AttributeName": "updated_at_id", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    for sub in ("USER", "other"):
        client.put_item(
            TableName="package.specs.restored", Item={"sub": {"S": sub}, "updated_at_id": {"S": "latest#a"}}
        )
    (block,) = blocks(ROOT / "docs" / "operating.md")

    exec(compile(block.replace('"package.specs"', '"restored.target"'), "operating.md", "exec"), {})  # noqa: S102

    restored = client.scan(TableName="restored.target")["Items"]
    for table in ("package.specs.restored", "restored.target"):
        client.delete_table(TableName=table)
    assert [item["sub"]["S"] for item in restored] == ["USER"]
