"""For each removed rule, the plan and the seed of a history with a stale read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WITNESSES: Final[Mapping[str, tuple[str, int]]] = {}
