"""The contract of pages and streams of specs and versions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from open_alchemy.package_database import NotFoundError, TDatabase, TSpecInfo, ValidationError
from open_alchemy.package_database.core.operations import Delete, Transact
from open_alchemy.package_database.model.keys import latest_key
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import execute
from tests.contract.records import latest_record, put, put_big_specs, version_record

NAMES = ("a", "a#0", "a#b", "a#latest", "b", "latest", "é", "\U0010ffff")


def publish(database: TDatabase, version: str = "1.0", *, name: str = "a") -> None:
    database.create_update_spec(sub="u1", name=name, version=version, model_count=3)


def spec_pages(database: TDatabase, limit: int) -> list[list[str]]:
    """Returns the ids of each page."""
    pages = [database.list_specs(sub="u1", limit=limit)]
    while len(pages[-1]) == limit:
        pages.append(database.list_specs(sub="u1", limit=limit, after=pages[-1][-1]["id"]))
    return [[info["id"] for info in page] for page in pages]


def version_pages(database: TDatabase, limit: int, *, name: str = "a") -> list[list[TSpecInfo]]:
    pages = [database.list_spec_versions(sub="u1", name=name, limit=limit)]
    while len(pages[-1]) == limit:
        after = pages[-1][-1]["updated_at"]
        pages.append(database.list_spec_versions(sub="u1", name=name, limit=limit, after=after))
    return pages


def test_the_pages_of_specs_are_the_list(database: TDatabase) -> None:
    for name in NAMES:
        publish(database, name=name)
    ids = [info["id"] for info in database.list_specs(sub="u1")]

    for limit in (1, 3, 8, 1000):
        pages = spec_pages(database, limit)
        assert [id_ for page in pages for id_ in page] == ids
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_the_pages_of_versions_are_the_list(database: TDatabase) -> None:
    names = ("a", "a#0", "a#b", "a#latest")
    for name in names:
        for version in ("1.0", "2.0", "1.0"):
            publish(database, version, name=name)

    for name in names:
        infos = database.list_spec_versions(sub="u1", name=name)
        for limit in (1, 2, 3, 4):
            pages = version_pages(database, limit, name=name)
            assert [info for page in pages for info in page] == infos


def test_specs_after_an_id_are_all_returned_without_a_limit(database: TDatabase) -> None:
    for name in ("a", "b", "c"):
        publish(database, name=name)

    assert [info["id"] for info in database.list_specs(sub="u1", after="a")] == ["b", "c"]
    assert [info["id"] for info in database.list_specs(sub="u1", after="aa")] == ["b", "c"]
    assert database.list_specs(sub="u1", after="c") == []


def test_versions_after_a_time_are_all_returned_without_a_limit(database: TDatabase) -> None:
    for version in ("1.0", "2.0", "3.0"):
        publish(database, version)
    first, *rest = database.list_spec_versions(sub="u1", name="a")

    assert database.list_spec_versions(sub="u1", name="a", after=first["updated_at"]) == rest
    assert database.list_spec_versions(sub="u1", name="a", after=0) == [first, *rest]
    assert database.list_spec_versions(sub="u1", name="a", after=rest[-1]["updated_at"]) == []
    assert database.list_spec_versions(sub="u1", name="a", after=10**19 - 1) == []


def test_a_page_of_a_missing_spec_is_an_error(database: TDatabase) -> None:
    publish(database, name="a#b")

    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="a", limit=1)
    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="a", after=0)


def test_writes_between_pages_neither_repeat_nor_hide_a_spec(database: TDatabase) -> None:
    for name in ("a", "c", "e", "g"):
        publish(database, name=name)
    first = database.list_specs(sub="u1", limit=2)

    publish(database, "2.0", name="a")
    publish(database, name="b")
    publish(database, name="d")
    database.delete_spec(sub="u1", name="c")

    rest = database.list_specs(sub="u1", limit=1000, after=first[-1]["id"])
    assert [info["id"] for info in (*first, *rest)] == ["a", "c", "d", "e", "g"]


def test_writes_between_pages_neither_repeat_nor_hide_a_version(database: TDatabase) -> None:
    for version in ("1.0", "2.0", "3.0"):
        publish(database, version)
    first = database.list_spec_versions(sub="u1", name="a", limit=2)

    publish(database, "2.0")

    rest = database.list_spec_versions(sub="u1", name="a", limit=1000, after=first[-1]["updated_at"])
    assert [info["version"] for info in (*first, *rest)] == ["1.0", "2.0", "3.0", "2.0"]
    assert all(before["updated_at"] < after["updated_at"] for before, after in pairwise((*first, *rest)))


def test_a_newest_version_that_version_4_left_without_its_record_is_on_a_page(database: TDatabase) -> None:
    first, second, newest = (version_record("a", f"{number}.0", number * 10) for number in (1, 2, 3))
    put(database, [first, second, latest_record(newest)])

    for limit in (1, 2, 3):
        pages = version_pages(database, limit)
        assert [info["version"] for page in pages for info in page] == ["1.0", "2.0", "3.0"]


def test_version_records_without_a_latest_record_are_no_spec(database: TDatabase) -> None:
    publish(database)
    execute(database, Transact((Delete(SPECS, latest_key("u1", "a")),)))

    with pytest.raises(NotFoundError):
        database.list_spec_versions(sub="u1", name="a", limit=1)
    assert database.list_specs(sub="u1", limit=1) == list(database.iter_specs(sub="u1")) == []


def test_pages_read_as_many_requests_as_they_need(database: TDatabase) -> None:
    put_big_specs(database)

    assert [len(page) for page in spec_pages(database, 6)] == [6, 1]
    assert [len(page) for page in version_pages(database, 6, name="big")] == [6, 1]


def test_a_stream_yields_the_specs_of_all_pages(database: TDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_alchemy.package_database.model.specs._STREAM_PAGE", 3)
    for name in NAMES:
        publish(database, name=name)

    assert list(database.iter_specs(sub="u1")) == database.list_specs(sub="u1")
    assert list(database.iter_specs(sub="u1", after="b")) == database.list_specs(sub="u1", after="b")
    assert list(database.iter_specs(sub="u2")) == []


def test_a_page_of_specs_has_a_limit_and_starts_after_an_id(database: TDatabase) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"limit": 0}, "limit must be from 1 to 1000, not 0"),
        ({"limit": 1001}, "limit must be from 1 to 1000, not 1001"),
        ({"limit": True}, "limit must be an int, not True"),
        ({"after": ""}, "after must have 1 to 1003 bytes in UTF-8, not ''"),
        ({"after": 5}, "after must be a str, not 5"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValidationError, match=message):
            database.list_specs(sub="u1", **arguments)


def test_a_page_of_versions_starts_after_a_time(database: TDatabase) -> None:
    refused: list[tuple[Any, str]] = [
        (-1, "after must be from 0 to 9999999999999999999, not -1"),
        (10**19, "after must be from 0 to 9999999999999999999, not 10000000000000000000"),
        ("1", "after must be an int, not '1'"),
    ]
    for after, message in refused:
        with pytest.raises(ValidationError, match=message):
            database.list_spec_versions(sub="u1", name="a", after=after)


def test_a_stream_checks_its_arguments_when_it_is_called(database: TDatabase) -> None:
    with pytest.raises(ValidationError, match="sub must have"):
        database.iter_specs(sub="")
    with pytest.raises(ValidationError, match="after must have"):
        database.iter_specs(sub="u1", after="")


def test_the_newest_version_is_the_last_of_the_last_page(database: TDatabase) -> None:
    for version in ("1.0", "2.0", "1.0"):
        publish(database, version)

    newest = version_pages(database, 2)[-1][-1]

    assert database.get_latest_spec_version(sub="u1", name="a") == newest["version"] == "1.0"
    assert database.get_spec(sub="u1", name="a") == newest
