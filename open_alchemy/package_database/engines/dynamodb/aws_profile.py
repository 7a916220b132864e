"""Reads the AWS profile, and determines the endpoint that the environment and the profile configure.

A missing or unreadable config file has no settings: in a container there may be neither a home folder nor a user.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...exceptions import ConfigurationError
from ..port import Environment

if TYPE_CHECKING:
    from configparser import RawConfigParser

Settings = Mapping[str, str]


def read_profile(environment: Environment) -> tuple[Settings, Settings]:
    """Returns the settings of the AWS profile, and those of DynamoDB in the section ``services`` that it names.

    Raises:
        ConfigurationError: The config file is malformed, or the profile names a section that does not exist.
    """
    path = os.path.expanduser(environment.get("AWS_CONFIG_FILE") or "~/.aws/config")  # noqa: PTH111 (Path raises)
    if not os.path.isfile(path):  # noqa: PTH113 (Path raises if a folder is not accessible)
        # boto3 reports a missing profile; it may also be in the credentials file.
        return {}, {}
    from configparser import Error, RawConfigParser

    parser = RawConfigParser()
    try:
        # It ignores a file that cannot be opened.
        parser.read(path, encoding="utf-8")
    except (ValueError, Error):
        raise ConfigurationError(f"the AWS config file {path} cannot be parsed") from None
    name = environment.get("AWS_DEFAULT_PROFILE") or environment.get("AWS_PROFILE") or "default"
    profile = _section(parser, name if name == "default" else f"profile {name}")
    services = profile.get("services")
    if services is None:
        return profile, {}
    if not parser.has_section(f"services {services}"):
        raise ConfigurationError(f"the AWS config file {path} has no section 'services {services}'")
    return profile, _nested(_section(parser, f"services {services}").get("dynamodb", ""))


def configured_endpoint(environment: Environment) -> tuple[str, str] | None:
    """Returns the configured URL of DynamoDB's endpoint and where it is configured; None for AWS's own endpoint.

    The order is botocore's: ``AWS_ENDPOINT_URL_DYNAMODB``, ``AWS_ENDPOINT_URL``, the section ``services`` of the
    profile, ``endpoint_url`` of the profile. ``AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`` disables them.
    """
    profile, service = read_profile(environment)
    ignored = environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or profile.get("ignore_configured_endpoint_urls")
    if ignored is not None and ignored.lower() == "true":
        return None
    candidates = (
        (environment.get("AWS_ENDPOINT_URL_DYNAMODB"), "AWS_ENDPOINT_URL_DYNAMODB"),
        (environment.get("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"),
        (service.get("endpoint_url"), "endpoint_url of dynamodb in the AWS config file"),
        (profile.get("endpoint_url"), "endpoint_url in the AWS config file"),
    )
    return next(((url, source) for url, source in candidates if url), None)


def _section(parser: RawConfigParser, name: str) -> Settings:
    return dict(parser.items(name)) if parser.has_section(name) else {}


def _nested(lines: str) -> Settings:
    """Returns the settings of a value of several lines, such as ``endpoint_url = URL``."""
    parts = (line.partition("=") for line in lines.splitlines())
    return {name.strip(): value.strip() for name, separator, value in parts if separator}
