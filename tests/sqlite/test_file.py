"""Files: whose they are, how they are made, and what is refused without touching them."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, RefusedError, TDatabase
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.engines import fork
from open_alchemy.package_database.engines.sqlite import database_file
from open_alchemy.package_database.engines.sqlite.config import SQLiteConfig
from open_alchemy.package_database.engines.sqlite.database_file import APPLICATION_ID
from open_alchemy.package_database.engines.sqlite.engine import SQLiteEngine
from open_alchemy.package_database.engines.sqlite.schema import SCHEMA_VERSION
from open_alchemy.package_database.model.schema import SPECS, TABLES
from open_alchemy.package_database.types import TConnectedDatabase
from tests.canary import HASH, SALT, find


def connect(path: Path) -> TConnectedDatabase:
    return package_database.connect(f"sqlite:///{path}")


def publish(database: TDatabase, version: str = "1.0") -> None:
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def database(path: Path) -> Iterator[TConnectedDatabase]:
    with connect(path) as opened:
        yield opened


def ask(path: Path, question: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchone()[0]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {found.name: (found.read_bytes(), found.stat().st_mtime_ns) for found in folder.iterdir()}


def test_a_file_tells_whose_it_is_and_its_version(path: Path, database: TDatabase) -> None:
    publish(database)

    assert ask(path, "PRAGMA application_id") == APPLICATION_ID
    assert ask(path, "PRAGMA user_version") == SCHEMA_VERSION
    assert ask(path, "PRAGMA journal_mode") == "wal"


def test_what_is_stored_is_found_again(path: Path) -> None:
    with connect(path) as database:
        publish(database)

    with connect(path) as database:
        assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"


def test_a_closed_file_is_one_file_alone(path: Path) -> None:
    with connect(path) as database:
        publish(database)

    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_commits_are_synced(path: Path) -> None:
    with connect(path) as database:
        publish(database)

    with closing(database_file.connect_to_file(path)) as connection:
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
        assert connection.execute("PRAGMA fullfsync").fetchone() == (1,)


@pytest.mark.parametrize("content", ["empty", "no tables"])
def test_an_empty_file_becomes_a_database(path: Path, content: str) -> None:
    path.touch()
    if content == "no tables":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM")

    with connect(path) as database:
        publish(database)

    assert ask(path, "PRAGMA application_id") == APPLICATION_ID


def make_foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


FOREIGN = {
    "tables of another program": ["CREATE TABLE a (b)"],
    "tables of another program in WAL mode": ["PRAGMA journal_mode = WAL", "CREATE TABLE a (b)"],
    "the id of another program": ["PRAGMA application_id = 1"],
    "a version without an id": ["PRAGMA user_version = 1"],
    "a newer version": [f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {SCHEMA_VERSION + 1}"],
    "tables without a version": [f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE a (b)"],
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_or_newer_file_is_refused_untouched(path: Path, kind: str) -> None:
    make_foreign(path, *FOREIGN[kind])
    before = contents(path.parent)

    with connect(path) as database, pytest.raises(ConfigurationError, match=r"a\.db (belongs to|has version)"):
        publish(database)

    assert contents(path.parent) == before


@pytest.mark.parametrize("content", [b"x", b"\0"])
def test_a_file_of_one_byte_belongs_to_another_program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    before = contents(path.parent)

    with connect(path) as database, pytest.raises(ConfigurationError, match="belongs to another program"):
        publish(database)

    assert contents(path.parent) == before


@pytest.mark.parametrize("content", [b"text", b"x" * 10_000, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_file_that_is_no_database_is_refused_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    before = contents(path.parent)

    with connect(path) as database, pytest.raises(ConfigurationError, match="is not a database of this package"):
        publish(database)

    assert contents(path.parent) == before


def test_a_file_that_was_foreign_is_opened_once_it_is_not(path: Path) -> None:
    path.write_bytes(b"x" * 1_000)
    with connect(path) as database:
        with pytest.raises(ConfigurationError):
            publish(database)
        path.unlink()

        publish(database)


def test_a_foreign_file_whose_tables_are_in_its_log_keeps_them(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE a (b)")

        with connect(path) as database, pytest.raises(ConfigurationError, match="belongs to another program"):
            publish(database)

        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_a_foreign_file_of_a_program_that_crashed_is_refused_untouched(path: Path, tmp_path_factory: Any) -> None:
    source = tmp_path_factory.mktemp("source") / "a.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE a (b)")
        for name in ("a.db", "a.db-wal"):
            path.with_name(name).write_bytes(source.with_name(name).read_bytes())
    before = contents(path.parent)

    with connect(path) as database, pytest.raises(ConfigurationError, match="belongs to another program"):
        publish(database)

    assert contents(path.parent) == before


@pytest.mark.parametrize("name", ["a.db", "link.db"])
@pytest.mark.parametrize("is_empty", [False, True], ids=["missing", "empty"])
def test_a_log_without_its_file_is_neither_deleted_nor_used(path: Path, name: str, *, is_empty: bool) -> None:
    path.with_name("link.db").symlink_to(path)
    path.with_name("a.db-wal").write_bytes(b"x" * 1_000)
    if is_empty:
        path.touch()

    with connect(path.with_name(name)) as database, pytest.raises(ConfigurationError, match="a.db-wal is the log of"):
        publish(database)

    assert path.with_name("a.db-wal").read_bytes() == b"x" * 1_000
    assert path.exists() is is_empty


def test_a_log_of_another_program_behind_a_link_is_untouched(path: Path, tmp_path_factory: Any) -> None:
    source = tmp_path_factory.mktemp("source") / "a.db"
    folder = tmp_path_factory.mktemp("target")
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE a (b)")
        for name in ("a.db", "a.db-wal"):
            (folder / name).write_bytes(source.with_name(name).read_bytes())
    path.symlink_to(folder / "a.db")
    before = contents(folder)

    with connect(path) as database, pytest.raises(ConfigurationError, match="belongs to another program"):
        publish(database)

    assert contents(folder) == before


def test_another_file_with_the_same_inode_is_not_written_to(path: Path, database: TDatabase) -> None:
    publish(database)
    other = path.with_name("b.db")
    make_foreign(other, "CREATE TABLE a (b)")
    # As a fork does: no connection is open that would keep the inode from being used again.
    fork._before()
    fork._forks.clear()
    path.write_bytes(other.read_bytes())

    with pytest.raises(ConfigurationError, match="belongs to another program"):
        publish(database, "2.0")

    assert path.read_bytes() == other.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_disk_that_takes_no_more_bytes_is_a_refusal_and_nothing_is_half_written(path: Path) -> None:
    program = """
