"""The records of a spec: their attributes, what they mean to a caller, and how a write recognizes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..core.operations import AllOf, Condition, Equal, Item, Missing, Value
from ..exceptions import NotFoundError
from ..types import TSpecInfo, TSpecSnapshot
from .item_checks import Projection, all_seconds_of, seconds_of
from .keys import LATEST, padded, record_keys
from .schema import SPECS

INFO = Projection(SPECS, "id", "name", "updated_at", "version", "model_count", "title", "description")
"""The attributes of a ``TSpecInfo``. The others, a third of the bytes, are not requested."""
SNAPSHOT = Projection(SPECS, *INFO.names, "revision")
"""The attributes of a ``TSpecSnapshot``."""
_VERSION_4 = "4:"
"""The beginning of the revision of a spec of version 4, which stored none. Its ``updated_at`` follows."""


def records(attributes: Mapping[str, Value], seconds: int, revision: str) -> tuple[Item, Item]:
    """Returns the version record and the latest record of a spec."""
    common = {**attributes, "updated_at": str(seconds), "revision": revision}
    id_ = str(attributes["id"])
    return {**common, **record_keys(padded(seconds), id_)}, {**common, **record_keys(LATEST, id_)}


def seconds_of_record(record: Item) -> int:
    """Returns the ``updated_at`` of a record as seconds since the epoch."""
    return seconds_of(SPECS, record)


def unchanged_since(latest: Item | None) -> Condition:
    """Returns the condition that the latest record is the one that was read."""
    if latest is None:
        return Missing("sub")
    if "revision" in latest:
        return Equal("revision", latest["revision"])
    # Version 4 wrote no revision.
    return AllOf((Missing("revision"), Equal("updated_at", latest["updated_at"])))


def has_revision(revision: str) -> Condition:
    """Returns the condition that the latest record has the revision of a ``TSpecSnapshot``."""
    if revision.startswith(_VERSION_4):
        return unchanged_since({"updated_at": revision.removeprefix(_VERSION_4)})
    return unchanged_since({"revision": revision})


def to_info(checked: Mapping[str, Any], sub: str) -> TSpecInfo:
    """Returns what callers get of a record."""
    info: TSpecInfo = {
        "id": checked["id"],
        "name": checked["name"],
        "updated_at": seconds_of(SPECS, checked, sub=sub),
        "version": checked["version"],
        "model_count": checked["model_count"],
    }
    if "title" in checked:
        info["title"] = checked["title"]
    if "description" in checked:
        info["description"] = checked["description"]
    return info


def to_infos(items: Sequence[Item], sub: str) -> list[TSpecInfo]:
    """Checks items, and returns ``to_info`` of each. A long list takes a third of the time of separate calls."""
    found = INFO.columns(items, sub=sub)
    times = all_seconds_of(SPECS, items, found.columns["updated_at"], sub=sub)
    return cast("list[TSpecInfo]", found.select(INFO.names, updated_at=times).items)


def to_snapshot(checked: Mapping[str, Any], sub: str) -> TSpecSnapshot:
    """Returns what callers get of a latest record, with its revision."""
    revision = checked["revision"] if "revision" in checked else f"{_VERSION_4}{checked['updated_at']}"
    return {**to_info(checked, sub), "revision": revision}


def not_found(name: str) -> NotFoundError:
    """Returns the error of a spec that does not exist."""
    return NotFoundError(f"the user has no spec {name!r}")
