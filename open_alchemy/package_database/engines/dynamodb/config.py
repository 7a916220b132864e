"""The configuration of DynamoDB, from the environment or a URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from ...core.operations import Table
from ...exceptions import ConfigurationError
from ..port import DEFAULT_DEADLINE, AsyncEngine, Engine, Environment, read_deadline
from .endpoint_url import LAST_PORT, split_url

Stage: TypeAlias = Literal["TEST", "PROD"]
Wire: TypeAlias = Literal["lean", "boto3"]
RegionFinder: TypeAlias = Callable[[], str | None]

URLS: Final = ("dynamodb://", "dynamodb://REGION", "dynamodb://HOST:PORT")
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
WIRES: Final[tuple[Wire, ...]] = get_args(Wire)
DEFAULT_TEST_ENDPOINT: Final = "http://localhost:8000"
Choice = TypeVar("Choice", bound=str)

_DUMMY: Final = "package-database-test"
_GRAPHIC: Final = r"[!-~]*"
_REGION_NAME: Final = r"[A-Za-z0-9-]+"
_REGION: Final = r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+"
_ADDRESS: Final = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})"


class Credentials(NamedTuple):
    """AWS credentials."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r})"

    def checked(self) -> Credentials:
        """Returns these credentials if a header can contain them.

        Raises:
            ConfigurationError: They contain other characters than visible ASCII. The message contains none of them.
        """
        for name in self._fields:
            if not re.fullmatch(_GRAPHIC, getattr(self, name) or ""):
                raise ConfigurationError(f"the AWS {name} has other characters than visible ones of ASCII")
        return self


DUMMY_REGION: Final = "us-east-1"
DUMMY_CREDENTIALS: Final = Credentials(_DUMMY, _DUMMY)


class DynamoDBConfig(NamedTuple):
    """The configuration of a DynamoDB.

    Attributes:
        stage: TEST for a local server, PROD for AWS.
        region: The AWS region.
        endpoint_url: The endpoint; None for AWS's own endpoint of the region.
        credentials: None for the standard AWS credential chain.
        wire: The HTTP client: the package's own (``lean``) or boto3.
        deadline: The deadline of a call in seconds.
    """

    stage: Stage
    region: str
    endpoint_url: str | None = None
    credentials: Credentials | None = None
    wire: Wire = "lean"
    deadline: float = DEFAULT_DEADLINE

    @property
    def location(self) -> str:
        """The endpoint, or the AWS region."""
        return self.endpoint_url or f"AWS, region {self.region}"

    def open_engine(self, tables: Sequence[Table]) -> Engine:
        """Returns an engine for threads."""
        from .engine import DynamoDBEngine

        del tables
        return DynamoDBEngine(self)

    def open_async_engine(self, tables: Sequence[Table]) -> AsyncEngine:
        """Returns an engine for asyncio."""
        from .engine import AsyncDynamoDBEngine

        del tables
        return AsyncDynamoDBEngine(self)


def read_stage(environment: Environment, *, find_region: RegionFinder | None = None) -> DynamoDBConfig:
    """Returns the configuration that ``STAGE`` selects.

    ``STAGE=TEST`` is DynamoDB at http://localhost:8000, or at ``AWS_ENDPOINT_URL_DYNAMODB``, with dummy credentials and
    a dummy region if the environment has none. ``STAGE=PROD`` is DynamoDB on AWS, or at the endpoint that the AWS
    environment variables or the AWS profile configure, with the region and credentials of the standard AWS chain.
    ``PACKAGE_DATABASE_WIRE=boto3`` selects boto3 as the HTTP client.

    Args:
        environment: The environment variables.
        find_region: Returns the region of the AWS profile; None for boto3's.

    Raises:
        ConfigurationError: A variable is missing or invalid; the message names it and what is allowed.
    """
    if _choose(environment, "STAGE", STAGES, default=None) == "TEST":
        return _local(environment, _endpoint_url(environment) or DEFAULT_TEST_ENDPOINT)
    return _on_aws(environment, None, find_region)


def read_url(rest: str, environment: Environment, *, find_region: RegionFinder | None = None) -> DynamoDBConfig:
    """Returns the configuration of a ``dynamodb`` URL.

    ``dynamodb://`` is DynamoDB on AWS as ``STAGE=PROD`` finds it, ``dynamodb://REGION`` is AWS in this region, and
    ``dynamodb://HOST:PORT`` is a local server over HTTP, with dummy credentials and a dummy region if the environment
    has none.

    Args:
        rest: The part of the URL after ``dynamodb://``.
        environment: The environment variables.
        find_region: See ``read_stage``.

    Raises:
        ConfigurationError: The URL or an AWS variable is invalid. The message contains no part of the URL, which may
            contain a password.
    """
    place = rest.removesuffix("/")
    if not place or re.fullmatch(_REGION, place):
        return _on_aws(environment, place or None, find_region)
    address = re.fullmatch(_ADDRESS, place)
    if address is None or not 1 <= int(address[1]) <= LAST_PORT:
        raise ConfigurationError(f"expected {', '.join(URLS[:-1])} or {URLS[-1]}")
    return _local(environment, f"http://{place}")


def check_url(url: str, *, source: str) -> None:
    """Checks that a URL is http or https, with a host and without credentials.

    Raises:
        ConfigurationError: It is not. The message names the URL's source and contains no part of the URL, which may
            contain a password.
    """
    if split_url(url) is None:
        raise ConfigurationError(f"{source} must be a URL such as {DEFAULT_TEST_ENDPOINT}, without credentials")


def environment_credentials(environment: Environment) -> Credentials | None:
    """Returns the credentials that the environment's variables hold, None where they do not hold both keys."""
    access_key_id = environment.get("AWS_ACCESS_KEY_ID")
    secret_access_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not access_key_id or not secret_access_key:
        return None
    token = environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN")
    return Credentials(access_key_id, secret_access_key, token or None).checked()


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


def _aws_endpoint_url(environment: Environment) -> str | None:
    from .aws_profile import configured_endpoint

    configured = configured_endpoint(environment)
    if configured is None:
        return None
    url, source = configured
    check_url(url, source=source)
    return url


def _region(environment: Environment) -> str | None:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return _checked_region(region) if region else None


def _checked_region(region: str) -> str:
    if not re.fullmatch(_REGION_NAME, region):
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


def _on_aws(environment: Environment, region: str | None, find_region: RegionFinder | None) -> DynamoDBConfig:
    deadline, endpoint_url, wire = read_deadline(environment), _aws_endpoint_url(environment), _wire(environment)
    region = region or _region(environment) or (find_region or _profile_region)()
    if not region:
        raise ConfigurationError(
            "no AWS region: set AWS_REGION or AWS_DEFAULT_REGION to the region of the tables, such as eu-west-1, "
            "or give the AWS profile one"
        )
    return DynamoDBConfig("PROD", _checked_region(region), endpoint_url, wire=wire, deadline=deadline)


def _profile_region() -> str | None:
    from .boto3_client import find_region

    return find_region()
