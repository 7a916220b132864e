"""The pytest plugin in the test suite of a service.

Most of these suites run in this process, on a server that they share and whose tables each of them creates and deletes.
Suites about imports and the environment at the start run in new processes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from open_alchemy.package_database import pytest_plugin
from open_alchemy.package_database.engines.dynamodb.administration import DynamoDBAdministration
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.testing import dynamodb_server
from tests import other_region
from tests.apis import config_of
from tests.canned_server import fail, serve
from tests.plugin.conftest import Run

USES_BOTH_TABLES = """
    import pytest
    from open_alchemy import package_database

    @pytest.mark.usefixtures("_clean_specs_table", "_clean_credentials_table")
    @pytest.mark.parametrize("number", range(2))
    def test_service(number):
        database = package_database.get()
        assert database.list_specs(sub="u1") == []
        assert database.list_credentials(sub="u1") == []
        database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
        database.create_update_credentials(
            sub="u1", id_="1", public_key="pk", secret_key_hash=b"hash", salt=b"salt"
        )
        assert database.count_customer_models(sub="u1") == 1
        assert database.get_user(public_key="pk").sub == "u1"
"""


@pytest.fixture
def server(_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a DynamoDB without tables."""
    monkeypatch.setenv("AWS_REGION", other_region.REGION)
    with other_region.emptied(_database):
        yield _database


