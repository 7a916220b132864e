"""Users, specs, versions and credentials as objects.

``root()`` is the start for the sync API, ``root_async()`` for the async one. The objects of both have the same names.
"""

from __future__ import annotations

from ..async_types import AsyncTDatabase
from ..instances import get, get_async
from ..types import TDatabase
from .async_objects import AsyncCredentials, AsyncSpec, AsyncUser, AsyncVersion
from .sync_objects import Credentials, Spec, User, Version
from .users import Root, Users

__all__ = [
    "AsyncCredentials",
    "AsyncSpec",
    "AsyncUser",
    "AsyncVersion",
    "Credentials",
    "Root",
    "Spec",
    "User",
    "Users",
    "Version",
    "root",
    "root_async",
]


def root(database: TDatabase | None = None) -> Root[User]:
    """Returns the object from which all others of a database are reached. Performs no request.

    Args:
        database: The database; None for that of ``get()``.

    Raises:
        ConfigurationError: See ``get()``.
    """
    opened = database or get()
    return Root(Users(lambda sub: User(opened, sub)))


def root_async(database: AsyncTDatabase | None = None) -> Root[AsyncUser]:
    """Returns the object from which all others of a database are reached, for asyncio. Performs no request.

    Args:
        database: The database; None for that of ``get_async()``.

    Raises:
        ConfigurationError: See ``get()``.
    """
    opened = database or get_async()
    return Root(Users(lambda sub: AsyncUser(opened, sub)))
