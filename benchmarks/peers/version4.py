"""Version 4.0.1 of this package, on pynamodb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module

from .examples import LISTS, NAME, SUB, VERSION, VERSION_4_PUBLIC_KEY

DISTRIBUTIONS = ("open-alchemy.package-database", "pynamodb", "botocore")


def open_cases(url: str) -> Mapping[str, Callable[[], object]]:
    """Returns the cases."""
    # Imported by name, because the type checker finds the version of the checkout.
    database = import_module("open_alchemy.package_database").get()
    models = import_module("open_alchemy.package_database.models")
    # Version 4 always connects to http://localhost:8000.
    models.Spec.Meta.host = models.Credentials.Meta.host = url
    return {
        "get_spec": partial(database.get_spec, sub=SUB, name=NAME),
        "create_update_spec": partial(database.create_update_spec, sub=SUB, **VERSION),
        **{case: partial(database.list_specs, sub=sub) for case, (sub, _) in LISTS.items()},
        "get_user": partial(database.get_user, public_key=VERSION_4_PUBLIC_KEY),
    }
