"""The steps of a move follow from what the servers store: every row of the table in ``shard_move_steps``."""

from __future__ import annotations

import pytest

from open_alchemy.package_database import ConfigurationError, RefusedError
from open_alchemy.package_database.engines.postgresql.shard_catalog import ServerCatalog
from open_alchemy.package_database.engines.postgresql.shard_move_steps import (
    MoveState,
    Step,
    check,
    next_step,
    state_of,
)

BEFORE = {"db1": ServerCatalog(2, frozenset({1})), "db2": ServerCatalog(2, frozenset({2}))}
MOVING = BEFORE | {"db1": ServerCatalog(2, frozenset({1}), {1: "db2"})}
IN_TRANSIT = MOVING | {"db1": ServerCatalog(2, frozenset(), {1: "db2"})}
MOVED = IN_TRANSIT | {"db2": ServerCatalog(2, frozenset({1, 2}))}
DONE = MOVED | {"db1": ServerCatalog(2, frozenset())}


@pytest.mark.parametrize(
    ("catalogs", "state"),
    [
        (BEFORE, MoveState("db1", frozenset({"db1"}), None)),
        (MOVING, MoveState("db1", frozenset({"db1"}), "db2")),
        (IN_TRANSIT, MoveState("db1", frozenset(), "db2")),
        (MOVED, MoveState("db1", frozenset({"db2"}), "db2")),
        (DONE, MoveState("db2", frozenset({"db2"}), None)),
    ],
)
def test_the_state_follows_from_the_catalogs(catalogs: dict[str, ServerCatalog], state: MoveState) -> None:
    assert state_of(1, catalogs) == state


@pytest.mark.parametrize(
    ("catalogs", "is_copied", "replicates", "step"),
    [
        (BEFORE, False, True, Step.START),
        (MOVING, False, True, Step.COPY),
        (MOVING, True, True, Step.SWITCH),
        (MOVING, False, False, Step.SWITCH),
        (IN_TRANSIT, True, True, Step.ACTIVATE),
        (IN_TRANSIT, False, False, Step.ACTIVATE),
        (MOVED, False, True, Step.CLEAN),
        (DONE, False, True, Step.DONE),
    ],
)
def test_the_next_step_of_a_move(
    catalogs: dict[str, ServerCatalog], step: Step, *, is_copied: bool, replicates: bool
) -> None:
    assert next_step(state_of(1, catalogs), "db2", is_copied=is_copied, replicates=replicates) is step


@pytest.mark.parametrize(("catalogs", "step"), [(BEFORE, Step.DONE), (MOVING, Step.CANCEL)])
def test_a_move_back_to_the_source_cancels(catalogs: dict[str, ServerCatalog], step: Step) -> None:
    assert next_step(state_of(1, catalogs), "db1", is_copied=True, replicates=True) is step


@pytest.mark.parametrize(
    ("catalogs", "target", "hint"),
    [
        (MOVING, "db3", "finish it with --to db2, or cancel it with --to db1"),
        (IN_TRANSIT, "db3", "finish it with --to db2"),
        (IN_TRANSIT, "db1", "finish it with --to db2"),
        (MOVED, "db1", "finish it with --to db2"),
    ],
)
def test_an_unfinished_move_elsewhere_is_refused(catalogs: dict[str, ServerCatalog], target: str, hint: str) -> None:
    with pytest.raises(RefusedError, match=f"{hint}$") as caught:
        next_step(state_of(1, catalogs), target, is_copied=True, replicates=True)

    assert caught.value.code == "MoveUnfinished"


def test_a_shard_on_no_server_is_refused() -> None:
    with pytest.raises(RefusedError, match="no server has shard 3"):
        state_of(3, BEFORE)


@pytest.mark.parametrize(
    ("shard", "target", "error", "message"),
    [
        (0, "db2", ConfigurationError, "the shards 1 to 2, not 0"),
        (3, "db2", ConfigurationError, "the shards 1 to 2, not 3"),
        (1, "db9", ConfigurationError, "--to must be one of the servers of the configuration: db1, db2, db3"),
        (1, "db3", RefusedError, "the server db3 has no catalog"),
    ],
)
def test_wrong_arguments_are_named(shard: int, target: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check(shard, target, BEFORE, ("db1", "db2", "db3"))


def test_right_arguments_are_accepted() -> None:
    check(1, "db2", BEFORE, ("db1", "db2"))
