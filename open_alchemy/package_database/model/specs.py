"""The access patterns of the specs table.

A spec has a version record for each published version and a latest record, a copy of the newest one. Both are written
in one transaction, and records are deleted only in transactions that check that the latest record is unchanged since it
was read. Therefore a spec exists if and only if its latest record exists, and that equals its newest version record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from operator import itemgetter

from ..core.operations import (
    AllOf,
    AnyOf,
    AtLeast,
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
from .access_pattern import StreamPage, access_pattern
from .item_checks import Projection, all_seconds_of, seconds_of
from .keys import LATEST, latest_key, padded, record_keys, spec_id, spec_key
from .schema import ID_UPDATED_AT, SPECS
from .transaction_batches import split
from .validation import AFTER_ID, AFTER_UPDATED_AT, check_argument, check_item_size

_MAX_READS = 4
"""Reads of the versions of a spec while others write to it."""
_INFO = Projection(SPECS, "id", "name", "updated_at", "version", "model_count", "title", "description")
"""The attributes of a ``TSpecInfo``. The others, a third of the bytes, are not requested."""
_REQUIRED = itemgetter("id", "name", "version", "model_count")
_MODEL_COUNT = Projection(SPECS, "model_count")
_VERSION = Projection(SPECS, "version")
_ID = Projection(SPECS, "id")
_NEWEST = Projection(SPECS, "updated_at", "version")
_RECORD = Projection(SPECS, "sub", "id", "updated_at", "updated_at_id", "revision")
_STREAM_PAGE = 200
"""Specs on a page of a stream: at most 40 MB."""
_ANY_SECONDS = 10**10
"""Has as many digits as the time, for the size of an item before the time is known."""


@access_pattern("How many models does a user have?", unbounded=True)
def count_customer_models(*, sub: str) -> Steps[int]:
    """Returns how many models the user has: the sum over the newest versions of all specs.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
    """
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
    """Publishes a version of a spec.

    The version becomes the newest one: its ``updated_at`` is greater than that of every other version of the spec,
    also within one second and if the clock is slow. All other versions stay, also those with the same version text,
    with one exception: if the newest version has this text and the clock is not past its ``updated_at``, it is
    replaced.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.
        version: The version, any text of 1 to 204,800 bytes in UTF-8.
        model_count: The number of models of this version, 0 to 2^63 - 1.
        title: The title of the spec, if it has one.
        description: The description of the spec, if it has one. A version with its keys and all of these values may
            have at most 204,800 bytes (DynamoDB's 400 KB for an item and its copy in the local index).

    Raises:
        ConflictError: The call lost against other writers of this spec until the deadline.
    """
    # Puts the version record and the latest record in one transaction.
    #
    # The first attempt takes the time from the clock. If it is not after the newest record, the transaction fails and
    # returns that record, from which the next attempt derives its time.
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
        found = [item for item in failures.values() if item]
        # The second attempt follows at once, while the returned record is likely to be the newest.
        if attempt:
            yield Backoff(attempt - 1)
            latest = yield Get(SPECS, latest_key(sub, str(attributes["id"])))
            found = [] if latest is None else [latest]
        newest = max(map(_NEWEST.check, found), key=_seconds, default=None)


@access_pattern("What is the newest version of a spec?")
def get_latest_spec_version(*, sub: str, name: str) -> Steps[str]:
    """Returns the newest version of a spec, the one with the greatest ``updated_at``.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.

    Raises:
        NotFoundError: The user has no such spec.
    """
    item = yield Get(SPECS, latest_key(sub, spec_id(name)))
    if item is None:
        raise _not_found(name)
    version: str = _VERSION.check(item, sub=sub)["version"]
    return version


@access_pattern("Which specs does a user have?", unbounded=True)
def list_specs(*, sub: str, limit: int | None = None, after: str | None = None) -> Steps[TSpecInfoList]:
    """Returns the newest version of each of the user's specs, in the order of their ids (of the bytes in UTF-8).

    With ``limit``, it returns one page; a page with fewer specs than ``limit`` is the last one. Whatever is written
    between two pages, no spec is on both, and every spec that exists throughout is on one page.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        limit: The maximum number of specs, 1 to 1,000; None for all.
        after: The page token: the ``id`` of the last spec of the previous page, 1 to 1,003 bytes in UTF-8; None for
            the first page. The spec may have been deleted.
    """
    items = yield _latest_records(sub, _INFO, limit, check_argument("after", after, AFTER_ID))
    return _to_infos(items, sub)


@access_pattern("Which specs does a user have, page by page?", unbounded=True, is_stream=True)
def iter_specs(*, sub: str, after: str | None = None) -> Steps[StreamPage[TSpecInfo]]:
    """Yields the newest version of each of the user's specs, in the order of ``list_specs``.

    It reads a page of at most 200 specs when the previous one was consumed. Each page has a deadline of its own.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        after: Only the specs after this ``id``, 1 to 1,003 bytes in UTF-8; None for all.
    """
    page = yield from list_specs.steps(sub=sub, limit=_STREAM_PAGE, after=after)
    return StreamPage(page, page[-1]["id"] if len(page) == _STREAM_PAGE else None)


@access_pattern("What is known of a spec?")
def get_spec(*, sub: str, name: str) -> Steps[TSpecInfo | None]:
    """Returns the newest version of a spec, or None if the user has no such spec.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.
    """
    item = yield Get(SPECS, latest_key(sub, spec_id(name)))
    return None if item is None else _to_info(item, sub)


@access_pattern("Which versions does a spec have?", unbounded=True)
def list_spec_versions(
    *, sub: str, name: str, limit: int | None = None, after: int | None = None
) -> Steps[TSpecInfoList]:
    """Returns every version of a spec, oldest first: in the order of ``updated_at``, which increases strictly.

    The last one is the newest, which ``get_latest_spec_version`` and ``get_spec`` return. A version text that was
    published several times is in the list once for each time.

    With ``limit``, it returns one page; a page with fewer versions than ``limit`` is the last one. Whatever is
    written between two pages, no version is on both, and every version that exists throughout is on one page.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.
        limit: The maximum number of versions, 1 to 1,000; None for all.
        after: The page token: the ``updated_at`` of the last version of the previous page, in seconds, 0 to
            10^19 - 1; None for the first page.

    Raises:
        NotFoundError: The user has no such spec.
    """
    # Without a latest record, the spec does not exist. If the latest record is newer than the versions, it was written
    # during the query, and the query is repeated. A latest record without a revision is version 4's, which may have
    # left it without its version record: it is the newest version.
    after = check_argument("after", after, AFTER_UPDATED_AT)
    for reads_left in reversed(range(_MAX_READS)):
        versions, latest = yield from _read_versions(sub, spec_id(name), limit, after)
        if latest is None:
            break
        older = [record for record in versions if _seconds(record) < _seconds(latest)]
        if len(older) == limit or (after is not None and _seconds(latest) <= after):
            return _to_infos(older, sub)
        if not reads_left or len(older) < len(versions) or "revision" not in latest:
            return _to_infos((*older, latest), sub)
    raise _not_found(name)


@access_pattern("Delete a spec with all its versions.", unbounded=True)
def delete_spec(*, sub: str, name: str) -> Steps[None]:
    """Deletes a spec with all its versions. Does nothing if the user has no such spec.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.

    Raises:
        ConflictError: The call lost against other writers of this spec until the deadline.
    """
    # Deletes the oldest versions first, and the newest together with the latest record.
    yield from _delete_spec(sub, spec_id(name))


@access_pattern("Delete all of a user's specs.", unbounded=True)
def delete_all_specs(*, sub: str) -> Steps[None]:
    """Deletes all of the user's specs with all their versions.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

    Raises:
        ConflictError: The call lost against other writers of one of the specs until the deadline.
    """
    # Deletes the specs one by one, and then those of which version 4 left only version records.
    for query in (_latest_records(sub, _ID), Query(SPECS, sub, attributes=_ID.names)):
        items = yield query
        for id_ in sorted({_ID.check(item, sub=sub)["id"] for item in items}):
            yield from _delete_spec(sub, id_)


def _latest_records(sub: str, projection: Projection, limit: int | None = None, after: str | None = None) -> Query:
    position = None if after is None else latest_key(sub, after)
    return Query(SPECS, sub, prefix=f"{LATEST}#", attributes=projection.names, limit=limit, after=position)


def _read_versions(
    sub: str, id_: str, limit: int | None, after: int | None
) -> Steps[tuple[Sequence[Item], Item | None]]:
    """Reads version records of a spec, oldest first, and then its latest record."""
    if limit is None and after is None:
        records = yield from _all_records(sub, id_)
        return (records[:-1], records[-1]) if records and _is_latest(records[-1]) else (records, None)
    position = None if after is None else {"sub": sub, **record_keys(padded(after), id_)}
    versions: list[Item] = []
    while True:
        # Padded seconds begin with a zero. The latest record is after the records of spec "a#b".
        items = yield Query(SPECS, sub, prefix=f"{id_}#0", secondary_index=ID_UPDATED_AT, limit=limit, after=position)
        versions += _of_spec(items, sub, id_)
        if limit is None or len(items) < limit or len(versions) >= limit:
            break
        position = {name: items[-1][name] for name in ("sub", "updated_at_id", "id_updated_at")}
    latest = yield Get(SPECS, latest_key(sub, id_))
    return versions[:limit], None if latest is None else _RECORD.check(latest, sub=sub)


def _all_records(sub: str, id_: str) -> Steps[list[Item]]:
    """Reads a spec's version records, oldest first, and then its latest record."""
    items = yield Query(SPECS, sub, prefix=f"{id_}#", secondary_index=ID_UPDATED_AT)
    return _of_spec(items, sub, id_)


def _of_spec(items: Iterable[Item], sub: str, id_: str) -> list[Item]:
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
    """Returns the time of a version that is written now.

    If it is the newest version again, and the clock is not past it, it replaces the newest record. Otherwise the time
    increases, also if the clock is slow or another version was written within this second.
    """
    if newest is None:
        return now
    if newest["version"] == version and _seconds(newest) >= now:
        return _seconds(newest)
    return max(now, _seconds(newest) + 1)


def _publish(version_record: Item, latest_record: Item) -> Transact:
    """Returns the transaction that adds a version, or replaces the newest record if it is of the same version."""
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
        # A descending query reads the latest record first (AWS, Query, ScanIndexForward): a version that is written
        # afterwards replaces it, and the last transaction fails.
        items = yield Query(SPECS, sub, prefix=f"{id_}#", secondary_index=ID_UPDATED_AT, is_descending=True)
        records = _of_spec(reversed(items), sub, id_)
        if not records:
            return
        latest = records.pop() if _is_latest(records[-1]) else None
        *older, last = _deletions(sub, id_, latest, records)
        for actions in older or [last]:
            failures = yield Transact(actions)
            if failures:
                yield Backoff(attempt)
                attempt += 1
                break
            attempt = 0
        else:
            # Deleting the older versions took time: the others are deleted after another read.
            if not older:
                return


def _deletions(
    sub: str, id_: str, latest: Item | None, versions: Sequence[Item]
) -> Iterator[tuple[Check | Delete, ...]]:
    """Returns the transactions that delete a spec: the oldest versions first, the newest with the latest record.

    The last one requires that the latest record is unchanged: without this condition, two concurrent deletes and a
    create would lose a version. The others require only that a version as new as the newest one exists, so that writers
    cannot prevent them.
    """
    key, unchanged = latest_key(sub, id_), unchanged_since(latest)
    if latest is None:
        for records in split(versions, reserved=[{}]):
            yield Check(SPECS, key, unchanged), *_deletes(records)
        return
    newest_key = spec_key(sub, padded(_seconds(latest)), id_)
    older = [record for record in versions if SPECS.key_of(record) != newest_key]
    *groups, last = [*split(older, reserved=[latest, latest])] or [[]]
    for records in groups:
        # A record that is newer than the latest one is version 4's.
        is_older = str(records[-1]["updated_at_id"]) < newest_key["updated_at_id"]
        yield (
            Check(SPECS, key, AtLeast("updated_at", str(latest["updated_at"])) if is_older else unchanged),
            *_deletes(records),
        )
    yield Delete(SPECS, key, unchanged), Delete(SPECS, newest_key), *_deletes(last)


def _deletes(records: Iterable[Item]) -> Iterator[Delete]:
    return (Delete(SPECS, SPECS.key_of(record)) for record in records)


def unchanged_since(latest: Item | None) -> Condition:
    """Returns the condition that the latest record is the one that was read."""
    if latest is None:
        return Missing("sub")
    if "revision" in latest:
        return Equal("revision", latest["revision"])
    # Version 4 wrote no revision.
    return AllOf((Missing("revision"), Equal("updated_at", latest["updated_at"])))


def _to_info(item: Item, sub: str) -> TSpecInfo:
    checked = _INFO.check(item, sub=sub)
    id_, name, version, model_count = _REQUIRED(checked)
    seconds = seconds_of(SPECS, checked, sub=sub)
    info: TSpecInfo = {
        "id": id_,
        "name": name,
        "updated_at": seconds,
        "version": version,
        "model_count": model_count,
    }
    if "title" in checked:
        info["title"] = checked["title"]
    if "description" in checked:
        info["description"] = checked["description"]
    return info


def _to_infos(items: Sequence[Item], sub: str) -> list[TSpecInfo]:
    """Returns ``_to_info`` of each item. A long list takes half of the time of so many calls."""
    checked = _INFO.check_all(items, sub=sub)
    times = all_seconds_of(SPECS, checked, sub=sub)
    infos: list[TSpecInfo] = [
        {"id": id_, "name": name, "updated_at": seconds, "version": version, "model_count": model_count}
        for (id_, name, version, model_count), seconds in zip(map(_REQUIRED, checked), times, strict=True)
    ]
    for info, item in zip(infos, checked, strict=True):
        if "title" in item:
            info["title"] = item["title"]
        if "description" in item:
            info["description"] = item["description"]
    return infos


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(f"the user has no spec {name!r}")