import resource, sys
from open_alchemy import package_database
database = package_database.connect(f"sqlite:///{sys.argv[1]}")
def publish(version, size):
    database.create_update_spec(sub="u1", name="a", version=version, model_count=1, description="x" * size)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
publish("1.0", 1)
limit(100_000)
for number in range(3):
    try:
        publish(f"too large {number}", 30_000 + number)
    except package_database.RefusedError as error:
        print(error.code)
limit(resource.RLIM_INFINITY)
publish("2.0", 30_000)
print([info["version"] for info in database.list_spec_versions(sub="u1", name="a")][-1])
database.close()
"""
    # Coverage could not write its own file either.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", program, str(path)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert finished.stderr == ""
    *codes, newest = finished.stdout.splitlines()
    assert set(codes) <= {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}
    assert codes
    assert newest == "2.0"
    assert ask(path, "PRAGMA integrity_check") == "ok"
    with connect(path) as database:
        stored = [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]
    assert len(stored) == 2 + 3 - len(codes)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        connect(tmp_path / "missing" / "a.db") as database,
        pytest.raises(RefusedError, match="such a folder") as caught,
    ):
        publish(database)

    assert caught.value.code == "SQLITE_CANTOPEN"
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with connect(tmp_path) as database, pytest.raises(RefusedError) as caught:
        publish(database)

    assert caught.value.code.startswith("SQLITE_")


def test_a_name_that_is_too_long_is_a_refusal(tmp_path: Path) -> None:
    with connect(tmp_path / ("a" * 300)) as database, pytest.raises(RefusedError) as caught:
        publish(database)

    assert caught.value.code == "SQLITE_CANTOPEN"


def test_a_damaged_file_whose_journal_would_have_too_long_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250)
    path.write_bytes(b"x" * 10_000)

    with connect(path) as database, pytest.raises((RefusedError, ConfigurationError)):
        publish(database)


def test_a_file_below_a_file_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.db"

    with connect(path) as database, pytest.raises(RefusedError, match="such a folder"):
        publish(database)
    with pytest.raises(RefusedError, match="such a folder"):
        SQLiteConfig(path).open_engine(TABLES).administration().describe(SPECS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize("name", ["a.db", "link.db"])
def test_a_new_file_is_for_its_owner_alone(path: Path, name: str) -> None:
    path.with_name("link.db").symlink_to(path)
    umask = os.umask(0o022)
    try:
        with connect(path.with_name(name)) as database:
            publish(database)
            modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    finally:
        os.umask(umask)

    assert set(modes) == {"link.db", "a.db", "a.db-wal", "a.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_file_that_is_there_keeps_its_rights(path: Path) -> None:
    path.touch()
    path.chmod(0o640)

    with connect(path) as database:
        publish(database)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def engine_of(database: Any) -> SQLiteEngine:
    engine = database.engine
    assert isinstance(engine, SQLiteEngine)
    return engine


def fill_up(database: TDatabase) -> None:
    """Lets the file of an open database grow no more."""
    deadline = Deadline(5)
    engine_of(database).run(lambda connection: connection.execute("PRAGMA max_page_count = 1"), "filling up", deadline)


def test_a_full_disk_is_a_refusal_and_nothing_is_half_written(path: Path, database: TDatabase) -> None:
    publish(database)
    fill_up(database)

    with pytest.raises(RefusedError, match="the disk is full") as caught:
        database.create_update_spec(sub="u1", name="a", version="2.0", model_count=1, description="x" * 100_000)

    assert caught.value.code == "SQLITE_FULL"
    assert [info["version"] for info in database.list_spec_versions(sub="u1", name="a")] == ["1.0"]
    assert ask(path, "PRAGMA integrity_check") == "ok"
    publish(database, "3.0")


def test_a_file_that_was_deleted_takes_no_more_writes(path: Path, database: TDatabase) -> None:
    publish(database)
    path.unlink()

    with pytest.raises(RefusedError, match="was moved, replaced or deleted") as caught:
        publish(database, "2.0")
    with pytest.raises(RefusedError, match="was moved, replaced or deleted"):
        publish(database, "2.0")

    assert caught.value.code == "SQLITE_READONLY_DBMOVED"
    assert not path.exists()


def test_a_file_that_was_replaced_is_not_written_to(path: Path, database: TDatabase) -> None:
    publish(database)
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
    other = path.with_name("b.db")
    with connect(other) as opened:
        publish(opened, "of the other")
    other.replace(path)

    with pytest.raises(RefusedError, match="was moved, replaced or deleted"):
        publish(database, "2.0")
    with pytest.raises(RefusedError, match="was moved, replaced or deleted"):
        database.delete_all_credentials(sub="u1")


def test_no_new_connection_is_opened_to_a_file_that_was_replaced(path: Path, database: TDatabase) -> None:
    publish(database)

    def replace_meanwhile(_: sqlite3.Connection) -> None:
        path.unlink()
        path.touch()
        with pytest.raises(RefusedError, match="was moved, replaced or deleted"):
            database.list_specs(sub="u1")

    engine_of(database).run(replace_meanwhile, "replacing", Deadline(5))

    assert [info["version"] for info in database.list_specs(sub="u1")] == ["1.0"]


def test_a_damaged_file_is_named(path: Path) -> None:
    with connect(path) as database:
        for number in range(50):
            publish(database, f"{number}")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    with connect(path) as database, pytest.raises((RefusedError, ConfigurationError), match="damaged|malformed"):
        database.list_specs(sub="u1")


def test_a_table_that_was_dropped_is_named(path: Path, database: TDatabase) -> None:
    publish(database)
    make_foreign(path, 'DROP TABLE "package.specs"')

    with pytest.raises(RefusedError, match=r"no such table: package\.specs"):
        publish(database)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize(
    "modes", [(0o444, 0o555), (0o000, 0o555), (0o644, 0o000)], ids=["read-only", "unreadable", "in a closed folder"]
)
def test_a_file_that_may_not_be_written_is_a_refusal(modes: tuple[int, int]) -> None:
    program = """
