"""A feature whose packages are not installed raises ``ConfigurationError``, which names the command to install them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec, module_from_spec
from typing import TypeAlias

import pytest

from open_alchemy.package_database import ConfigurationError

Case: TypeAlias = tuple[str, str, str]
"""What a program executes, the package that it cannot import, and the extra with this package."""

PROGRAM = """
import asyncio, json, os, sys
from open_alchemy import package_database
from open_alchemy.package_database import exceptions

cases = json.load(sys.stdin)
for lacking in dict.fromkeys(missing for _, missing, _ in cases):
    if not os.fork():
        sys.modules[lacking] = None
        for number, (code, missing, _) in enumerate(cases):
            if missing == lacking:
                try:
                    exec(code)
                except exceptions.ConfigurationError as error:
                    print(number, error)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
SHARD_MAP = """
shards = 1
[[servers]]
name = "db1"
shards = "1-2"
conninfo = "host=127.0.0.1 port=1"
"""
ADDRESS = "127.0.0.1:1"
URLS = [
    (f"postgresql://{ADDRESS}/a", "psycopg", "postgresql"),
    ("shards:///shards.toml", "psycopg", "postgresql"),
    (f"broker://{ADDRESS}", "zmq", "broker"),
    (f"broker://{ADDRESS}", "msgspec", "broker"),
    (f"broker://{ADDRESS}?cache=1", "msgspec", "broker"),
    (f"broker://{ADDRESS}?cache=1", "cachetools", "cache"),
    (f"broker://{ADDRESS}?codec=bson", "bson", "bson"),
    (f"nats://{ADDRESS}", "msgspec", "nats"),
    (f"nats://{ADDRESS}", "nats", "nats"),
    (f"nats://{ADDRESS}?codec=bson", "bson", "bson"),
    (f"amqp://{ADDRESS}", "msgspec", "amqp"),
    (f"amqp://{ADDRESS}", "aio_pika", "amqp"),
]
DATASTORE = """
from open_alchemy.package_database.datastore import {0}
{1}({0}([dict(shards='1-2', host='x')]).shard_of('u1'))
"""
CASES: list[Case] = [
    *((f"package_database.connect({url!r}).list_specs(sub='u1')", missing, extra) for url, missing, extra in URLS),
    *(
        (f"asyncio.run(package_database.aconnect({url!r}).list_specs(sub='u1'))", missing, extra)
        for url, missing, extra in URLS
    ),
    (DATASTORE.format("Datastore", ""), "psycopg", "postgresql"),
    (DATASTORE.format("AsyncDatastore", "asyncio.run"), "psycopg", "postgresql"),
    ("import open_alchemy.package_database.sqlalchemy", "sqlalchemy", "sqlalchemy"),
    ("import open_alchemy.package_database.sqlalchemy", "transaction", "sqlalchemy"),
    ("import open_alchemy.package_database.factory", "factory", "test"),
    ("package_database.cached", "cachetools", "cache"),
    ("package_database.exposed", "msgspec", "broker"),
]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each case, by its number, prints in a child process, of which one program has one for each package."""
    folder = tmp_path_factory.mktemp("extras")
    (folder / "shards.toml").write_text(SHARD_MAP)
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=json.dumps(CASES), capture_output=True, text=True, check=True, cwd=folder)
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return {int(number): message for number, _, message in lines}


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(CASES[number][1:]))
def test_what_lacks_a_package_names_its_extra(messages: dict[int, str], number: int) -> None:
    extra = CASES[number][2]

    assert messages[number].endswith(f"pip install 'open-alchemy.package-database[{extra}]'")


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("cache", "cachetools", "cache"), ("factory", "factory.base", "test"), ("sqlalchemy", "sqlalchemy", "sqlalchemy")],
)
def test_a_module_names_its_extra(monkeypatch: pytest.MonkeyPatch, module: str, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    spec = find_spec(f"open_alchemy.package_database.{module}")
    assert spec is not None
    assert spec.loader is not None

    with pytest.raises(ConfigurationError, match=rf"pip install 'open-alchemy\.package-database\[{extra}\]'"):
        spec.loader.exec_module(module_from_spec(spec))
