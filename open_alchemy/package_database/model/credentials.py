"""The access patterns of the credentials table."""

from __future__ import annotations

from ..core.operations import Delete, DeleteMany, Get, Item, Key, Put, Query, Steps, Transact
from ..core.secret import Secret
from ..exceptions import ConflictError
from ..types import BytesLike, CredentialsAuthInfo, TCredentialsInfo, TCredentialsInfoList
from .access_pattern import access_pattern
from .projection import Projection
from .schema import CREDENTIALS, PUBLIC_KEY
from .validation import check_item_size

_KEY = Projection(CREDENTIALS, "sub", "id")
_INFO = Projection(CREDENTIALS, "id", "public_key", "salt")
_AUTH_INFO = Projection(CREDENTIALS, "sub", "id", "public_key", "secret_key_hash", "salt")


@access_pattern("Which credentials does a user have?", unbounded=True)
def list_credentials(*, sub: str) -> Steps[TCredentialsInfoList]:
    """Queries the user's partition."""
    items = yield Query(CREDENTIALS, sub)
    return [_to_info(item, sub) for item in items]


@access_pattern("Store credentials.")
def create_update_credentials(
    *, sub: str, id_: str, public_key: str, secret_key_hash: BytesLike, salt: BytesLike
) -> Steps[None]:
    """Puts the item, whatever was there."""
    item: Item = {
        "sub": sub,
        "id": id_,
        "public_key": public_key,
        "secret_key_hash": Secret(secret_key_hash),
        "salt": Secret(salt),
    }
    check_item_size(item)
    yield Transact((Put(CREDENTIALS, item),))


@access_pattern("What is known of credentials?")
def get_credentials(*, sub: str, id_: str) -> Steps[TCredentialsInfo | None]:
    """Gets the item."""
    item = yield Get(CREDENTIALS, _key(sub, id_))
    return None if item is None else _to_info(item, sub)


@access_pattern("Whose is a public key, and how is its secret key checked?")
def get_user(*, public_key: str) -> Steps[CredentialsAuthInfo | None]:
    """Queries the index, then reads the table: the index lags, and a revoked key must authenticate nobody."""
    named = yield Query(CREDENTIALS, public_key, index=PUBLIC_KEY)
    holders: list[Item] = []
    for item in named:
        current = yield Get(CREDENTIALS, CREDENTIALS.key_of(_KEY.check(item)))
        if current is not None and _AUTH_INFO.check(current)["public_key"] == public_key:
            holders.append(current)
    if len(holders) > 1:
        claims = ", ".join(f"{str(item['id'])!r} of {str(item['sub'])!r}" for item in holders)
        # Loaded here: most processes never come to it.
        import logging

        logging.getLogger(__name__).error("public_key %r is claimed by the credentials %s", public_key, claims)
        raise ConflictError(f"{len(holders)} credentials claim the public_key {public_key!r}")
    return _to_auth_info(holders[0]) if holders else None


@access_pattern("Delete credentials.")
def delete_credentials(*, sub: str, id_: str) -> Steps[None]:
    """Deletes the item."""
    yield Transact((Delete(CREDENTIALS, _key(sub, id_)),))


@access_pattern("Delete all of a user's credentials.", unbounded=True)
def delete_all_credentials(*, sub: str) -> Steps[None]:
    """Deletes the items of the user's partition, each by itself."""
    items = yield Query(CREDENTIALS, sub)
    if items:
        yield DeleteMany(CREDENTIALS, tuple(CREDENTIALS.key_of(_KEY.check(item, sub=sub)) for item in items))


def _key(sub: str, id_: str) -> Key:
    return {"sub": sub, "id": id_}


def _to_info(item: Item, sub: str) -> TCredentialsInfo:
    checked = _INFO.check(item, sub=sub)
    return {"id": checked["id"], "public_key": checked["public_key"], "salt": bytes(checked["salt"])}


def _to_auth_info(item: Item) -> CredentialsAuthInfo:
    checked = _AUTH_INFO.check(item)
    return CredentialsAuthInfo(
        sub=checked["sub"],
        secret_key_hash=bytes(checked["secret_key_hash"]),
        salt=bytes(checked["salt"]),
    )
