"""From the environment, or from a URL, to the configuration of a store; read when it is asked for, never at import.

``stores`` has the table of what there is; here is how each row is read.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import unquote, urlsplit

from ..exceptions import ConfigurationError
from ..record import hidden, record

if TYPE_CHECKING:
    from pathlib import Path

Environment: TypeAlias = Mapping[str, str]

Stage: TypeAlias = Literal["TEST", "PROD"]
Wire: TypeAlias = Literal["lean", "boto3"]

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
WIRES: Final[tuple[Wire, ...]] = get_args(Wire)
DEFAULT_TEST_ENDPOINT: Final = "http://localhost:8000"
DEFAULT_DEADLINE: Final = 5.0
Choice = TypeVar("Choice", bound=str)

_DUMMY: Final = "package-database-test"
_GRAPHIC: Final = re.compile(r"[!-~]*")
_REGION_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+")
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_LAST_PORT: Final = 65535


@record
class Credentials:
    """AWS credentials.

    Raises:
        ConfigurationError: They have a character that no header of a request may have; the message shows none.
    """

    access_key_id: str
    secret_access_key: str = hidden()
    session_token: str | None = hidden(default=None)

    def __post_init__(self) -> None:
        for name in ("access_key_id", "secret_access_key", "session_token"):
            if not _GRAPHIC.fullmatch(getattr(self, name) or ""):
                raise ConfigurationError(f"the AWS {name} has other characters than visible ones of ASCII")


DUMMY_REGION: Final = "us-east-1"
DUMMY_CREDENTIALS: Final = Credentials(_DUMMY, _DUMMY)


@record(kw_only=True)
class Config:
    """What every store is configured with.

    Attributes:
        scheme: The scheme of the store's URLs.
        deadline: The deadline of a call in seconds.
    """

    scheme: ClassVar[str]
    deadline: float = DEFAULT_DEADLINE


@record
class DynamoDBConfig(Config):
    """Which DynamoDB.

    Attributes:
        stage: TEST for a local one, PROD for AWS.
        region: The AWS region.
        endpoint_url: Where DynamoDB is; None for AWS's own endpoint of the region.
        credentials: None for what the standard AWS chain finds.
        wire: What carries requests to DynamoDB: the package's own HTTP client, or boto3.
    """

    scheme: ClassVar[str] = "dynamodb"
    stage: Stage
    region: str
    endpoint_url: str | None = None
    credentials: Credentials | None = None
    wire: Wire = "lean"


@record
class SQLiteConfig(Config):
    """Which SQLite database.

    Attributes:
        path: The absolute path of the file; None for the store in memory, one for the process.
    """

    scheme: ClassVar[str] = "sqlite"
    path: Path | None = None


def read_stage(environment: Environment, *, find_region: Callable[[], str | None]) -> DynamoDBConfig:
    """Returns the configuration of the stage that the environment names.

    ``STAGE=TEST`` is DynamoDB at http://localhost:8000, or at ``AWS_ENDPOINT_URL_DYNAMODB``, with dummy credentials and
    region where the environment has none. ``STAGE=PROD`` is DynamoDB on AWS, with what the standard AWS chain finds.
    ``PACKAGE_DATABASE_WIRE=boto3`` has boto3 carry every request.

    Args:
        environment: The environment's variables.
        find_region: Asks the rest of the AWS chain, a profile, for the region.

    Raises:
        ConfigurationError: A variable is missing or cannot be read; the message names it and what is allowed.
    """
    if _choose(environment, "STAGE", STAGES, default=None) == "TEST":
        return _local(environment, _endpoint_url(environment) or DEFAULT_TEST_ENDPOINT)
    return _on_aws(environment, None, find_region)


def read_dynamodb(rest: str, environment: Environment, *, find_region: Callable[[], str | None]) -> DynamoDBConfig:
    """Returns the configuration of a ``dynamodb`` URL.

    Nothing is DynamoDB on AWS as ``STAGE=PROD`` finds it, a region is that of this region, and a host with a port is a
    local one, over http, with dummy credentials and region where the environment has none.

    Args:
        rest: What follows ``dynamodb://``.
        environment: The environment's variables.
        find_region: As in ``read_stage``.

    Raises:
        ConfigurationError: The rest is none of these, or an AWS variable is wrong. The message shows nothing of the
            URL, which may hold a password.
    """
    place = rest.removesuffix("/")
    if not place or _REGION.fullmatch(place):
        return _on_aws(environment, place or None, find_region)
    address = _ADDRESS.fullmatch(place)
    if address is None or not 1 <= int(address[1]) <= _LAST_PORT:
        raise ConfigurationError("after dynamodb:// comes nothing, a region, or a host with its port, and no more")
    return _local(environment, f"http://{place}")


def read_sqlite(rest: str, environment: Environment) -> SQLiteConfig:
    """Returns the configuration of a ``sqlite`` URL, as SQLAlchemy writes them.

    Nothing is the store in memory; a slash and a relative or an absolute path is a file, relative to the current
    folder now. Percent-encoded bytes of the path are decoded as UTF-8.

    https://docs.sqlalchemy.org/en/20/core/engines.html#sqlite

    Args:
        rest: What follows ``sqlite://``.
        environment: The environment's variables.

    Raises:
        ConfigurationError: The rest is neither, or the deadline is wrong; the message shows nothing of the URL.
    """
    deadline = read_deadline(environment)
    if not rest:
        return SQLiteConfig(deadline=deadline)
    if not rest.startswith("/"):
        raise ConfigurationError("the path of a sqlite URL comes after three slashes, or four where it is absolute")
    if "?" in rest or "#" in rest:
        raise ConfigurationError("a sqlite URL has no parameters: write %3F and %23 for ? and # in a path")
    try:
        path = unquote(rest[1:], errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError("the path of a sqlite URL is percent-encoded UTF-8") from None
    if not path or "\0" in path or path == ":memory:":
        raise ConfigurationError(
            "a sqlite URL with a slash after sqlite:// has the path of a file; in memory is sqlite://"
        )
    try:
        os.fsencode(path)
        from pathlib import Path

        return SQLiteConfig(Path(path).absolute(), deadline=deadline)
    except UnicodeEncodeError:
        raise ConfigurationError("the path of a sqlite URL has letters that no file can have in its name") from None
    except OSError as error:
        raise ConfigurationError("the path of a sqlite URL is relative, and there is no current folder") from error


def read_deadline(environment: Environment) -> float:
    """Returns the deadline of a call in seconds: ``PACKAGE_DATABASE_DEADLINE``, or the default.

    Raises:
        ConfigurationError: It is no number above 0.
    """
    given = environment.get("PACKAGE_DATABASE_DEADLINE")
    if not given:
        return DEFAULT_DEADLINE
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"PACKAGE_DATABASE_DEADLINE must be a number of seconds above 0, not {given!r}")
    return seconds


def check_url(url: str, *, source: str) -> None:
    """Checks that a URL names a host over http or https.

    Raises:
        ConfigurationError: It does not; the message names the URL's source.
    """
    try:
        parts = urlsplit(url)
        readable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        readable = False
    if not readable:
        raise ConfigurationError(f"{source} must be a URL such as {DEFAULT_TEST_ENDPOINT}, not {url!r}")


def environment_credentials(environment: Environment) -> Credentials | None:
    """Returns the credentials that the environment's variables hold, None where they do not hold both keys."""
    access_key_id = environment.get("AWS_ACCESS_KEY_ID")
    secret_access_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not access_key_id or not secret_access_key:
        return None
    token = environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN")
    return Credentials(access_key_id, secret_access_key, token or None)


