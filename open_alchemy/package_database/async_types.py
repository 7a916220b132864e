"""The interface of the database for asyncio.

Written by ``python -m docs.generate`` from the access patterns of ``model/``; do not edit it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, Self

from .types import (
    BytesLike,
    TCredentialsInfo,
    TCredentialsInfoList,
    TSpecInfo,
    TSpecInfoList,
    TSpecSnapshot,
    auth_info,
)


class AsyncTDatabase(Protocol):
    """The database for asyncio. Every argument is a keyword argument.

    A call ends with its deadline: ``PACKAGE_DATABASE_DEADLINE``, or 5 seconds. In a call on any number of items, each
    page and each transaction restarts the deadline.
    """

    async def count_customer_models(self, *, sub: str) -> int:
        """Returns how many models the user has: the sum over the newest versions of all specs.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def create_update_spec(
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
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def update_spec(
        self,
        *,
        sub: str,
        name: str,
        revision: str,
        version: str,
        model_count: int,
        title: str | None = None,
        description: str | None = None,
    ) -> TSpecSnapshot:
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
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def get_latest_spec_version(self, *, sub: str, name: str) -> str:
        """Returns the newest version of a spec, the one with the greatest ``updated_at``.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
                bytes in UTF-8 when canonicalized.

        Raises:
            NotFoundError: The user has no such spec.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def list_specs(self, *, sub: str, limit: int | None = None, after: str | None = None) -> TSpecInfoList:
        """Returns the newest version of each of the user's specs, in the order of their ids (of the bytes in UTF-8).

        With ``limit``, it returns one page; a page with fewer specs than ``limit`` is the last one. Whatever is written
        between two pages, no spec is on both, and every spec that exists throughout is on one page.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            limit: The maximum number of specs, 1 to 1,000; None for all.
            after: The page token: the ``id`` of the last spec of the previous page, 1 to 1,003 bytes in UTF-8; None for
                the first page. The spec may have been deleted.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    def iter_specs(self, *, sub: str, after: str | None = None) -> AsyncGenerator[TSpecInfo]:
        """Yields the newest version of each of the user's specs, in the order of ``list_specs``.

        It reads a page of at most 200 specs when the previous one was consumed. Each page has a deadline of its own.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            after: Only the specs after this ``id``, 1 to 1,003 bytes in UTF-8; None for all.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def get_spec(self, *, sub: str, name: str) -> TSpecInfo | None:
        """Returns the newest version of a spec, or None if the user has no such spec.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
                bytes in UTF-8 when canonicalized.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def get_spec_snapshot(self, *, sub: str, name: str) -> TSpecSnapshot | None:
        """Returns the newest version of a spec with its revision for ``update_spec``, or None if there is no such spec.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
                bytes in UTF-8 when canonicalized.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    def iter_spec_snapshots(self, *, sub: str, after: str | None = None) -> AsyncGenerator[TSpecSnapshot]:
        """Yields what ``iter_specs`` yields, with the revisions for ``update_spec``.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            after: Only the specs after this ``id``, 1 to 1,003 bytes in UTF-8; None for all.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def delete_spec(self, *, sub: str, name: str) -> None:
        """Deletes a spec with all its versions. Does nothing if the user has no such spec.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            name: The name of the spec in any spelling: ``My.Spec`` and ``my-spec`` are one spec (PEP 503). 1 to 1,003
                bytes in UTF-8 when canonicalized.

        Raises:
            ConflictError: The call lost against other writers of this spec until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def list_spec_versions(
        self, *, sub: str, name: str, limit: int | None = None, after: int | None = None
    ) -> TSpecInfoList:
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
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def delete_all_specs(self, *, sub: str) -> None:
        """Deletes all of the user's specs with all their versions.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

        Raises:
            ConflictError: The call lost against other writers of one of the specs until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def list_credentials(self, *, sub: str) -> TCredentialsInfoList:
        """Returns the user's credentials, in the order of their ids, without the hashes of the secret keys.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def create_update_credentials(
        self, *, sub: str, id_: str, public_key: str, secret_key_hash: BytesLike, salt: BytesLike
    ) -> None:
        """Stores credentials, and replaces those of the user that have this id.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            id_: The id of the credentials, unique for the user, 1 to 1,024 bytes in UTF-8.
            public_key: The public key, 1 to 2,048 bytes in UTF-8. ``get_user`` may find it only after a moment, because
                DynamoDB's index lags.
            secret_key_hash: The hash of the secret key.
            salt: The salt of the hash. All of these values may have at most 409,600 bytes.

        Raises:
            ConflictError: Other credentials have this public key; or other transactions on these credentials prevented
                the call until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def get_credentials(self, *, sub: str, id_: str) -> TCredentialsInfo | None:
        """Returns the credentials with this id, or None if the user has no such credentials.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            id_: The id of the credentials, unique for the user, 1 to 1,024 bytes in UTF-8.

        Raises:
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def get_user(self, *, public_key: str) -> auth_info.CredentialsAuthInfo | None:
        """Returns whose credentials have this public key, or None if there are none.

        Once a call that deleted credentials or replaced their public key has returned, that key finds nothing. A new
        public key may be found only after a moment, because DynamoDB's index lags.

        Args:
            public_key: The public key, 1 to 2,048 bytes in UTF-8.

        Raises:
            ConflictError: Two credentials have this public key, which may belong to different users.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def delete_credentials(self, *, sub: str, id_: str) -> None:
        """Deletes the credentials with this id. Does nothing if the user has no such credentials.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
            id_: The id of the credentials, unique for the user, 1 to 1,024 bytes in UTF-8.

        Raises:
            ConflictError: Other transactions on these credentials prevented the call until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def delete_all_credentials(self, *, sub: str) -> None:
        """Deletes all of the user's credentials.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

        Raises:
            ConflictError: Other transactions on these credentials prevented the call until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def delete_all(self, *, sub: str) -> None:
        """Deletes all of the user's credentials and specs.

        Args:
            sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

        Raises:
            ConflictError: The call lost against other writers of one of the specs or credentials until the deadline.
            ValidationError: An argument is invalid; raised before any I/O.
            ConfigurationError: The configuration of the store cannot be read; raised by the first call.
            RefusedError: The store refuses the request, a stored item is damaged, or the database is closed.
            UnavailableError: The store did not answer before the deadline.
        """

    async def aclose(self) -> None:
        """Closes the connections to the store; every later call raises ``RefusedError``. May be called again.

        They are closed too when the loop shuts down its asynchronous generators, as ``asyncio.run`` does.
        """

    async def __aenter__(self) -> Self:
        """Returns the database."""

    async def __aexit__(self, *_: object) -> None:
        """Closes the database."""
