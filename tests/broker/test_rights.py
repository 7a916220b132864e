"""The rights of clients and the file that lists them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.broker import rights
from open_alchemy.package_database.broker.rights import Client, ClientsFile, problem
from open_alchemy.package_database.engines.broker import messages
from open_alchemy.package_database.model.schema import SPECS

KEY, OTHER_KEY = "a" * 40, "b" * 40
READER = Client("web", frozenset({"read"}))


def request(body: messages.RequestBody, instance: str = "") -> messages.Request:
    return messages.Request(1, 1, 0, 5, body, instance)


def listing(may: str = '["read"]', key: str = KEY, more: str = "") -> str:
    return f'[clients.web]\nkey = "{key}"\nmay = {may}\n{more}'


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


@pytest.mark.parametrize(
    ("body", "right"),
    [
        (messages.Get("t", "p", "s"), "read"),
        (messages.Scan("t", 1), "read"),
        (messages.Administer("describe", SPECS.name), "read"),
        (messages.Administer("clear", SPECS.name), "write"),
        (messages.Transact("t", (messages.Delete("t", "p", "s"),)), "write"),
        (messages.Call("f", {}), "call"),
    ],
)
def test_a_client_needs_the_right_to_a_request(body: messages.RequestBody, right: str) -> None:
    assert problem(Client("web", frozenset({right})), request(body)) is None
    others = frozenset(rights.RIGHTS) - {right}
    assert problem(Client("web", others), request(body)) == f"the client web has no right to {right}"


@pytest.mark.parametrize("body", get_args(messages.RequestBody), ids=lambda body: body.__name__)
def test_every_kind_of_request_has_a_right(body: type) -> None:
    assert body is messages.Administer or body in rights._NEEDED


def test_a_request_without_a_right_of_its_own_needs_all() -> None:
    assert rights.needed(object()) == "all"


def test_a_client_may_be_limited_to_instances() -> None:
    client = READER._replace(instances=frozenset({"a"}))
    assert problem(client, request(messages.Describe(), "a")) is None
    assert problem(client, request(messages.Describe(), "b")) == "the client web may not use this instance"
    assert problem(client, request(messages.Describe())) is not None


def test_a_client_that_is_not_listed_any_more_is_refused() -> None:
    assert problem(None, request(messages.Describe())) == "the client is not listed any more"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[client.web]", "unknown key client"),
        ("clients = 1", "clients"),
        ("[clients]\nweb = 1", "clients.web must be a table"),
        (listing(key="canary"), "clients.web.key"),
        (listing(may='["all"]'), "clients.web.may"),
        (listing(may='"read"'), "clients.web.may"),
        (listing(more="instances = [1]"), "clients.web.instances"),
        (listing(more="secret = 1"), "unknown key clients.web.secret"),
        (listing() + listing().replace("web", "other"), "clients.other.key is the key of clients.web too"),
        ("[canary", "is not TOML"),
    ],
)
def test_an_invalid_file_is_refused_by_the_name_of_the_key(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"{path}.*{named}") as caught:
        ClientsFile(path)
    assert "canary" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="clients.toml cannot be read"):
        ClientsFile(tmp_path / "clients.toml")


def test_a_change_takes_effect_in_a_second(tmp_path: Path) -> None:
    path, now = tmp_path / "clients.toml", [0.0]
    path.write_text(listing(), encoding="utf-8")
    clients = ClientsFile(path, lambda: now[0])
    assert clients.find(KEY) == READER
    replace(path, listing(key=OTHER_KEY))
    assert clients.find(KEY) == READER
    now[0] = 1.0
    assert (clients.find(KEY), clients.find(OTHER_KEY)) == (None, READER)


def test_an_invalid_change_keeps_the_clients(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, now = tmp_path / "clients.toml", [0.0]
    path.write_text(listing(), encoding="utf-8")
    clients = ClientsFile(path, lambda: now[0])
    replace(path, "canary")
    now[0] = 1.0
    assert clients.allows(KEY)
    (record,) = caplog.records
    assert "the previous clients stay in use" in record.getMessage()
    assert "canary" not in record.getMessage()


def test_unknown_keys_are_counted_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(listing(), encoding="utf-8")
    clients = ClientsFile(path)
    assert not any(clients.allows(OTHER_KEY) for _ in range(100))
    assert clients.figures() == {"refused_clients": 100}
    assert [record.getMessage() for record in caplog.records] == ["a client with an unknown key was refused"]