def _choose(environment: Environment, variable: str, choices: tuple[Choice, ...], *, default: Choice | None) -> Choice:
    given = environment.get(variable)
    if not given and default is not None:
        return default
    for choice in choices:
        if given == choice:
            return choice
    problem = f"is {given!r}" if given else "is not set"
    raise ConfigurationError(f"the environment variable {variable} {problem}: it must be {' or '.join(choices)}")


def _wire(environment: Environment) -> Wire:
    return _choose(environment, "PACKAGE_DATABASE_WIRE", WIRES, default="lean")


def _endpoint_url(environment: Environment) -> str | None:
    url = environment.get("AWS_ENDPOINT_URL_DYNAMODB") or None
    if url is not None:
        check_url(url, source="AWS_ENDPOINT_URL_DYNAMODB")
    return url


def _region(environment: Environment) -> str | None:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if region and not _REGION_NAME.fullmatch(region):
        raise ConfigurationError(f"the AWS region must be letters, digits and hyphens, not {region!r}")
    return region


def _local(environment: Environment, endpoint_url: str) -> DynamoDBConfig:
    return DynamoDBConfig(
        "TEST",
        _region(environment) or DUMMY_REGION,
        endpoint_url,
        environment_credentials(environment) or DUMMY_CREDENTIALS,
        _wire(environment),
        deadline=read_deadline(environment),
    )


def _on_aws(environment: Environment, region: str | None, find_region: Callable[[], str | None]) -> DynamoDBConfig:
    deadline, endpoint_url, wire = read_deadline(environment), _endpoint_url(environment), _wire(environment)
    region = region or _region(environment) or find_region()
    if not region:
        raise ConfigurationError(
            "no AWS region: set AWS_REGION or AWS_DEFAULT_REGION to the region of the tables, such as eu-west-1, "
            "or give the AWS profile one"
        )
    return DynamoDBConfig("PROD", region, endpoint_url, wire=wire, deadline=deadline)
