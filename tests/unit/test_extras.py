"""A module that needs a package of an extra names the extra where the package is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

import pytest

ROOT = "open_alchemy.package_database"


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("cache", "cachetools", "cache"), ("factory", "factory.base", "test"), ("sqlalchemy", "sqlalchemy", "sqlalchemy")],
)
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    spec = find_spec(f"{ROOT}.{module}")
    assert spec is not None
    assert spec.loader is not None

    with pytest.raises(Exception, match=rf"pip install 'open-alchemy\.package-database\[{extra}\]'"):
        spec.loader.exec_module(module_from_spec(spec))
