"""Decodes credentials of version 4, which stored each secret as base64 text in a binary attribute.

Version 4 used pynamodb before 6.0, whose ``BinaryAttribute`` encoded values in base64, and DynamoDB's protocol encoded
them again (https://pynamodb.readthedocs.io/en/stable/upgrading_binary.html). It wrote no attribute ``encoding``. A
decoded secret may be valid base64 too, such as a hexadecimal digest: only ``encoding`` distinguishes the two.
"""

from __future__ import annotations

import base64
from typing import Final

from ..core.operations import AllOf, Equal, Item, Missing, Put, Transact
from ..core.secret import Secret
from ..model.schema import CREDENTIALS, RAW

_SECRETS: Final = ("secret_key_hash", "salt")


def is_encoded(item: Item) -> bool:
    """Returns whether both secrets are canonical base64 text; False if both are empty."""
    secrets = [_secret(item, name) for name in _SECRETS]
    return any(secrets) and all(map(_is_canonical, secrets))


def upgraded(item: Item) -> Item:
    """Returns an item of version 4 in the current encoding. Secrets that are not base64 text stay as they are."""
    if not is_encoded(item):
        return {**item, "encoding": RAW}
    return {**item, "encoding": RAW} | {name: Secret(base64.b64decode(_secret(item, name))) for name in _SECRETS}


def upgrade(item: Item) -> Transact:
    """Returns the transaction that upgrades an item if it is unchanged since it was read."""
    known = (attribute.name for attribute in CREDENTIALS.attributes if attribute.name in item)
    unchanged = AllOf((Missing("encoding"), *(Equal(name, item[name]) for name in known)))
    return Transact((Put(CREDENTIALS, upgraded(item), unchanged),))


def _is_canonical(text: Secret) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)) == text
    except ValueError:
        return False


def _secret(item: Item, name: str) -> Secret:
    value = item[name]
    assert isinstance(value, bytes), "a binary attribute"
    return Secret(value)
