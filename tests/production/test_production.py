"""Calls every function on deployed tables. All ids and public keys begin with ``test.``, as the policy requires."""

from __future__ import annotations

import time
import uuid

from open_alchemy.package_database import CredentialsAuthInfo, TDatabase

_INDEX_SECONDS = 60
"""The longest accepted replication lag of the index ``publicKey``, which is usually a fraction of a second."""


def test_specs_are_written_read_and_deleted(database: TDatabase, sub: str) -> None:
    before = int(time.time())
    database.create_update_spec(sub=sub, name="My.Spec", version="1.0", model_count=2)
    database.create_update_spec(
        sub=sub, name="my_spec", version="1.1", model_count=3, title="A title", description="A description"
    )
    database.create_update_spec(sub=sub, name="other", version="7", model_count=4)

    newest = database.get_spec(sub=sub, name="MY-SPEC")
    versions = database.list_spec_versions(sub=sub, name="my-spec")
    assert newest is not None
    assert before <= newest["updated_at"] <= before + 60
    assert newest == {
        "id": "my-spec",
        "name": "my_spec",
        "updated_at": newest["updated_at"],
        "version": "1.1",
        "model_count": 3,
        "title": "A title",
        "description": "A description",
    }
    assert database.get_latest_spec_version(sub=sub, name="My.Spec") == "1.1"
    assert [version["version"] for version in versions] == ["1.0", "1.1"]
    assert versions[0]["updated_at"] < versions[1]["updated_at"]
    assert database.list_specs(sub=sub) == [newest, database.get_spec(sub=sub, name="other")]
    assert list(database.iter_specs(sub=sub)) == database.list_specs(sub=sub)
    snapshots = list(database.iter_spec_snapshots(sub=sub))
    assert snapshots[0] == database.get_spec_snapshot(sub=sub, name="my-spec")
    updated = database.update_spec(
        sub=sub, name="My.Spec", version="1.2", model_count=3, revision=snapshots[0]["revision"]
    )
    assert updated == database.get_spec_snapshot(sub=sub, name="my-spec")
    assert database.count_customer_models(sub=sub) == 7

    database.delete_spec(sub=sub, name="My.Spec")

    assert database.get_spec(sub=sub, name="My.Spec") is None
    assert [spec["id"] for spec in database.list_specs(sub=sub)] == ["other"]

    database.delete_all_specs(sub=sub)

    assert database.list_specs(sub=sub) == []


def test_credentials_are_written_read_and_deleted(database: TDatabase, sub: str) -> None:
    public_key, other_key = f"test.{uuid.uuid4()}", f"test.{uuid.uuid4()}"
    database.create_update_credentials(
        sub=sub, id_="laptop", public_key=public_key, secret_key_hash=b"hash\x00\xff", salt=b"salt\x00\xff"
    )
    database.create_update_credentials(sub=sub, id_="ci", public_key=other_key, secret_key_hash=b"h", salt=b"s")

    stored = {"id": "laptop", "public_key": public_key, "salt": b"salt\x00\xff"}
    assert database.get_credentials(sub=sub, id_="laptop") == stored
    assert database.list_credentials(sub=sub) == [{"id": "ci", "public_key": other_key, "salt": b"s"}, stored]
    assert _find_user(database, public_key) == CredentialsAuthInfo(
        sub=sub, secret_key_hash=b"hash\x00\xff", salt=b"salt\x00\xff"
    )

    database.delete_credentials(sub=sub, id_="laptop")

    assert database.get_credentials(sub=sub, id_="laptop") is None
    assert database.get_user(public_key=public_key) is None
    assert _find_user(database, other_key) is not None

    database.delete_all_credentials(sub=sub)

    assert database.list_credentials(sub=sub) == []
    assert database.get_user(public_key=other_key) is None


def test_all_items_of_a_user_are_deleted(database: TDatabase, sub: str) -> None:
    database.create_update_spec(sub=sub, name="My.Spec", version="1.0", model_count=2)
    database.create_update_credentials(
        sub=sub, id_="laptop", public_key=f"test.{uuid.uuid4()}", secret_key_hash=b"h", salt=b"s"
    )

    database.delete_all(sub=sub)

    assert database.list_specs(sub=sub) == []
    assert database.list_credentials(sub=sub) == []


def _find_user(database: TDatabase, public_key: str) -> CredentialsAuthInfo | None:
    """Calls ``get_user`` until the index has a new public key."""
    until = time.monotonic() + _INDEX_SECONDS
    while (user := database.get_user(public_key=public_key)) is None and time.monotonic() < until:
        time.sleep(0.5)
    return user
