"""TLS: certificates that each client accepts or refuses."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from open_alchemy.package_database import ConfigurationError, RefusedError, UnavailableError
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS, DynamoDBConfig
from open_alchemy.package_database.engines.dynamodb.http import tls
from tests.apis import APIS, open_api
from tests.canned_server import serve, succeed

ITEM = {"Item": {"version": {"S": "1.0"}}}
LEAN = ("lean", "lean, async")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def config(port: int, *, deadline: float = 5.0) -> DynamoDBConfig:
    return DynamoDBConfig(
        "TEST",
        "us-east-1",
        endpoint_url=f"https://localhost:{port}",
        credentials=DUMMY_CREDENTIALS,
        deadline=deadline,
    )


@pytest.mark.parametrize("api", APIS)
def test_a_certificate_of_a_trusted_authority_is_accepted(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, bundle: Path, api: str
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with (
        serve(succeed(ITEM), context=server_context(authority, "localhost")) as server,
        open_api(api, config(server.server_port)) as database,
    ):
        for _ in range(3):
            assert database.get_latest_spec_version(sub="u1", name="a") == "1.0"

        assert server.connections == 1


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "is_trusted"), [("localhost", False), ("other.example", True)])
def test_an_invalid_certificate_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, bundle: Path, api: str, name: str, is_trusted: object
) -> None:
    if is_trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with (
        serve(succeed(ITEM), context=server_context(authority, name)) as server,
        open_api(api, config(server.server_port)) as database,
    ):
        with pytest.raises(RefusedError, match="the certificate of localhost is not valid") as caught:
            database.get_latest_spec_version(sub="u1", name="a")

        assert caught.value.code == "SSLCertVerificationError"
        assert server.requests == []


@pytest.mark.parametrize("api", LEAN)
def test_a_handshake_without_end_raises_at_the_deadline(api: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            open_api(api, config(port, deadline=0.5)) as database,
            pytest.raises(UnavailableError, match="ConnectTimeoutError"),
        ):
            database.get_latest_spec_version(sub="u1", name="a")


def test_an_unreadable_ca_bundle_raises_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", str(missing))

    with pytest.raises(ConfigurationError, match=r"missing\.pem"), open_api("lean", config(1)):
        pass


def test_the_ca_bundle_may_be_a_folder(tmp_path: Path) -> None:
    context = tls.make_context(str(tmp_path))

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_default_ca_bundle_is_that_of_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    expected = ssl.create_default_context(cafile=certifi.where()).cert_store_stats()

    assert tls.make_context(None).cert_store_stats() == expected
    assert expected["x509_ca"] > 50


def test_without_a_ca_bundle_the_authorities_of_the_system_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "find_spec", lambda _: None)

    assert tls.make_context(None).verify_mode == ssl.CERT_REQUIRED


def test_boto3_is_used_behind_a_proxy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="open_alchemy")
    with serve(succeed(ITEM)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        behind = DynamoDBConfig(
            "TEST", "us-east-1", endpoint_url="http://db.invalid:8000", credentials=DUMMY_CREDENTIALS
        )
        versions = []
        for api in LEAN:
            with open_api(api, behind) as database:
                versions.append(database.get_latest_spec_version(sub="u1", name="a"))

    assert versions == ["1.0", "1.0"]
    assert len(proxy.requests) == 2
    assert "HTTP client: boto3, because a proxy is configured" in caplog.text
    assert os.environ["HTTP_PROXY"] not in caplog.text
