"""Checks the limits of caches."""

from __future__ import annotations


def check_max_entries(max_entries: object) -> None:
    """Raises ``ValueError`` unless this is a number of entries."""
    if not isinstance(max_entries, int) or isinstance(max_entries, bool) or max_entries < 1:
        raise ValueError(f"max_entries must be an int of at least 1, not {max_entries!r}")


def check_seconds(name: str, seconds: object) -> None:
    """Raises ``ValueError`` unless this is a duration."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0:
        raise ValueError(f"{name} must be a number of seconds above 0, not {seconds!r}")
