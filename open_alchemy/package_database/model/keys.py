"""The keys of a spec: its id, and the sort keys of its records. Pure; imports no table."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ..core.operations import Key

LATEST: Final = "latest"
"""Stands for the seconds in the keys of a latest record."""
SECONDS_DIGITS: Final = 20
"""Digits of the zero-padded seconds in a sort key."""


@lru_cache(maxsize=1024)
def spec_id(name: str) -> str:
    """Returns the id of the spec with this name: runs of ``-``, ``_`` and ``.`` become ``-``, then lower case.

    For ASCII names this is PEP 503. Ids are stored, so the rule must never change: ``packaging`` had this rule up to
    version 25 and changed it for other names. Lower case comes last: that of a Greek capital sigma depends on the
    characters next to it.
    """
    separated = name.replace("_", "-").replace(".", "-")
    while "--" in separated:
        separated = separated.replace("--", "-")
    return separated.lower()


def padded(seconds: int | str) -> str:
    """Returns seconds with leading zeros, so that the order of the texts is the order in time."""
    return str(seconds).zfill(SECONDS_DIGITS)


def record_keys(moment: str, id_: str) -> Key:
    """Returns the two sort keys of a record of a spec; ``moment`` is padded seconds or ``LATEST``."""
    return {"updated_at_id": f"{moment}#{id_}", "id_updated_at": f"{id_}#{moment}"}


def spec_key(sub: str, moment: str, id_: str) -> Key:
    """Returns the primary key of a record of a spec."""
    return {"sub": sub, "updated_at_id": f"{moment}#{id_}"}


def latest_key(sub: str, id_: str) -> Key:
    """Returns the primary key of the latest record of a spec."""
    return spec_key(sub, LATEST, id_)
