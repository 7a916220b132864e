"""Logical shards: which shard holds a key, and what a shard is called. Pure.

A shard is a schema, ``shard0001`` and so on. The number of shards is chosen once. The shard of a key never changes: it
is derived from the first 8 bytes of the SHA-256 of the key in UTF-8, read as a big-endian number.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

HASH: Final = "sha256-64"
"""The name of the hash, which every server stores."""
DEFAULT_SHARDS: Final = 64
MAX_SHARDS: Final = 8191
"""A key of an entity has 13 bits for its shard, and shards are numbered from 1."""


def shard_of(key: str, shards: int) -> int:
    """Returns the number of the shard that holds a key, from 1 to ``shards``.

    Args:
        key: The ``sub`` of a user, or a public key.
        shards: The number of shards.
    """
    digest = sha256(key.encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % shards


def schema_of(shard: int) -> str:
    """Returns the name of a shard's schema."""
    return f"shard{shard:04d}"
