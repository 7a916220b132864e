"""Searches an order of the calls that explains every result: linearizability.

A call takes effect at one moment between its first step and its end. One that failed or crashed takes effect at any
moment after its first step, or never. A delete that did not end may have deleted the oldest versions. ``list`` reads
item by item; its newest version, or the absence of the spec, is that of one moment.

Herlihy and Wing, Linearizability: a correctness condition for concurrent objects, 1990; the search is Wing and Gong's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from open_alchemy.package_database.exceptions import NotFoundError
from tests.simulation.scheduler import Call

State: TypeAlias = tuple[str, ...]
"""The versions of the spec, oldest first."""

_DELETES = ("delete", "delete all specs", "delete all")


def explains(start: State, calls: Sequence[Call], stored: State) -> bool:
    """Returns whether an order of the calls leads from the versions at the start to those that are stored."""
    begun = [number for number, call in enumerate(calls) if call.after is not None]
    was_cut = any(calls[number].plan.kind in _DELETES and not calls[number].is_done for number in begun)
    seen: set[tuple[frozenset[int], State]] = set()
    open_: list[tuple[frozenset[int], State]] = [(frozenset(begun), start)]
    while open_:
        left, state = open_.pop()
        if not left and (state == stored or (was_cut and stored and state[-len(stored) :] == stored)):
            return True
        if (left, state) in seen:
            continue
        seen.add((left, state))
        for number in left:
            # A call that succeeded before another began comes before it.
            if not any(calls[before].is_done for before in (calls[number].after or frozenset()) & left):
                open_ += [(left - {number}, following) for following in _effects(calls[number], state)]
    return False


def _effects(call: Call, state: State) -> Iterator[State]:
    """Yields the states to which a call can lead, if its result is possible in this state."""
    if not call.is_done:
        yield state
    match call.plan.kind:
        case "create":
            yield (*state, call.plan.version)
            if state[-1:] == (call.plan.version,):
                yield state
        case "update" if call.is_done and isinstance(call.answer, NotFoundError):
            if not state:
                yield state
        case "update":
            if state:
                yield (*state, state[-1] + call.plan.version)
        case "delete" | "delete all specs" | "delete all":
            yield ()
        case _:
            if call.is_done and _newest(call.answer) == state[-1:]:
                yield state


def _newest(answer: object) -> State:
    """Returns the newest version that an answer names, if any."""
    match answer:
        case None | NotFoundError():
            return ()
        case {"version": str(version)}:
            return (version,)
        case [*_, {"version": str(version)}]:
            return (version,)
        case _:
            raise AssertionError(answer)
