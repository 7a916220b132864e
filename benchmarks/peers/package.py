"""The sync API of this package. ``PACKAGE_DATABASE_WIRE`` selects its HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from .examples import LISTS, NAME, PUBLIC_KEY, SUB, VERSION

DISTRIBUTIONS = ("open-alchemy.package-database", "httptools", "msgspec")


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases. The package reads the endpoint from the environment."""
    del url
    from open_alchemy import package_database

    database = package_database.get()
    lists = {case: partial(database.list_specs, sub=sub) for case, (sub, _) in LISTS.items()}
    return {
        "get_spec": lambda: database.get_spec(sub=SUB, name=NAME),
        "create_update_spec": lambda: database.create_update_spec(sub=SUB, **VERSION),  # type: ignore[arg-type]
        **lists,
        "get_user": lambda: database.get_user(public_key=PUBLIC_KEY),
    }
