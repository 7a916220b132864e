"""Fixtures for the tests of services: a local store, its tables, and a clean table for each test.

The plugin reads ``STAGE`` once, when pytest starts (default: ``TEST``); later changes have no effect. ``get()`` ignores
``PACKAGE_DATABASE_URL`` in the process of the tests. The plugin loads engines and starts servers only for its fixtures,
except that a run with pytest-xdist and PostgreSQL starts one server for all workers.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

import pytest

from .engines import registry
from .engines.dynamodb.config import DynamoDBConfig, check_url
from .engines.port import Administration, Config, Sharded, read_deadline
from .engines.sqlite.config import SQLiteConfig
from .exceptions import BaseError, ConfigurationError, RefusedError
from .instances import api
from .instances.lookup import FILE_VARIABLE, INSTANCE_VARIABLE
from .testing import postgresql_server
from .testing.dynamodb_server import DEFAULT_PORT, LocalServerError, is_free, run
from .testing.postgresql_server import PostgreSQLServer, PostgreSQLServerError

# The engine and the tables are imported by the fixtures: most test runs only load this module.
if TYPE_CHECKING:
    from .core.operations import Table
    from .testing.local_instances import LocalInstances

_ENGINE = "package_database_engine"
_DYNAMODB = "dynamodb"
_SQLITE = "sqlite"
_POSTGRESQL = "postgresql"
_ENGINES = (_DYNAMODB, _SQLITE, _POSTGRESQL)
_ENDPOINT = "package_database_endpoint"
_ALLOW_REMOTE = "package_database_allow_remote"
# pytest --fixtures lists no name that starts with an underscore.
_FIXTURES = (
    "_database",
    "_specs_table",
    "_clean_specs_table",
    "_credentials_table",
    "_clean_credentials_table",
    "_instances",
)
_WORKER_STAGE = "package_database_stage"
_WORKER_SERVER = "package_database_server"
_SHARDS = 4
"""The shards of a PostgreSQL database: enough for two users to have different ones, and created fast."""

_xdist_server: Final = pytest.StashKey[PostgreSQLServer]()
_xdist_stack: Final = pytest.StashKey[ExitStack]()

_DEFAULT_STAGE = "TEST"

_stage = os.environ.get("STAGE", "")
"""The value of ``STAGE`` when pytest started; empty if it was not set."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and ini values."""
    group = parser.getgroup("package-database", f"OpenAlchemy's package database (fixtures: {', '.join(_FIXTURES)})")
    endpoint_help = "use a running DynamoDB at this URL instead of starting one"
    remote_help = "allow package_database_endpoint on another machine: the fixtures create, empty and delete tables"
    engine_help = (
        "the store of the fixtures: dynamodb (a local server, the default), sqlite (in memory, no server) or "
        "postgresql (started for the test run)"
    )
    group.addoption("--package-database-engine", dest=_ENGINE, choices=_ENGINES, help=engine_help)
    group.addoption("--package-database-endpoint", dest=_ENDPOINT, metavar="URL", help=endpoint_help)
    group.addoption("--package-database-allow-remote", dest=_ALLOW_REMOTE, action="store_true", help=remote_help)
    parser.addini(_ENGINE, engine_help, default=_DYNAMODB)
    parser.addini(_ENDPOINT, endpoint_help, default="")
    parser.addini(_ALLOW_REMOTE, remote_help, type="bool", default=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Sets the stage before a conftest or an application can change the environment.

    A worker of pytest-xdist inherits an environment that may have changed, so its stage is TEST until it receives the
    stage of the controller.
    """
    del early_config
    _settle_stage("" if "PYTEST_XDIST_WORKER" in os.environ else _stage)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Sets the stage that the controller sent, in a worker of pytest-xdist."""
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        try:
            _settle_stage(worker_input[_WORKER_STAGE])
        except ConfigurationError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Sends the stage to a worker of pytest-xdist, and the URL of its database on the PostgreSQL server of all."""
    node.workerinput[_WORKER_STAGE] = _stage
    if _engine_name(node.config) == _POSTGRESQL and (_stage or _DEFAULT_STAGE) == _DEFAULT_STAGE:
        node.workerinput[_WORKER_SERVER] = _server_of_all_workers(node.config).create_database(node.gateway.id)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the server of the workers."""
    config.stash.get(_xdist_stack, ExitStack()).close()


def _server_of_all_workers(config: pytest.Config) -> PostgreSQLServer:
    if _xdist_server not in config.stash:
        stack = config.stash[_xdist_stack] = ExitStack()
        try:
            config.stash[_xdist_server] = stack.enter_context(postgresql_server.run())
        except PostgreSQLServerError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_xdist_server]


