"""The URLs of brokers on NATS."""

from __future__ import annotations

from typing import Final

from ..port import Environment
from .config import BrokerConfig, read_bus_url

URLS: Final = ("nats://HOST:PORT/PREFIX/INSTANCE",)


def read_url(rest: str, environment: Environment) -> BrokerConfig:
    """Returns the configuration of a URL; see ``config.read_bus_url``."""
    return read_bus_url("nats", rest, environment)
