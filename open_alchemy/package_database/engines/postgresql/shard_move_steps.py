"""Which step of a move of a shard is next. Pure: ``shard_move`` executes the steps.

A shard is usable under one name only: the schema ``shard0012`` on the server whose catalog lists it. A move copies it
into a schema with another name on the target, and follows the source by logical replication. The switch is two
transactions:

1. On the source, with all tables of the shard locked: the rest is copied, counts and checksums of both copies are
   compared, the schema is renamed, and the catalog does not list the shard any more.
2. On the target: the schema gets the name of the shard, and the catalog lists it.

Every transaction that used the source has committed before the first of them, and every later statement fails: its
schema is missing. So the shard can never be written in two places. A step has its whole effect or none, or can be
executed again; the next one follows from what the servers store.

| state | source lists it | target lists it | move recorded | copy complete | next step |
|---|---|---|---|---|---|
| not begun | yes | no | no | - | START |
| copying | yes | no | yes | no | COPY |
| following | yes | no | yes | yes | SWITCH |
| in transit | no | no | yes | - | ACTIVATE |
| moved | no | yes | yes | - | CLEAN |
| done | no | yes | no | - | DONE |
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from ...exceptions import ConfigurationError, RefusedError
from .shard_catalog import ServerCatalog

_FEW: Final = 100
_LOCKABLE: Final = 5_000
"""Less than the mover reads at once: the lock lasts for one batch."""


class Step(Enum):
    """A step of a move."""

    START = auto()
    """Record the move on the source."""
    COPY = auto()
    """Copy the tables as of one moment, and start logical replication from it."""
    SWITCH = auto()
    """Copy the rest with the tables locked, verify it, and retire the source."""
    ACTIVATE = auto()
    """Give the copy the name of the shard."""
    CLEAN = auto()
    """Delete the retired source and the record of the move."""
    CANCEL = auto()
    """Delete the copy and the record of the move."""
    DONE = auto()
    """The shard is where it should be."""


class MoveState(NamedTuple):
    """What the servers store about a shard.

    Attributes:
        source: The server that lists the shard, or the one that records its move.
        listed_by: The servers that list it.
        target: The target of the move that the source records; None without one.
    """

    source: str
    listed_by: frozenset[str]
    target: str | None


def state_of(shard: int, catalogs: Mapping[str, ServerCatalog]) -> MoveState:
    """Returns the state of a shard, from the catalogs of all servers by their names.

    Raises:
        RefusedError: No server has the shard.
    """
    listed_by = frozenset(name for name, catalog in catalogs.items() if shard in catalog.located)
    recorded = {name: catalog.moves[shard] for name, catalog in catalogs.items() if shard in catalog.moves}
    if not listed_by and not recorded:
        raise RefusedError(f"no server has shard {shard}", code="NotCreated")
    source = next(iter(recorded or sorted(listed_by)))
    return MoveState(source, listed_by, recorded.get(source))


def next_step(state: MoveState, target: str, *, is_copied: bool, replicates: bool) -> Step:
    """Returns the next step of a move.

    Args:
        state: The state of the shard.
        target: The server to which it moves; the source, to cancel a move.
        is_copied: Whether the target has a copy that logical replication can continue.
        replicates: Whether the source supports logical replication; otherwise ``SWITCH`` makes the whole copy.
    """
    if state.target is None:
        return Step.DONE if target in state.listed_by else Step.START
    is_switched = state.source not in state.listed_by
    if target == state.source and not is_switched:
        return Step.CANCEL
    if target != state.target:
        raise RefusedError(
            f"the move of this shard from {state.source} to {state.target} is unfinished: "
            f"finish it with --to {state.target}" + ("" if is_switched else f", or cancel it with --to {state.source}"),
            code="MoveUnfinished",
        )
    if is_switched:
        return Step.CLEAN if target in state.listed_by else Step.ACTIVATE
    return Step.SWITCH if is_copied or not replicates else Step.COPY


def check(shard: int, target: str, catalogs: Mapping[str, ServerCatalog], configured: tuple[str, ...]) -> None:
    """Checks the arguments of a move.

    Raises:
        ConfigurationError: The database has no such shard, or the configuration no such server.
        RefusedError: The server has no catalog.
    """
    shards = max((catalog.shards for catalog in catalogs.values()), default=0)
    if not 1 <= shard <= shards:
        raise ConfigurationError(f"the database has the shards 1 to {shards}, not {shard}")
    if target not in configured:
        raise ConfigurationError(f"--to must be one of the servers of the configuration: {', '.join(configured)}")
    if target not in catalogs:
        raise RefusedError(f"the server {target} has no catalog: run package-database tables create", code="NotCreated")


def is_lockable(changes: int, before: int | None) -> bool:
    """Returns whether to lock the tables after a batch of changes: few are left, or writers add as many as are applied.

    Args:
        changes: The number of changes of the batch.
        before: That of the batch before; None for the first one.
    """
    return changes <= _FEW or (before is not None and before <= changes < _LOCKABLE)
