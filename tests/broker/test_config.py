"""Broker URLs."""

from __future__ import annotations

import pytest

from open_alchemy.package_database import ConfigurationError
from open_alchemy.package_database.engines.registry import from_url


@pytest.mark.parametrize(
    ("url", "addresses", "instance", "location"),
    [
        ("broker://a", ("tcp://a:5757",), "", "broker://a:5757"),
        ("broker://a:1,b-c.d:65535", ("tcp://a:1", "tcp://b-c.d:65535"), "", "broker://a:1,b-c.d:65535"),
        ("broker://[::1]:7/test", ("tcp://[::1]:7",), "test", "broker://[::1]:7/test"),
    ],
)
def test_a_url_names_brokers_and_an_instance(
    url: str, addresses: tuple[str, ...], instance: str, location: str
) -> None:
    config = from_url(url, {"PACKAGE_DATABASE_DEADLINE": "2"})
    assert (config.addresses, config.instance, config.location) == (addresses, instance, location)  # type: ignore[attr-defined]
    assert config.deadline == 2


@pytest.mark.parametrize("rest", ["", "a:0", "a:65536", "a,,b", "user:canary@a", "a/canary?", "a:1/x/y"])
def test_an_invalid_url_is_refused_without_being_shown(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        from_url(f"broker://{rest}", {})
    assert "canary" not in str(caught.value)
