"""Which endpoint the package's HTTP client uses, and which configurations need boto3."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig, read_stage
from open_alchemy.package_database.engines.dynamodb.http.endpoint import Detour, Endpoint, find_endpoint


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without an AWS config file."""
    return {"AWS_CONFIG_FILE": str(tmp_path / "config")}


def prod(region: str = "eu-west-1", **changes: Any) -> DynamoDBConfig:
    return DynamoDBConfig("PROD", region, **changes)


def found(config: DynamoDBConfig, environment: dict[str, str]) -> Endpoint:
    endpoint = find_endpoint(config, environment)
    assert isinstance(endpoint, Endpoint), endpoint
    return endpoint


def test_the_endpoint_of_a_region(environment: dict[str, str]) -> None:
    host = "dynamodb.eu-west-1.amazonaws.com"

    assert found(prod(), environment) == Endpoint(host, 443, "eu-west-1", is_encrypted=True, authority=host)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://localhost:8000", ("localhost", 8000, "localhost:8000")),
        ("http://localhost", ("localhost", 80, "localhost")),
        ("https://db.example/", ("db.example", 443, "db.example")),
        ("https://db.example:443", ("db.example", 443, "db.example")),
        ("http://db.example:443", ("db.example", 443, "db.example:443")),
        ("http://[::1]:8000", ("::1", 8000, "[::1]:8000")),
    ],
)
def test_the_endpoint_of_a_url(environment: dict[str, str], url: str, place: tuple[str, int, str]) -> None:
    host, port, authority = place
    expected = Endpoint(host, port, "eu-west-1", is_encrypted=url.startswith("https"), authority=authority)

    assert found(prod(endpoint_url=url), environment) == expected
    assert found(DynamoDBConfig("TEST", "eu-west-1", endpoint_url=url), environment) == expected


def test_a_host_outside_ascii_is_encoded_with_idna(environment: dict[str, str]) -> None:
    endpoint = found(prod(endpoint_url="http://dätenbank.例え.example:8000"), environment)

    assert endpoint.host == "xn--dtenbank-0za.xn--r8jz45g.example"
    assert endpoint.authority == f"{endpoint.host}:8000"


PROFILE = """
[default]
endpoint_url = http://profile.example
services = mine
[profile plain]
endpoint_url = http://plain.example
[profile ignoring]
endpoint_url = http://profile.example
ignore_configured_endpoint_urls = true
[services mine]
s3 =
  endpoint_url = http://s3.example
dynamodb =
  endpoint_url = http://services.example
"""
DYNAMODB = {"AWS_ENDPOINT_URL_DYNAMODB": "http://dynamodb.example"}
ALL = {"AWS_ENDPOINT_URL": "http://all.example"}


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        (DYNAMODB | ALL, "http://dynamodb.example"),
        (ALL, "http://all.example"),
        ({}, "http://services.example"),
        ({"AWS_PROFILE": "plain"}, "http://plain.example"),
        ({"AWS_PROFILE": "plain"} | ALL, "http://all.example"),
        ({"AWS_PROFILE": "other"}, None),
        ({"AWS_PROFILE": "ignoring"} | ALL, None),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"} | DYNAMODB | ALL, None),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"} | ALL, "http://all.example"),
    ],
)
def test_the_endpoint_is_the_one_that_botocore_uses(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str | None
) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text(PROFILE)
    environment |= {"STAGE": "PROD", "AWS_REGION": "eu-west-1"} | variables
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    config = read_stage(environment)

    assert config.endpoint_url == endpoint
    assert config.location == (endpoint or "AWS, region eu-west-1")
    assert found(config, environment).host == urlsplit(endpoint or "http://dynamodb.eu-west-1.amazonaws.com").hostname
    if variables.get("AWS_PROFILE") != "other":
        made: Any = botocore.session.Session().create_client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        assert made.meta.endpoint_url == (endpoint or "https://dynamodb.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:canary@db.example",
        "http://canary@db.example:8000",
        "canary://db.example",
        "http://db.example:canary",
        "http://can ary",
        "http://[canary",
        "http://" + "ä" * 70 + ".example/canary",
        "http:///canary",
    ],
)
@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"])
def test_an_invalid_endpoint_is_refused_without_its_text(environment: dict[str, str], variable: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable} must be a URL") as caught:
        read_stage(environment | {"STAGE": "PROD", "AWS_REGION": "eu-west-1", variable: url})

    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown.replace("test_endpoint.py", "").partition("ConfigurationError:")[2]


def test_a_services_section_that_does_not_exist_is_a_configuration_error(environment: dict[str, str]) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text("[default]\nservices = other\n")

    with pytest.raises(ConfigurationError, match="has no section 'services other'"):
        read_stage(environment | {"STAGE": "PROD", "AWS_REGION": "eu-west-1"})


def test_a_malformed_config_file_is_a_configuration_error(environment: dict[str, str]) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text("[default]\nno setting\n")

    with pytest.raises(ConfigurationError, match="cannot be parsed"):
        read_stage(environment | {"STAGE": "PROD", "AWS_REGION": "eu-west-1"})


