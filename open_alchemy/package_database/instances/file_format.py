"""The format of the file of instances: TOML, checked as a whole. No message contains a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..exceptions import ConfigurationError

DEFAULT_MAX_OPEN: Final = 100

ID_RULE: Final = "1 to 64 letters, digits, '.', '-' and '_'"
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Content(NamedTuple):
    """The content of a file.

    Attributes:
        urls: The URL of each instance, by its id.
        default: The id of the instance of work outside of a request; None if that is refused.
        max_open: The most idle engines that stay open.
    """

    urls: Mapping[str, str]
    default: str | None = None
    max_open: int = DEFAULT_MAX_OPEN


def is_id(text: str) -> bool:
    """Returns whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


def parse(document: Mapping[str, Any]) -> Content:
    """Returns the content that a TOML document describes.

    Raises:
        ConfigurationError: A key is missing, unknown or has a wrong value; the message names it.
    """
    _check_keys(document, Content._fields[1:], "instances")
    instances = document.get("instances")
    if not isinstance(instances, dict) or not instances:
        raise ConfigurationError("instances must be at least one table [instances.ID]")
    urls = {name: _url(name, instance) for name, instance in instances.items()}
    default = document.get("default")
    if default is not None and (not isinstance(default, str) or default not in urls):
        raise ConfigurationError("default must be the id of one of the instances")
    max_open = document.get("max_open", DEFAULT_MAX_OPEN)
    if isinstance(max_open, bool) or not isinstance(max_open, int) or max_open < 1:
        raise ConfigurationError("max_open must be a whole number above 0")
    return Content(urls, default, max_open)


def _url(name: str, instance: object) -> str:
    if not is_id(name):
        raise ConfigurationError(f"instances: the id {name!r} is not {ID_RULE}")
    where = f"instances.{name}"
    if not isinstance(instance, dict):
        raise ConfigurationError(f"{where} must be a table")
    if "url" not in instance and any(isinstance(value, dict) for value in instance.values()):
        raise ConfigurationError(f'{where}.url is missing; quote an id that contains a dot: [instances."{name}.com"]')
    _check_keys(instance, (), "url", f"{where}.")
    url = instance.get("url")
    if not isinstance(url, str) or not url:
        raise ConfigurationError(f"{where}.url must be the URL of a database")
    return url


def _check_keys(table: Mapping[str, Any], optional: tuple[str, ...], required: str, where: str = "") -> None:
    known = (required, *optional)
    unknown = sorted(table.keys() - set(known))
    if unknown:
        raise ConfigurationError(f"unknown key {where}{unknown[0]}: expected {', '.join(known)}")
