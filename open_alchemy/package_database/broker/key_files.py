"""Creates the key files of a broker and its clients, and lists the clients in the broker's file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import zmq

from ..engines.broker.curve_keys import BrokerKeys, read_broker_keys
from ..exceptions import ConfigurationError, ValidationError
from .rights import read_clients

BROKER_FILE: Final = "broker.key"
CLIENTS_FILE: Final = "clients.toml"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER: Final = "# The clients of the broker and what each may do. The broker reads a change within a second.\n"
_WARNING: Final = "# Contains a secret key: copy it only to where it is used.\n"


class NewClient(NamedTuple):
    """A client to create.

    Attributes:
        name: Its name.
        may: Its rights.
        instances: The instances that it may use; empty for all.
    """

    name: str
    may: Sequence[str]
    instances: Sequence[str] = ()


def create_keys(folder: Path, clients: Iterable[NewClient]) -> list[Path]:
    """Creates the keys of a broker, unless they exist, and of clients; returns the new files with secret keys.

    Args:
        folder: The folder of the broker's files.
        clients: The clients.

    Raises:
        ValidationError: A client has no valid name, or exists.
        ConfigurationError: A file cannot be written or is invalid.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _create(folder, list(clients))
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from error


def _create(folder: Path, clients: Sequence[NewClient]) -> list[Path]:
    listing = folder / CLIENTS_FILE
    if not listing.exists():
        _write(listing, _HEADER)
    _check_names(folder, clients, {client.name for client in read_clients(listing).values()})
    created = []
    broker_file = folder / BROKER_FILE
    if not broker_file.exists():
        public, secret = _new_pair()
        _write(broker_file, f'{_WARNING}public = "{public}"\nsecret = "{secret}"\nbroker = "{public}"\n')
        created.append(broker_file)
    broker = read_broker_keys(broker_file)
    return created + [_create_client(folder, listing, client, broker) for client in clients]


def _check_names(folder: Path, clients: Sequence[NewClient], listed: set[str]) -> None:
    for client in clients:
        if not _NAME.fullmatch(client.name) or client.name == "broker":
            raise ValidationError("the name of a client consists of letters, digits, '-' and '_', and is not broker")
        if client.name in listed or (folder / f"{client.name}.key").exists():
            raise ValidationError(f"the client {client.name} exists: delete its file and its entry in {CLIENTS_FILE}")


def _create_client(folder: Path, listing: Path, client: NewClient, broker: BrokerKeys) -> Path:
    public, secret = _new_pair()
    path = folder / f"{client.name}.key"
    _write(path, f'{_WARNING}public = "{public}"\nsecret = "{secret}"\nbroker = "{broker.public}"\n')
    entry = f'\n[clients.{client.name}]\nkey = "{public}"\nmay = {_list(client.may)}\n'
    if client.instances:
        entry += f"instances = {_list(client.instances)}\n"
    with listing.open("a", encoding="utf-8") as file:
        file.write(entry)
    return path


def _new_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _list(texts: Iterable[str]) -> str:
    # A list of texts is the same in JSON and TOML.
    return json.dumps(list(texts))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
