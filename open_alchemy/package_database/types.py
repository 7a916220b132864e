"""The interface of the database, and the shapes that it takes and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, Protocol, Self, TypeAlias, TypedDict

if TYPE_CHECKING:
    from .auth_info import CredentialsAuthInfo

BytesLike: TypeAlias = bytes | bytearray | memoryview


class TSpecInfo(TypedDict):
    """One published state of a spec.

    ``id`` is the canonical name, ``name`` the spelling it was published under, ``updated_at`` whole seconds since
    the epoch; ``title`` and ``description`` are there only where they were given.
    """

    id: str
    name: str
    updated_at: int
    version: str
    model_count: int
    title: NotRequired[str]
    description: NotRequired[str]


TSpecInfoList: TypeAlias = list[TSpecInfo]


class TCredentialsInfo(TypedDict):
    """Credentials as their owner sees them: without the hash of the secret key."""

    id: str
    public_key: str
    salt: bytes


TCredentialsInfoList: TypeAlias = list[TCredentialsInfo]


class TDatabase(Protocol):
    """The database. Every argument is a keyword argument.

    ``sub`` is the unique id of a user (the JWT claim): 1 to 2048 bytes in UTF-8. ``name`` is the name of a spec in any
    spelling: it is canonicalized (PEP 503), so that ``My.Spec`` and ``my-spec`` are one spec; the canonical name has 1
    to 1003 bytes. ``id_`` is the id of credentials, unique for the user: 1 to 1024 bytes. ``public_key`` has 1 to 2048
    bytes.

    Every function raises ``ValidationError`` before any I/O for an argument that cannot be stored, ``RefusedError``
    where the store refuses for good, and ``UnavailableError`` where it does not answer in time.
    """

    def count_customer_models(self, *, sub: str) -> int:
        """Returns the number of models in the newest versions of all of the user's specs."""

    def create_update_spec(
        self,
        *,
        sub: str,
        name: str,
        version: str,
        model_count: int,
        title: str | None = None,
        description: str | None = None,
    ) -> None:
        """Publishes a version of a spec.

        Publishing another version adds it, also within the same second; publishing the newest version again within
        the second replaces it.

        Args:
            sub: The user.
            name: The name of the spec.
            version: The version, any text.
            model_count: How many models the spec has, from 0 to 2^63 - 1.
            title: The title, if the spec has one.
            description: The description, if the spec has one. All that is stored for one version may be at most
                204,800 bytes (DynamoDB's 400 KB for an item and its copy in the local index).

        Raises:
            ConflictError: Other writers of this spec won until the deadline.
        """

    def get_latest_spec_version(self, *, sub: str, name: str) -> str:
        """Returns the newest version of a spec.

        Raises:
            NotFoundError: The user has no such spec.
        """

    def list_specs(self, *, sub: str) -> TSpecInfoList:
        """Returns the newest version of each of the user's specs, ordered by id."""

    def get_spec(self, *, sub: str, name: str) -> TSpecInfo | None:
        """Returns the newest version of a spec, or None where the user has no such spec."""

    def delete_spec(self, *, sub: str, name: str) -> None:
        """Deletes a spec with all its versions; nothing happens where the user has no such spec.

        Raises:
            ConflictError: Other writers of this spec won until the deadline.
        """

    def list_spec_versions(self, *, sub: str, name: str) -> TSpecInfoList:
        """Returns every version of a spec, oldest first.

        Raises:
            NotFoundError: The user has no such spec.
        """

    def delete_all_specs(self, *, sub: str) -> None:
        """Deletes all of the user's specs with all their versions.

        Raises:
            ConflictError: Other writers of one of the specs won until the deadline.
        """

    def list_credentials(self, *, sub: str) -> TCredentialsInfoList:
        """Returns the user's credentials, ordered by id."""

    def create_update_credentials(
        self, *, sub: str, id_: str, public_key: str, secret_key_hash: BytesLike, salt: BytesLike
    ) -> None:
        """Stores credentials, replacing those of the user that have this id.

        Args:
            sub: The user.
            id_: The id of the credentials.
            public_key: The public key, which no other credentials may have; ``get_user`` finds it after a moment.
            secret_key_hash: The hash of the secret key, safe to store.
            salt: The salt that the hash was made with. The whole item may be at most 409,600 bytes.
        """

    def get_credentials(self, *, sub: str, id_: str) -> TCredentialsInfo | None:
        """Returns the credentials with this id, or None where the user has none."""

    def get_user(self, *, public_key: str) -> CredentialsAuthInfo | None:
        """Returns whose credentials have this public key, or None where there are none.

        A key that was deleted or replaced is not found from the moment that call returned; a new key may take a
        moment to be found, because the index behind this function lags.

        Raises:
            ConflictError: Two credentials have this public key.
        """

    def delete_credentials(self, *, sub: str, id_: str) -> None:
        """Deletes the credentials with this id; nothing happens where the user has none."""

    def delete_all_credentials(self, *, sub: str) -> None:
        """Deletes all of the user's credentials."""

    def delete_all(self, *, sub: str) -> None:
        """Deletes all of the user's credentials and specs.

        Raises:
            ConflictError: Other writers of one of the specs won until the deadline.
        """


class TConnectedDatabase(TDatabase, Protocol):
    """A database that ``connect`` has opened, and that whoever opened it closes; also a context manager."""

    def close(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again."""

    def __enter__(self) -> Self:
        """Returns the database."""

    def __exit__(self, *_: object) -> None:
        """Closes it."""