def _settle_stage(stage: str) -> None:
    global _stage
    _stage = stage
    api.set_default(_configuration_without_fixtures)


def _configuration() -> Config:
    """Returns the configuration of the stage, without ``PACKAGE_DATABASE_URL``: it may name a database in use."""
    return registry.from_environment({**os.environ, "STAGE": _stage or _DEFAULT_STAGE, registry.URL_VARIABLE: ""})


def _configuration_without_fixtures() -> Config:
    """Returns the configuration of the stage; no store if neither a stage nor an endpoint is set."""
    config = _configuration()
    # The server at the default port may be another program's.
    is_configured = _stage or os.environ.get("AWS_ENDPOINT_URL_DYNAMODB")
    return config if is_configured else _NoStore(config.deadline)


@dataclass(frozen=True, slots=True)
class _NoStore:
    """The configuration of a test run in which no fixture was used: every call fails."""

    deadline: float
    location: str = "no store"

    def open_engine(self, tables: Sequence[Table]) -> NoReturn:
        """Raises the reason."""
        del tables
        raise ConfigurationError(
            "no store is selected in this test run: use a fixture of the pytest plugin, such as _clean_specs_table, "
            "or set STAGE or AWS_ENDPOINT_URL_DYNAMODB"
        )

    open_async_engine = open_engine


@dataclass(frozen=True, slots=True)
class _Store:
    """The store of the fixtures.

    Attributes:
        url: The value of the fixture ``_database``.
        administration: Creates, empties and deletes its tables.
        has_tables: Whether opening the store creates the tables, and closing it deletes them.
    """

    url: str
    administration: Administration
    has_tables: bool


@pytest.fixture(scope="session")
def _package_database_store(request: pytest.FixtureRequest) -> Iterator[_Store]:
    """Opens the store of the fixtures, and makes it the default store of ``package_database.get()``."""
    from .model.schema import TABLES

    if (_stage or _DEFAULT_STAGE) != "TEST":
        pytest.fail(
            f"STAGE is {_stage!r}: the fixtures that create and delete tables only run with STAGE=TEST; "
            "tests of deployed tables must use package_database.get() without these fixtures",
            pytrace=False,
        )
    with ExitStack() as stack:
        engine = _engine(request.config)
        config: Config
        match engine:
            case "sqlite":
                url, config = "sqlite://", _sqlite_configuration()
            case "postgresql":
                url = _postgresql_database(stack, request.config)
                config = registry.from_url(url, os.environ)
            case _:
                url = _given_endpoint(request.config) or _start(stack, request.config)
                config = _endpoint_configuration(url)
        api.set_default(lambda: config)
        opened = config.open_engine(TABLES)
        stack.callback(opened.close)
        administration = opened.administration()
        if isinstance(administration, Sharded):
            administration.choose_shards(_SHARDS)
        yield _Store(url, administration, has_tables=engine == _SQLITE)


@pytest.fixture(scope="session")
def _database(_package_database_store: _Store) -> str:
    """The URL of an empty local store, which ``package_database.get()`` uses. A DynamoDB has no tables."""
    return _package_database_store.url


@pytest.fixture(scope="session")
def _specs_table(_package_database_store: _Store) -> Iterator[None]:
    """The table package.specs, for the whole test run."""
    from .model.schema import SPECS

    yield from _table(_package_database_store, SPECS)


@pytest.fixture
def _clean_specs_table(_package_database_store: _Store, _specs_table: None) -> Iterator[None]:
    """The table package.specs, emptied before and after the test."""
    from .model.schema import SPECS

    yield from _clean(_package_database_store, SPECS)


@pytest.fixture(scope="session")
def _credentials_table(_package_database_store: _Store) -> Iterator[None]:
    """The table package.credentials, for the whole test run."""
    from .model.schema import CREDENTIALS

    yield from _table(_package_database_store, CREDENTIALS)


@pytest.fixture
def _clean_credentials_table(_package_database_store: _Store, _credentials_table: None) -> Iterator[None]:
    """The table package.credentials, emptied before and after the test."""
    from .model.schema import CREDENTIALS

    yield from _clean(_package_database_store, CREDENTIALS)