def test_neither_a_home_folder_nor_a_readable_one_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variables = {"STAGE": "PROD", "AWS_REGION": "eu-west-1"}
    without_a_home = ["~", "~/.aws/config"]
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert without_a_home[1] == os.path.expanduser(without_a_home[1])  # noqa: PTH111

    assert found(read_stage(variables), variables).region == "eu-west-1"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "stat", refuse)
    assert found(read_stage(variables), variables).region == "eu-west-1"


@pytest.mark.parametrize(
    ("config", "variables", "reason"),
    [
        (prod(wire="boto3"), {}, "PACKAGE_DATABASE_WIRE is boto3"),
        (prod(), {"AWS_USE_FIPS_ENDPOINT": "true"}, "use_fips_endpoint is set"),
        (prod(), {"AWS_USE_DUALSTACK_ENDPOINT": "True"}, "use_dualstack_endpoint is set"),
        (prod(), {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, "account_id_endpoint_mode is set"),
        (prod("cn-north-1"), {}, "the region cn-north-1 is in another partition than aws"),
        (prod("us-gov-west-1"), {}, "the region us-gov-west-1 is in another partition than aws"),
        (prod("local"), {}, "the region local is in another partition than aws"),
        (prod(), {"HTTPS_PROXY": "http://proxy.example"}, "a proxy is configured"),
        (prod(), {"https_proxy": "http://proxy.example", "NO_PROXY": "other.example"}, "a proxy is configured"),
        (prod(endpoint_url="http://db.example"), {"http_proxy": "http://proxy.example"}, "a proxy is configured"),
        (prod(endpoint_url="http://db.example/path"), {}, "the endpoint's URL has more than a host and a port"),
        (prod(endpoint_url="http://a:b@db.example"), {}, "the endpoint's URL cannot be parsed"),
        (prod(endpoint_url="nonsense"), {}, "the endpoint's URL cannot be parsed"),
        (prod(endpoint_url="http://db.example:port"), {}, "the endpoint's URL cannot be parsed"),
    ],
)
def test_what_only_boto3_can_do(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    config: DynamoDBConfig,
    variables: dict[str, str],
    reason: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert find_endpoint(config, environment | variables) == Detour(reason)


@pytest.mark.parametrize(
    ("config", "variables"),
    [
        (prod(), {"AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": "FALSE"}),
        (prod(), {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "preferred"}),
        (prod(), {"HTTP_PROXY": "http://proxy.example"}),
        (prod(), {"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": ".amazonaws.com"}),
        (prod(), {"HTTPS_PROXY": ""}),
        (prod(), {"NO_PROXY": "localhost"}),
        (DynamoDBConfig("TEST", "us-east-1", endpoint_url="http://localhost:8000"), {"AWS_USE_FIPS_ENDPOINT": "true"}),
    ],
)
def test_what_needs_no_boto3(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, config: DynamoDBConfig, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert isinstance(find_endpoint(config, environment | variables), Endpoint)


@pytest.mark.parametrize(
    ("section", "setting", "reason"),
    [
        ("default", "use_fips_endpoint = true", "use_fips_endpoint is set"),
        ("default", "use_dualstack_endpoint = true", "use_dualstack_endpoint is set"),
        ("profile work", "use_fips_endpoint = true", "use_fips_endpoint is set"),
    ],
)
def test_the_aws_profile_may_ask_for_boto3(
    environment: dict[str, str], section: str, setting: str, reason: str
) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text(f"[{section}]\n{setting}\n")
    environment["AWS_PROFILE"] = section.removeprefix("profile ")

    assert find_endpoint(prod(), environment) == Detour(reason)


def test_a_profile_that_only_names_a_region_needs_no_boto3(environment: dict[str, str]) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text(
        "[default]\nregion = us-east-1\ns3 =\n  addressing_style = path\n[profile work]\nuse_fips_endpoint = true\n"
    )

    assert found(prod(), environment).ca_bundle is None
    assert isinstance(find_endpoint(prod(), environment | {"AWS_PROFILE": "work"}), Detour)
    assert found(prod(), environment | {"AWS_PROFILE": "other"}).region == "eu-west-1"


def test_the_authorities_to_trust(environment: dict[str, str]) -> None:
    Path(environment["AWS_CONFIG_FILE"]).write_text("[default]\nca_bundle = /of/the/profile\n")

    assert found(prod(), environment).ca_bundle == "/of/the/profile"
    assert found(prod(), environment | {"AWS_CA_BUNDLE": "/of/the/environment"}).ca_bundle == "/of/the/environment"
    assert found(prod(), environment | {"REQUESTS_CA_BUNDLE": "/of/requests"}).ca_bundle == "/of/the/profile"


def test_the_authorities_of_requests_are_trusted_too(environment: dict[str, str]) -> None:
    assert found(prod(), environment | {"REQUESTS_CA_BUNDLE": "/of/requests"}).ca_bundle == "/of/requests"
