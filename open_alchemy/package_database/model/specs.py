"""The access patterns of the specs table.

A spec has a version record for each published version and one latest record, a copy of the newest. Both are written
in one transaction, and a record is only deleted in one that checks that the latest record is still the one that was
read: so a spec is there if and only if its latest record is, and that equals its newest version record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from ..core.operations import (
    MAX_TRANSACT_ACTIONS,
    MAX_TRANSACT_BYTES,
    AllOf,
    AnyOf,
    Backoff,
    Below,
    Check,
    Condition,
    Delete,
    Equal,
    Failures,
    Get,
    Item,
    Missing,
    Put,
    Query,
    Stamp,
    Stamped,
    Steps,
    Transact,
    Value,
)
from ..exceptions import NotFoundError
from ..types import TSpecInfo, TSpecInfoList
from .access_pattern import access_pattern
from .projection import Projection, seconds_of
from .schema import ID_UPDATED_AT, LATEST, SPECS, latest_key, padded, record_keys, spec_key
from .validation import check_item_size, item_size, spec_id

_REREADS = 3
"""How often the versions of a spec are read again that others write to."""
_INFO = Projection(SPECS, "id", "name", "updated_at", "version", "model_count", "title", "description")
"""The attributes of a ``TSpecInfo``. The others, a third of the bytes, are not requested."""
_MODEL_COUNT = Projection(SPECS, "model_count")
_VERSION = Projection(SPECS, "version")
_ID = Projection(SPECS, "id")
_NEWEST = Projection(SPECS, "updated_at", "version")
_RECORD = Projection(SPECS, "sub", "id", "updated_at", "updated_at_id", "revision")
_ANY_SECONDS = 10**10
"""As many digits as a clock shows, for the size of an item before the clock is read."""


@access_pattern("How many models does a user have?", unbounded=True)
def count_customer_models(*, sub: str) -> Steps[int]:
    """Sums over the latest records."""
    items = yield _latest_records(sub, _MODEL_COUNT)
    return sum(_MODEL_COUNT.check(item, sub=sub)["model_count"] for item in items)


@access_pattern("Publish a version of a spec.")
def create_update_spec(
    *,
    sub: str,
    name: str,
    version: str,
    model_count: int,
    title: str | None = None,
    description: str | None = None,
) -> Steps[None]:
    """Puts the version record and the latest record in one transaction.

    The first try takes the time from the clock; when another record is in the way, the next takes it from what the
    store says is there.
    """
    attributes: dict[str, Value] = {
        "sub": sub,
        "id": spec_id(name),
        "name": name,
        "version": version,
        "model_count": model_count,
    }
    if title is not None:
        attributes["title"] = title
    if description is not None:
        attributes["description"] = description
    version_record, _ = _records(attributes, _ANY_SECONDS, revision="0" * 32)
    check_item_size(version_record, copies=2)

    newest: Item | None = None
    for attempt in count():
        stamp: Stamped = yield Stamp()
        seconds = _next_seconds(stamp.seconds, version, newest)
        failures: Failures = yield _publish(*_records(attributes, seconds, stamp.revision))
        if not failures:
            return
        found = [_NEWEST.check(item) for item in failures.values() if item]
        newest = max(found, key=_seconds, default=None)
        # What is newest is only known now, and after a wait it would be old news: so every other try is made at once.
        if attempt % 2:
            yield Backoff(attempt // 2)


@access_pattern("What is the newest version of a spec?")
def get_latest_spec_version(*, sub: str, name: str) -> Steps[str]:
    """Gets the latest record."""
    item = yield Get(SPECS, latest_key(sub, spec_id(name)))
    if item is None:
        raise _not_found(name)
    version: str = _VERSION.check(item, sub=sub)["version"]
    return version


@access_pattern("Which specs does a user have?", unbounded=True)
def list_specs(*, sub: str) -> Steps[TSpecInfoList]:
    """Queries the latest records."""
    items = yield _latest_records(sub, _INFO)
    return [_to_info(item, sub) for item in items]


@access_pattern("What is known of a spec?")
def get_spec(*, sub: str, name: str) -> Steps[TSpecInfo | None]:
    """Gets the latest record."""
    item = yield Get(SPECS, latest_key(sub, spec_id(name)))
    return None if item is None else _to_info(item, sub)


@access_pattern("Which versions does a spec have?", unbounded=True)
def list_spec_versions(*, sub: str, name: str) -> Steps[TSpecInfoList]:
    """Queries the spec's records: the versions in the order of time, then the latest record.

    Where that is not among them, the spec was deleted while it was read. Where it is newer than the versions, others
    were written behind the reader's back, while it read the neighbours in between, and it reads again. The latest
    record stands for the newest version in any case: version 4 may have left it without its version record.
    """
    rereads = 0
    while True:
        records = yield from _all_records(sub, spec_id(name))
        if not records or not _is_latest(records[-1]):
            raise _not_found(name)
        *versions, latest = records
        if rereads == _REREADS or (versions and _seconds(versions[-1]) == _seconds(latest)):
            older = [record for record in versions if _seconds(record) < _seconds(latest)]
            return [_to_info(record, sub) for record in (*older, latest)]
        yield Backoff(rereads)
        rereads += 1


@access_pattern("Delete a spec with all its versions.", unbounded=True)
def delete_spec(*, sub: str, name: str) -> Steps[None]:
    """Deletes the oldest versions first, and the newest together with the latest record."""
    yield from _delete_spec(sub, spec_id(name))


@access_pattern("Delete all of a user's specs.", unbounded=True)
def delete_all_specs(*, sub: str) -> Steps[None]:
    """Deletes one spec after the other, and then those of which version 4 left only version records."""
    for query in (_latest_records(sub, _ID), Query(SPECS, sub, attributes=_ID.names)):
        items = yield query
        for id_ in sorted({_ID.check(item, sub=sub)["id"] for item in items}):
            yield from _delete_spec(sub, id_)


def _latest_records(sub: str, projection: Projection) -> Query:
    return Query(SPECS, sub, prefix=f"{LATEST}#", attributes=projection.names)


def _all_records(sub: str, id_: str) -> Steps[list[Item]]:
    """Reads a spec's version records, oldest first, and then its latest record."""
    items = yield Query(SPECS, sub, prefix=f"{id_}#", index=ID_UPDATED_AT)
    # Spec "a#b" has records with the prefix "a#" too.
    return [item for item in items if _RECORD.check(item, sub=sub)["id"] == id_]


