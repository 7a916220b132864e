"""The contract of specs."""

from __future__ import annotations

import json

import pytest

from open_alchemy.package_database import NotFoundError, TDatabase, ValidationError
from tests.contract.records import latest_record, put, put_big_specs, version_record


def publish(
    database: TDatabase, version: str = "1.0", *, sub: str = "u1", name: str = "My.Spec", models: int = 3
) -> None:
    database.create_update_spec(sub=sub, name=name, version=version, model_count=models)


def versions_of(database: TDatabase, *, sub: str = "u1", name: str = "My.Spec") -> list[str]:
    return [info["version"] for info in database.list_spec_versions(sub=sub, name=name)]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of writers, in seconds, as a list of one number."""
    clock = [1_700_000_000.9]
    monkeypatch.setattr("time.time", lambda: clock[0])
    return clock


def test_an_empty_database_has_no_specs(database: TDatabase) -> None:
    assert database.count_customer_models(sub="u1") == 0
    assert database.list_specs(sub="u1") == []
    assert database.get_spec(sub="u1", name="My.Spec") is None


def test_a_missing_spec_has_no_version(database: TDatabase) -> None:
    with pytest.raises(NotFoundError, match=r"My\.Spec"):
        database.get_latest_spec_version(sub="u1", name="My.Spec")
    with pytest.raises(NotFoundError, match=r"My\.Spec"):
        database.list_spec_versions(sub="u1", name="My.Spec")


def test_deleting_missing_specs_does_nothing(database: TDatabase) -> None:
    publish(database, name="other")

    database.delete_spec(sub="u1", name="My.Spec")
    database.delete_all_specs(sub="u2")
    database.delete_all(sub="u2")

    assert versions_of(database, name="other") == ["1.0"]


def test_a_spec_is_read_back_as_it_was_written(database: TDatabase, now: list[float]) -> None:
    database.create_update_spec(
        sub="u1", name="My.Spec", version="2.0", model_count=3, title="title 1", description="description 1"
    )

    expected = {
        "id": "my-spec",
        "name": "My.Spec",
        "updated_at": int(now[0]),
        "version": "2.0",
        "model_count": 3,
        "title": "title 1",
        "description": "description 1",
    }
    assert database.get_spec(sub="u1", name="My.Spec") == expected
    assert database.list_specs(sub="u1") == [expected]
    assert database.list_spec_versions(sub="u1", name="My.Spec") == [expected]
    assert database.get_latest_spec_version(sub="u1", name="My.Spec") == "2.0"
    assert database.count_customer_models(sub="u1") == 3


def test_title_and_description_are_present_only_if_given(database: TDatabase) -> None:
    publish(database)

    spec = database.get_spec(sub="u1", name="My.Spec")

    assert spec is not None
    assert spec.keys() == {"id", "name", "updated_at", "version", "model_count"}


def test_an_empty_title_is_stored(database: TDatabase) -> None:
    database.create_update_spec(sub="u1", name="a", version=" ", model_count=0, title="", description="")

    spec = database.get_spec(sub="u1", name="a")

    assert spec is not None
    assert (spec["version"], spec["title"], spec["description"]) == (" ", "", "")


def test_an_empty_version_is_refused(database: TDatabase) -> None:
    with pytest.raises(ValidationError, match="version must have 1 to 204800 bytes in UTF-8, not ''"):
        publish(database, "")


def test_results_can_be_encoded_as_json(database: TDatabase) -> None:
    publish(database, models=2**63 - 1)

    assert json.loads(json.dumps(database.list_specs(sub="u1")))[0]["model_count"] == 2**63 - 1


def test_every_spelling_of_a_name_means_the_same_spec(database: TDatabase) -> None:
    publish(database)

    for spelling in ("my-spec", "MY_SPEC", "my..spec", "My-_.Spec"):
        assert database.get_latest_spec_version(sub="u1", name=spelling) == "1.0"
    database.delete_spec(sub="u1", name="my..spec")
    assert database.list_specs(sub="u1") == []


def test_specs_are_listed_by_id(database: TDatabase) -> None:
    for name in ("b", "C", "a#b", "a", "é"):
        publish(database, name=name)

    assert [info["id"] for info in database.list_specs(sub="u1")] == ["a", "a#b", "b", "c", "é"]


def test_the_newest_version_counts(database: TDatabase) -> None:
    publish(database, "1.0", models=1)
    publish(database, "2.0", models=10)
    publish(database, "1.0", name="other", models=100)

    assert database.count_customer_models(sub="u1") == 110
    assert database.get_latest_spec_version(sub="u1", name="My.Spec") == "2.0"
    assert [info["version"] for info in database.list_specs(sub="u1")] == ["2.0", "1.0"]


def test_versions_within_one_second_are_kept(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")
    publish(database, "2.0")
    publish(database, "3.0")

    infos = database.list_spec_versions(sub="u1", name="My.Spec")
    assert [(info["version"], info["updated_at"] - int(now[0])) for info in infos] == [
        ("1.0", 0),
        ("2.0", 1),
        ("3.0", 2),
    ]
    assert database.get_spec(sub="u1", name="My.Spec") == infos[-1]


def test_the_same_version_in_one_second_is_replaced(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0", models=1)
    publish(database, "1.0", models=2)

    (info,) = database.list_spec_versions(sub="u1", name="My.Spec")
    assert (info["model_count"], info["updated_at"]) == (2, int(now[0]))
    assert database.count_customer_models(sub="u1") == 2


def test_the_same_version_at_a_later_second_is_a_new_record(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")
    now[0] += 1
    publish(database, "1.0")

    assert versions_of(database) == ["1.0", "1.0"]


def test_no_version_is_lost_with_a_slow_clock(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")
    now[0] -= 3600
    publish(database, "2.0")

    assert versions_of(database) == ["1.0", "2.0"]
    assert database.get_latest_spec_version(sub="u1", name="My.Spec") == "2.0"


def test_the_same_version_is_replaced_with_a_slow_clock(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0", models=1)
    now[0] -= 3600
    publish(database, "1.0", models=2)

    (info,) = database.list_spec_versions(sub="u1", name="My.Spec")
    assert info["model_count"] == 2


def test_an_older_version_published_again_is_the_newest(database: TDatabase, now: list[float]) -> None:
    publish(database, "1.0")
    publish(database, "2.0")
    publish(database, "1.0")

    assert versions_of(database) == ["1.0", "2.0", "1.0"]
    assert len({info["updated_at"] for info in database.list_spec_versions(sub="u1", name="My.Spec")}) == 3


def test_versions_stay_in_order_when_the_time_gets_another_digit(database: TDatabase, now: list[float]) -> None:
    for seconds in ([900_000, 1_000_000], [0, 9, 10], [1_000_000, 900_000], [9_999_999_999, 10_000_000_000]):
        for second in seconds:
            now[0] = second
            publish(database, str(second))

        assert versions_of(database) == [str(second) for second in seconds]
        assert database.get_latest_spec_version(sub="u1", name="My.Spec") == str(seconds[-1])
        database.delete_spec(sub="u1", name="My.Spec")
        assert database.get_spec(sub="u1", name="My.Spec") is None


def test_a_spec_is_deleted_with_all_versions(database: TDatabase) -> None:
    for version in ("1.0", "2.0", "3.0"):
        publish(database, version)

    database.delete_spec(sub="u1", name="My.Spec")

    assert database.get_spec(sub="u1", name="My.Spec") is None
    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="My.Spec")
    publish(database, "4.0")
    assert versions_of(database) == ["4.0"]


def test_a_spec_with_more_versions_than_fit_into_a_transaction_is_deleted(database: TDatabase) -> None:
    versions = [version_record("My.Spec", str(second), second, revision=f"r{second}") for second in range(101)]
    put(database, [*versions, latest_record(versions[-1])])
    assert len(versions_of(database)) == 101

    database.delete_spec(sub="u1", name="My.Spec")

    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="My.Spec")


def test_ids_that_share_a_prefix_up_to_a_hash_sign_are_different_specs(database: TDatabase) -> None:
    for name in ("a", "a#b", "a#latest", "latest", "latest#a"):
        publish(database, f"{name} 1", name=name)
        publish(database, f"{name} 2", name=name)

    assert versions_of(database, name="a") == ["a 1", "a 2"]
    database.delete_spec(sub="u1", name="a")

    assert [info["id"] for info in database.list_specs(sub="u1")] == ["a#b", "a#latest", "latest", "latest#a"]
    for name in ("a#b", "a#latest", "latest", "latest#a"):
        assert versions_of(database, name=name) == [f"{name} 1", f"{name} 2"]


def test_users_are_isolated(database: TDatabase) -> None:
    for sub in ("u1", "u2", "u1#", "u"):
        publish(database, f"of {sub}", sub=sub)

    assert versions_of(database, sub="u1") == ["of u1"]
    assert [info["version"] for info in database.list_specs(sub="u2")] == ["of u2"]
    database.delete_all_specs(sub="u1")
    database.delete_all(sub="u")

    assert database.list_specs(sub="u1") == database.list_specs(sub="u") == []
    assert versions_of(database, sub="u2") == ["of u2"]
    assert versions_of(database, sub="u1#") == ["of u1#"]


def test_all_specs_of_a_user_are_deleted(database: TDatabase) -> None:
    for name in ("a", "b", "c"):
        publish(database, "1.0", name=name)
        publish(database, "2.0", name=name)

    database.delete_all_specs(sub="u1")

    assert database.list_specs(sub="u1") == []
    assert database.count_customer_models(sub="u1") == 0


def test_lists_contain_all_pages(database: TDatabase) -> None:
    put_big_specs(database)

    assert len(database.list_specs(sub="u1")) == 7
    assert database.count_customer_models(sub="u1") == 7
    assert versions_of(database, name="big") == ["0", "1", "2", "3", "4", "5", "6"]
    database.delete_all(sub="u1")
    assert database.list_specs(sub="u1") == []


def test_the_largest_keys_are_stored(database: TDatabase) -> None:
    sub, name = "é" * 1024, "n" * 1003

    publish(database, sub=sub, name=name)

    assert versions_of(database, sub=sub, name=name) == ["1.0"]
    assert database.list_specs(sub=sub)[0]["id"] == name


def test_every_text_is_read_back_unchanged(database: TDatabase) -> None:
    texts = ("\x01", "latest#", "😀", "\u202eabc", "İ", "e\u0301", "a b", "'\"\\")
    for text in texts:
        database.create_update_spec(sub=text, name=text, version=text, model_count=0, title=text, description=text)

    for text in texts:
        spec = database.get_spec(sub=text, name=text)
        assert spec is not None
        assert {spec["name"], spec["version"], spec["title"], spec["description"]} == {text}
        assert [info["name"] for info in database.list_specs(sub=text)] == [text]
