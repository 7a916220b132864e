"""Determines the host, port and TLS settings of the endpoint, or why a configuration needs boto3. Does no network I/O.

The package's HTTP client supports no proxy, FIPS or dual-stack endpoint, nor another partition than AWS's main one.
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..aws_profile import read_profile
from ..config import DynamoDBConfig
from ..endpoint_url import split_url

_MAIN_PARTITION: Final = r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+"
"""Regions whose endpoint is ``dynamodb.REGION.amazonaws.com`` (botocore, partitions.json)."""
_PORTS: Final = {"http": 80, "https": 443}
_SETTINGS: Final = {
    "use_fips_endpoint": "AWS_USE_FIPS_ENDPOINT",
    "use_dualstack_endpoint": "AWS_USE_DUALSTACK_ENDPOINT",
    "account_id_endpoint_mode": "AWS_ACCOUNT_ID_ENDPOINT_MODE",
}
_HARMLESS: Final = frozenset({"", "false", "preferred", "disabled"})


class Endpoint(NamedTuple):
    """A DynamoDB endpoint.

    Attributes:
        host: Its name, in ASCII (IDNA), or its address.
        port: Its TCP port.
        region: The region in the signatures.
        is_encrypted: Whether it uses TLS.
        authority: The value of the header ``Host``: the port only if it is not the scheme's default.
        ca_bundle: The file or folder with the trusted certificate authorities; None for botocore's.
    """

    host: str
    port: int
    region: str
    is_encrypted: bool
    authority: str
    ca_bundle: str | None = None


class _DetourError(Exception):
    """A configuration needs boto3."""


class Detour(NamedTuple):
    """The reason why a configuration needs boto3."""

    reason: str


def find_endpoint(config: DynamoDBConfig, environment: Mapping[str, str]) -> Endpoint | Detour:
    """Returns the endpoint of a configuration, or why it needs boto3.

    Raises:
        ConfigurationError: The AWS config file is malformed.
    """
    if config.wire == "boto3":
        return Detour("PACKAGE_DATABASE_WIRE is boto3")
    profile = read_profile(environment)[0] if config.stage == "PROD" else {}
    try:
        return _find(config, environment, profile)
    except _DetourError as error:
        return Detour(str(error))


def _find(config: DynamoDBConfig, environment: Mapping[str, str], profile: Mapping[str, str]) -> Endpoint:
    for setting, variable in _SETTINGS.items() if config.stage == "PROD" else ():
        if (environment.get(variable) or profile.get(setting, "")).lower() not in _HARMLESS:
            raise _DetourError(f"{setting} is set")
    url = config.endpoint_url or _regional_url(config.region)
    if _needs_proxy(url, environment):
        raise _DetourError("a proxy is configured")
    # botocore uses the last one too.
    bundles = (environment.get("AWS_CA_BUNDLE"), profile.get("ca_bundle"), environment.get("REQUESTS_CA_BUNDLE"))
    return _endpoint(url, config.region, next(filter(None, bundles), None))


def _regional_url(region: str) -> str:
    if not re.fullmatch(_MAIN_PARTITION, region):
        raise _DetourError(f"the region {region} is in another partition than aws")
    return f"https://dynamodb.{region}.amazonaws.com"


def _endpoint(url: str, region: str, ca_bundle: str | None) -> Endpoint:
    parts = split_url(url)
    if parts is None:
        raise _DetourError("the endpoint's URL cannot be parsed")
    if parts.rest not in ("", "/"):
        raise _DetourError("the endpoint's URL has more than a host and a port")
    usual = _PORTS[parts.scheme]
    port = parts.port or usual
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    authority = host if port == usual else f"{host}:{port}"
    return Endpoint(parts.host, port, region, parts.scheme == "https", authority, ca_bundle or None)


def _needs_proxy(url: str, environment: Mapping[str, str]) -> bool:
    """Returns whether botocore would use a proxy; imports it only if that is possible."""
    is_possible = sys.platform in ("darwin", "win32") or any(
        value and name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name, value in environment.items()
    )
    if not is_possible:
        return False
    from botocore.utils import get_environ_proxies

    proxies: Mapping[str, str] = get_environ_proxies(url)
    return any(proxies.get(scheme) for scheme in (url.partition(":")[0].lower(), "all"))
