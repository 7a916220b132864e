"""Publishes a version of a spec: its version record and the latest record, in one transaction."""

from __future__ import annotations

from ..core.operations import (
    AllOf,
    AnyOf,
    Backoff,
    Below,
    Equal,
    Failures,
    Get,
    Item,
    Missing,
    Put,
    Stamp,
    Stamped,
    Steps,
    Transact,
    Value,
)
from ..exceptions import ConflictError
from .item_checks import Projection
from .keys import latest_key, spec_id
from .schema import SPECS
from .spec_records import SNAPSHOT, has_revision, not_found, records, seconds_of_record, to_snapshot
from .validation import check_item_size

_NEWEST = Projection(SPECS, "updated_at", "version")
_LATEST_ACTION = 1
"""The position of the latest record in the transaction that publishes."""
_ANY_SECONDS = 10**10
"""Has as many digits as the time, for the size of an item before the time is known."""


def attributes_of(
    sub: str, name: str, version: str, model_count: int, title: str | None, description: str | None
) -> Item:
    """Returns the attributes of a version that its caller determines; raises ``ValidationError`` if it is too large."""
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
    version_record, _ = records(attributes, _ANY_SECONDS, revision="0" * 32)
    check_item_size(version_record, copies=2)
    return attributes


def publish(attributes: Item, *, expected: str | None = None) -> Steps[Item]:
    """Puts the version record and the latest record in one transaction, and returns the latest record.

    The first attempt takes the time from the clock. If it is not after the newest record, the transaction fails and
    returns that record, from which the next attempt derives its time.

    Args:
        attributes: The attributes that the caller determines.
        expected: The revision that the spec must have; None if it may have any, or not exist.
    """
    sub, version = str(attributes["sub"]), str(attributes["version"])
    newest: Item | None = None
    attempt = 0
    while True:
        stamp: Stamped = yield Stamp()
        seconds = _next_seconds(stamp.seconds, version, newest)
        version_record, latest_record = records(attributes, seconds, stamp.revision)
        failures: Failures = yield _put_records(version_record, latest_record, expected)
        if not failures:
            return latest_record
        if expected is not None and _LATEST_ACTION in failures:
            _check_revision(failures[_LATEST_ACTION], expected, attributes)
        found = [item for item in failures.values() if item]
        # The second attempt follows at once, while the returned record is likely to be the newest.
        if attempt:
            yield Backoff(attempt - 1)
            latest = yield Get(SPECS, latest_key(sub, str(attributes["id"])))
            found = [] if latest is None else [latest]
        newest = max(map(_NEWEST.check, found), key=seconds_of_record, default=None)
        attempt += 1


def _check_revision(latest: Item | None, expected: str, attributes: Item) -> None:
    """Raises the error of ``update_spec`` if the latest record has another revision, or does not exist."""
    sub, name = str(attributes["sub"]), str(attributes["name"])
    if latest is None:
        raise not_found(name)
    newer = to_snapshot(SNAPSHOT.check(latest, sub=sub), sub)
    if newer["revision"] != expected:
        conflict = ConflictError(f"the spec {name!r} was published since it was read")
        conflict.newer = newer
        raise conflict


def _next_seconds(now: int, version: str, newest: Item | None) -> int:
    """Returns the time of a version that is written now.

    If it is the newest version again, and the clock is not past it, it replaces the newest record. Otherwise the time
    increases, also if the clock is slow or another version was written within this second.
    """
    if newest is None:
        return now
    if newest["version"] == version and seconds_of_record(newest) >= now:
        return seconds_of_record(newest)
    return max(now, seconds_of_record(newest) + 1)


def _put_records(version_record: Item, latest_record: Item, expected: str | None) -> Transact:
    """Returns the transaction that adds a version, or replaces the newest record if it is of the same version."""
    updated_at, version = str(version_record["updated_at"]), version_record["version"]
    free = Missing("sub")
    same_version = Equal("version", version)
    same_record = AllOf((Equal("updated_at", updated_at), same_version))
    is_older = AnyOf((Below("updated_at", updated_at), same_record))
    replaceable = AnyOf((free, *is_older.conditions)) if expected is None else AllOf((has_revision(expected), is_older))
    return Transact((Put(SPECS, version_record, AnyOf((free, same_version))), Put(SPECS, latest_record, replaceable)))
