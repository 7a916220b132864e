"""The table of the stores: for each scheme of a database URL, how it is read and how its engine is made.

An engine, and with it its driver, is imported only when a store of its scheme is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import ConfigurationError
from ..record import record
from .config import Config, Environment, read_dynamodb, read_sqlite, read_stage

if TYPE_CHECKING:
    from ..core.operations import StoreOperation
    from .port import Administration, AsyncEngine, Engine

URL_VARIABLE: Final = "PACKAGE_DATABASE_URL"

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


@record
class Store:
    """A kind of store.

    Attributes:
        urls: Its URLs, for messages.
        read: Makes a configuration of what follows ``://`` in a URL; raises ``ConfigurationError``.
        open_engine: Makes an engine, which opens nothing yet.
        open_async_engine: Makes an engine for ``await``, which opens nothing yet.
        administer: Makes an administration of an engine's tables.
        place: Says in words where the store is.
        statements: Returns what the store is asked for an operation in its own words, where it has any.
    """

    urls: tuple[str, ...]
    read: Callable[[str, Environment], Config]
    open_engine: Callable[[Any], Engine]
    open_async_engine: Callable[[Any], AsyncEngine]
    administer: Callable[[Any], Administration]
    place: Callable[[Any], str]
    statements: Callable[[StoreOperation], Sequence[str]]


def from_environment(environment: Environment, *, find_region: Callable[[], str | None] | None = None) -> Config:
    """Returns the configuration that the environment describes.

    ``PACKAGE_DATABASE_URL`` says which store; where it is not set, ``STAGE`` does. ``PACKAGE_DATABASE_DEADLINE``
    changes the deadline of a call, in seconds.

    Args:
        environment: The environment's variables.
        find_region: Asks the rest of the AWS chain, a profile, for the region; boto3 where it is None.

    Raises:
        ConfigurationError: A variable is missing or cannot be read; the message names it and what is allowed.
    """
    url = environment.get(URL_VARIABLE)
    if url:
        return from_url(url, environment, source=URL_VARIABLE)
    return read_stage(environment, find_region=find_region or _find_region)


def from_url(url: str, environment: Environment, *, source: str = "the URL") -> Config:
    """Returns the configuration of the store at a database URL.

    Args:
        url: The URL.
        environment: The environment's variables, for the deadline and for what AWS needs.
        source: Where the URL comes from, for messages.

    Raises:
        ConfigurationError: The URL cannot be read, or its scheme is unknown. The message names the source and the known
            URLs, but shows no more of the URL than its scheme: it may hold a password.
    """
    scheme, separator, rest = str(url).partition("://")
    scheme = scheme.lower()
    if scheme not in STORES:
        problem = f"its scheme {scheme!r} is unknown" if separator and _SCHEME.fullmatch(scheme) else "it has no scheme"
        raise ConfigurationError(f"{source} is no database URL: {problem}; {_known()}")
    try:
        return STORES[scheme].read(rest, environment)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source} cannot be used: {error}; {_known()}") from None


def open_engine(config: Config) -> Engine:
    """Returns an engine of the store, which opens nothing before it is used."""
    return STORES[config.scheme].open_engine(config)


def open_async_engine(config: Config) -> AsyncEngine:
    """Returns an engine of the store for ``await``, which opens nothing before it is used."""
    return STORES[config.scheme].open_async_engine(config)


def administer(engine: Engine) -> Administration:
    """Returns the administration of the tables that an engine works on."""
    return STORES[engine.config.scheme].administer(engine)


def place(config: Config) -> str:
    """Returns where the store is, in words."""
    return STORES[config.scheme].place(config)


def statements(config: Config, operation: StoreOperation) -> Sequence[str]:
    """Returns what the store is asked for an operation in its own words, where it has any; never a value."""
    return STORES[config.scheme].statements(operation)


def _known() -> str:
    return f"known are {', '.join(url for store in STORES.values() for url in store.urls)}"


def _find_region() -> str | None:
    from .dynamodb.boto3_client import find_region

    return find_region()


def _open_dynamodb(config: Any) -> Engine:
    from .dynamodb.engine import DynamoDBEngine

    return DynamoDBEngine(config)


def _open_async_dynamodb(config: Any) -> AsyncEngine:
    from .dynamodb.engine import AsyncDynamoDBEngine

    return AsyncDynamoDBEngine(config)


def _administer_dynamodb(engine: Any) -> Administration:
    from .dynamodb.administration import Administration as DynamoDBAdministration

    return DynamoDBAdministration(engine)


def _open_sqlite(config: Any) -> Engine:
    from .sqlite.engine import open_sqlite

    return open_sqlite(config)


def _open_async_sqlite(config: Any) -> AsyncEngine:
    from .sqlite.engine import open_sqlite
    from .threaded import ThreadedEngine

    return ThreadedEngine(lambda: open_sqlite(config))


def _administer_sqlite(engine: Any) -> Administration:
    from .sqlite.administration import SQLiteAdministration

    return SQLiteAdministration(engine)


def _sqlite_statements(operation: StoreOperation) -> Sequence[str]:
    from .sql.statements import texts

    return texts(operation)


STORES: Final[Mapping[str, Store]] = {
    "dynamodb": Store(
        urls=("dynamodb://", "dynamodb://REGION", "dynamodb://HOST:PORT"),
        read=lambda rest, environment: read_dynamodb(rest, environment, find_region=_find_region),
        open_engine=_open_dynamodb,
        open_async_engine=_open_async_dynamodb,
        administer=_administer_dynamodb,
        place=lambda config: config.endpoint_url or f"AWS, region {config.region}",
        statements=lambda _: (),
    ),
    "sqlite": Store(
        urls=("sqlite://", "sqlite:///RELATIVE/PATH", "sqlite:////ABSOLUTE/PATH"),
        read=read_sqlite,
        open_engine=_open_sqlite,
        open_async_engine=_open_async_sqlite,
        administer=_administer_sqlite,
        place=lambda config: str(config.path or "sqlite://, in memory"),
        statements=_sqlite_statements,
    ),
}
