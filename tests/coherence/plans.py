"""The plans in which histories look for stale reads: any fault, and combinations that few rules need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.coherence.world import DRIFT, Plan

PLANS: Final[Mapping[str, Plan]] = {
    "any": Plan(),
    "any, drift 2": Plan(timing=DRIFT, seconds=9.0),
    "join": Plan(faults="joins", temper=4, seconds=6.0),
    "join, drift 2": Plan(faults="joins", temper=5, timing=DRIFT, seconds=9.0),
    "evict": Plan(faults="live evictions", temper=4),
    "evict, drift 2": Plan(faults="live evictions", temper=5, timing=DRIFT, seconds=9.0),
    "leave": Plan(faults="leaving brokers"),
    "slow messages": Plan(brokers=2, faults="sessions", temper=6, seconds=9.0),
    "slow store": Plan(brokers=2, faults="sessions", temper=7, timing=DRIFT, seconds=12.0),
}
