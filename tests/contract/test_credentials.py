"""The contract of credentials."""

from __future__ import annotations

from typing import cast

import pytest

from open_alchemy.package_database import ConflictError, CredentialsAuthInfo, TDatabase
from open_alchemy.package_database.core.operations import Item
from open_alchemy.package_database.model.schema import CREDENTIALS
from tests.canary import HASH, SALT, find
from tests.contract.records import put


def store(
    database: TDatabase, *, sub: str = "u1", id_: str = "id 1", public_key: str = "pk 1", salt: bytes = SALT
) -> None:
    database.create_update_credentials(
        sub=sub, id_=id_, public_key=public_key, secret_key_hash=HASH + b"\x00\xff", salt=salt
    )


def test_an_empty_database_has_no_credentials(database: TDatabase) -> None:
    assert database.list_credentials(sub="u1") == []
    assert database.get_credentials(sub="u1", id_="id 1") is None
    assert database.get_user(public_key="pk 1") is None


def test_credentials_are_read_back_as_they_were_written(database: TDatabase) -> None:
    store(database, salt=SALT + b"\x00\xff")

    expected = {"id": "id 1", "public_key": "pk 1", "salt": SALT + b"\x00\xff"}
    assert database.get_credentials(sub="u1", id_="id 1") == expected
    assert database.list_credentials(sub="u1") == [expected]
    assert database.get_user(public_key="pk 1") == CredentialsAuthInfo(
        sub="u1", secret_key_hash=HASH + b"\x00\xff", salt=SALT + b"\x00\xff"
    )


def test_bytes_are_returned_as_plain_bytes(database: TDatabase) -> None:
    store(database)

    info = database.get_credentials(sub="u1", id_="id 1")
    user = database.get_user(public_key="pk 1")

    assert info is not None
    assert user is not None
    assert {type(info["salt"]), type(user.salt), type(user.secret_key_hash)} == {bytes}
    assert repr(info["salt"]) == repr(SALT)


def test_every_kind_of_bytes_is_stored(database: TDatabase) -> None:
    kinds: tuple[type[bytes | bytearray | memoryview], ...] = (bytes, bytearray, memoryview)
    for kind in kinds:
        sub = kind.__name__
        database.create_update_credentials(
            sub=sub,
            id_="id 1",
            public_key=sub,
            secret_key_hash=cast("bytes", kind(HASH)),
            salt=cast("bytes", kind(b"")),
        )
        assert database.get_user(public_key=sub) == CredentialsAuthInfo(sub=sub, secret_key_hash=HASH, salt=b"")


def test_the_repr_of_a_user_shows_no_secret(database: TDatabase) -> None:
    store(database, salt=SALT)

    user = database.get_user(public_key="pk 1")

    assert repr(user) == "CredentialsAuthInfo(sub='u1')"


def test_credentials_are_listed_by_id(database: TDatabase) -> None:
    for id_ in ("b", "a", "B"):
        store(database, id_=id_, public_key=f"pk {id_}")

    assert [info["id"] for info in database.list_credentials(sub="u1")] == ["B", "a", "b"]


def test_credentials_with_the_same_id_are_replaced(database: TDatabase) -> None:
    store(database, public_key="old")
    store(database, public_key="new", salt=SALT[::-1])

    assert database.list_credentials(sub="u1") == [{"id": "id 1", "public_key": "new", "salt": SALT[::-1]}]
    assert database.get_user(public_key="old") is None
    assert database.get_user(public_key="new") is not None


def test_deleted_credentials_authenticate_nobody(database: TDatabase) -> None:
    store(database)
    store(database, id_="id 2", public_key="pk 2")

    database.delete_credentials(sub="u1", id_="id 1")

    assert database.get_credentials(sub="u1", id_="id 1") is None
    assert database.get_user(public_key="pk 1") is None
    assert database.get_user(public_key="pk 2") is not None


def test_deleting_missing_credentials_does_nothing(database: TDatabase) -> None:
    store(database)

    database.delete_credentials(sub="u1", id_="id 2")
    database.delete_all_credentials(sub="u2")

    assert len(database.list_credentials(sub="u1")) == 1


def test_all_credentials_of_a_user_are_deleted(database: TDatabase) -> None:
    common: Item = {"sub": "u1", "secret_key_hash": HASH, "salt": SALT, "encoding": "raw"}
    items: list[Item] = [{**common, "id": f"id {number}", "public_key": f"pk {number}"} for number in range(30)]
    put(database, items, CREDENTIALS)
    assert len(database.list_credentials(sub="u1")) == 30
    store(database, sub="u2", public_key="of u2")

    database.delete_all_credentials(sub="u1")

    assert database.list_credentials(sub="u1") == []
    assert database.get_user(public_key="pk 7") is None
    assert len(database.list_credentials(sub="u2")) == 1


@pytest.mark.parametrize("other", [{"sub": "u2"}, {"id_": "2"}])
def test_a_public_key_of_other_credentials_is_a_conflict(database: TDatabase, other: dict[str, str]) -> None:
    store(database, public_key="taken", salt=SALT)

    with pytest.raises(ConflictError, match="public_key") as caught:
        store(database, public_key="taken", salt=SALT, **other)

    user = database.get_user(public_key="taken")
    assert user is not None
    assert user.sub == "u1"
    assert find(str(caught.value)) == []


def test_a_public_key_that_was_given_up_can_be_used_by_others(database: TDatabase) -> None:
    store(database, public_key="old")
    store(database, public_key="new")

    store(database, sub="u2", public_key="old")

    user = database.get_user(public_key="old")
    assert user is not None
    assert user.sub == "u2"


def test_deleting_all_of_a_user_leaves_nothing(database: TDatabase) -> None:
    store(database)
    store(database, sub="u2", public_key="of u2")
    database.create_update_spec(sub="u1", name="a", version="1.0", model_count=1)
    database.create_update_spec(sub="u2", name="a", version="1.0", model_count=1)

    database.delete_all(sub="u1")

    assert database.list_specs(sub="u1") == []
    assert database.list_credentials(sub="u1") == []
    assert len(database.list_specs(sub="u2")) == 1
    assert len(database.list_credentials(sub="u2")) == 1


def test_the_largest_keys_are_stored(database: TDatabase) -> None:
    sub, id_, public_key = "s" * 2048, "é" * 512, "p" * 2048

    store(database, sub=sub, id_=id_, public_key=public_key)

    assert database.get_credentials(sub=sub, id_=id_) is not None
    user = database.get_user(public_key=public_key)
    assert user is not None
    assert user.sub == sub
