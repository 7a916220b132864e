"""factory_boy factories of stored specs and credentials, for the tests of services.

spec = SpecFactory(sub="user 1", version="2.0")
spec.save()
"""

from __future__ import annotations

from dataclasses import dataclass, field

from factory.base import Factory
from factory.declarations import Sequence

from .instances import get


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
        """Stores it in the database that ``package_database.get()`` returns; raises what that raises."""
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
        """Stores them in the database that ``package_database.get()`` returns; raises what that raises."""
        get().create_update_credentials(
            sub=self.sub,
            id_=self.id_,
            public_key=self.public_key,
            secret_key_hash=self.secret_key_hash,
            salt=self.salt,
        )


class SpecFactory(Factory[Spec]):
    """Makes specs, each of another user; title and description are None unless given."""

    class Meta:
        model = Spec

    sub = Sequence(lambda number: f"sub {number}")
    name = Sequence(lambda number: f"name {number}")
    version = Sequence(lambda number: f"{number}.0")
    model_count = Sequence(lambda number: number + 1)
    title = None
    description = None


class CredentialsFactory(Factory[Credentials]):
    """Makes credentials, each of another user."""

    class Meta:
        model = Credentials

    sub = Sequence(lambda number: f"sub {number}")
    id_ = Sequence(lambda number: f"id {number}")
    public_key = Sequence(lambda number: f"public key {number}")
    secret_key_hash = Sequence(lambda number: f"secret key hash {number}".encode())
    salt = Sequence(lambda number: f"salt {number}".encode())
