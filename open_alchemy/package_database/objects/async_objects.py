"""The objects of the async API.

Written by ``python -m docs.generate``; do not edit it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar, Unpack, overload

from ..async_types import AsyncTDatabase
from ..types import TSpecInfo, TSpecSnapshot
from . import steps
from .steps import run_async
from .values import PublishedSpec, PublishedVersion, SpecChanges, StoredCredentials


@dataclass(frozen=True, slots=True)
class AsyncUser:
    """A user, who need not have any spec or credentials.

    Attributes:
        sub: The unique id of the user.
    """

    _database: AsyncTDatabase = field(repr=False)
    sub: str

    @property
    def specs(self) -> AsyncSpecs:
        """The user's specs."""
        return AsyncSpecs(self._database, self.sub)

    @property
    def credentials(self) -> AsyncCredentialsById:
        """The user's credentials."""
        return AsyncCredentialsById(self._database, self.sub)


@dataclass(frozen=True, slots=True)
class AsyncSpecs:
    """The specs of a user: looked up by name, in any spelling; iterated over in the order of their ids."""

    _database: AsyncTDatabase = field(repr=False)
    sub: str

    async def __getitem__(self, name: str) -> AsyncSpec:
        """Returns a spec. One request.

        Raises:
            NotFoundError: The user has no such spec. It is a ``KeyError`` too.
        """
        return _spec(self._database, self.sub, await run_async(self._database, steps.get_spec(self.sub, name)))

    async def get(self, name: str) -> AsyncSpec | None:
        """Returns a spec, or None if the user has no such spec. One request."""
        found = await run_async(self._database, steps.find_spec(self.sub, name))
        return None if found is None else _spec(self._database, self.sub, found)

    __contains__: ClassVar[None] = None
    __iter__: ClassVar[None] = None

    async def __aiter__(self) -> AsyncIterator[AsyncSpec]:
        """Yields the specs. One request for each 200."""
        async for snapshot in self._database.iter_spec_snapshots(sub=self.sub):
            yield _spec(self._database, self.sub, snapshot)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AsyncSpec(PublishedSpec):
    """A spec: its newest version at the time of the read."""

    _database: AsyncTDatabase = field(compare=False)

    @property
    def user(self) -> AsyncUser:
        """The user."""
        return AsyncUser(self._database, self.sub)

    @property
    def versions(self) -> AsyncVersions:
        """The versions, the oldest first."""
        return AsyncVersions(self._database, self)

    async def refresh(self) -> AsyncSpec:
        """Returns the spec as it is now. One request.

        Raises:
            NotFoundError: The spec was deleted.
        """
        return _spec(self._database, self.sub, await run_async(self._database, steps.get_spec(self.sub, self.id)))

    async def update(self, **changes: Unpack[SpecChanges]) -> AsyncSpec:
        """Publishes the spec with changes as its newest version, if nothing was published since this object was read.

        Args:
            **changes: ``version``, ``model_count``, ``title`` and ``description``; what is not given stays as it is.
                None removes a title or a description.

        Returns:
            The published spec.

        Raises:
            ConflictError: The spec was published since, and ``newer`` is its newest version as such an object. Or the
                call lost against other writers until the deadline, and ``newer`` is None.
            NotFoundError: The spec was deleted.
            ValidationError: A value cannot be stored.
        """
        with steps.converted_conflicts(lambda newer: _spec(self._database, self.sub, newer)):
            published = await run_async(self._database, steps.update_spec(self, changes))
        return _spec(self._database, self.sub, published)


