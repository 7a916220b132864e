"""The access patterns of the specs table.

A spec has a version record for each published version and a latest record, a copy of the newest one. Both are written
in one transaction, and records are deleted only in transactions that check that the latest record is unchanged since it
was read. Therefore a spec exists if and only if its latest record exists, and that equals its newest version record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..core.operations import (
    AtLeast,
    Backoff,
    Check,
    Delete,
    Get,
    Item,
    Items,
    Key,
    Query,
    Steps,
    Transact,
)
from ..types import TSpecInfo, TSpecInfoList, TSpecSnapshot
from .access_pattern import StreamPage, access_pattern
from .item_checks import Projection
from .keys import LATEST, latest_key, padded, record_keys, spec_id, spec_key
from .publish_spec import attributes_of, publish
from .schema import ID_UPDATED_AT, SPECS
from .spec_records import (
    INFO,
    SNAPSHOT,
    not_found,
    seconds_of_record,
    to_info,
    to_infos,
    to_snapshot,
    unchanged_since,
)
from .transaction_batches import split
from .validation import AFTER_ID, AFTER_UPDATED_AT, check_argument

_MAX_READS = 4
"""Reads of the versions of a spec while others write to it."""
_MODEL_COUNT = Projection(SPECS, "model_count")
_VERSION = Projection(SPECS, "version")
_ID = Projection(SPECS, "id")
_RECORD = Projection(SPECS, "sub", "id", "updated_at", "updated_at_id", "revision")
_STREAM_PAGE = 200
"""Specs on a page of a stream: at most 40 MB."""


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
    yield from publish(attributes_of(sub, name, version, model_count, title, description))


@access_pattern("Publish a version of a spec that nobody changed.")
def update_spec(
    *,
    sub: str,
    name: str,
    revision: str,
    version: str,
    model_count: int,
    title: str | None = None,
    description: str | None = None,
) -> Steps[TSpecSnapshot]:
    """Publishes a version of a spec as ``create_update_spec`` does, if nothing was published since it was read.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.
        revision: The ``revision`` of the spec when it was read, with ``get_spec_snapshot`` for example.
        version: The version, any text of 1 to 204,800 bytes in UTF-8.
        model_count: The number of models of this version, 0 to 2^63 - 1.
        title: The title of the spec, if it has one.
        description: The description of the spec, if it has one. A version with its keys and all of these values may
            have at most 204,800 bytes (DynamoDB's 400 KB for an item and its copy in the local index).

    Returns:
        The published version, with its revision.

    Raises:
        NotFoundError: The user has no such spec.
        ConflictError: The spec has another revision, and ``newer`` is its newest version. Or the call lost against
            other writers of this spec until the deadline, and ``newer`` is None.
    """
    attributes = attributes_of(sub, name, version, model_count, title, description)
    latest = yield from publish(attributes, expected=revision)
    return to_snapshot(latest, sub)


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
        raise not_found(name)
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
    items = yield _latest_records(sub, INFO, limit, check_argument("after", after, AFTER_ID))
    if not isinstance(items, Items):
        return to_infos(items, sub)
    infos: TSpecInfoList | None = items.derived.get("infos")
    if infos is None:
        infos = items.derived["infos"] = to_infos(items, sub)
    # The caller may change them.
    return [info.copy() for info in infos]


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
    return None if item is None else to_info(INFO.check(item, sub=sub), sub)


@access_pattern("What is known of a spec, and at which revision is it?")
def get_spec_snapshot(*, sub: str, name: str) -> Steps[TSpecSnapshot | None]:
    """Returns the newest version of a spec with its revision for ``update_spec``, or None if there is no such spec.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
            bytes in UTF-8 when canonicalized.
    """
    item = yield Get(SPECS, latest_key(sub, spec_id(name)))
    return None if item is None else to_snapshot(SNAPSHOT.check(item, sub=sub), sub)


@access_pattern("Which specs does a user have, and at which revisions are they?", unbounded=True, is_stream=True)
def iter_spec_snapshots(*, sub: str, after: str | None = None) -> Steps[StreamPage[TSpecSnapshot]]:
    """Yields what ``iter_specs`` yields, with the revisions for ``update_spec``.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        after: Only the specs after this ``id``, 1 to 1,003 bytes in UTF-8; None for all.
    """
    items = yield _latest_records(sub, SNAPSHOT, _STREAM_PAGE, check_argument("after", after, AFTER_ID))
    page = [to_snapshot(SNAPSHOT.check(item, sub=sub), sub) for item in items]
    return StreamPage(page, page[-1]["id"] if len(page) == _STREAM_PAGE else None)


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
        older = [record for record in versions if seconds_of_record(record) < seconds_of_record(latest)]
        if len(older) == limit or (after is not None and seconds_of_record(latest) <= after):
            return to_infos(older, sub)
        if not reads_left or len(older) < len(versions) or "revision" not in latest:
            return to_infos((*older, latest), sub)
    raise not_found(name)


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
    """Reads version records of a spec, oldest first, and with them its latest record or a newer version record."""
    position = None if after is None else {"sub": sub, **record_keys(padded(after), id_)}
    records: list[Item] = []
    while True:
        # One more than needed: the latest record is after the versions, and after the records of spec "a#b".
        items = yield _records(sub, id_, None if limit is None else limit + 1, position)
        records += _of_spec(items, sub, id_)
        if records and _is_latest(records[-1]):
            return records[:-1][:limit], records[-1]
        if limit is None or len(items) <= limit:
            return records, None
        if len(records) > limit and "revision" in records[limit]:
            return records[:limit], records[limit]
        position = {name: items[-1][name] for name in ("sub", "updated_at_id", "id_updated_at")}
        if len(records) > limit or position["id_updated_at"] > f"{id_}#1":
            # Version 4 may have left versions without a latest record; or what follows is not of this spec, because
            # padded seconds begin with a zero.
            latest = yield Get(SPECS, latest_key(sub, id_))
            return records[:limit], None if latest is None else _RECORD.check(latest, sub=sub)


def _all_records(sub: str, id_: str) -> Steps[list[Item]]:
    """Reads a spec's version records, oldest first, and then its latest record."""
    items = yield _records(sub, id_)
    return _of_spec(items, sub, id_)


def _records(sub: str, id_: str, limit: int | None = None, after: Key | None = None) -> Query:
    return Query(SPECS, sub, prefix=f"{id_}#", secondary_index=ID_UPDATED_AT, limit=limit, after=after)


def _of_spec(items: Iterable[Item], sub: str, id_: str) -> list[Item]:
    # Spec "a#b" has records with the prefix "a#" too.
    return [item for item in items if _RECORD.check(item, sub=sub)["id"] == id_]


def _is_latest(record: Item) -> bool:
    return record["updated_at_id"] == record_keys(LATEST, str(record["id"]))["updated_at_id"]


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
    newest_key = spec_key(sub, padded(seconds_of_record(latest)), id_)
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
