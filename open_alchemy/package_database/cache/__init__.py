"""Caches of an application: ``cached`` and ``ExpiringDict``.

They need cachetools: the extra ``cache``.
"""

from __future__ import annotations

from ..extras import imports

with imports("open_alchemy.package_database.cache", "cache"):
    import cachetools as _cachetools  # noqa: F401
from .decorator import CachedFunction, cached
from .expiring_dict import ExpiringDict
from .results import CacheInfo

__all__ = ["CacheInfo", "CachedFunction", "ExpiringDict", "cached"]
