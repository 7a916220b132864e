"""The tables, their keys and indexes, and how a record's keys are made.

The one source for the code, the tests, the documentation and the infrastructure.
"""

from __future__ import annotations

from typing import Final

from ..core.operations import Attribute, Index, Key, Table
from .validation import SECONDS_DIGITS

SCHEMA_VERSION: Final = 5
"""Of what is stored: the package's major version that first wrote it so."""

LATEST: Final = "latest"

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
        Attribute("name", "S", "the name as it was given"),
        Attribute("updated_at", "S", "whole seconds since the epoch, unpadded"),
        Attribute("version", "S", "the version of the spec"),
        Attribute("model_count", "N", "how many models the version has"),
        Attribute("title", "S", "only where given", is_optional=True),
        Attribute("description", "S", "only where given", is_optional=True),
        Attribute("revision", "S", "drawn anew for every create; version 4 wrote none", is_optional=True),
        Attribute("updated_at_id", "S", "the padded seconds or `latest`, `#`, the id"),
        Attribute("id_updated_at", "S", "the id, `#`, the padded seconds or `latest`"),
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
        Attribute("salt", "B", "the salt that the hash was made with"),
    ),
)
TABLES: Final = (SPECS, CREDENTIALS)


def padded(seconds: int | str) -> str:
    """Returns seconds with zeros in front, so that the order of the text is the order in time."""
    return str(seconds).zfill(SECONDS_DIGITS)


def record_keys(moment: str, id_: str) -> Key:
    """Returns the two sort keys of a spec's record: ``moment`` is padded seconds, or ``LATEST``."""
    return {"updated_at_id": f"{moment}#{id_}", "id_updated_at": f"{id_}#{moment}"}


def spec_key(sub: str, moment: str, id_: str) -> Key:
    """Returns the primary key of a spec's record."""
    return {"sub": sub, "updated_at_id": record_keys(moment, id_)["updated_at_id"]}


def latest_key(sub: str, id_: str) -> Key:
    """Returns the primary key of a spec's latest record."""
    return spec_key(sub, LATEST, id_)
