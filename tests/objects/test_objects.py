"""The objects of the sync API, on SQLite and on the in-memory model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, assert_type

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import (
    ConflictError,
    Credentials,
    NotFoundError,
    Spec,
    TDatabase,
    User,
    ValidationError,
    Version,
)
from open_alchemy.package_database.core.operations import Get, Query, Transact
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.testing.memory import MemoryEngine
from tests.objects.engines import CountingMemory, open_sqlite


@pytest.fixture(params=[open_sqlite, MemoryEngine], ids=["sqlite", "memory"])
def database(request: pytest.FixtureRequest) -> TDatabase:
    """A database with the versions 1.0 and 2.0 of a spec, and credentials."""
    return filled(request.param())


def filled(engine: Any) -> TDatabase:
    database = open_database(engine)
    for version in ("1.0", "2.0"):
        database.create_update_spec(sub="user 1", name="My.Spec", version=version, model_count=3, title="title 1")
    database.create_update_credentials(sub="user 1", id_="laptop", public_key="pk", secret_key_hash=b"h", salt=b"salt")
    return database


@pytest.fixture
def user(database: TDatabase) -> User:
    return package_database.root(database).users["user 1"]


def test_linked_objects_are_read(user: User) -> None:
    spec = user.specs["my-spec"]
    version = spec.versions[-1]
    credentials = user.credentials["laptop"]

    assert (spec.id, spec.name, spec.version, spec.title, spec.description) == (
        "my-spec",
        "My.Spec",
        "2.0",
        "title 1",
        None,
    )
    assert (version.version, version.model_count, version.updated_at) == ("2.0", 3, spec.updated_at)
    assert version.spec is spec
    assert spec.user == user == credentials.user
    assert (credentials.id, credentials.public_key, credentials.salt) == ("laptop", "pk", b"salt")


def test_the_objects_are_typed(user: User) -> None:
    spec = assert_type(user.specs["my-spec"], Spec)

    assert_type(user.specs.get("my-spec"), Spec | None)
    assert_type(next(iter(user.specs)), Spec)
    assert_type(spec.versions[-1], Version)
    assert_type(spec.versions[:1], list[Version])
    assert_type(spec.versions[-1].spec, Spec)
    assert_type(spec.versions[-1].model_count, int)
    assert_type(spec.title, str | None)
    assert_type(spec.refresh(), Spec)
    assert_type(spec.update(title="title 2"), Spec)
    assert_type(user.credentials["laptop"], Credentials)
    assert_type(next(iter(user.credentials)), Credentials)


def test_each_step_takes_at_most_one_request() -> None:
    engine = CountingMemory()
    database = filled(engine)

    def requests(step: Callable[[], Any]) -> tuple[Any, list[type]]:
        engine.operations.clear()
        found = step()
        return found, [type(operation) for operation in engine.operations]

    user, read_user = requests(lambda: package_database.root(database).users["user 1"])
    spec, read_spec = requests(lambda: user.specs["my-spec"])
    versions, read_versions = requests(lambda: spec.versions)
    version, read_version = requests(lambda: versions[-1])
    _, read_values = requests(lambda: (version.model_count, version.spec.user.specs, spec.title, repr(user)))

    assert read_user == read_versions == read_values == []
    assert read_spec == read_version == [Get]
    assert requests(lambda: "my-spec" in user.specs)[1] == [Get]
    assert requests(lambda: list(user.specs))[1] == [Query]
    assert requests(lambda: versions[:])[1] == [Query]
    assert requests(lambda: list(user.credentials))[1] == [Query]
    assert requests(lambda: user.credentials["laptop"])[1] == [Get]
    assert requests(spec.refresh)[1] == [Get]
    assert requests(lambda: spec.update(version="3.0"))[1][-1] is Transact


def test_what_does_not_exist_is_a_key_error(user: User) -> None:
    with pytest.raises(KeyError) as raised:
        user.specs["other"]
    with pytest.raises(NotFoundError, match="the user has no credentials 'other'"):
        user.credentials["other"]

    assert isinstance(raised.value, NotFoundError)
    assert str(raised.value) == "the user has no spec 'other'"
    assert user.specs.get("other") is None
    assert user.credentials.get("other") is None


def test_specs_and_credentials_are_looked_up_by_name(user: User) -> None:
    assert "MY_SPEC" in user.specs
    assert "other" not in user.specs
    assert "laptop" in user.credentials
    assert "other" not in user.credentials


def test_specs_and_credentials_are_iterated_over(user: User, database: TDatabase) -> None:
    database.create_update_spec(sub="user 1", name="a", version="1.0", model_count=1)

    assert [spec.id for spec in user.specs] == ["a", "my-spec"]
    assert list(user.specs) == [user.specs["a"], user.specs["my-spec"]]
    assert list(user.credentials) == [user.credentials["laptop"]]


def test_users_cannot_be_listed(database: TDatabase) -> None:
    users = package_database.root(database).users

    with pytest.raises(TypeError, match="users cannot be listed"):
        list(users)
    with pytest.raises(TypeError, match="users cannot be listed"):
        assert "user 1" in users


@pytest.mark.parametrize("index", [0, 1, -1, -2, slice(None), slice(1), slice(-1, None), slice(None, None, -1)])
def test_versions_are_indexed_as_a_list(user: User, index: Any) -> None:
    versions = user.specs["my-spec"].versions
    found = versions[index]

    expected = ["1.0", "2.0"][index]
    assert (found.version if isinstance(found, Version) else [each.version for each in found]) == (
        expected if isinstance(expected, str) else list(expected)
    )
    assert [version.version for version in versions] == ["1.0", "2.0"]


@pytest.mark.parametrize("index", [2, -3])
def test_an_index_beyond_the_versions_is_an_index_error(user: User, index: int) -> None:
    versions = user.specs["my-spec"].versions

    with pytest.raises(IndexError, match=f"the spec 'my-spec' has no version at index {index}") as raised:
        versions[index]

    assert isinstance(raised.value, NotFoundError)


def test_an_index_reads_no_more_versions_than_it_needs() -> None:
    engine = CountingMemory()
    spec = package_database.root(filled(engine)).users["user 1"].specs["my-spec"]
    engine.operations.clear()

    spec.versions[0], spec.versions[:1]

    # One more, which shows that the spec exists.
    assert [operation.limit for operation in engine.operations if isinstance(operation, Query)] == [2, 2]
    assert len(engine.operations) == 2


def test_iteration_reads_pages(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_alchemy.package_database.objects.steps.PAGE", 1)

    assert [version.version for version in user.specs["my-spec"].versions] == ["1.0", "2.0"]


def test_objects_are_snapshots(user: User, database: TDatabase) -> None:
    spec = user.specs["my-spec"]
    database.create_update_spec(sub="user 1", name="My.Spec", version="3.0", model_count=5)

    assert spec.version == "2.0"
    assert spec.refresh().version == "3.0"
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.version = "4.0"  # type: ignore[misc]


def test_an_object_that_was_deleted_is_not_refreshed(user: User, database: TDatabase) -> None:
    spec, credentials = user.specs["my-spec"], user.credentials["laptop"]
    first = spec.versions[0]
    assert first.refresh() == first
    database.delete_all(sub="user 1")

    for object_ in (spec, credentials, first):
        with pytest.raises(NotFoundError):
            object_.refresh()
    for index in (0, -1):
        with pytest.raises(NotFoundError):
            spec.versions[index]


def test_an_update_changes_what_is_given(user: User) -> None:
    updated = user.specs["my-spec"].update(title="title 2", version="3.0")

    assert (updated.version, updated.title, updated.model_count, updated.name) == ("3.0", "title 2", 3, "My.Spec")
    assert updated == user.specs["my-spec"]
    assert [version.version for version in updated.versions] == ["1.0", "2.0", "3.0"]
    assert updated.update(title=None).title is None


def test_an_outdated_spec_is_not_updated(user: User) -> None:
    first, second = user.specs["my-spec"], next(iter(user.specs))
    newer = first.update(title="first")

    with pytest.raises(ConflictError) as raised:
        second.update(title="second")

    assert raised.value.newer == newer
    assert isinstance(raised.value.newer, Spec)
    assert raised.value.newer.update(title="second").title == "second"


def test_a_deleted_spec_is_not_updated(user: User, database: TDatabase) -> None:
    spec = user.specs["my-spec"]
    database.delete_spec(sub="user 1", name="my-spec")

    with pytest.raises(NotFoundError):
        spec.update(title="title 2")


@pytest.mark.parametrize("name", ["sub", "name", "revision", "updated_at", "other"])
def test_other_attributes_cannot_be_updated(user: User, name: str) -> None:
    changes: Any = {name: "x"}

    with pytest.raises(TypeError, match=name):
        user.specs["my-spec"].update(**changes)


def test_invalid_values_are_refused(user: User) -> None:
    with pytest.raises(ValidationError, match="version must have"):
        user.specs["my-spec"].update(version="")
    with pytest.raises(ValidationError, match="name must have"):
        user.specs[""]


def test_a_repr_names_the_object_and_no_secret(user: User) -> None:
    spec = user.specs["my-spec"]

    assert repr(user) == "User(sub='user 1')"
    assert repr(user.specs) == "Specs(sub='user 1')"
    assert repr(spec) == f"<Spec 'my-spec' of 'user 1': version '2.0' at {spec.updated_at}>"
    assert repr(spec.versions[-1]) == f"<Version 'my-spec' of 'user 1': version '2.0' at {spec.updated_at}>"
    assert repr(user.credentials["laptop"]) == "Credentials(sub='user 1', id='laptop', public_key='pk')"


def test_equal_objects_have_equal_hashes(user: User) -> None:
    assert len({user.specs["my-spec"], user.specs["My.Spec"], user.specs["my-spec"].update(title="title 2")}) == 2


def test_the_root_is_that_of_the_process(_clean_specs_table: None) -> None:
    package_database.get().create_update_spec(sub="user 1", name="a", version="1.0", model_count=1)

    assert package_database.root().users["user 1"].specs["a"].version == "1.0"
