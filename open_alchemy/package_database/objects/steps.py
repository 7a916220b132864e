"""The steps of the objects of both APIs: generators that yield calls of the database and get the results. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from operator import index as to_index
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ..async_types import AsyncTDatabase
from ..core.runner import drive, drive_async
from ..exceptions import ConflictError, NotFoundError
from ..types import TCredentialsInfo, TDatabase, TSpecInfo, TSpecInfoList, TSpecSnapshot
from .values import PublishedSpec, PublishedVersion, SpecChanges

PAGE: Final = 200
"""Versions on a page: at most 40 MB."""
_MAX_LIMIT: Final = 1000
"""The largest ``limit`` of ``list_spec_versions``."""

Returned = TypeVar("Returned")


class Call(NamedTuple):
    """A call of a function of the database."""

    function: str
    arguments: dict[str, Any]


Steps: TypeAlias = Generator[Call, Any, Returned]


class VersionIndexError(NotFoundError, IndexError):
    """The index is out of the range of the spec's versions."""


def run(database: TDatabase, steps: Steps[Returned]) -> Returned:
    """Executes the calls on the sync API."""
    return drive(steps, _caller(database))


async def run_async(database: AsyncTDatabase, steps: Steps[Returned]) -> Returned:
    """Executes the calls on the async API."""
    return await drive_async(steps, _caller(database))


def _caller(database: TDatabase | AsyncTDatabase) -> Callable[[Call], Any]:
    return lambda call: getattr(database, call.function)(**call.arguments)


def find_spec(sub: str, name: str) -> Steps[TSpecSnapshot | None]:
    """Returns a spec, or None."""
    snapshot: TSpecSnapshot | None = yield Call("get_spec_snapshot", {"sub": sub, "name": name})
    return snapshot


def get_spec(sub: str, name: str) -> Steps[TSpecSnapshot]:
    """Returns a spec; raises ``NotFoundError``."""
    return _existing((yield from find_spec(sub, name)), "spec", name)


def update_spec(spec: PublishedSpec, changes: SpecChanges) -> Steps[TSpecSnapshot]:
    """Publishes the spec with changes, if it has the same revision; raises what ``update_spec`` does."""
    if unknown := changes.keys() - SpecChanges.__annotations__:
        raise TypeError(f"update() got an unexpected keyword argument {min(unknown)!r}")
    unchanged: dict[str, Any] = {name: getattr(spec, name) for name in SpecChanges.__annotations__}
    identity = {"sub": spec.sub, "name": spec.name, "revision": spec.revision}
    snapshot: TSpecSnapshot = yield Call("update_spec", {**identity, **unchanged, **changes})
    return snapshot


@contextmanager
def converted_conflicts(convert: Callable[[TSpecSnapshot], PublishedSpec]) -> Iterator[None]:
    """Converts ``newer`` of a ``ConflictError`` into an object."""
    try:
        yield
    except ConflictError as error:
        if error.newer is not None:
            error.newer = convert(error.newer)
        raise


def list_versions(sub: str, id_: str, *, limit: int | None = None, after: int | None = None) -> Steps[TSpecInfoList]:
    """Returns versions of a spec, the oldest first; raises ``NotFoundError``."""
    arguments = {"sub": sub, "name": id_, "limit": limit, "after": after}
    versions: TSpecInfoList = yield Call("list_spec_versions", arguments)
    return versions


def get_version(sub: str, id_: str, index: int) -> Steps[TSpecInfo]:
    """Returns the version at an index; raises ``NotFoundError``, and ``VersionIndexError`` if there are too few."""
    position = to_index(index)
    if position == -1:
        newest: TSpecInfo | None = yield Call("get_spec", {"sub": sub, "name": id_})
        return _existing(newest, "spec", id_)
    versions = yield from list_versions(sub, id_, limit=_limit(position, position + 1))
    try:
        return versions[position]
    except IndexError:
        raise VersionIndexError(f"the spec {id_!r} has no version at index {position}") from None


def get_versions(sub: str, id_: str, indexes: slice) -> Steps[TSpecInfoList]:
    """Returns the versions of a slice; raises ``NotFoundError``."""
    start = 0 if indexes.start is None else indexes.start
    is_ascending = indexes.step is None or indexes.step > 0
    limit = _limit(start, indexes.stop) if is_ascending else None
    versions = yield from list_versions(sub, id_, limit=limit)
    return versions[indexes]


def get_same_version(version: PublishedVersion) -> Steps[TSpecInfo]:
    """Returns the version that was published at the same time; raises ``NotFoundError``."""
    after = version.updated_at - 1 if version.updated_at else None
    found = yield from list_versions(version.sub, version.id, limit=1, after=after)
    same = found[0] if found and found[0]["updated_at"] == version.updated_at else None
    return _existing(same, "version", f"{version.id} {version.version}")


def find_credentials(sub: str, id_: str) -> Steps[TCredentialsInfo | None]:
    """Returns credentials, or None."""
    found: TCredentialsInfo | None = yield Call("get_credentials", {"sub": sub, "id_": id_})
    return found


def get_credentials(sub: str, id_: str) -> Steps[TCredentialsInfo]:
    """Returns credentials; raises ``NotFoundError``."""
    return _existing((yield from find_credentials(sub, id_)), "credentials", id_)


def list_credentials(sub: str) -> Steps[list[TCredentialsInfo]]:
    """Returns the credentials of a user."""
    found: list[TCredentialsInfo] = yield Call("list_credentials", {"sub": sub})
    return found


def _limit(start: int, stop: int | None) -> int | None:
    """Returns how many of the oldest versions contain those from ``start`` to ``stop``; None for all."""
    return stop if stop is not None and start >= 0 and 0 < stop <= _MAX_LIMIT else None


def _existing(found: Returned | None, kind: str, name: str) -> Returned:
    if found is None:
        raise NotFoundError(f"the user has no {kind} {name!r}")
    return found
