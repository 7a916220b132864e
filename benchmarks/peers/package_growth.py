"""This package, on a store that grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

from .examples import NAME, SUB

DISTRIBUTIONS = ()


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases; the environment says where the store is."""
    del url
    from open_alchemy import package_database

    database, versions = package_database.get(), count()
    return {
        "list_specs": partial(database.list_specs, sub=SUB),
        "count_customer_models": partial(database.count_customer_models, sub=SUB),
        "create_update_spec": lambda: database.create_update_spec(
            sub=SUB, name=NAME, version=f"3.{next(versions)}", model_count=3
        ),
        "delete_spec": partial(database.delete_spec, sub=SUB, name=NAME),
    }
