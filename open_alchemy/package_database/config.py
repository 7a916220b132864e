"""From the environment to the configuration; read when ``get()`` is called, never at import."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

from .exceptions import ConfigurationError

Stage: TypeAlias = Literal["TEST", "PROD"]
Wire: TypeAlias = Literal["lean", "boto3"]

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
WIRES: Final[tuple[Wire, ...]] = get_args(Wire)
DEFAULT_TEST_ENDPOINT: Final = "http://localhost:8000"
DEFAULT_DEADLINE: Final = 5.0
Choice = TypeVar("Choice", bound=str)

_DUMMY: Final = "package-database-test"


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials that are given, not found."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


DUMMY_REGION: Final = "us-east-1"
DUMMY_CREDENTIALS: Final = Credentials(_DUMMY, _DUMMY)


@dataclass(frozen=True, slots=True)
class Config:
    """Which DynamoDB, and how long a call may take.

    Attributes:
        stage: TEST or PROD.
        region: The AWS region.
        endpoint_url: Where DynamoDB is; None for AWS's own endpoint of the region.
        credentials: None for what the standard AWS chain finds.
        deadline: The deadline of a call in seconds.
        wire: What carries requests to DynamoDB: the package's own HTTP client, or boto3.
    """

    stage: Stage
    region: str
    endpoint_url: str | None = None
    credentials: Credentials | None = None
    deadline: float = DEFAULT_DEADLINE
    wire: Wire = "lean"


def from_environment(environment: Mapping[str, str], *, find_region: Callable[[], str | None]) -> Config:
    """Returns the configuration that the environment describes.

    ``STAGE=TEST`` is DynamoDB at http://localhost:8000, or at ``AWS_ENDPOINT_URL_DYNAMODB``, with dummy credentials and
    region where the environment has none. ``STAGE=PROD`` is DynamoDB on AWS, with what the standard AWS chain finds.
    ``PACKAGE_DATABASE_DEADLINE`` changes the deadline of a call, in seconds; ``PACKAGE_DATABASE_WIRE=boto3`` has boto3
    carry every request.

    Args:
        environment: The environment's variables.
        find_region: Asks the rest of the AWS chain, a profile, for the region.

    Raises:
        ConfigurationError: A variable is missing or cannot be read; the message names it and what is allowed.
    """
    stage = _choose(environment, "STAGE", STAGES, default=None)
    wire = _choose(environment, "PACKAGE_DATABASE_WIRE", WIRES, default="lean")
    deadline = _deadline(environment)
    endpoint_url = environment.get("AWS_ENDPOINT_URL_DYNAMODB") or None
    if endpoint_url is not None:
        check_url(endpoint_url, source="AWS_ENDPOINT_URL_DYNAMODB")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if stage == "TEST":
        return Config(
            stage,
            region or DUMMY_REGION,
            endpoint_url or DEFAULT_TEST_ENDPOINT,
            environment_credentials(environment) or DUMMY_CREDENTIALS,
            deadline,
            wire,
        )
    region = region or find_region()
    if not region:
        raise ConfigurationError(
            "no AWS region: set AWS_REGION or AWS_DEFAULT_REGION to the region of the tables, such as eu-west-1, "
            "or give the AWS profile one"
        )
    return Config(stage, region, endpoint_url, deadline=deadline, wire=wire)


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


def environment_credentials(environment: Mapping[str, str]) -> Credentials | None:
    """Returns the credentials that the environment's variables hold, None where they do not hold both keys."""
    access_key_id = environment.get("AWS_ACCESS_KEY_ID")
    secret_access_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not access_key_id or not secret_access_key:
        return None
    token = environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN")
    return Credentials(access_key_id, secret_access_key, token or None)


def _choose(
    environment: Mapping[str, str], variable: str, choices: tuple[Choice, ...], *, default: Choice | None
) -> Choice:
    given = environment.get(variable)
    if not given and default is not None:
        return default
    for choice in choices:
        if given == choice:
            return choice
    problem = f"is {given!r}" if given else "is not set"
    raise ConfigurationError(f"the environment variable {variable} {problem}: it must be {' or '.join(choices)}")


def _deadline(environment: Mapping[str, str]) -> float:
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
