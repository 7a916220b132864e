"""The tables, their keys, indexes and attributes.

The only source of the schema for the code, the tests, the documentation and the infrastructure.
"""

from __future__ import annotations

from typing import Final

from ..core.operations import Attribute, Index, Table

SCHEMA_VERSION: Final = 5
"""The major version of the package that introduced this schema."""

RAW: Final = "raw"
"""The ``encoding`` of credentials whose hash and salt are stored as they are."""

ID_UPDATED_AT: Final = Index("idUpdatedAt", partition_key="sub", sort_key="id_updated_at", scope="local")
PUBLIC_KEY: Final = Index("publicKey", partition_key="public_key", sort_key=None, scope="global", is_unique=True)

SPECS: Final = Table(
    "package.specs",
    partition_key="sub",
    sort_key="updated_at_id",
    indexes=(ID_UPDATED_AT,),
    attributes=(
        Attribute("sub", "S", "the user's unique id"),
        Attribute("id", "S", "the canonical name of the spec"),
        Attribute("name", "S", "the name as given"),
        Attribute("updated_at", "S", "whole seconds since the epoch, unpadded"),
        Attribute("version", "S", "the version of the spec"),
        Attribute("model_count", "N", "the number of models of the version"),
        Attribute("title", "S", "only if given", is_optional=True),
        Attribute("description", "S", "only if given", is_optional=True),
        Attribute("revision", "S", "new for every create; version 4 wrote none", is_optional=True),
        Attribute("updated_at_id", "S", "the zero-padded seconds or `latest`, `#`, the id"),
        Attribute("id_updated_at", "S", "the id, `#`, the zero-padded seconds or `latest`"),
    ),
)
CREDENTIALS: Final = Table(
    "package.credentials",
    partition_key="sub",
    sort_key="id",
    indexes=(PUBLIC_KEY,),
    attributes=(
        Attribute("sub", "S", "the user's unique id"),
        Attribute("id", "S", "the id of the credentials"),
        Attribute("public_key", "S", "the public key"),
        Attribute("secret_key_hash", "B", "the hash of the secret key"),
        Attribute("salt", "B", "the salt of the hash"),
        Attribute(
            "encoding", "S", "`raw`: hash and salt as they are; version 4 wrote none, and base64 text", is_optional=True
        ),
    ),
)
TABLES: Final = (SPECS, CREDENTIALS)
