"""The files with CURVE keys of a client and of a broker. No message or repr contains a secret key.

https://rfc.zeromq.org/spec/26/
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...core.secret import Secret
from ...exceptions import ConfigurationError

_KEY_LENGTH: Final = 40
_Z85: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#")


class BrokerKeys(NamedTuple):
    """The keys of a broker."""

    public: str
    secret: Secret


class ClientKeys(NamedTuple):
    """The keys of a client, and the public key by which it verifies the broker."""

    public: str
    secret: Secret
    broker: str


def read_broker_keys(path: Path) -> BrokerKeys:
    """Returns the keys of a broker.

    Raises:
        ConfigurationError: The file cannot be read or is invalid.
    """
    public, secret = _read(path, ("public", "secret"))
    return BrokerKeys(public, Secret(secret.encode()))


def read_client_keys(path: Path) -> ClientKeys:
    """Returns the keys of a client.

    Raises:
        ConfigurationError: The file cannot be read or is invalid.
    """
    public, secret, broker = _read(path, ("public", "secret", "broker"))
    return ClientKeys(public, Secret(secret.encode()), broker)


def is_key(value: object) -> bool:
    """Returns whether a value is a key: 40 characters of Z85."""
    return isinstance(value, str) and len(value) == _KEY_LENGTH and set(value) <= _Z85


def load_toml(path: Path) -> dict[str, Any]:
    """Returns the content of a TOML file.

    Raises:
        ConfigurationError: The file cannot be read or is not TOML; the message contains nothing of its content.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        problem = f"{path} is not TOML"
    # Outside of the handler: the error contains the document.
    raise ConfigurationError(problem)


def _read(path: Path, names: tuple[str, ...]) -> list[str]:
    document = load_toml(path)
    for name in names:
        if not is_key(document.get(name)):
            raise ConfigurationError(
                f"{path}: {name} must be a key of 40 characters, as 'package-database broker keys' writes it"
            )
    return [document[name] for name in names]