def _is_latest(record: Item) -> bool:
    return record["updated_at_id"] == record_keys(LATEST, str(record["id"]))["updated_at_id"]


def _records(attributes: Mapping[str, Value], seconds: int, revision: str) -> tuple[Item, Item]:
    """Returns the version record and the latest record of a spec."""
    common = {**attributes, "updated_at": str(seconds), "revision": revision}
    id_ = str(attributes["id"])
    return {**common, **record_keys(padded(seconds), id_)}, {**common, **record_keys(LATEST, id_)}


def _seconds(record: Item) -> int:
    return seconds_of(SPECS, record)


def _next_seconds(now: int, version: str, newest: Item | None) -> int:
    """Returns the time of a version that is written now, after the newest record.

    The newest version written again, by a clock that is not past it, replaces its record. Else time must grow: the
    clock may be behind, or another version may have been written within this second.
    """
    if newest is None:
        return now
    if newest["version"] == version and _seconds(newest) >= now:
        return _seconds(newest)
    return max(now, _seconds(newest) + 1)


def _publish(version_record: Item, latest_record: Item) -> Transact:
    """Returns the transaction that adds a version, or replaces the newest where it is the same version."""
    updated_at, version = str(version_record["updated_at"]), version_record["version"]
    free = Missing("sub")
    same_version = Equal("version", version)
    same_record = AllOf((Equal("updated_at", updated_at), same_version))
    return Transact(
        (
            Put(SPECS, version_record, AnyOf((free, same_version))),
            Put(SPECS, latest_record, AnyOf((free, Below("updated_at", updated_at), same_record))),
        )
    )


def _delete_spec(sub: str, id_: str) -> Steps[None]:
    attempt = 0
    while True:
        latest = yield Get(SPECS, latest_key(sub, id_))
        records = yield from _all_records(sub, id_)
        versions = [record for record in records if not _is_latest(record)]
        if latest is not None:
            _RECORD.check(latest, sub=sub)
        elif not versions:
            return
        for actions in _deletions(sub, id_, latest, versions):
            failures = yield Transact(actions)
            if failures:
                yield Backoff(attempt)
                attempt += 1
                break
            attempt = 0
        else:
            return


def _deletions(
    sub: str, id_: str, latest: Item | None, versions: Sequence[Item]
) -> Iterator[tuple[Check | Delete, ...]]:
    """Returns the transactions that delete a spec, each on the condition that no one has written to it since.

    Deletes that are not tied to the latest record lose a version when two deletes and a create meet.
    """
    unchanged = unchanged_since(latest)
    key = latest_key(sub, id_)
    last: tuple[Delete, ...] = ()
    if latest is not None:
        newest_key = spec_key(sub, padded(_seconds(latest)), id_)
        versions = [record for record in versions if SPECS.key_of(record) != newest_key]
        last = (Delete(SPECS, key, unchanged), Delete(SPECS, newest_key))
    for records in _chunks(versions, beside=latest or {}):
        yield Check(SPECS, key, unchanged), *(Delete(SPECS, SPECS.key_of(record)) for record in records)
    if last:
        yield last


def unchanged_since(latest: Item | None) -> Condition:
    """Returns the condition that the latest record is still the one that was read."""
    if latest is None:
        return Missing("sub")
    if "revision" in latest:
        return Equal("revision", latest["revision"])
    # Version 4 wrote no revision.
    return AllOf((Missing("revision"), Equal("updated_at", latest["updated_at"])))


def _chunks(records: Sequence[Item], *, beside: Item) -> Iterator[list[Item]]:
    """Splits records into as few runs as one transaction takes each, beside a check of one item."""
    limit = MAX_TRANSACT_BYTES - item_size(beside)
    chunk: list[Item] = []
    free = limit
    for record in records:
        size = item_size(record)
        if chunk and (len(chunk) == MAX_TRANSACT_ACTIONS - 1 or size > free):
            yield chunk
            chunk, free = [], limit
        chunk.append(record)
        free -= size
    if chunk:
        yield chunk


def _to_info(item: Item, sub: str) -> TSpecInfo:
    checked: Mapping[str, Any] = _INFO.check(item, sub=sub)
    info: TSpecInfo = {
        "id": checked["id"],
        "name": checked["name"],
        "updated_at": _seconds(item),
        "version": checked["version"],
        "model_count": checked["model_count"],
    }
    if "title" in checked:
        info["title"] = checked["title"]
    if "description" in checked:
        info["description"] = checked["description"]
    return info


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(f"the user has no spec {name!r}")
