"""Writes many items in few requests, as they are stored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from open_alchemy.package_database import TDatabase
from open_alchemy.package_database.core.operations import MAX_TRANSACT_ACTIONS, Item, Put, Table, Transact
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys, spec_id
from open_alchemy.package_database.model.schema import SPECS
from tests.apis import execute


def put(database: TDatabase, items: list[Item], table: Table = SPECS) -> None:
    """Stores items of one user."""
    for start in range(0, len(items), MAX_TRANSACT_ACTIONS):
        puts = tuple(Put(table, item) for item in items[start : start + MAX_TRANSACT_ACTIONS])
        execute(database, Transact(puts, token=uuid4().hex))


def version_record(name: str, version: str, second: int, **attributes: Any) -> Item:
    """Returns a version record of the user u1, as version 4 of the package wrote it: without a revision."""
    return {
        "sub": "u1",
        "id": spec_id(name),
        "name": name,
        "version": version,
        "model_count": 1,
        "updated_at": str(second),
        **record_keys(padded(second), spec_id(name)),
        **attributes,
    }


def latest_record(newest: Item) -> Item:
    """Returns the latest record of the spec whose newest version record is given."""
    return {**newest, **record_keys(LATEST, str(newest["id"]))}


def put_big_specs(database: TDatabase) -> None:
    """Stores seven versions of the spec "big" and six other specs: more than a page of DynamoDB, which has 1 MB."""
    description = "x" * 200_000
    versions = [version_record("big", str(second), second, description=description) for second in range(7)]
    others = [version_record(f"big {number}", "1", 0, description=description) for number in range(6)]
    # A transaction has at most 4 MB.
    put(database, [*versions, latest_record(versions[-1])])
    put(database, [record for other in others for record in (other, latest_record(other))])
