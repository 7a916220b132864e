"""factory_boy factories of specs and credentials, for the tests of services.

``create()`` and ``create_batch()`` store the objects. Calling a factory, ``build()`` and ``build_batch()`` does not;
``save()`` of an object stores it.

SpecFactory.create_batch(3, sub="user 1")
SpecFactory(sub="user 1", version="2.0").save()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .extras import imports
from .instances import get

with imports("open_alchemy.package_database.factory", "test"):
    from factory.base import Factory
    from factory.declarations import Sequence
    from factory.enums import BUILD_STRATEGY


@dataclass
class Spec:
    """A version of a spec, with the arguments of ``create_update_spec``."""

    sub: str
    name: str
    version: str
    model_count: int
    title: str | None
    description: str | None

    def save(self) -> None:
        """Stores the version with ``create_update_spec``."""
        get().create_update_spec(
            sub=self.sub,
            name=self.name,
            version=self.version,
            model_count=self.model_count,
            title=self.title,
            description=self.description,
        )


@dataclass
class Credentials:
    """Credentials, with the arguments of ``create_update_credentials``."""

    sub: str
    id_: str
    public_key: str
    secret_key_hash: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def save(self) -> None:
        """Stores the credentials with ``create_update_credentials``."""
        get().create_update_credentials(
            sub=self.sub,
            id_=self.id_,
            public_key=self.public_key,
            secret_key_hash=self.secret_key_hash,
            salt=self.salt,
        )


class _Storable(Protocol):
    def save(self) -> None:
        """Stores the object in the database of ``package_database.get()``."""


_Stored = TypeVar("_Stored", bound=_Storable)


class _StoringFactory(Factory[_Stored]):
    """A factory whose ``create()`` and ``create_batch()`` store the objects."""

    class Meta:
        abstract = True
        strategy = BUILD_STRATEGY

    @classmethod
    def _create(cls, model_class: type[_Stored], *args: Any, **kwargs: Any) -> _Stored:
        created: _Stored = super()._create(model_class, *args, **kwargs)  # type: ignore[no-untyped-call]
        created.save()
        return created


class SpecFactory(_StoringFactory[Spec]):
    """Creates specs, each of another user; title and description are None by default."""

    class Meta:
        model = Spec

    sub = Sequence(lambda number: f"sub {number}")
    name = Sequence(lambda number: f"name {number}")
    version = Sequence(lambda number: f"{number}.0")
    model_count = Sequence(lambda number: number + 1)
    title = None
    description = None


class CredentialsFactory(_StoringFactory[Credentials]):
    """Creates credentials, each of another user."""

    class Meta:
        model = Credentials

    sub = Sequence(lambda number: f"sub {number}")
    id_ = Sequence(lambda number: f"id {number}")
    public_key = Sequence(lambda number: f"public key {number}")
    secret_key_hash = Sequence(lambda number: f"secret key hash {number}".encode())
    salt = Sequence(lambda number: f"salt {number}".encode())