@pytest.fixture
def _instances(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalInstances]:
    """Instances "one" and "two" on SQLite files of the test's own, without a default. ``write()`` replaces them."""
    from .testing.local_instances import LocalInstances

    local = LocalInstances(tmp_path_factory.mktemp("instances"), os.environ)
    # For processes that the test starts.
    monkeypatch.setenv(FILE_VARIABLE, str(local.path))
    for name in (INSTANCE_VARIABLE, registry.URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with api.replaced(lambda: local.directory):
        yield local
    local.directory.close()


def _engine(config: pytest.Config) -> str:
    engine = _engine_name(config)
    if engine not in _ENGINES:
        pytest.fail(f"{_ENGINE} must be {', '.join(_ENGINES[:-1])} or {_ENGINES[-1]}, not {engine!r}", pytrace=False)
    return engine


def _engine_name(config: pytest.Config) -> str:
    name: str = config.getoption(_ENGINE) or config.getini(_ENGINE)
    return name


def _postgresql_database(stack: ExitStack, config: pytest.Config) -> str:
    """Returns the URL of an empty database: on a new server, or on that of all workers of pytest-xdist."""
    if _is_worker(config):
        url: str = config.workerinput[_WORKER_SERVER]  # type: ignore[attr-defined] # pytest-xdist adds it.
        return url
    try:
        return stack.enter_context(postgresql_server.run()).url()
    except PostgreSQLServerError as error:
        pytest.fail(str(error), pytrace=False)


def _sqlite_configuration() -> Config:
    """Returns the configuration of a database in memory that no ``sqlite://`` of the application uses."""
    return SQLiteConfig(memory=__name__, deadline=read_deadline(os.environ))


def _endpoint_configuration(url: str) -> DynamoDBConfig:
    config = _configuration()
    assert isinstance(config, DynamoDBConfig), "STAGE selects DynamoDB"
    return config._replace(endpoint_url=url)


def _table(store: _Store, table: Table) -> Iterator[None]:
    if store.has_tables:
        yield
        return
    if store.administration.describe(table) is not None:
        pytest.fail(
            f"the table {table.name} already exists at {store.url}: the fixtures would delete it with its data; "
            "delete it first, or use another server",
            pytrace=False,
        )
    store.administration.create(table)
    yield
    store.administration.delete(table)


def _clean(store: _Store, table: Table) -> Iterator[None]:
    store.administration.clear(table)
    yield
    store.administration.clear(table)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _start(stack: ExitStack, config: pytest.Config) -> str:
    """Starts a server at the default port, or at a free port if that is in use."""
    if not _is_worker(config) and is_free(DEFAULT_PORT):
        with suppress(LocalServerError):
            return stack.enter_context(run(DEFAULT_PORT))
    try:
        return stack.enter_context(run())
    except LocalServerError as error:
        pytest.fail(str(error), pytrace=False)


def _given_endpoint(config: pytest.Config) -> str | None:
    url: str | None = config.getoption(_ENDPOINT) or config.getini(_ENDPOINT)
    if not url:
        return None
    try:
        check_url(url, source=_ENDPOINT)
    except ConfigurationError as error:
        pytest.fail(str(error), pytrace=False)
    if not _is_loopback(urlsplit(url).hostname or "") and not (
        config.getoption(_ALLOW_REMOTE) or config.getini(_ALLOW_REMOTE)
    ):
        pytest.fail(
            f"{_ENDPOINT} is {url}, on another machine, and the fixtures would create, empty and delete tables there: "
            f"allow it with {_ALLOW_REMOTE}, or use localhost",
            pytrace=False,
        )
    if _is_worker(config):
        pytest.fail(
            f"the workers of pytest-xdist cannot share the tables at {url}: remove {_ENDPOINT}, or run with -n 0",
            pytrace=False,
        )
    _require_transactions(url)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _require_transactions(url: str) -> None:
    """Fails if a server does not support transactions: the package writes with TransactWriteItems."""
    from .core.deadline import Deadline
    from .engines.dynamodb.engine import DynamoDBEngine

    engine = DynamoDBEngine(_endpoint_configuration(url))
    probe = {
        "TransactItems": [
            {
                "ConditionCheck": {
                    "TableName": "package.transactions-probe",
                    "Key": {"id": {"S": "probe"}},
                    "ConditionExpression": "attribute_not_exists(#id)",
                    "ExpressionAttributeNames": {"#id": "id"},
                }
            }
        ]
    }
    try:
        engine.ask("TransactWriteItems", probe, "package.transactions-probe", Deadline(engine.config.deadline))
    except RefusedError as error:
        # Any other error code is expected, because the table does not exist.
        if error.code in ("UnknownOperationException", "NotImplemented"):
            pytest.fail(
                f"the server at {url} does not support transactions (TransactWriteItems), as dynalite does not: "
                "use moto, DynamoDB Local or the server that the fixtures start",
                pytrace=False,
            )
    except BaseError as error:
        pytest.fail(f"the server at {url} does not answer: {error}", pytrace=False)
