"""Finds stale reads in the logs of ``cache_client``. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple


class Call(NamedTuple):
    """A call of a client: of each key, the numbers that are written increase.

    Attributes:
        kind: ``write``, ``read``, or ``hit``: a read from memory.
        key: What was read or written.
        number: The number that was read or written.
        start: When the call began.
        end: When it returned.
    """

    kind: str
    key: int
    number: int
    start: float
    end: float


def read_calls(text: str) -> list[Call]:
    """Returns the calls of a log, whose last line may be incomplete."""
    calls = []
    for line in text.splitlines():
        try:
            calls.append(Call(*json.loads(line)))
        except (ValueError, TypeError):
            continue
    return calls


def stale_reads(calls: Iterable[Call]) -> list[str]:
    """Returns the reads that returned less than a write that was acknowledged before they began, in words."""
    calls = sorted(calls, key=lambda call: call.end)
    ends: dict[int, list[float]] = {}
    numbers: dict[int, list[int]] = {}
    for call in calls:
        if call.kind == "write":
            ends.setdefault(call.key, []).append(call.end)
            numbers.setdefault(call.key, []).append(call.number)
    newest = {key: list(accumulate(written, max)) for key, written in numbers.items()}
    stale = []
    for call in calls:
        if call.kind == "write" or not (before := bisect_right(ends.get(call.key, []), call.start)):
            continue
        if call.number < (expected := newest[call.key][before - 1]):
            late = call.start - ends[call.key][before - 1]
            stale.append(f"key {call.key}: {call.number} was read {late:.3f} s after {expected} was acknowledged")
    return stale
