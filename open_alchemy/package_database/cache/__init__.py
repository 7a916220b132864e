"""Caches of an application: ``cached`` and ``ExpiringDict``.

They need cachetools: the extra ``cache``.
"""

from __future__ import annotations

from .decorator import CachedFunction, cached
from .expiring_dict import ExpiringDict
from .results import CacheInfo

__all__ = ["CacheInfo", "CachedFunction", "ExpiringDict", "cached"]