@pytest.fixture
def run(run_alone: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the suite of the service in this process, and starts no server for it."""
    monkeypatch.setattr(pytest_plugin, "is_free", lambda _: False)
    monkeypatch.setattr(pytest_plugin, "run", lambda: nullcontext(server))
    return run_alone


def test_every_test_starts_with_clean_tables(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)

    run().assert_outcomes(passed=2)


def test_workers_of_xdist_have_a_server_each(service: pytest.Pytester, run_alone: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)

    run_alone("-n", "2").assert_outcomes(passed=2)


def test_the_server_has_no_tables_before_a_fixture_creates_them(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile("""
        import pytest
        from open_alchemy import package_database

        def test_service(_database):
            assert _database.startswith("http://")
            with pytest.raises(package_database.RefusedError, match="does not exist"):
                package_database.get().list_specs(sub="u1")
    """)

    run().assert_outcomes(passed=1)


def test_a_database_that_was_opened_at_import_uses_the_server(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(
        application="""
            from open_alchemy import package_database
            database = package_database.get()
        """,
        test_service="""
            import application
            from open_alchemy import package_database

            def test_service(_clean_specs_table):
                application.database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
                assert package_database.get() is application.database
        """,
    )

    run().assert_outcomes(passed=1)


REFUSED_IN_PRODUCTION = "*STAGE is 'PROD'*only run with STAGE=TEST*"
CHANGES_THE_STAGE = """
    import os
    from open_alchemy import package_database
    os.environ["STAGE"] = "PROD"
    database = package_database.get()
"""
SEES_THE_TEST_STAGE = """
    from open_alchemy import package_database

    def test_service(_clean_specs_table, monkeypatch):
        monkeypatch.delenv("STAGE", raising=False)
        package_database.get().create_update_spec(sub="u1", name="a", version="1", model_count=1)
        assert package_database.get().get_latest_spec_version(sub="u1", name="a") == "1"
"""


def test_an_application_cannot_change_the_stage(service: pytest.Pytester, run_process: Run) -> None:
    service.makepyfile(application=CHANGES_THE_STAGE, test_service=f"    import application\n{SEES_THE_TEST_STAGE}")

    run_process("--package-database-engine=sqlite").assert_outcomes(passed=1)


def test_the_table_fixtures_refuse_to_run_in_production(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "PROD")
    monkeypatch.setattr(pytest_plugin, "_stage", "PROD")
    service.makepyfile(USES_BOTH_TABLES)

    result = run()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines([REFUSED_IN_PRODUCTION])


def test_a_run_in_production_uses_get_alone(
    service: pytest.Pytester, run_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "PROD")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    service.makepyfile("""
        from open_alchemy import package_database
        from open_alchemy.package_database.instances import api

        def test_service():
            assert package_database.get() is package_database.get()
            assert api.current().config.stage == "PROD"
    """)

    run_process().assert_outcomes(passed=1)


def test_a_worker_of_xdist_has_the_stage_of_a_run_in_production(
    service: pytest.Pytester, run_alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "PROD")
    monkeypatch.setattr(pytest_plugin, "_stage", "PROD")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    service.makepyfile(
        conftest="""
            from open_alchemy import package_database
            database = package_database.get()
        """,
        test_service="""
            from open_alchemy import package_database

            def test_service():
                assert package_database.get().engine.config.stage == "PROD"
        """,
        test_tables=USES_BOTH_TABLES,
    )

    result = run_alone("-n", "1")

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines([REFUSED_IN_PRODUCTION])


def test_a_run_that_uses_no_fixture_imports_no_driver(
    service: pytest.Pytester, run_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest finds the plugin by its entry point.
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")
    others = ("xdist", "xdist.looponfail", "randomly", "hypothesispytest", "anyio")
    service.makepyfile("""
        import sys

        def test_service():
            loaded = {name for name in sys.modules if name.startswith("open_alchemy.package_database.")}
            assert {name.split(".")[2] for name in loaded}.isdisjoint({"cli", "database", "model"})
            assert not [name for name in loaded if name.endswith(".engine")]
            assert {"boto3", "botocore", "moto", "factory", "packaging.utils"}.isdisjoint(sys.modules)
    """)

    run_process(*(f"-pno:{name}" for name in others)).assert_outcomes(passed=1)


def test_a_port_in_use_is_not_used(service: pytest.Pytester, run_alone: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_plugin, "run", lambda port=0: nullcontext(f"http://localhost:{port}"))
    service.makepyfile("""
        def test_service(_database):
            assert _database == "http://localhost:0"
    """)
    with closing(socket.socket()) as other:
        # Connections of an earlier server may be in TIME_WAIT.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Another process may use the port already, with the same effect.
        with suppress(OSError):
            other.bind(("127.0.0.1", dynamodb_server.DEFAULT_PORT))
            other.listen()

        run_alone().assert_outcomes(passed=1)


def test_a_mock_of_aws_does_not_clear_the_server(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile("""
        from moto import mock_aws
        from open_alchemy import package_database

        def test_service(_clean_specs_table):
            database = package_database.get()
            database.create_update_spec(sub="u1", name="a", version="1", model_count=1)
            with mock_aws():
                database.create_update_spec(sub="u1", name="b", version="1", model_count=1)
            assert len(database.list_specs(sub="u1")) == 2
    """)

    run().assert_outcomes(passed=1)


def test_the_factories_store_their_objects(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile("""
        from open_alchemy import package_database
        from open_alchemy.package_database.factory import CredentialsFactory, SpecFactory

        def test_service(_clean_specs_table, _clean_credentials_table):
            database = package_database.get()
            spec, credentials = SpecFactory(title="title"), CredentialsFactory()
            spec.save()
            credentials.save()
            SpecFactory().save()

            (info,) = database.list_specs(sub=spec.sub)
            assert (info["name"], info["version"]) == (spec.name, spec.version)
            assert (info["model_count"], info["title"]) == (spec.model_count, "title")
            user = database.get_user(public_key=credentials.public_key)
            assert (user.sub, user.salt) == (credentials.sub, credentials.salt)
            assert user.secret_key_hash == credentials.secret_key_hash
            assert "salt" not in repr(credentials)
    """)

    run().assert_outcomes(passed=1)


def administration(url: str) -> DynamoDBAdministration:
    return DynamoDBAdministration(DynamoDBEngine(config_of(url)._replace(region=other_region.REGION)))


@pytest.mark.parametrize("way", ["option", "ini"])
def test_a_server_that_is_running_is_used_and_left_as_it_was(
    service: pytest.Pytester, run: Run, server: str, way: str
) -> None:
    service.makepyfile(USES_BOTH_TABLES)
    service.makeini(f"[pytest]\npackage_database_endpoint = {server if way == 'ini' else ''}\n")
    options = [f"--package-database-endpoint={server}"] if way == "option" else []

    run(*options).assert_outcomes(passed=2)
    assert administration(server).describe(SPECS) is None


def test_a_table_that_exists_already_is_not_changed(service: pytest.Pytester, run: Run, server: str) -> None:
    service.makepyfile(USES_BOTH_TABLES)
    administration(server).create(SPECS)

    result = run(f"--package-database-endpoint={server}")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the table package.specs already exists at*"])
    assert administration(server).describe(SPECS) is not None


def test_a_server_without_transactions_is_refused_with_the_reason(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)
    with serve(fail("UnknownOperationException")) as server:
        result = run(f"--package-database-endpoint={server.url}")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*does not support transactions (TransactWriteItems), as dynalite does not*"])


def test_a_server_that_does_not_answer_is_named_in_the_error(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)
    with serve(fail("InternalServerError", status=500)) as server:
        result = run(f"--package-database-endpoint={server.url}")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the server at http://127.0.0.1:* does not answer: *"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--package-database-endpoint=http://192.0.2.1:8000"], "*on another machine*package_database_allow_remote*"),
        (["--package-database-endpoint=http://dynamodb.example:8000"], "*on another machine*"),
        (["--package-database-endpoint=localhost:8000"], "*package_database_endpoint must be a URL*"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_refused(
    service: pytest.Pytester, run: Run, options: list[str], message: str
) -> None:
    service.makepyfile(USES_BOTH_TABLES)

    result = run(*options)

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines([message])


def test_an_endpoint_that_workers_would_share_is_refused(service: pytest.Pytester, run_alone: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)

    result = run_alone("--package-database-endpoint=http://localhost:1", "-n", "1")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*workers of pytest-xdist cannot share*"])


def test_a_server_on_another_machine_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://192.0.2.1:8000"
    asked: list[str] = []
    monkeypatch.setattr(pytest_plugin, "_require_transactions", asked.append)
    options = {"package_database_endpoint": url, "package_database_allow_remote": True}
    config: Any = SimpleNamespace(getoption=options.get, getini=options.get)

    assert pytest_plugin._given_endpoint(config) == url
    assert asked == [url]


@pytest.mark.parametrize(
    ("is_free", "workerinput", "ports"),
    [(True, False, [8000]), (False, False, [0]), (True, True, [0])],
    ids=["free", "taken", "xdist"],
)
def test_the_server_has_the_default_port_where_that_is_free(
    monkeypatch: pytest.MonkeyPatch, ports: list[int], *, is_free: bool, workerinput: bool
) -> None:
    started: list[int] = []
    stack: Any = SimpleNamespace(enter_context=lambda url: url)
    monkeypatch.setattr(pytest_plugin, "is_free", lambda _: is_free)

    def run(port: int = 0) -> str:
        started.append(port)
        return "url"

    monkeypatch.setattr(pytest_plugin, "run", run)
    config: Any = SimpleNamespace(workerinput={}) if workerinput else SimpleNamespace()

    assert pytest_plugin._start(stack, config) == "url"
    assert started == ports


def test_a_server_that_does_not_start_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int = 0) -> None:
        raise dynamodb_server.LocalServerError("no server")

    monkeypatch.setattr(pytest_plugin, "run", refuse)
    stack: Any = SimpleNamespace(enter_context=lambda url: url)
    config: Any = SimpleNamespace()

    with pytest.raises(pytest.fail.Exception, match="no server"):
        pytest_plugin._start(stack, config)


WITHOUT_A_SERVER = (
    USES_BOTH_TABLES
    + """
    def test_no_server(_database, monkeypatch):
        import sys
        assert _database == "sqlite://"
        assert {"boto3", "botocore", "moto", "flask"}.isdisjoint(sys.modules)
        assert package_database.get().list_specs(sub="u1") == []

    def test_the_application_has_another_store_in_memory(_clean_specs_table):
        package_database.get().create_update_spec(sub="u1", name="a", version="1", model_count=1)
        with package_database.connect("sqlite://") as database:
            assert database.list_specs(sub="u1") == []
"""
)


IGNORES_THE_URL = """
    import os
    import pytest
    from open_alchemy import package_database

    def test_without_a_fixture():
        with pytest.raises(package_database.ConfigurationError):
            package_database.get().list_specs(sub="u1")

    def test_with_a_fixture(_clean_specs_table):
        os.environ["PACKAGE_DATABASE_URL"] = "sqlite:///production.db"
        package_database.get().create_update_spec(sub="u1", name="a", version="1", model_count=1)
        assert package_database.get().count_customer_models(sub="u1") == 1
"""


def set_production_url(service: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets the URL of the environment, and returns the file that it names."""
    path = service.path / "production.db"
    monkeypatch.setenv("PACKAGE_DATABASE_URL", f"sqlite:///{path}")
    return path


STARTS_NO_SERVER = """
    from open_alchemy.package_database import pytest_plugin
    pytest_plugin.run = pytest_plugin.is_free = None
"""


def test_sqlite_needs_no_server(service: pytest.Pytester, run_process: Run) -> None:
    service.makepyfile(conftest=STARTS_NO_SERVER, test_service=WITHOUT_A_SERVER)

    run_process("--package-database-engine=sqlite").assert_outcomes(passed=4)


def test_a_worker_of_xdist_needs_no_server_for_sqlite_and_ignores_the_environment(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = set_production_url(service, monkeypatch)
    service.makepyfile(
        conftest=f"{STARTS_NO_SERVER}\n{CHANGES_THE_STAGE}",
        test_1=IGNORES_THE_URL,  # before a fixture opens the store
        test_2=SEES_THE_TEST_STAGE,
        test_3=WITHOUT_A_SERVER,
    )
    service.makeini("[pytest]\npackage_database_engine = sqlite\n")

    run("-n", "1").assert_outcomes(passed=7)

    assert not production.exists()


def test_the_option_overrides_the_ini_value(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile("""
        def test_service(_database):
            assert _database == "sqlite://"
    """)
    service.makeini("[pytest]\npackage_database_engine = dynamodb\n")

    run("--package-database-engine=sqlite").assert_outcomes(passed=1)


def test_the_help_lists_every_fixture(service: pytest.Pytester, run: Run) -> None:
    names = (
        "_database",
        "_specs_table",
        "_clean_specs_table",
        "_credentials_table",
        "_clean_credentials_table",
        "_instances",
    )
    fixtures = [name for name in names if hasattr(pytest_plugin, name)]

    printed = run("--help").stdout.str()

    assert fixtures == [*names]
    assert [name for name in fixtures if name not in printed] == []


def test_an_unknown_engine_is_refused(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(USES_BOTH_TABLES)
    service.makeini("[pytest]\npackage_database_engine = mysql\n")

    result = run()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*package_database_engine must be dynamodb, sqlite or postgresql, not 'mysql'*"])


def test_sqlite_fixtures_refuse_to_run_in_production(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE", "PROD")
    monkeypatch.setattr(pytest_plugin, "_stage", "PROD")
    service.makepyfile(USES_BOTH_TABLES)

    result = run("--package-database-engine=sqlite")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*STAGE is 'PROD'*only run with STAGE=TEST*"])


@pytest.mark.parametrize("engine", ["dynamodb", "sqlite"])
def test_a_run_never_uses_the_url_of_the_environment(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    production = set_production_url(service, monkeypatch)
    service.makepyfile(IGNORES_THE_URL)

    run(f"--package-database-engine={engine}").assert_outcomes(passed=2)

    assert not production.exists()


@pytest.mark.parametrize("engine", ["dynamodb", "sqlite"])
def test_a_test_without_a_fixture_uses_no_server(service: pytest.Pytester, run: Run, engine: str) -> None:
    """A server at the default port may belong to another program."""
    service.makepyfile("""
        import asyncio
        import pytest
        from open_alchemy import package_database

        def test_service():
            with pytest.raises(package_database.ConfigurationError, match="such as _clean_specs_table"):
                package_database.get().list_specs(sub="u1")
            with pytest.raises(package_database.ConfigurationError, match="such as _clean_specs_table"):
                asyncio.run(package_database.get_async().list_specs(sub="u1"))
    """)

    run(f"--package-database-engine={engine}").assert_outcomes(passed=1)


def test_a_test_without_a_fixture_uses_a_configured_endpoint(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    service.makepyfile("""
        from open_alchemy import package_database
        from open_alchemy.package_database.instances import api

        def test_service():
            assert package_database.get() is package_database.get()
            assert api.current().config.endpoint_url == "http://127.0.0.1:1"
    """)

    run().assert_outcomes(passed=1)


def test_a_test_without_a_fixture_uses_the_stage_that_was_set(
    service: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytest_plugin, "_stage", "TEST")
    service.makepyfile("""
        from open_alchemy.package_database.instances import api

        def test_service():
            assert api.current().config.endpoint_url == "http://localhost:8000"
    """)

    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("engine", ["dynamodb", "sqlite"])
def test_a_command_of_the_application_reaches_the_store_of_the_fixtures(
    service: pytest.Pytester, run: Run, engine: str
) -> None:
    """A developer's own server may be at the default port: its tables would be deleted."""
    service.makepyfile("""
        from click.testing import CliRunner
        from open_alchemy import package_database
        from open_alchemy.package_database.cli.commands import commands

        def test_service(_database, _specs_table, _credentials_table, monkeypatch):
            monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
            assert package_database.get().list_specs(sub="u1") == []
            for command in ("delete", "create"):
                result = CliRunner().invoke(commands, ["tables", command, *(["--yes"] * (command == "delete"))])
                assert result.exit_code == 0, result.output
                assert result.output.count(f"{command}d package.") == 2
    """)

    run(f"--package-database-engine={engine}").assert_outcomes(passed=1)


def test_the_deadline_of_the_environment_applies_to_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", "2")

    assert pytest_plugin._sqlite_configuration().deadline == 2


def test_a_clean_table_is_two_statements() -> None:
    engine: Any = SQLiteConfig(memory="test").open_engine(TABLES)
    store = pytest_plugin._Store("sqlite://", engine.administration(), has_tables=True)
    statements: list[str] = []
    engine._pool._connection.set_trace_callback(statements.append)

    clean = pytest_plugin._clean(store, SPECS)
    next(clean)
    next(clean, None)

    assert statements == ['DELETE FROM "package.specs"'] * 2


def test_these_tests_run_in_the_test_stage() -> None:
    config = pytest_plugin._configuration()

    assert isinstance(config, DynamoDBConfig)
    assert config.stage == "TEST"


def test_a_test_has_instances_of_its_own(service: pytest.Pytester, run: Run) -> None:
    service.makepyfile(
        test_service="""
        import os
        import subprocess
        import sys

        import pytest

        from open_alchemy import package_database

        @pytest.mark.parametrize("number", [1, 2])
        def test_instances(_instances, number):
            database = package_database.get()
            for name in package_database.instances():
                with package_database.instance(name):
                    assert database.list_specs(sub="u1") == []
                    database.create_update_spec(sub="u1", name=name, version="1", model_count=1)
            _instances.write("two", "three", default="two")
            assert package_database.instances() == ("two", "three")
            assert [spec["name"] for spec in database.list_specs(sub="u1")] == ["two"]
            program = "from open_alchemy import package_database; print(package_database.instances())"
            printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            assert printed.stdout.strip() == "('two', 'three')"

        def test_another_test_has_none(_clean_specs_table):
            assert package_database.instances() == ()
            assert package_database.get().list_specs(sub="u1") == []
            assert "PACKAGE_DATABASE_INSTANCES" not in os.environ
        """
    )

    run("--package-database-engine=sqlite").assert_outcomes(passed=3)
