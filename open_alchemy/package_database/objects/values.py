"""What the objects of both APIs have in common: the values that were read. Immutable; performs no request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict


class SpecChanges(TypedDict, total=False):
    """The arguments of ``update``; what is not given stays as it is. None removes a title or a description."""

    version: str
    model_count: int
    title: str | None
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PublishedVersion:
    """A version of a spec.

    Attributes:
        sub: The unique id of the user.
        id: The canonical name of the spec.
        name: The spelling of the name under which this version was published.
        updated_at: When it was published, in whole seconds since the epoch.
        version: The version.
        model_count: The number of models.
        title: The title, if it has one.
        description: The description, if it has one.
    """

    sub: str
    id: str
    name: str
    updated_at: int
    version: str
    model_count: int
    title: str | None = None
    description: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} of {self.sub!r}: version {self.version!r} at {self.updated_at}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PublishedSpec(PublishedVersion):
    """The newest version of a spec at the time of the read.

    Attributes:
        revision: Differs after each write of the spec.
    """

    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredentials:
    """Credentials, without the hash of the secret key.

    Attributes:
        sub: The unique id of the user.
        id: The id of the credentials.
        public_key: The public key.
        salt: The salt of the hash.
    """

    sub: str
    id: str
    public_key: str
    salt: bytes = field(repr=False)
