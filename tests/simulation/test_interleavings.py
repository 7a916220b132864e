"""Every interleaving of two calls, and a crash after every step, keeps the invariants.

A crash needs no case of its own: the invariants are checked in every state that can be reached, and from each the
other call is also run to its end alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from open_alchemy.package_database import CredentialsAuthInfo, NotFoundError
from open_alchemy.package_database.operations import Item, Steps, drive
from open_alchemy.package_database.tables import credentials, specs, users
from open_alchemy.package_database.tables.schema import SPECS
from tests.memory import MemoryStore
from tests.simulation.invariants import check_specs, versions_of
from tests.simulation.scheduler import Call, Run, explore

SECOND = 999_999
"""The second of the newest stored version; the next one has a digit more."""

BYSTANDERS = (("u2", "a"), ("u1", "a#b"), ("u1", "a#latest"))


def create(version: str, *, sub: str = "u1", name: str = "a") -> Steps[None]:
    return specs.create_update_spec.steps(sub=sub, name=name, version=version, model_count=1)


def delete() -> Steps[None]:
    return specs.delete_spec.steps(sub="u1", name="a")


def execute(store: MemoryStore, steps: Steps[object], now: int) -> None:
    call = Call("before", steps, now)
    call.begin()
    while not call.is_done:
        call.step(store)


def stored(versions: int, *, with_revision: bool = True) -> MemoryStore:
    """Returns a store with so many versions of spec a, the newest at SECOND, and specs that no call is about."""
    store = MemoryStore()
    for number in range(versions):
        execute(store, create(f"old {number}"), SECOND - versions + 1 + number)
    for sub, name in BYSTANDERS:
        execute(store, create("bystander", sub=sub, name=name), SECOND)
    if not with_revision:
        for place, item in store.items.items():
            store.items[place] = {name: value for name, value in item.items() if name != "revision"}
    return store


def bystanders(store: MemoryStore) -> dict[object, Item]:
    return {place: item for place, item in store.items.items() if (item["sub"], item["id"]) in BYSTANDERS}


def states(store: Callable[[], MemoryStore], calls: Callable[[], list[Call]]) -> Iterator[Run]:
    """Yields every state, after checking the invariants in it."""
    before = store()
    unchanged = bystanders(before)
    for run in explore(lambda: Run(before.copy(), calls())):
        try:
            check_specs(run.store)
            assert bystanders(run.store) == unchanged
        except AssertionError as error:
            error.add_note(str(run))
            raise
        yield run


def ends(store: Callable[[], MemoryStore], calls: Callable[[], list[Call]]) -> list[Run]:
    """Returns the states in which every call is done."""
    over = [run for run in states(store, calls) if run.is_over]
    assert over
    return over


def names(run: Run) -> list[str]:
    return [str(record["version"]) for record in versions_of(run.store, "u1", "a")]


@pytest.mark.parametrize("versions", range(3))
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (1, 1), (-100, 1), (-1, -100)])
def test_two_creates_both_stay(versions: int, clocks: tuple[int, int]) -> None:
    over = ends(
        lambda: stored(versions),
        lambda: [
            Call("create x", create("x"), SECOND + clocks[0]),
            Call("create y", create("y"), SECOND + clocks[1]),
        ],
    )

    old = [f"old {number}" for number in range(versions)]
    assert {tuple(names(run)) for run in over} == {(*old, "x", "y"), (*old, "y", "x")}


@pytest.mark.parametrize("versions", range(2))
@pytest.mark.parametrize("clocks", [(0, 0), (0, 1), (-100, 1)])
def test_two_creates_of_one_version_leave_that_version(versions: int, clocks: tuple[int, int]) -> None:
    over = ends(
        lambda: stored(versions),
        lambda: [
            Call("create x", create("x"), SECOND + clocks[0]),
            Call("create x too", create("x"), SECOND + clocks[1]),
        ],
    )

    assert {names(run)[-1] for run in over} == {"x"}
    assert {len(names(run)) - versions for run in over} <= {1, 2}


@pytest.mark.parametrize("with_revision", [True, False])
@pytest.mark.parametrize("versions", range(1, 4))
@pytest.mark.parametrize("version", ["x", "newest"])
@pytest.mark.parametrize("clock", [-1, 0, 1])
def test_a_create_beside_a_delete_comes_before_or_after_it(
    versions: int, version: str, clock: int, *, with_revision: bool
) -> None:
    created = f"old {versions - 1}" if version == "newest" else version
    over = ends(
        lambda: stored(versions, with_revision=with_revision),
        lambda: [Call("create", create(created), SECOND + clock), Call("delete", delete(), SECOND)],
    )

    assert {tuple(names(run)) for run in over} == {(), (created,)}


@pytest.mark.parametrize("versions", range(1, 4))
def test_two_deletes_leave_nothing(versions: int) -> None:
    over = ends(
        lambda: stored(versions),
        lambda: [Call("delete", delete(), SECOND), Call("delete too", delete(), SECOND)],
    )

    assert {tuple(names(run)) for run in over} == {()}


@pytest.mark.parametrize(("versions", "clock"), [(1, 0), (1, 1), (2, -1), (2, 0)])
def test_two_deletes_and_a_create_in_one_second_keep_the_invariants(versions: int, clock: int) -> None:
    over = ends(
        lambda: stored(versions),
        lambda: [
            Call("delete", delete(), SECOND),
            Call("delete too", delete(), SECOND),
            Call("create x", create("x"), SECOND + clock),
        ],
    )

    assert {tuple(names(run)) for run in over} == {(), ("x",)}


def test_a_create_beside_the_delete_of_more_versions_than_one_transaction_takes() -> None:
    over = ends(
        lambda: stored(101),
        lambda: [Call("create x", create("x"), SECOND), Call("delete", delete(), SECOND)],
    )

    assert {tuple(names(run)) for run in over} == {(), ("x",)}


@pytest.mark.parametrize("versions", range(1, 3))
def test_deleting_all_beside_a_create_comes_before_or_after_it(versions: int) -> None:
    user = "u3"

    def store() -> MemoryStore:
        filled = stored(0)
        for name in ("a", "b"):
            for number in range(versions):
                execute(filled, create(f"old {number}", sub=user, name=name), SECOND - versions + 1 + number)
        return filled

    over = ends(
        store,
        lambda: [
            Call("create x", create("x", sub=user), SECOND),
            Call("delete all", users.delete_all.steps(sub=user), SECOND),
        ],
    )

    left = {tuple(str(record["version"]) for record in versions_of(run.store, user, "a")) for run in over}
    assert left == {(), ("x",)}
    assert all(versions_of(run.store, user, "b") == [] for run in over)


def test_version_records_that_version_4_left_without_a_latest_record_are_deleted() -> None:
    def store() -> MemoryStore:
        broken = stored(2)
        del broken.items[SPECS.name, b"u1", b"latest#a"]
        return broken

    one, all_ = store(), store()
    execute(one, delete(), SECOND)
    execute(all_, specs.delete_all_specs.steps(sub="u1"), SECOND)

    assert versions_of(one, "u1", "a") == versions_of(all_, "u1", "a") == []
    assert bystanders(one) == bystanders(store())


@pytest.mark.parametrize("clock", [0, -1])
def test_a_version_record_that_version_4_left_without_a_latest_record_is_not_overwritten(clock: int) -> None:
    broken = stored(1)
    del broken.items[SPECS.name, b"u1", b"latest#a"]

    execute(broken, create("x"), SECOND + clock)

    versions = {(str(record["version"]), int(record["updated_at"])) for record in versions_of(broken, "u1", "a")}
    assert versions == {("old 0", SECOND), ("x", SECOND + 1 if clock == 0 else SECOND + clock)}


@pytest.mark.parametrize("versions", range(1, 4))
def test_a_reader_beside_a_delete_sees_the_newest_version_or_no_spec(versions: int) -> None:
    newest = f"old {versions - 1}"
    over = ends(
        lambda: stored(versions),
        lambda: [
            Call("list", specs.list_spec_versions.steps(sub="u1", name="a"), SECOND),
            Call("get", specs.get_latest_spec_version.steps(sub="u1", name="a"), SECOND),
            Call("delete", delete(), SECOND),
        ],
    )

    for run in over:
        listed, latest = run.calls[0].answer, run.calls[1].answer
        assert isinstance(listed, NotFoundError) or (isinstance(listed, list) and listed[-1]["version"] == newest)
        assert isinstance(latest, NotFoundError) or latest == newest


@pytest.mark.parametrize("versions", range(3))
def test_a_reader_beside_a_create_sees_all_of_it_or_nothing(versions: int) -> None:
    over = ends(
        lambda: stored(versions),
        lambda: [
            Call("list", specs.list_spec_versions.steps(sub="u1", name="a"), SECOND),
            Call("list specs", specs.list_specs.steps(sub="u1"), SECOND),
            Call("create x", create("x"), SECOND),
        ],
    )

    old = [f"old {number}" for number in range(versions)]
    for run in over:
        listed = run.calls[0].answer
        seen = [] if isinstance(listed, NotFoundError) else [info["version"] for info in listed]  # type: ignore[attr-defined]
        assert seen in (old, [*old, "x"])


def store_credentials(public_key: str, *, sub: str = "u1") -> Steps[None]:
    return credentials.create_update_credentials.steps(
        sub=sub, id_="1", public_key=public_key, secret_key_hash=b"hash", salt=b"salt"
    )


def get_user(store: MemoryStore, public_key: str) -> CredentialsAuthInfo | None:
    return drive(credentials.get_user.steps(public_key=public_key), lambda operation: _at_once(store, operation))


def _at_once(store: MemoryStore, operation: object) -> object:
    return drive(store.steps(operation), lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "revoke",
    [
        partial(credentials.delete_credentials.steps, sub="u1", id_="1"),
        partial(credentials.delete_all_credentials.steps, sub="u1"),
        partial(users.delete_all.steps, sub="u1"),
        partial(store_credentials, "new"),
    ],
)
def test_a_revoked_key_authenticates_nobody_while_the_index_lags(revoke: Callable[[], Steps[None]]) -> None:
    store = MemoryStore(index_lags=True)
    execute(store, store_credentials("old"), SECOND)
    store.catch_up()
    assert get_user(store, "old") is not None

    execute(store, revoke(), SECOND)

    assert get_user(store, "old") is None


@pytest.mark.parametrize("public_key", ["old", "new"])
def test_a_user_is_found_only_with_the_key_that_is_stored(public_key: str) -> None:
    def store() -> MemoryStore:
        filled = MemoryStore()
        execute(filled, store_credentials("old"), SECOND)
        return filled

    for run in ends(
        store,
        lambda: [
            Call("replace", store_credentials("new"), SECOND),
            Call("get user", credentials.get_user.steps(public_key=public_key), SECOND),
        ],
    ):
        found = run.calls[1].answer
        assert found is None or (isinstance(found, CredentialsAuthInfo) and found.sub == "u1")
        assert get_user(run.store, "old") is None
        assert get_user(run.store, "new") is not None


def test_a_key_that_changed_hands_finds_its_new_holder_while_the_index_lags() -> None:
    store = MemoryStore(index_lags=True)
    execute(store, store_credentials("key"), SECOND)
    store.catch_up()
    execute(store, store_credentials("other"), SECOND)
    execute(store, store_credentials("key", sub="u2"), SECOND)

    assert get_user(store, "key") is None
    store.catch_up()
    found = get_user(store, "key")
    assert found is not None
    assert found.sub == "u2"
