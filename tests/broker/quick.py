"""Shorter durations of caching, and the command with them: ``python -m tests.broker.quick broker OPTIONS``."""

from __future__ import annotations

from collections.abc import Callable

from open_alchemy.package_database.cli import main
from open_alchemy.package_database.coherence import leases
from open_alchemy.package_database.engines.broker import client_protocol, read_cache

_DIVISOR = 4
_UNCHANGED = {"drift", "max_age", "tick", "silence"}
"""``silence`` too: on a busy machine, a broker that works would be evicted."""
TIMING = leases.Timing(
    **{name: value if name in _UNCHANGED else value / _DIVISOR for name, value in leases.Timing()._asdict().items()}
)


def divide_durations(replace: Callable[[object, str, object], None] = setattr) -> None:
    """Divides the durations by 4 in this process, by ``setattr`` or ``MonkeyPatch.setattr``."""
    replace(leases, "DEFAULT", TIMING)
    for module, name in ((client_protocol, "SILENCE"), (read_cache, "_LEASE_SECONDS"), (read_cache, "_SEARCH_SECONDS")):
        replace(module, name, getattr(module, name) / _DIVISOR)


if __name__ == "__main__":
    divide_durations()
    main()
