"""Runs many histories, and counts what happened in them: ``python -m tests.coherence.histories FIRST COUNT``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from tests.coherence.faults import FAULTS
from tests.coherence.plans import PLANS
from tests.coherence.recovery import NotRecoveredError, recover
from tests.coherence.world import Plan, run_history

SHORT = Plan(seconds=4.0, settle=1.4)
ONE_GRANTER = SHORT._replace(granters=1)
MIXTURE = (
    *(SHORT, ONE_GRANTER) * 14,
    *PLANS.values(),
    SHORT._replace(writers=0),
    Plan(brokers=4, clients=4),
)
"""The plans of histories, in turn."""
RECOVERIES = 97
"""In each 97th history, the recovery from its faults is checked."""
FEATURES: Final = (
    *(fault.__name__ for fault in FAULTS),
    *("message lost", "message doubled", "session message lost", "session message doubled", "session lost"),
    *("registry changed", "registry not changed", "registry unknown", "left"),
    *("Open", "Renew", "Lease", "ReadHeader", "cacheable", "not cacheable", "hit", "Revoke", "Revoked", "Ended"),
    *("Invalidate", "Waiting", "Invalidated", "Done"),
    *("write executed", "write refused", "write unanswered", "write retried", "write late"),
    *("write of several items", "write checked again", "acknowledged", "recovery"),
)
"""What happens in any few hundred histories."""


def run_histories(seeds: Iterable[int]) -> Counter[str]:
    """Returns how often what happened; raises ``StaleReadError`` and ``NotRecoveredError``."""
    features: Counter[str] = Counter()
    for seed in seeds:
        world = run_history(seed, MIXTURE[seed % len(MIXTURE)])
        features += world.network.features
        features["history"] += 1
        features["acknowledged"] += len(world.acknowledged)
        features["hit"] += sum(client.machine.info().hits for client in world.clients)
        if seed % RECOVERIES == 0:
            try:
                recover(world)
            except NotRecoveredError as error:
                raise NotRecoveredError(f"seed {seed}, {world.plan}: {error}") from None
            features["recovery"] += 1
    return features


def _main(first: int, count: int) -> None:
    start, features = time.process_time(), Counter[str]()
    for block in range(first, first + count, 1000):
        features += run_histories(range(block, min(block + 1000, first + count)))
        seconds = time.process_time() - start
        print(f"{features['history']} histories, {seconds:.0f} s of CPU", file=sys.stderr, flush=True)  # noqa: T201
    for feature, number in features.most_common():
        print(f"{number:12,} {feature}")  # noqa: T201


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
