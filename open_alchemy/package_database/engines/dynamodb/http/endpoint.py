"""Where DynamoDB is, or why only boto3 can find the way. Reads the configuration; opens no connection.

Whatever the lean wire does not speak (a proxy, FIPS, dual-stack, another partition than AWS's main one) is left to
boto3, which knows it all.
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ....record import record
from ..config import DynamoDBConfig

_MAIN_PARTITION: Final = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")
"""Regions whose endpoint is ``dynamodb.REGION.amazonaws.com`` (botocore, partitions.json)."""
_PORTS: Final = {"http": 80, "https": 443}
_SETTINGS: Final = {
    "use_fips_endpoint": "AWS_USE_FIPS_ENDPOINT",
    "use_dualstack_endpoint": "AWS_USE_DUALSTACK_ENDPOINT",
    "account_id_endpoint_mode": "AWS_ACCOUNT_ID_ENDPOINT_MODE",
    "ignore_configured_endpoint_urls": "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
}
_HARMLESS: Final = frozenset({"", "false", "preferred", "disabled"})


@record
class Endpoint:
    """A DynamoDB endpoint.

    Attributes:
        host: Its name or address.
        port: Its TCP port.
        region: The region that signatures are made for.
        is_encrypted: Whether it speaks TLS.
        authority: The value of the header ``Host``: the port only where it is not the usual one.
        ca_bundle: The file or folder with the certificate authorities to trust; None for botocore's.
    """

    host: str
    port: int
    region: str
    is_encrypted: bool
    authority: str
    ca_bundle: str | None = None


class _DetourError(Exception):
    """Says why a configuration needs the boto3 wire."""


@record
class Detour:
    """Why a configuration needs the boto3 wire."""

    reason: str


def find_endpoint(config: DynamoDBConfig, environment: Mapping[str, str]) -> Endpoint | Detour:
    """Returns the endpoint of a configuration, or what it asks for that only boto3 can do."""
    if config.wire == "boto3":
        return Detour("PACKAGE_DATABASE_WIRE says so")
    try:
        profile = _profile(environment) if config.stage == "PROD" else {}
        return _find(config, environment, profile)
    except _DetourError as error:
        return Detour(str(error))


def _find(config: DynamoDBConfig, environment: Mapping[str, str], profile: Mapping[str, str]) -> Endpoint:
    for setting, variable in _SETTINGS.items() if config.stage == "PROD" else ():
        if (environment.get(variable) or profile.get(setting, "")).lower() not in _HARMLESS:
            raise _DetourError(f"{setting} is set")
    if config.endpoint_url is None and ("endpoint_url" in profile or "services" in profile):
        raise _DetourError("the AWS config file names an endpoint")
    url = config.endpoint_url or environment.get("AWS_ENDPOINT_URL") or _regional_url(config.region)
    if _needs_proxy(url, environment):
        raise _DetourError("there is a proxy")
    # botocore looks at the last one too.
    bundles = (environment.get("AWS_CA_BUNDLE"), profile.get("ca_bundle"), environment.get("REQUESTS_CA_BUNDLE"))
    return _endpoint(url, config.region, next(filter(None, bundles), None))


def _regional_url(region: str) -> str:
    if not _MAIN_PARTITION.fullmatch(region):
        raise _DetourError(f"the region {region} is in a partition of its own")
    return f"https://dynamodb.{region}.amazonaws.com"


def _endpoint(url: str, region: str, ca_bundle: str | None) -> Endpoint:
    try:
        parts = urlsplit(url)
        usual = _PORTS[parts.scheme]
        port = parts.port or usual
    except (ValueError, KeyError):
        raise _DetourError("the endpoint's URL cannot be read") from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
        raise _DetourError("the endpoint's URL is more than a host and a port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port == usual else f"{host}:{port}"
    return Endpoint(parts.hostname, port, region, parts.scheme == "https", authority, ca_bundle or None)


def _needs_proxy(url: str, environment: Mapping[str, str]) -> bool:
    """Returns whether botocore would go through a proxy; asks it only where that is possible."""
    is_possible = sys.platform in ("darwin", "win32") or any(
        value and name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name, value in environment.items()
    )
    if not is_possible:
        return False
    from botocore.utils import get_environ_proxies

    proxies: Mapping[str, str] = get_environ_proxies(url)
    return any(proxies.get(scheme) for scheme in (urlsplit(url).scheme, "all"))


def _profile(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the settings of the AWS profile, none where there is no config file."""
    from pathlib import Path

    path = Path(environment.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    name = environment.get("AWS_DEFAULT_PROFILE") or environment.get("AWS_PROFILE") or "default"
    if not path.is_file():
        # A profile that is not there is for boto3 to report; it may also be in the credentials file alone.
        return {}
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (OSError, ValueError, Error):
        raise _DetourError("the AWS config file cannot be read") from None
    section = name if name == "default" else f"profile {name}"
    return dict(parser.items(section)) if parser.has_section(section) else {}
