"""The calls that meet a fault, and what each must return and change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.model.keys import latest_key
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS
from tests.faults.backend import CREDENTIALS_COUNT, Backend

State: TypeAlias = tuple[list[str], int]
"""The stored versions of the spec, and the number of stored credentials."""

UNTOUCHED: State = (["1.0"], CREDENTIALS_COUNT)


@dataclass(frozen=True, slots=True)
class Call:
    """A call.

    Attributes:
        perform: Makes the call.
        result: Its result.
        effect: The state after it.
        partial: States in which a permanent fault may leave a call that deletes in several requests.
        later: A write after the call, which a late delivery of the call's request must not undo.
    """

    perform: Callable[[TDatabase], object]
    result: object = None
    effect: State = UNTOUCHED
    partial: tuple[State, ...] = ()
    later: Callable[[TDatabase], object] | None = None

    def perform_with_later(self, database: TDatabase) -> None:
        """Makes the call and then the later write."""
        assert self.later is not None
        self.perform(database)
        self.later(database)


def _create(database: TDatabase) -> None:
    database.create_update_spec(sub="u1", name="a", version="2.0", model_count=2)


def _store_credentials(database: TDatabase, id_: str = "new") -> None:
    database.create_update_credentials(sub="u1", id_=id_, public_key=f"pk {id_}", secret_key_hash=b"hash", salt=b"salt")


def _versions(database: TDatabase) -> list[str]:
    return [info["version"] for info in database.list_spec_versions(sub="u1", name="a")]


def _store_again(database: TDatabase) -> None:
    _create(database)
    _store_credentials(database, "0")


CALLS: dict[str, Call] = {
    "create_update_spec": Call(
        _create,
        effect=(["1.0", "2.0"], CREDENTIALS_COUNT),
        later=lambda database: database.delete_spec(sub="u1", name="a"),
    ),
    "create_update_credentials": Call(
        _store_credentials,
        effect=(["1.0"], CREDENTIALS_COUNT + 1),
        later=lambda database: database.delete_credentials(sub="u1", id_="new"),
    ),
    "get_latest_spec_version": Call(
        lambda database: database.get_latest_spec_version(sub="u1", name="a"), result="1.0"
    ),
    "list_spec_versions": Call(_versions, result=["1.0"]),
    "delete_spec": Call(
        lambda database: database.delete_spec(sub="u1", name="a"), effect=([], CREDENTIALS_COUNT), later=_create
    ),
    "delete_all_credentials": Call(
        lambda database: database.delete_all_credentials(sub="u1"), effect=(["1.0"], 0), later=_store_again
    ),
    "get_user": Call(lambda database: getattr(database.get_user(public_key="pk 1"), "sub", None), result="u1"),
    "delete_credentials": Call(
        lambda database: database.delete_credentials(sub="u1", id_="0"),
        effect=(["1.0"], CREDENTIALS_COUNT - 1),
        later=_store_again,
    ),
    "delete_all_specs": Call(
        lambda database: database.delete_all_specs(sub="u1"), effect=([], CREDENTIALS_COUNT), later=_create
    ),
    "delete_all": Call(
        lambda database: database.delete_all(sub="u1"),
        effect=([], 0),
        partial=(([], CREDENTIALS_COUNT), (["1.0"], 0)),
        later=_store_again,
    ),
}
WRITES = [name for name, call in CALLS.items() if call.later is not None]
READ_BEFORE_WRITING = ["delete_spec", "delete_all_credentials", "delete_all_specs", "delete_all"]
ONE_OF_EACH_KIND = list(CALLS)[:6]
"""A transaction, a put, a read, a query, and two deletes."""


def stored(backend: Backend) -> State:
    """Returns the state of the store, in which the latest record must be that of the newest version."""
    items = backend.items()
    records = {item["updated_at_id"]["S"]: item["version"]["S"] for item in items[SPECS.name]}
    latest = records.pop(latest_key("u1", "a")["updated_at_id"], None)
    versions = [records[key] for key in sorted(records)]
    assert [latest] == versions[-1:] or (latest is None and not versions)
    return versions, len(items[CREDENTIALS.name])
