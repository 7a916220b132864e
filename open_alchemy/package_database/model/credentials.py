"""The access patterns of the credentials table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.operations import Delete, Get, Item, Key, Put, Query, Steps, Transact
from ..core.secret import Secret
from ..exceptions import ConflictError
from ..types import BytesLike, TCredentialsInfo, TCredentialsInfoList
from .access_pattern import access_pattern
from .item_checks import Projection
from .schema import CREDENTIALS, PUBLIC_KEY, RAW
from .transaction_batches import split
from .validation import check_item_size

if TYPE_CHECKING:
    from ..auth_info import CredentialsAuthInfo

_KEY = Projection(CREDENTIALS, "sub", "id")
_INFO = Projection(CREDENTIALS, "id", "public_key", "salt")
_AUTH_INFO = Projection(CREDENTIALS, "sub", "id", "public_key", "secret_key_hash", "salt")


@access_pattern("Which credentials does a user have?", unbounded=True)
def list_credentials(*, sub: str) -> Steps[TCredentialsInfoList]:
    """Returns the user's credentials, in the order of their ids, without the hashes of the secret keys.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
    """
    items = yield Query(CREDENTIALS, sub)
    return [_to_info(item, sub) for item in items]


@access_pattern("Store credentials.")
def create_update_credentials(
    *, sub: str, id_: str, public_key: str, secret_key_hash: BytesLike, salt: BytesLike
) -> Steps[None]:
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
    """
    # The index lags on DynamoDB: credentials that were stored within the last second or so may be overlooked.
    item: Item = {
        "sub": sub,
        "id": id_,
        "public_key": public_key,
        "secret_key_hash": Secret(secret_key_hash),
        "salt": Secret(salt),
        "encoding": RAW,
    }
    check_item_size(item)
    holders = yield from _holders(public_key)
    if any(CREDENTIALS.key_of(holder) != _key(sub, id_) for holder in holders):
        raise ConflictError(f"other credentials have the public_key {public_key!r}")
    yield Transact((Put(CREDENTIALS, item),))


@access_pattern("What is known of credentials?")
def get_credentials(*, sub: str, id_: str) -> Steps[TCredentialsInfo | None]:
    """Returns the credentials with this id, or None if the user has no such credentials.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        id_: The id of the credentials, unique for the user, 1 to 1,024 bytes in UTF-8.
    """
    item = yield Get(CREDENTIALS, _key(sub, id_))
    return None if item is None else _to_info(item, sub)


@access_pattern("Whose is a public key, and how is its secret key checked?")
def get_user(*, public_key: str) -> Steps[CredentialsAuthInfo | None]:
    """Returns whose credentials have this public key, or None if there are none.

    Once a call that deleted credentials or replaced their public key has returned, that key finds nothing. A new
    public key may be found only after a moment, because DynamoDB's index lags.

    Args:
        public_key: The public key, 1 to 2,048 bytes in UTF-8.

    Raises:
        ConflictError: Two credentials have this public key, which may belong to different users.
    """
    holders = yield from _holders(public_key)
    if len(holders) > 1:
        names = ", ".join(f"{str(item['id'])!r} of {str(item['sub'])!r}" for item in holders)
        # Deferred: most processes never need it.
        import logging

        logging.getLogger(__name__).error("the credentials %s have the same public_key %r", names, public_key)
        raise ConflictError(f"{len(holders)} credentials have the public_key {public_key!r}")
    return _to_auth_info(holders[0]) if holders else None


@access_pattern("Delete credentials.")
def delete_credentials(*, sub: str, id_: str) -> Steps[None]:
    """Deletes the credentials with this id. Does nothing if the user has no such credentials.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.
        id_: The id of the credentials, unique for the user, 1 to 1,024 bytes in UTF-8.

    Raises:
        ConflictError: Other transactions on these credentials prevented the call until the deadline.
    """
    yield Transact((Delete(CREDENTIALS, _key(sub, id_)),))


@access_pattern("Delete all of a user's credentials.", unbounded=True)
def delete_all_credentials(*, sub: str) -> Steps[None]:
    """Deletes all of the user's credentials.

    Args:
        sub: The user's unique id (the JWT claim), 1 to 2,048 bytes in UTF-8.

    Raises:
        ConflictError: Other transactions on these credentials prevented the call until the deadline.
    """
    # Deletes the items of the user's partition, in as few transactions as possible.
    items = yield Query(CREDENTIALS, sub)
    for group in split(items):
        yield Transact(tuple(Delete(CREDENTIALS, CREDENTIALS.key_of(_KEY.check(item, sub=sub))) for item in group))


def _holders(public_key: str) -> Steps[list[Item]]:
    """Returns the credentials that have a public key: those in the index that have it in the table too.

    The index lags on DynamoDB, and a revoked key must not authenticate anybody.
    """
    indexed = yield Query(CREDENTIALS, public_key, secondary_index=PUBLIC_KEY, attributes=_KEY.names)
    holders: list[Item] = []
    for found in indexed:
        item = yield Get(CREDENTIALS, CREDENTIALS.key_of(_KEY.check(found)))
        if item is not None and _AUTH_INFO.check(item)["public_key"] == public_key:
            holders.append(item)
    return holders


def _key(sub: str, id_: str) -> Key:
    return {"sub": sub, "id": id_}


def _to_info(item: Item, sub: str) -> TCredentialsInfo:
    checked = _INFO.check(item, sub=sub)
    return {"id": checked["id"], "public_key": checked["public_key"], "salt": bytes(checked["salt"])}


def _to_auth_info(item: Item) -> CredentialsAuthInfo:
    from ..auth_info import CredentialsAuthInfo

    checked = _AUTH_INFO.check(item)
    return CredentialsAuthInfo(
        sub=checked["sub"],
        secret_key_hash=bytes(checked["secret_key_hash"]),
        salt=bytes(checked["salt"]),
    )
