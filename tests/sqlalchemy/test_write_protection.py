"""The package's tables are read-only, unless the session allows writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import transaction
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import DeclarativeBase, Session

from open_alchemy import package_database
from open_alchemy.package_database.exceptions import BaseError, RefusedError
from open_alchemy.package_database.instances.instance import Instance
from open_alchemy.package_database.sqlalchemy import get_session, get_table


@pytest.fixture
def stored(instance: Instance) -> Iterator[None]:
    package_database.get().create_update_spec(sub="u1", name="spec", version="1", model_count=1)
    package_database.get().create_update_credentials(
        sub="u1", id_="default", public_key="public", secret_key_hash=b"canary hash", salt=b"canary salt"
    )
    yield
    transaction.abort()
    package_database.get().delete_all(sub="u1")


pytestmark = pytest.mark.usefixtures("stored")


def engine_of(session: Session) -> Engine:
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    return engine


def commit_text(statement: str, *, allow_writes: bool = False) -> None:
    session = get_session(sub="u1", allow_writes=allow_writes)
    specs = '"package.specs"' if engine_of(session).dialect.name == "sqlite" else "specs"
    session.execute(text(statement.format(specs=specs)))
    transaction.commit()


def test_the_tables_are_readable() -> None:
    specs, credentials = (get_table(f"package.{name}", sub="u1") for name in ("specs", "credentials"))

    rows = get_session(sub="u1").execute(select(specs.c.name, specs.c.version)).all()
    found = get_session(sub="u1").execute(credentials.select()).one()

    assert set(rows) == {("spec", "1")}
    assert (found.public_key, found.secret_key_hash, found.salt) == ("public", b"canary hash", b"canary salt")
    assert "canary" not in repr(found)


@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_a_core_statement_is_refused(kind: str) -> None:
    specs = get_table("package.specs", sub="u1")
    values = {} if kind == "delete" else {column.name: "1" for column in specs.c}
    statement = getattr(specs, kind)()

    with pytest.raises(RefusedError, match="allow_writes=True"):
        get_session(sub="u1").execute(statement.values(values) if values else statement)


def test_an_orm_object_is_refused() -> None:
    class Base(DeclarativeBase):
        pass

    class Spec(Base):
        __table__ = get_table("package.specs", sub="u1")

    spec = get_session(sub="u1").scalars(select(Spec)).first()
    assert spec is not None
    spec.title = "changed"  # type: ignore[attr-defined]

    with pytest.raises(RefusedError, match="allow_writes=True"):
        transaction.commit()
    transaction.abort()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {specs} SET title = 'x'",
        "DELETE FROM {specs}",
        "INSERT INTO {specs} SELECT * FROM {specs} WHERE false",
        "WITH gone AS (SELECT 1) DELETE FROM {specs}",
        "/* a comment */ DROP TABLE {specs}",
        "ALTER TABLE {specs} ADD COLUMN extra VARCHAR",
        "ALTER TABLE {specs} RENAME TO other",
        "CREATE INDEX other ON {specs} (name)",
    ],
)
def test_a_textual_statement_is_refused(statement: str) -> None:
    with pytest.raises(RefusedError, match="allow_writes=True"):
        commit_text(statement)
    transaction.abort()

    assert package_database.get().get_spec(sub="u1", name="spec") is not None


def test_allow_writes_allows_writes() -> None:
    specs = get_table("package.specs", sub="u1")
    get_session(sub="u1", allow_writes=True).execute(specs.update().values(title="changed"))
    transaction.commit()

    found = package_database.get().get_spec(sub="u1", name="spec")
    assert found is not None
    assert found["title"] == "changed"


def test_a_session_that_allows_writes_leaves_others_read_only() -> None:
    update = "UPDATE {specs} SET title = 'x'"
    commit_text(update, allow_writes=True)

    with pytest.raises(RefusedError, match="allow_writes=True"):
        commit_text(update)


def test_errors_and_engines_show_no_values(caplog: pytest.LogCaptureFixture) -> None:
    notes = get_table("notes")
    get_session().execute(notes.insert(), {"text": "canary"})
    with pytest.raises(StatementError) as caught:
        get_session().execute(notes.insert(), {"text": "canary"})

    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value)
    assert "postgres@" not in repr(get_session().get_bind())
    assert "canary" not in caplog.text


@pytest.mark.usefixtures("stored")
class TestOnSQLite:
    @pytest.fixture(params=["sqlite"])
    def instance(self, request: pytest.FixtureRequest) -> Instance:
        found: Instance = request.getfixturevalue(f"{request.param}_instance")
        return found

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TRIGGER t AFTER INSERT ON {specs} BEGIN SELECT 1; END",
            "PRAGMA writable_schema = ON",
            "PRAGMA user_version = 7",
            'UPDATE "PACKAGE.SPECS" SET title = 1',
            "REPLACE INTO {specs} SELECT * FROM {specs}",
        ],
    )
    def test_what_sqlite_compiles_is_refused(self, statement: str) -> None:
        with pytest.raises(RefusedError, match="allow_writes=True"):
            commit_text(statement)

    def test_a_trigger_is_refused_when_it_fires(self) -> None:
        commit_text("CREATE TRIGGER fired AFTER INSERT ON notes BEGIN DELETE FROM {specs}; END")

        with pytest.raises(RefusedError, match="allow_writes=True"):
            commit_text("INSERT INTO notes (text) VALUES ('one')")

    def test_an_attached_copy_of_the_file_is_refused(self) -> None:
        session = get_session()
        path = session.execute(text("SELECT file FROM pragma_database_list")).scalar()
        transaction.commit()
        with engine_of(get_session()).connect() as connection:
            connection.rollback()
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.rollback()
            raw.cursor().execute(f"ATTACH '{path}' AS other")

            with pytest.raises(RefusedError, match="allow_writes=True"):
                connection.execute(text('DELETE FROM other."package.specs"'))
            connection.invalidate()


@pytest.mark.usefixtures("stored")
class TestOnPostgreSQL:
    @pytest.fixture(params=["one_phase", "two_phase"])
    def instance(self, request: pytest.FixtureRequest) -> Instance:
        found: Instance = request.getfixturevalue(f"{request.param}_instance")
        return found

    @pytest.mark.parametrize(
        "statement",
        [
            "TRUNCATE {specs}",
            "DO $$ BEGIN EXECUTE 'DELETE FROM {specs}'; END $$",
            "WITH gone AS (DELETE FROM {specs} RETURNING *) SELECT * FROM gone",
            "LOCK TABLE {specs} IN EXCLUSIVE MODE",
            "DELETE FROM package_database.shards",
            "DELETE FROM tokens",
            "DROP SCHEMA package_database CASCADE",
            "SELECT 1; UPDATE {specs} SET title = 'x'",
        ],
    )
    def test_a_commit_of_a_change_is_refused(self, statement: str) -> None:
        with pytest.raises(RefusedError, match="allow_writes=True"):
            commit_text(statement)
        transaction.abort()

        assert package_database.get().get_spec(sub="u1", name="spec") is not None

    @pytest.mark.parametrize(
        "statement",
        ["COMMIT", "DELETE FROM {specs}; COMMIT", "DELETE FROM {specs}; /* ; */ end", "prepare transaction 'x'"],
    )
    def test_a_statement_cannot_end_the_transaction(self, statement: str) -> None:
        with pytest.raises(RefusedError, match="begin or end the transaction"):
            commit_text(statement)

    def test_autocommit_is_refused(self) -> None:
        options = {"isolation_level": "AUTOCOMMIT"}
        engine = engine_of(get_session(sub="u1"))

        with pytest.raises(RefusedError, match="allow_writes=True"):
            engine.execution_options(**options)
        with engine.connect() as connection, pytest.raises(RefusedError, match="allow_writes=True"):
            connection.execution_options(**options)

    def test_reading_with_a_row_lock_is_allowed(self) -> None:
        specs = get_table("package.specs", sub="u1")

        assert len(get_session(sub="u1").execute(specs.select().with_for_update()).all()) == 2
        transaction.commit()

    def test_a_commit_after_a_failed_statement_is_refused(self) -> None:
        session = get_session()
        session.execute(get_table("notes").insert(), {"text": "lost"})
        with pytest.raises(StatementError):
            session.execute(text("SELECT * FROM missing"))

        with pytest.raises(BaseError, match="25P02"):
            transaction.commit()
        transaction.abort()

    def test_tables_with_the_same_names_elsewhere_are_not_protected(self) -> None:
        get_session().execute(text("CREATE TABLE specs (id INTEGER PRIMARY KEY)"))
        get_session().execute(text("INSERT INTO specs VALUES (1)"))
        transaction.commit()

        found = get_session().execute(select(func.count()).select_from(get_table("specs"))).scalar()
        transaction.commit()
        get_session(allow_writes=True).execute(text("DROP TABLE specs"))
        transaction.commit()

        assert found == 1