import os, sys, tempfile
from pathlib import Path
from open_alchemy import package_database
import open_alchemy.package_database.engines.sqlite.engine, open_alchemy.package_database.database
mode, mode_of_folder = map(int, sys.argv[1:])
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "a.db"
    def publish(version):
        with package_database.connect(f"sqlite:///{path}") as database:
            database.create_update_spec(sub="u1", name="a", version=version, model_count=1)
    publish("1.0")
    before = path.read_bytes()
    path.chmod(mode)
    os.chmod(folder, mode_of_folder)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        publish("2.0")
    except package_database.RefusedError as error:
        print(error.code)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        os.chmod(folder, 0o755)
        path.chmod(0o644)
    print(path.read_bytes() == before, len(os.listdir(folder)))
"""
    command = [sys.executable, "-c", program, *map(str, modes)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.stderr == ""
    code, untouched = finished.stdout.splitlines()
    assert code.partition("_")[2].startswith(("READONLY", "CANTOPEN"))
    assert untouched == "True 1"


MAKE = """
import sys
from open_alchemy import package_database
import open_alchemy.package_database.engines.sqlite.engine, open_alchemy.package_database.database
print("ready", flush=True)
for path in sys.argv[2:]:
    sys.stdin.readline()
    with package_database.connect(f"sqlite:///{path}") as database:
        database.create_update_spec(sub="u1", name=sys.argv[1], version="1", model_count=1)
    print("done", flush=True)
