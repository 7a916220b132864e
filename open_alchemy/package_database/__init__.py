"""The database behind OpenAlchemy's services: which specs, versions and credentials does a user have?

from open_alchemy import package_database

database = package_database.get()
database.list_specs(sub="user 1")

database = package_database.get_async()
await database.list_specs(sub="user 1")
"""

from typing import TYPE_CHECKING

from .async_types import AsyncTDatabase
from .exceptions import (
    BaseError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    ValidationError,
)

# instances() hides the module of this name as an attribute; `from ....instances import InstanceMiddleware` works.
from .instances import aconnect, connect, get, get_async, instance, instance_id, instances
from .types import (
    TConnectedDatabase,
    TCredentialsInfo,
    TCredentialsInfoList,
    TDatabase,
    TSpecInfo,
    TSpecInfoList,
    TSpecSnapshot,
)

__version__: str

if TYPE_CHECKING:
    from .auth_info import CredentialsAuthInfo
    from .broker.exposed import exposed
    from .cache import ExpiringDict, cached
    from .change_feed.iterators import changes, iter_changes
    from .change_feed.stream import Change, Missed
    from .objects import (
        AsyncCredentials,
        AsyncSpec,
        AsyncUser,
        AsyncVersion,
        Credentials,
        Spec,
        User,
        Version,
        root,
        root_async,
    )
else:
    _LAZY = {
        "CredentialsAuthInfo": ".auth_info",
        "Change": ".change_feed.stream",
        "Missed": ".change_feed.stream",
        "changes": ".change_feed.iterators",
        "iter_changes": ".change_feed.iterators",
        "exposed": ".broker.exposed",
        "ExpiringDict": ".cache",
        "cached": ".cache",
        **dict.fromkeys(("root", "User", "Spec", "Version", "Credentials"), ".objects"),
        **dict.fromkeys(("root_async", "AsyncUser", "AsyncSpec", "AsyncVersion", "AsyncCredentials"), ".objects"),
    }
    _OPTIONAL = ("msgspec", "zmq")

    def __getattr__(name: str) -> object:
        """Returns what takes long to import or to read, on first use."""
        if name in _LAZY:
            from importlib import import_module

            try:
                return getattr(import_module(_LAZY[name], __name__), name)
            except ModuleNotFoundError as error:
                if error.name not in _OPTIONAL:
                    raise
                raise ConfigurationError(
                    f"{name} needs pyzmq and msgspec: pip install 'open-alchemy.package-database[broker]'"
                ) from error
        if name == "__version__":
            from importlib.metadata import version

            return version("open-alchemy.package-database")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [  # noqa: RUF022 (grouped by what they are for)
    # The database.
    "get",
    "get_async",
    "connect",
    "aconnect",
    "TConnectedDatabase",
    "TDatabase",
    "AsyncTDatabase",
    # Objects.
    "root",
    "root_async",
    "User",
    "AsyncUser",
    "Spec",
    "AsyncSpec",
    "Version",
    "AsyncVersion",
    "Credentials",
    "AsyncCredentials",
    # Which instance it works on.
    "instance",
    "instance_id",
    "instances",
    # What it returns.
    "TSpecInfo",
    "TSpecInfoList",
    "TSpecSnapshot",
    "TCredentialsInfo",
    "TCredentialsInfoList",
    "CredentialsAuthInfo",
    # What it raises.
    "BaseError",
    "ConfigurationError",
    "ConflictError",
    "NotFoundError",
    "RefusedError",
    "UnavailableError",
    "ValidationError",
]

if TYPE_CHECKING:
    # They need an extra, which `import *` must not require.
    __all__ += ["Change", "ExpiringDict", "Missed", "cached", "changes", "exposed", "iter_changes"]
