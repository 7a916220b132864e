"""The contract of updates of specs that are conditional on a revision."""

from __future__ import annotations

from typing import Any

import pytest

from open_alchemy.package_database import ConflictError, NotFoundError, TDatabase, TSpecSnapshot, ValidationError
from tests.contract.records import latest_record, put, version_record

SPEC = {"sub": "u1", "name": "My.Spec"}
SECOND = 1_700_000_000


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of writers, in seconds, as a list of one number."""
    clock = [SECOND + 0.9]
    monkeypatch.setattr("time.time", lambda: clock[0])
    return clock


def publish(database: TDatabase, version: str = "1.0", title: str | None = None) -> None:
    database.create_update_spec(sub="u1", name="My.Spec", version=version, model_count=3, title=title)


def read(database: TDatabase) -> TSpecSnapshot:
    snapshot = database.get_spec_snapshot(sub="u1", name="my-spec")
    assert snapshot is not None
    return snapshot


def update(database: TDatabase, revision: str, version: str = "1.0", **given: Any) -> TSpecSnapshot:
    arguments: dict[str, Any] = {**SPEC, "version": version, "model_count": 4, **given}
    return database.update_spec(revision=revision, **arguments)


def versions_of(database: TDatabase) -> list[tuple[str, int]]:
    infos = database.list_spec_versions(sub="u1", name="My.Spec")
    return [(info["version"], info["updated_at"] - SECOND) for info in infos]


def store_as_version_4(database: TDatabase) -> None:
    """Stores version 1.0 of the spec without a revision."""
    record = version_record("My.Spec", "1.0", SECOND)
    put(database, [record, latest_record(record)])


def test_a_snapshot_is_the_newest_version_with_a_revision(database: TDatabase) -> None:
    publish(database, title="title 1")

    snapshot = read(database)

    info = database.get_spec(sub="u1", name="My.Spec")
    assert info is not None
    assert snapshot == {**info, "revision": snapshot["revision"]}
    assert list(database.iter_spec_snapshots(sub="u1")) == [snapshot]
    assert list(database.iter_spec_snapshots(sub="u1", after="my-spec")) == []


def test_a_missing_spec_has_no_snapshot(database: TDatabase) -> None:
    assert database.get_spec_snapshot(sub="u1", name="My.Spec") is None
    assert list(database.iter_spec_snapshots(sub="u1")) == []


def test_each_write_changes_the_revision(database: TDatabase, now: list[float]) -> None:
    revisions = set()
    for _ in range(3):
        publish(database)
        revisions.add(read(database)["revision"])

    assert len(revisions) == 3


def test_an_update_publishes_a_version(database: TDatabase, now: list[float]) -> None:
    publish(database, title="title 1")
    now[0] += 10

    updated = update(database, read(database)["revision"], "2.0", description="description 2")

    assert versions_of(database) == [("1.0", 0), ("2.0", 10)]
    assert updated == read(database)
    assert (updated["version"], updated["model_count"], updated["description"]) == ("2.0", 4, "description 2")
    assert "title" not in updated


def test_an_update_in_the_same_second_keeps_the_other_versions(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")

    updated = update(database, read(database)["revision"], "2.0")
    update(database, updated["revision"], "2.0", title="title 2")

    assert versions_of(database) == [("1.0", 0), ("2.0", 1)]
    assert read(database)["title"] == "title 2"


def test_an_update_with_a_slow_clock_is_the_newest_version(database: TDatabase, now: list[float]) -> None:
    publish(database)
    now[0] -= 3600

    update(database, read(database)["revision"], "2.0")

    assert versions_of(database) == [("1.0", 0), ("2.0", 1)]


def test_an_update_of_a_changed_spec_raises_the_newer_version(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")
    revision = read(database)["revision"]
    publish(database, "2.0")

    with pytest.raises(ConflictError, match="'My.Spec' was published since it was read") as raised:
        update(database, revision, "3.0")

    assert raised.value.newer == read(database)
    assert versions_of(database) == [("1.0", 0), ("2.0", 1)]


def test_of_two_updates_the_second_fails(database: TDatabase, now: list[float]) -> None:
    publish(database)
    revision = read(database)["revision"]
    first = update(database, revision, "1.0", title="first")

    with pytest.raises(ConflictError) as raised:
        update(database, revision, "1.0", title="second")

    assert raised.value.newer == first == read(database)


def test_a_deleted_spec_is_not_updated(database: TDatabase) -> None:
    publish(database)
    revision = read(database)["revision"]
    database.delete_spec(sub="u1", name="My.Spec")

    with pytest.raises(NotFoundError, match=r"^the user has no spec 'My\.Spec'$"):
        update(database, revision)

    assert database.list_specs(sub="u1") == []


def test_a_spec_that_was_deleted_and_published_again_is_another_one(database: TDatabase, now: list[float]) -> None:
    publish(database)
    revision = read(database)["revision"]
    database.delete_spec(sub="u1", name="My.Spec")
    publish(database)

    with pytest.raises(ConflictError):
        update(database, revision)


def test_a_spec_of_version_4_is_updated_once(database: TDatabase, now: list[float]) -> None:
    store_as_version_4(database)
    revision = read(database)["revision"]

    update(database, revision, "2.0")

    assert versions_of(database) == [("1.0", 0), ("2.0", 1)]
    with pytest.raises(ConflictError):
        update(database, revision, "3.0")


def test_a_spec_of_version_4_that_was_published_since_is_not_updated(database: TDatabase, now: list[float]) -> None:
    store_as_version_4(database)
    revision = read(database)["revision"]
    publish(database, title="title 1")

    with pytest.raises(ConflictError) as raised:
        update(database, revision)

    assert raised.value.newer["title"] == "title 1"


def test_an_invalid_update_is_refused(database: TDatabase) -> None:
    with pytest.raises(ValidationError, match="revision must have 1 to 204800 bytes in UTF-8, not ''"):
        update(database, "")
    with pytest.raises(ValidationError, match="description and the other arguments"):
        update(database, "r", description="x" * 204_800)
