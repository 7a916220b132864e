"""Caches of an application: ``cached`` and ``ExpiringDict``.

They need cachetools: the extra ``cache``.
"""

from __future__ import annotations

from ..exceptions import ConfigurationError

try:
    import cachetools as _cachetools  # noqa: F401
except ImportError as error:
    raise ConfigurationError("caches need cachetools: pip install 'open-alchemy.package-database[cache]'") from error
from .decorator import CachedFunction, cached
from .expiring_dict import ExpiringDict
from .results import CacheInfo

__all__ = ["CacheInfo", "CachedFunction", "ExpiringDict", "cached"]
