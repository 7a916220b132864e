"""The instances of a process, and the database that works on the current one."""

from typing import TYPE_CHECKING

from .api import aconnect, connect, get, get_async, instance, instance_id, instances

if TYPE_CHECKING:
    from .middleware import AsyncInstanceMiddleware, InstanceMiddleware
else:

    def __getattr__(name: str) -> object:
        """Returns a middleware, whose module is imported on first use."""
        if name in ("AsyncInstanceMiddleware", "InstanceMiddleware"):
            from . import middleware

            return getattr(middleware, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AsyncInstanceMiddleware",
    "InstanceMiddleware",
    "aconnect",
    "connect",
    "get",
    "get_async",
    "instance",
    "instance_id",
    "instances",
]
