"""Credentials as version 4 wrote them: each secret as the text of its base64 encoding, in the binary attribute.

Version 4 was made with pynamodb before 6.0, whose ``BinaryAttribute`` encoded in base64 what the wire encodes once more
(https://pynamodb.readthedocs.io/en/stable/upgrading_binary.html). Nothing in an item says which version wrote it; bytes
that look like base64 text may be just that.
"""

from __future__ import annotations

import base64
from enum import Enum
from typing import Final

from ..core.operations import AllOf, Equal, Item, Put, Transact
from ..core.secret import Secret
from ..model.schema import CREDENTIALS

_SECRETS: Final = ("secret_key_hash", "salt")


class Form(Enum):
    """What the secrets of credentials look like."""

    BYTES = "bytes"
    TEXT = "base64 text"
    TEXT_OF_TEXT = "base64 text of base64 text"


def form(item: Item) -> Form:
    """Returns what both secrets look like."""
    if not _is_text(item):
        return Form.BYTES
    return Form.TEXT_OF_TEXT if _is_text(decoded(item)) else Form.TEXT


def decoded(item: Item) -> Item:
    """Returns an item whose secrets are text, with the bytes that the text stands for."""
    return {**item, **{name: Secret(base64.b64decode(_secret(item, name))) for name in _SECRETS}}


def rewrite(item: Item) -> Transact:
    """Returns the transaction that puts the bytes in the place of their text, where nobody wrote the item since."""
    known = (attribute.name for attribute in CREDENTIALS.attributes)
    unchanged = AllOf(tuple(Equal(name, item[name]) for name in known))
    return Transact((Put(CREDENTIALS, decoded(item), unchanged),))


def _is_text(item: Item) -> bool:
    """Returns whether both secrets are base64 text, in the one form that an encoder writes; empty ones have no form."""
    secrets = [_secret(item, name) for name in _SECRETS]
    return any(secrets) and all(map(_is_canonical, secrets))


def _is_canonical(text: Secret) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)) == text
    except ValueError:
        return False


def _secret(item: Item, name: str) -> Secret:
    value = item[name]
    assert isinstance(value, bytes), "a binary attribute"
    return Secret(value)
