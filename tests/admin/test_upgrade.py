"""The upgrade from version 4 decodes every secret once, also after an interruption at any operation."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError
from open_alchemy.package_database.admin.upgrade import State, survey, upgrade
from open_alchemy.package_database.admin.version_4_secrets import is_encoded, upgraded
from open_alchemy.package_database.core.operations import Failures, Item, Steps, Transact
from open_alchemy.package_database.database import run
from open_alchemy.package_database.model.credentials import create_update_credentials
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore
from tests.admin.stores import Interruption, credentials, put, reader
from tests.canary import HASH, find

HEX = (b"00ff" * 8, b"beef")
"""Bytes that are valid base64 text, like a hexadecimal digest."""
RAW = (b"\xff\x00", b"\xfe")


def text(secrets: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Returns secrets as version 4 stored them."""
    return base64.b64encode(secrets[0]), base64.b64encode(secrets[1])


def stored(secrets: tuple[bytes, bytes], count: int = 3) -> MemoryStore:
    store = MemoryStore()
    for number in range(count):
        put(store, credentials(f"u{number}", secret=secrets[0], salt=secrets[1]))
    return store


def secrets_of(store: MemoryStore) -> set[tuple[object, object]]:
    return {(item["secret_key_hash"], item["salt"]) for item in store.items.values()}


def writer(store: MemoryStore, before: Callable[[], None] = lambda: None) -> Callable[[Transact], Failures]:
    def transact(transaction: Transact) -> Failures:
        before()
        failures: Failures = run(_ask(transaction), MemoryEngine(store), name="test")
        return failures

    return transact


def _ask(transaction: Transact) -> Steps[Any]:
    return (yield transaction)


def run_upgrade(store: MemoryStore, before: Callable[[], None] = lambda: None) -> Counter[State]:
    return upgrade(reader(store), writer(store, before), None, lambda _: None)


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        (RAW, False),
        (text(RAW), True),
        (HEX, True),
        (text(HEX), True),
        ((text(RAW)[0], RAW[1]), False),
        ((RAW[0], text(RAW)[1]), False),
        ((b"", b""), False),
        ((text(RAW)[0], b""), True),
        ((b"aA==\n", b"aA=="), False),
        ((b"aB==", b"aA=="), False),
        ((b"aA", b"aA=="), False),
    ],
)
def test_base64_text_is_recognized(secrets: tuple[bytes, bytes], *, expected: bool) -> None:
    assert is_encoded(credentials(secret=secrets[0], salt=secrets[1])) is expected


def test_the_example_of_pynamodb_is_decoded() -> None:
    """The example of https://pynamodb.readthedocs.io/en/stable/upgrading_binary.html."""
    item = credentials(secret=bytes.fromhex("79 76 37 77 44 51 3D 3D"), salt=b"")

    assert upgraded(item)["secret_key_hash"] == bytes.fromhex("CA FE F0 0D")


@pytest.mark.parametrize("secrets", [RAW, HEX, text(HEX)])
def test_text_is_decoded_once_however_often_the_upgrade_runs(secrets: tuple[bytes, bytes]) -> None:
    store = stored(text(secrets))

    found = run_upgrade(store)
    again = run_upgrade(store)

    assert secrets_of(store) == {secrets}
    assert found == {State.UPGRADED: 3}
    assert again == {State.CURRENT: 3}
    assert store.writes == 3


def test_credentials_of_this_version_are_not_decoded() -> None:
    store = MemoryStore()
    arguments = {"sub": "u1", "id_": "1", "public_key": "pk", "secret_key_hash": HEX[0], "salt": HEX[1]}
    run(create_update_credentials.steps(**arguments), MemoryEngine(store), name="test")  # type: ignore[arg-type]

    assert run_upgrade(store) == {State.CURRENT: 1}
    assert secrets_of(store) == {HEX}


def test_bytes_that_are_not_base64_text_are_marked_and_unchanged() -> None:
    store = stored(RAW)

    assert run_upgrade(store) == {State.UPGRADED: 3}
    assert run_upgrade(store) == {State.CURRENT: 3}
    assert secrets_of(store) == {RAW}


def test_a_survey_changes_nothing() -> None:
    store = stored(text(HEX))
    put(store, credentials("raw", secret=RAW[0], salt=RAW[1]))

    assert survey(reader(store), None, lambda _: None) == {State.ENCODED: 3, State.UNMARKED: 1}
    assert store.writes == 0


def test_an_upgrade_of_a_user_changes_only_that_user() -> None:
    store = stored(text(HEX))

    found = upgrade(reader(store), writer(store), "u1", lambda _: None)

    assert found == {State.UPGRADED: 1}
    assert secrets_of(store) == {HEX, text(HEX)}


@pytest.mark.parametrize("secrets", [RAW, HEX])
@pytest.mark.parametrize("is_late", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("step", range(3))
def test_an_upgrade_interrupted_at_any_write_is_completed_by_the_next(
    secrets: tuple[bytes, bytes], step: int, *, is_late: bool
) -> None:
    store = stored(text(secrets))

    def transact(transaction: Transact) -> Failures:
        if is_late or store.writes != step:
            writer(store)(transaction)
        if store.writes == step + is_late:
            raise Interruption
        return {}

    with pytest.raises(Interruption):
        upgrade(reader(store), transact, None, lambda _: None)
    done = step + is_late
    assert store.writes == done

    assert run_upgrade(store) == Counter({State.CURRENT: done, State.UPGRADED: 3 - done})
    assert secrets_of(store) == {secrets}
    assert store.writes == 3


def test_concurrent_upgrades_decode_once() -> None:
    store = stored(text(HEX), 1)

    def first() -> None:
        run_upgrade(store)

    assert run_upgrade(store, first) == {State.CHANGED: 1}
    assert secrets_of(store) == {HEX}


def test_credentials_replaced_during_the_upgrade_are_not_changed() -> None:
    store = stored(text(RAW), 1)
    replaced: Item = {**credentials("u0", secret=HEX[0], salt=HEX[1]), "encoding": "raw"}

    assert run_upgrade(store, lambda: put(store, replaced)) == {State.CHANGED: 1}
    assert list(store.items.values()) == [replaced]
    assert run_upgrade(store) == {State.CURRENT: 1}


@pytest.mark.parametrize("attribute", ["secret_key_hash", "salt", "public_key", "encoding"])
def test_an_item_is_written_only_if_no_attribute_changed(attribute: str) -> None:
    store = stored(text(RAW), 1)
    changed: Item = {**credentials("u0", secret=text(RAW)[0], salt=text(RAW)[1]), attribute: "new"}

    assert run_upgrade(store, lambda: put(store, changed)) == {State.CHANGED: 1}
    assert list(store.items.values()) == [changed]


def test_credentials_deleted_during_the_upgrade_stay_deleted() -> None:
    store = stored(text(RAW), 1)

    assert run_upgrade(store, store.items.clear) == {State.CHANGED: 1}

    assert store.items == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"salt": None}, "salt is missing"),
        ({"secret_key_hash": HASH.decode()}, "secret_key_hash must be bytes"),
        ({"encoding": "zip"}, "encoding must be raw"),
    ],
)
def test_an_invalid_item_is_named_before_anything_is_written(change: dict[str, Any], message: str) -> None:
    store = stored(text(RAW), 1)
    odd = {name: value for name, value in {**credentials("odd"), **change}.items() if value is not None}
    put(store, odd)

    with pytest.raises(RefusedError, match=f"package.credentials with sub 'odd', id '1' is .*: {message}") as caught:
        survey(reader(store), None, lambda _: None)

    assert find(str(caught.value)) == []