"""


def test_many_processes_make_a_file_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(20)]
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, name, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]

    answers = [maker.stdout.readline() for maker in makers if maker.stdout]
    for _ in paths:
        for maker in makers:
            assert maker.stdin is not None
            maker.stdin.write("go\n")
            maker.stdin.flush()
        answers += [maker.stdout.readline() for maker in makers if maker.stdout]
    for maker in makers:
        maker.communicate()

    assert answers == ["ready\n"] * 4 + ["done\n"] * 80
    for path in paths:
        with connect(path) as database:
            assert [info["id"] for info in database.list_specs(sub="u1")] == ["a", "b", "c", "d"]


def test_a_damaged_file_of_another_program_that_has_a_journal_is_left_to_it(path: Path) -> None:
    path.write_bytes(b"x" * 10_000)
    path.with_name("a.db-journal").write_bytes(b"y" * 1_000)
    before = contents(path.parent)

    with connect(path) as database, pytest.raises(ConfigurationError, match="is not a database of this package"):
        publish(database)

    assert contents(path.parent) == before


def test_no_refusal_betrays_a_secret(database: TDatabase) -> None:
    database.create_update_credentials(sub="u1", id_="1", public_key="pk", secret_key_hash=HASH, salt=SALT)
    fill_up(database)

    with pytest.raises(RefusedError) as caught:
        store(database)

    assert caught.value.code == "SQLITE_FULL"
    told = frames_below(caught.value)
    assert "secret bytes" in told
    assert find(told) == []


def store(database: TDatabase) -> None:
    database.create_update_credentials(sub="u1", id_="2", public_key="pk 2", secret_key_hash=HASH * 9_000, salt=SALT)


def test_no_damage_betrays_a_secret(path: Path) -> None:
    with connect(path) as database:
        for number in range(200):
            database.create_update_credentials(
                sub="u1", id_=f"{number}", public_key=f"{number}", secret_key_hash=HASH * 20, salt=SALT
            )
    content = bytearray(path.read_bytes())
    content[-8192:] = b"\xff" * 8192
    path.write_bytes(content)

    with connect(path) as database, pytest.raises(RefusedError, match="damaged") as caught:
        database.list_credentials(sub="u1")

    assert find(frames_below(caught.value)) == []


def frames_below(error: BaseException) -> str:
    """Returns an error with the local variables of the package's frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    of_the_package = [str(frame.locals) for frame in shown.stack if frame.filename != __file__]
    return "".join(of_the_package) + f"{error!r} {error.__cause__!r}"


def test_the_file_is_left_when_the_last_connection_is_closed(path: Path) -> None:
    with connect(path) as database:
        publish(database)
        assert {found.name for found in path.parent.iterdir()} == {"a.db", "a.db-wal", "a.db-shm"}

    assert [found.name for found in path.parent.iterdir()] == ["a.db"]
