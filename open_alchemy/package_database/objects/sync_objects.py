"""The objects of the sync API. Those of the async API are written from this module: ``docs/async_objects.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Unpack, overload

from ..types import TDatabase, TSpecInfo, TSpecSnapshot
from . import steps
from .steps import run
from .values import PublishedSpec, PublishedVersion, SpecChanges, StoredCredentials


@dataclass(frozen=True, slots=True)
class User:
    """A user, who need not have any spec or credentials.

    Attributes:
        sub: The unique id of the user.
    """

    _database: TDatabase = field(repr=False)
    sub: str

    @property
    def specs(self) -> Specs:
        """The user's specs."""
        return Specs(self._database, self.sub)

    @property
    def credentials(self) -> CredentialsById:
        """The user's credentials."""
        return CredentialsById(self._database, self.sub)


@dataclass(frozen=True, slots=True)
class Specs:
    """The specs of a user: looked up by name, in any spelling; iterated over in the order of their ids."""

    _database: TDatabase = field(repr=False)
    sub: str

    def __getitem__(self, name: str) -> Spec:
        """Returns a spec. One request.

        Raises:
            NotFoundError: The user has no such spec. It is a ``KeyError`` too.
        """
        return _spec(self._database, self.sub, run(self._database, steps.get_spec(self.sub, name)))

    def get(self, name: str) -> Spec | None:
        """Returns a spec, or None if the user has no such spec. One request."""
        found = run(self._database, steps.find_spec(self.sub, name))
        return None if found is None else _spec(self._database, self.sub, found)

    def __contains__(self, name: str) -> bool:
        """Returns whether the user has a spec. One request."""
        return self.get(name) is not None

    def __iter__(self) -> Iterator[Spec]:
        """Yields the specs. One request for each 200."""
        for snapshot in self._database.iter_spec_snapshots(sub=self.sub):
            yield _spec(self._database, self.sub, snapshot)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Spec(PublishedSpec):
    """A spec: its newest version at the time of the read."""

    _database: TDatabase = field(compare=False)

    @property
    def user(self) -> User:
        """The user."""
        return User(self._database, self.sub)

    @property
    def versions(self) -> Versions:
        """The versions, the oldest first."""
        return Versions(self._database, self)

    def refresh(self) -> Spec:
        """Returns the spec as it is now. One request.

        Raises:
            NotFoundError: The spec was deleted.
        """
        return _spec(self._database, self.sub, run(self._database, steps.get_spec(self.sub, self.id)))

    def update(self, **changes: Unpack[SpecChanges]) -> Spec:
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
            published = run(self._database, steps.update_spec(self, changes))
        return _spec(self._database, self.sub, published)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a spec, the oldest first. They are read when they are accessed.

    There is no ``len()``: only a request of all versions could answer it.
    """

    _database: TDatabase = field(repr=False)
    spec: Spec

    @overload
    def __getitem__(self, index: int) -> Version: ...

    @overload
    def __getitem__(self, index: slice) -> list[Version]: ...

    def __getitem__(self, index: int | slice) -> Version | list[Version]:
        """Returns a version or a list of them. One request: ``[-1]`` reads one version, ``[:n]`` at most n + 1.

        Raises:
            IndexError: The spec does not have so many versions. It is a ``NotFoundError`` too.
            NotFoundError: The spec was deleted.
        """
        if isinstance(index, slice):
            found = run(self._database, steps.get_versions(self.spec.sub, self.spec.id, index))
            return [_version(self._database, self.spec, info) for info in found]
        info = run(self._database, steps.get_version(self.spec.sub, self.spec.id, index))
        return _version(self._database, self.spec, info)

    def __iter__(self) -> Iterator[Version]:
        """Yields the versions. One request for each 200."""
        after = None
        while True:
            listing = steps.list_versions(self.spec.sub, self.spec.id, limit=steps.PAGE, after=after)
            page = run(self._database, listing)
            for info in page:
                yield _version(self._database, self.spec, info)
            if len(page) < steps.PAGE:
                return
            after = page[-1]["updated_at"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Version(PublishedVersion):
    """A version of a spec.

    Attributes:
        spec: The object from which the version was reached; its newest version may be older than this one.
    """

    _database: TDatabase = field(compare=False)
    spec: Spec = field(compare=False)

    def refresh(self) -> Version:
        """Returns the version as it is now: publishing it again within the same second replaces it. One request.

        Raises:
            NotFoundError: The spec was deleted.
        """
        return _version(self._database, self.spec, run(self._database, steps.get_same_version(self)))


@dataclass(frozen=True, slots=True)
class CredentialsById:
    """The credentials of a user, looked up by id; iterated over in the order of their ids."""

    _database: TDatabase = field(repr=False)
    sub: str

    def __getitem__(self, id_: str) -> Credentials:
        """Returns credentials. One request.

        Raises:
            NotFoundError: The user has no such credentials. It is a ``KeyError`` too.
        """
        found = run(self._database, steps.get_credentials(self.sub, id_))
        return Credentials(_database=self._database, sub=self.sub, **found)

    def get(self, id_: str) -> Credentials | None:
        """Returns credentials, or None if the user has no such credentials. One request."""
        found = run(self._database, steps.find_credentials(self.sub, id_))
        return None if found is None else Credentials(_database=self._database, sub=self.sub, **found)

    def __contains__(self, id_: str) -> bool:
        """Returns whether the user has credentials with this id. One request."""
        return self.get(id_) is not None

    def __iter__(self) -> Iterator[Credentials]:
        """Yields the credentials. One request."""
        for info in run(self._database, steps.list_credentials(self.sub)):
            yield Credentials(_database=self._database, sub=self.sub, **info)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials(StoredCredentials):
    """Credentials, without the hash of the secret key."""

    _database: TDatabase = field(repr=False, compare=False)

    @property
    def user(self) -> User:
        """The user."""
        return User(self._database, self.sub)

    def refresh(self) -> Credentials:
        """Returns the credentials as they are now. One request.

        Raises:
            NotFoundError: The credentials were deleted.
        """
        found = run(self._database, steps.get_credentials(self.sub, self.id))
        return Credentials(_database=self._database, sub=self.sub, **found)


def _spec(database: TDatabase, sub: str, snapshot: TSpecSnapshot) -> Spec:
    return Spec(_database=database, sub=sub, **snapshot)


def _version(database: TDatabase, spec: Spec, info: TSpecInfo) -> Version:
    return Version(_database=database, spec=spec, sub=spec.sub, **info)
