"""Broker URLs."""

from __future__ import annotations

import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.engines.broker.config import CacheOptions
from open_alchemy.package_database.engines.registry import from_url


@pytest.mark.parametrize(
    ("url", "addresses", "instance", "location"),
    [
        ("broker://a", ("tcp://a:5757",), "", "broker://a:5757"),
        ("broker://a:1,b-c.d:65535", ("tcp://a:1", "tcp://b-c.d:65535"), "", "broker://a:1,b-c.d:65535"),
        ("broker://[::1]:7/test", ("tcp://[::1]:7",), "test", "broker://[::1]:7/test"),
        ("broker://a/?codec=json", ("tcp://a:5757",), "", "broker://a:5757"),
        ("nats://a", ("nats://a:4222/package-database",), "", "nats://a:4222/package-database"),
        ("nats://u:p%20w@a,b:1/c/d?tls=1", ("nats://a:4222,b:1/c",), "d", "nats://a:4222,b:1/c/d"),
        ("amqp://u:p@a/c?vhost=v", ("amqp://a:5672/c",), "", "amqp://a:5672/c"),
    ],
)
def test_a_url_names_brokers_and_an_instance(
    url: str, addresses: tuple[str, ...], instance: str, location: str
) -> None:
    config = from_url(url, {"PACKAGE_DATABASE_DEADLINE": "2"})
    assert (config.addresses, config.instance, config.location) == (addresses, instance, location)  # type: ignore[attr-defined]
    assert config.deadline == 2


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("100000", CacheOptions(100_000)),
        ("specs", CacheOptions(tables=frozenset({"package.specs"}))),
        ("7,specs", CacheOptions(7, frozenset({"package.specs"}))),
    ],
)
def test_a_url_enables_a_cache(text: str, options: CacheOptions) -> None:
    config = from_url(f"broker://a/i?cache={text}", {})
    assert (config.cache, config.location) == (options, "broker://a:5757/i")  # type: ignore[attr-defined]
    assert from_url(f"nats://a?cache={text}", {}).cache == options  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "0", "-1", "canary", "1,,2", "9" * 30, "\u0661"])
def test_an_invalid_cache_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the cache in a broker URL is a number") as caught:
        from_url(f"broker://a?cache={text}", {})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "rest", ["", "a:0", "a:65536", "a,,b", "user:canary@a", "a/?canary", "a/?codec=canary", "a:1/x/y"]
)
def test_an_invalid_url_is_refused_without_being_shown(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        from_url(f"broker://{rest}", {})
    assert "canary" not in str(caught.value)


def test_a_bus_has_a_user_and_parameters_that_no_repr_shows() -> None:
    config = from_url("nats://u:canary%20w@a/c?tls_ca=/canary&codec=bson", {})
    bus = config.bus  # type: ignore[attr-defined]
    assert (bus.user, bus.password, str(bus.file("tls_ca")), bus.file("nkey")) == ("u", "canary w", "/canary", None)
    assert config.codec == "bson"  # type: ignore[attr-defined]
    assert "canary" not in repr(config) + config.location


@pytest.mark.parametrize("url", ["nats://", "nats://a/canary?vhost=b", "amqp://a/b?nkey=canary", "nats://a/b/canary!"])
def test_an_invalid_url_of_a_bus_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        from_url(url, {})
    assert "canary" not in str(caught.value)
