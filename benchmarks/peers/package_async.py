"""The async API of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .examples import LISTS, NAME, PUBLIC_KEY, SUB, VERSION

DISTRIBUTIONS = ("open-alchemy.package-database", "httptools", "msgspec")


async def open_cases(url: str) -> Mapping[str, Callable[[], Any]]:
    """Returns the cases. The package reads the endpoint from the environment."""
    del url
    from open_alchemy import package_database

    database: Any = package_database.get_async()
    return {
        "get_spec": partial(database.get_spec, sub=SUB, name=NAME),
        "create_update_spec": partial(database.create_update_spec, sub=SUB, **VERSION),
        **{case: partial(database.list_specs, sub=sub) for case, (sub, _) in LISTS.items()},
        "get_user": partial(database.get_user, public_key=PUBLIC_KEY),
    }
