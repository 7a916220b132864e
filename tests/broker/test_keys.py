"""Key files, and what a client with keys may do over real sockets."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from open_alchemy.package_database import (
    ConfigurationError,
    RefusedError,
    UnavailableError,
    ValidationError,
    aconnect,
    connect,
)
from open_alchemy.package_database.broker.key_files import NewClient, create_keys
from open_alchemy.package_database.broker.listeners import open_transport
from open_alchemy.package_database.cli.commands import commands
from open_alchemy.package_database.engines.broker.config import BrokerConfig
from open_alchemy.package_database.engines.broker.curve_keys import read_broker_keys, read_client_keys
from open_alchemy.package_database.engines.registry import from_url
from tests.apis import blocking
from tests.broker.brokers import RunningBroker, memory_store, run_secure_broker


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    create_keys(folder, [NewClient("writer", ("read", "write")), NewClient("reader", ("read",))])
    return folder


@pytest.fixture
def broker(keys: Path) -> Iterator[RunningBroker]:
    with run_secure_broker(memory_store(), keys) as running:
        yield running


def url(broker: RunningBroker, key_file: Path) -> str:
    return f"{broker.url}?key={quote(str(key_file))}"


def test_only_the_owner_can_read_the_files(keys: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700


def test_a_secret_key_has_no_repr(keys: Path) -> None:
    client, broker = read_client_keys(keys / "writer.key"), read_broker_keys(keys / "broker.key")
    assert client.broker == broker.public
    for secret, shown in ((client.secret, repr(client)), (broker.secret, repr(broker))):
        assert bytes(secret).decode() not in shown


def test_the_command_adds_clients_and_keeps_existing_keys(keys: Path) -> None:
    before = {path.name: path.read_bytes() for path in keys.glob("*.key")}
    arguments = ["broker", "keys", str(keys), "--client", "new", "--may", "read", "--may-use", "a"]
    finished = CliRunner().invoke(commands, arguments)
    assert (finished.exit_code, finished.output.split()) == (0, ["created", str(keys / "new.key")])
    assert {name: (keys / name).read_bytes() for name in before} == before
    assert 'may = ["read"]\ninstances = ["a"]\n' in (keys / "clients.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["writer", "broker", "a b", ""])
def test_a_client_that_exists_or_has_no_valid_name_is_refused(name: str, keys: Path) -> None:
    with pytest.raises(ValidationError, match="client"):
        create_keys(keys, [NewClient(name, ())])


@pytest.mark.parametrize("text", ["", 'public = "canary"', "[canary", f'public = "{"a" * 40}"'])
def test_an_invalid_key_file_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "canary.key"
    path.write_text(text, encoding="utf-8")
    database = connect(f"broker://127.0.0.1:9?key={quote(str(path))}")
    with pytest.raises(ConfigurationError) as caught:
        database.list_specs(sub="u")
    assert "canary" not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize("query", ["key=", "secret=canary", "key=a&b=canary"])
def test_another_parameter_than_a_key_file_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_url(f"broker://a?{query}", {})
    assert "canary" not in str(caught.value)


def test_the_location_of_a_client_does_not_contain_its_key_file() -> None:
    config = from_url("broker://a:1?key=%2Fx%2Fweb.key", {})
    assert isinstance(config, BrokerConfig)
    assert (config.key_file, config.location) == (Path("/x/web.key"), "broker://a:1")


def test_a_client_may_do_what_is_listed(broker: RunningBroker, keys: Path) -> None:
    with connect(url(broker, keys / "writer.key")) as writer, connect(url(broker, keys / "reader.key")) as reader:
        writer.create_update_spec(sub="u", name="a", version="1", model_count=1)
        assert reader.count_customer_models(sub="u") == 1
        with pytest.raises(RefusedError, match="the client reader has no right to write") as caught:
            reader.create_update_spec(sub="u", name="a", version="2", model_count=1)
        assert caught.value.code == "Forbidden"
        assert [found["version"] for found in writer.list_spec_versions(sub="u", name="a")] == ["1"]


def test_a_coroutine_uses_the_keys_too(broker: RunningBroker, keys: Path) -> None:
    with blocking(aconnect(url(broker, keys / "reader.key"))) as database:
        assert database.list_specs(sub="u") == []
        with pytest.raises(RefusedError, match="no right to write"):
            database.create_update_spec(sub="u", name="a", version="1", model_count=1)


def test_a_client_with_other_keys_gets_no_answer(
    broker: RunningBroker, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACKAGE_DATABASE_DEADLINE", "0.5")
    create_keys(tmp_path / "other", [NewClient("web", ("read",))])
    unlisted = tmp_path / "unlisted.key"
    other, real = read_client_keys(tmp_path / "other" / "web.key"), read_broker_keys(keys / "broker.key")
    lines = {"public": other.public, "secret": bytes(other.secret).decode(), "broker": real.public}
    unlisted.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()), encoding="utf-8")

    def check(url: str) -> None:
        with connect(url) as database, pytest.raises(UnavailableError, match="no broker answered|was sent"):
            database.list_specs(sub="u")

    without_keys, of_another_broker = broker.url, url(broker, tmp_path / "other" / "web.key")
    with ThreadPoolExecutor() as executor:
        list(executor.map(check, [without_keys, url(broker, unlisted), of_another_broker]))
    assert broker.server.requests == 0


def test_a_broker_without_keys_refuses_other_addresses_than_loopback() -> None:
    with pytest.raises(ConfigurationError, match=r"anybody who can connect can .*package-database broker keys"):
        open_transport("tcp://0.0.0.0:5757")
