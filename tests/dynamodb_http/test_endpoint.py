"""Where the lean wire goes, and when boto3 takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database.engines.dynamodb.config import DynamoDBConfig
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
    assert found(prod(), environment | {"AWS_ENDPOINT_URL": url}) == expected


def test_the_url_of_dynamodb_comes_before_that_of_all_services(environment: dict[str, str]) -> None:
    environment["AWS_ENDPOINT_URL"] = "http://all.example"

    assert found(prod(endpoint_url="http://one.example"), environment).host == "one.example"


@pytest.mark.parametrize(
    ("config", "variables", "reason"),
    [
        (prod(wire="boto3"), {}, "PACKAGE_DATABASE_WIRE says so"),
        (prod(), {"AWS_USE_FIPS_ENDPOINT": "true"}, "use_fips_endpoint is set"),
        (prod(), {"AWS_USE_DUALSTACK_ENDPOINT": "True"}, "use_dualstack_endpoint is set"),
        (prod(), {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, "account_id_endpoint_mode is set"),
        (prod(), {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "ignore_configured_endpoint_urls is set"),
        (prod("cn-north-1"), {}, "the region cn-north-1 is in a partition of its own"),
        (prod("us-gov-west-1"), {}, "the region us-gov-west-1 is in a partition of its own"),
        (prod("local"), {}, "the region local is in a partition of its own"),
        (prod(), {"HTTPS_PROXY": "http://proxy.example"}, "there is a proxy"),
        (prod(), {"https_proxy": "http://proxy.example", "NO_PROXY": "other.example"}, "there is a proxy"),
        (prod(endpoint_url="http://db.example"), {"http_proxy": "http://proxy.example"}, "there is a proxy"),
        (prod(endpoint_url="http://db.example/path"), {}, "the endpoint's URL is more than a host and a port"),
        (prod(endpoint_url="http://a:b@db.example"), {}, "the endpoint's URL is more than a host and a port"),
        (prod(), {"AWS_ENDPOINT_URL": "nonsense"}, "the endpoint's URL cannot be read"),
        (prod(), {"AWS_ENDPOINT_URL": "http://db.example:port"}, "the endpoint's URL cannot be read"),
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
        ("default", "endpoint_url = http://db.example", "the AWS config file names an endpoint"),
        ("default", "services = mine", "the AWS config file names an endpoint"),
        ("profile work", "services = mine", "the AWS config file names an endpoint"),
        ("default", "no setting", "the AWS config file cannot be read"),
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
