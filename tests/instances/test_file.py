"""The file of instances: its format, its errors, and how changes take effect."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import ConfigurationError, NotFoundError
from open_alchemy.package_database.instances import api
from open_alchemy.package_database.instances.file_format import Content, is_id, parse
from open_alchemy.package_database.instances.instance_file import InstanceFile
from open_alchemy.package_database.instances.lookup import from_environment
from open_alchemy.package_database.testing.local_instances import LocalInstances

URL = {"url": "sqlite:///a.db"}


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, text: str) -> None:
    """Replaces a file, as an operator should."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def table(name: str, url: str) -> str:
    return f'[instances.{name}]\nurl = "{url}"\n'


def test_a_document_has_instances_a_default_and_a_limit() -> None:
    assert parse({"instances": {"a": URL}}) == Content({"a": "sqlite:///a.db"}, None, 100)
    assert parse({"default": "a", "max_open": 5, "instances": {"a": URL}}) == Content({"a": "sqlite:///a.db"}, "a", 5)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "instances must be at least one table"),
        ({"instances": {}}, "instances must be at least one table"),
        ({"instances": []}, "instances must be at least one table"),
        ({"instances": {"a": URL}, "defualt": "a"}, "unknown key defualt: expected instances, default, max_open"),
        ({"instances": {"a": URL}, "default": "b"}, "default must be the id of one of the instances"),
        ({"instances": {"a": URL}, "default": ["a"]}, "default must be the id of one of the instances"),
        ({"instances": {"a": URL}, "max_open": 0}, "max_open must be a whole number above 0"),
        ({"instances": {"a": URL}, "max_open": True}, "max_open must be a whole number above 0"),
        ({"instances": {"a/b": URL}}, "instances: the id 'a/b' is not 1 to 64 letters, digits"),
        ({"instances": {"a": "sqlite://"}}, "instances.a must be a table"),
        ({"instances": {"a": {}}}, "instances.a.url must be the URL of a database"),
        ({"instances": {"a": {"url": ""}}}, "instances.a.url must be the URL of a database"),
        ({"instances": {"a": {"url": 1}}}, "instances.a.url must be the URL of a database"),
        ({"instances": {"a": {**URL, "shards": 2}}}, "unknown key instances.a.shards: expected url"),
        ({"instances": {"example": {"com": URL}}}, r"quote an id that contains a dot: \[instances.\"example.com\"\]"),
    ],
)
def test_a_wrong_key_is_named(document: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(document)


@pytest.mark.parametrize("text", ["a", "example.com", "A-1_b", "..", "a" * 64])
def test_an_id_is_short_and_has_few_characters(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a\n", "a,b", "a/b", "ä", "٣", "a\0"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        (
            table("a", "postgres://u:canary@host/db"),
            "instances.a.url is not a database URL: unknown scheme",
        ),
        (table("a", "sqlite://canary"), r"instances.a.url cannot be used: expected sqlite:///RELATIVE/PATH"),
        (table("a", "sqlite://") + 'password = "canary"\n', "unknown key instances.a.password"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_without_its_values(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "instances.toml"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        from_environment({"PACKAGE_DATABASE_INSTANCES": str(path)})

    assert str(caught.value).startswith(f"{path}: ")
    assert "canary" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")

    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        from_environment({"PACKAGE_DATABASE_INSTANCES": str(tmp_path / "missing")})
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        from_environment({"PACKAGE_DATABASE_INSTANCES": str(tmp_path / "binary")})


def test_variables_that_contradict_each_other_are_refused(_instances: LocalInstances) -> None:
    file = {"PACKAGE_DATABASE_INSTANCES": str(_instances.path)}

    with pytest.raises(ConfigurationError, match="PACKAGE_DATABASE_URL and PACKAGE_DATABASE_INSTANCES are both set"):
        from_environment({**file, "PACKAGE_DATABASE_URL": "sqlite://"})
    with pytest.raises(ConfigurationError, match="PACKAGE_DATABASE_INSTANCE requires PACKAGE_DATABASE_INSTANCES"):
        from_environment({"PACKAGE_DATABASE_INSTANCE": "one"})
    with pytest.raises(ConfigurationError, match="PACKAGE_DATABASE_INSTANCE is 'three', which is not listed in"):
        from_environment({**file, "PACKAGE_DATABASE_INSTANCE": "three"})


def test_the_instance_of_a_process_replaces_the_default(_instances: LocalInstances) -> None:
    _instances.write("one", "two", default="one")
    environment = {"PACKAGE_DATABASE_INSTANCES": str(_instances.path), "PACKAGE_DATABASE_INSTANCE": "two"}

    with api.replaced(lambda: from_environment(environment)):
        assert package_database.instance_id() == "two"
        with package_database.instance("one"):
            assert package_database.instance_id() == "one"


def test_the_environment_selects_the_file(
    fresh_process: None, _instances: LocalInstances, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.set_directory(lambda: from_environment(os.environ))

    assert package_database.instances() == ("one", "two")


def test_a_change_is_found_after_a_second_and_by_an_unknown_id(tmp_path: Path) -> None:
    path, clock = tmp_path / "instances.toml", Clock()
    write(path, "default = 'a'\n" + table("a", f"sqlite:///{tmp_path}/a.db"))
    file = InstanceFile(str(path), {}, monotonic=clock)
    first = file.get("a")
    write(path, "default = 'b'\n" + table("b", f"sqlite:///{tmp_path}/b.db"))

    within_a_second = (file.get("a"), file.default_id())
    clock.now = 1.0
    later = file.default_id()

    assert within_a_second == (first, "a")
    assert later == "b"
    with pytest.raises(NotFoundError, match="there is no instance 'a' in"):
        file.get("a")
    write(path, table("c", f"sqlite:///{tmp_path}/c.db"))
    assert file.get("c").id == "c"
    assert file.ids() == ("c",)
    assert file.default_id() is None


def test_an_invalid_change_is_logged_once_and_the_previous_content_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "instances.toml"
    write(path, table("a", f"sqlite:///{tmp_path}/a.db"))
    file = InstanceFile(str(path), {})
    first = file.get("a")

    with caplog.at_level(logging.ERROR, "open_alchemy.package_database"):
        write(path, table("a", "postgres://u:canary@host/db"))
        both = [file.ids(), file.ids()]
        path.unlink()
        missing = file.ids()

    assert both == [("a",), ("a",)]
    assert missing == ("a",)
    assert file.get("a") is first
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "the previous instances stay in use" in caplog.text
    assert "instances.a.url" in caplog.text
    assert "canary" not in caplog.text


def test_an_instance_whose_url_is_the_same_keeps_its_engine(_instances: LocalInstances) -> None:
    kept, removed = (_instances.directory.get(name) for name in ("one", "two"))
    engine = kept.engine()

    _instances.write("one", "three")

    assert _instances.directory.get("one") is kept
    assert kept.engine() is engine
    assert removed.config.location.endswith("two.db")


def test_without_a_file_there_are_no_instances(fresh_process: None) -> None:
    assert package_database.instances() == ()
    assert package_database.instance_id() is None
    with (
        pytest.raises(NotFoundError, match="there is no instance 'a': PACKAGE_DATABASE_INSTANCES is not set"),
        package_database.instance("a"),
    ):
        pass