@dataclass(frozen=True, slots=True)
class AsyncVersions:
    """The versions of a spec, the oldest first. They are read when they are accessed.

    There is no ``len()``: only a request of all versions could answer it.
    """

    _database: AsyncTDatabase = field(repr=False)
    spec: AsyncSpec

    @overload
    async def __getitem__(self, index: int) -> AsyncVersion: ...

    @overload
    async def __getitem__(self, index: slice) -> list[AsyncVersion]: ...

    async def __getitem__(self, index: int | slice) -> AsyncVersion | list[AsyncVersion]:
        """Returns a version or a list of them. One request: ``[-1]`` reads one version, ``[:n]`` at most n + 1.

        Raises:
            IndexError: The spec does not have so many versions. It is a ``NotFoundError`` too.
            NotFoundError: The spec was deleted.
        """
        if isinstance(index, slice):
            found = await run_async(self._database, steps.get_versions(self.spec.sub, self.spec.id, index))
            return [_version(self._database, self.spec, info) for info in found]
        info = await run_async(self._database, steps.get_version(self.spec.sub, self.spec.id, index))
        return _version(self._database, self.spec, info)

    __contains__: ClassVar[None] = None
    __iter__: ClassVar[None] = None

    async def __aiter__(self) -> AsyncIterator[AsyncVersion]:
        """Yields the versions. One request for each 200."""
        after = None
        while True:
            listing = steps.list_versions(self.spec.sub, self.spec.id, limit=steps.PAGE, after=after)
            page = await run_async(self._database, listing)
            for info in page:
                yield _version(self._database, self.spec, info)
            if len(page) < steps.PAGE:
                return
            after = page[-1]["updated_at"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AsyncVersion(PublishedVersion):
    """A version of a spec.

    Attributes:
        spec: The object from which the version was reached; its newest version may be older than this one.
    """

    _database: AsyncTDatabase = field(compare=False)
    spec: AsyncSpec = field(compare=False)

    async def refresh(self) -> AsyncVersion:
        """Returns the version as it is now: publishing it again within the same second replaces it. One request.

        Raises:
            NotFoundError: The spec was deleted.
        """
        return _version(self._database, self.spec, await run_async(self._database, steps.get_same_version(self)))


@dataclass(frozen=True, slots=True)
class AsyncCredentialsById:
    """The credentials of a user, looked up by id; iterated over in the order of their ids."""

    _database: AsyncTDatabase = field(repr=False)
    sub: str

    async def __getitem__(self, id_: str) -> AsyncCredentials:
        """Returns credentials. One request.

        Raises:
            NotFoundError: The user has no such credentials. It is a ``KeyError`` too.
        """
        found = await run_async(self._database, steps.get_credentials(self.sub, id_))
        return AsyncCredentials(_database=self._database, sub=self.sub, **found)

    async def get(self, id_: str) -> AsyncCredentials | None:
        """Returns credentials, or None if the user has no such credentials. One request."""
        found = await run_async(self._database, steps.find_credentials(self.sub, id_))
        return None if found is None else AsyncCredentials(_database=self._database, sub=self.sub, **found)

    __contains__: ClassVar[None] = None
    __iter__: ClassVar[None] = None

    async def __aiter__(self) -> AsyncIterator[AsyncCredentials]:
        """Yields the credentials. One request."""
        for info in await run_async(self._database, steps.list_credentials(self.sub)):
            yield AsyncCredentials(_database=self._database, sub=self.sub, **info)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncCredentials(StoredCredentials):
    """Credentials, without the hash of the secret key."""

    _database: AsyncTDatabase = field(repr=False, compare=False)

    @property
    def user(self) -> AsyncUser:
        """The user."""
        return AsyncUser(self._database, self.sub)

    async def refresh(self) -> AsyncCredentials:
        """Returns the credentials as they are now. One request.

        Raises:
            NotFoundError: The credentials were deleted.
        """
        found = await run_async(self._database, steps.get_credentials(self.sub, self.id))
        return AsyncCredentials(_database=self._database, sub=self.sub, **found)


def _spec(database: AsyncTDatabase, sub: str, snapshot: TSpecSnapshot) -> AsyncSpec:
    return AsyncSpec(_database=database, sub=sub, **snapshot)


def _version(database: AsyncTDatabase, spec: AsyncSpec, info: TSpecInfo) -> AsyncVersion:
    return AsyncVersion(_database=database, spec=spec, sub=spec.sub, **info)
