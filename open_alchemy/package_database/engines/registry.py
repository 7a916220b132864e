"""The stores by the scheme of their URLs. A store's package is imported when a URL with its scheme is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

from ..exceptions import ConfigurationError
from .port import Config, DatabaseURLError, Environment

URL_VARIABLE: Final = "PACKAGE_DATABASE_URL"

_MODULES: Final[Mapping[str, str]] = {
    "dynamodb": ".dynamodb.config",
    "sqlite": ".sqlite.config",
    "postgresql": ".postgresql.config",
    "shards": ".postgresql.shards_url",
    "broker": ".broker.config",
    "nats": ".broker.nats_url",
    "amqp": ".broker.amqp_url",
}
_SCHEME: Final = r"[a-z][a-z0-9+.-]*"


class _Store(Protocol):
    """The module ``config`` of a store's package."""

    URLS: tuple[str, ...]

    def read_url(self, rest: str, environment: Environment) -> Config:
        """Returns the configuration that a URL describes.

        Args:
            rest: The part of the URL after ``://``.
            environment: The environment variables.

        Raises:
            DatabaseURLError: The URL is invalid. The message contains no part of the URL: it may contain a password.
            ConfigurationError: A variable is missing or invalid; the message names it.
        """


def from_environment(environment: Environment) -> Config:
    """Returns the configuration that the environment describes: ``PACKAGE_DATABASE_URL``, or else ``STAGE``.

    Raises:
        ConfigurationError: A variable is missing or invalid; the message names it and what is allowed.
    """
    url = environment.get(URL_VARIABLE)
    if url:
        return from_url(url, environment, source=URL_VARIABLE)
    if not environment.get("STAGE"):
        raise ConfigurationError(
            f"no database is configured: set {URL_VARIABLE}, such as {URL_VARIABLE}=sqlite:///specs.db, "
            "or STAGE=TEST for a local DynamoDB, or STAGE=PROD for DynamoDB on AWS"
        )
    from .dynamodb.config import read_stage

    return read_stage(environment)


def from_url(url: str, environment: Environment, *, source: str = "the URL") -> Config:
    """Returns the configuration of the store at a database URL.

    Args:
        url: The URL.
        environment: The environment variables, for the deadline and for AWS.
        source: The origin of the URL, for messages.

    Raises:
        ConfigurationError: The URL is invalid, or its scheme is unknown. The message names the source and the known
            URLs, and contains no part of the URL except its scheme: the URL may contain a password. Or a variable is
            missing or invalid; the message names the variable.
    """
    scheme, separator, rest = str(url).partition("://")
    scheme = scheme.lower()
    if scheme not in _MODULES:
        has_scheme = separator and re.fullmatch(_SCHEME, scheme)
        problem = f"unknown scheme {scheme!r}" if has_scheme else "no scheme"
        raise ConfigurationError(f"{source} is not a database URL: {problem}; {_known_urls()}")
    try:
        return _store(scheme).read_url(rest, environment)
    except DatabaseURLError as error:
        raise ConfigurationError(f"{source} cannot be used: {error}; {_known_urls()}") from None


def _store(scheme: str) -> _Store:
    return cast("_Store", import_module(_MODULES[scheme], __package__))


def _known_urls() -> str:
    return f"known URLs are {', '.join(url for scheme in _MODULES for url in _store(scheme).URLS)}"
