"""The upgrade from version 4 decodes every secret once, whatever it is stopped at."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import ConflictError, RefusedError, ValidationError
from open_alchemy.package_database.admin.upgrade import State, check_one_form, survey, upgrade
from open_alchemy.package_database.admin.upgrade_marks import Marks
from open_alchemy.package_database.admin.version_4 import Form, decoded, form
from open_alchemy.package_database.core.operations import Failures, Item, Steps, Transact
from open_alchemy.package_database.database import run
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore
from tests.admin.stores import Interruption, credentials, put, reader
from tests.canary import HASH, SALT, find

HEX = (b"00ff" * 8, b"beef")
"""Bytes that are base64 text, as the hexadecimal digits of a hash are."""
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


def run_upgrade(store: MemoryStore, path: Path, before: Callable[[], None] = lambda: None) -> Counter[State]:
    marks = Marks(path, "here")
    with marks.opened():
        return upgrade(reader(store), writer(store, before), marks, None, lambda _: None)


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        (RAW, Form.BYTES),
        (text(RAW), Form.TEXT),
        (HEX, Form.TEXT),
        (text(HEX), Form.TEXT_OF_TEXT),
        ((text(RAW)[0], RAW[1]), Form.BYTES),
        ((RAW[0], text(RAW)[1]), Form.BYTES),
        ((b"", b""), Form.BYTES),
        ((text(RAW)[0], b""), Form.TEXT),
        ((b"aA==\n", b"aA=="), Form.BYTES),
        ((b"aB==", b"aA=="), Form.BYTES),
        ((b"aA", b"aA=="), Form.BYTES),
    ],
)
def test_the_form_of_secrets_is_seen(secrets: tuple[bytes, bytes], expected: Form) -> None:
    assert form(credentials(secret=secrets[0], salt=secrets[1])) is expected


def test_what_pynamodb_stored_of_four_bytes_becomes_those_bytes() -> None:
    """The example of https://pynamodb.readthedocs.io/en/stable/upgrading_binary.html."""
    item = credentials(secret=bytes.fromhex("79 76 37 77 44 51 3D 3D"), salt=b"")

    assert decoded(item)["secret_key_hash"] == bytes.fromhex("CA FE F0 0D")


@pytest.mark.parametrize("secrets", [RAW, HEX])
def test_text_becomes_bytes_once(tmp_path: Path, secrets: tuple[bytes, bytes]) -> None:
    store = stored(text(secrets))

    found = run_upgrade(store, tmp_path / "marks")
    again = run_upgrade(store, tmp_path / "marks")

    assert secrets_of(store) == {secrets}
    assert found == again == {State.DONE: 3}
    assert store.writes == 3


def test_what_version_4_did_not_write_is_left(tmp_path: Path) -> None:
    store = stored(RAW)

    assert run_upgrade(store, tmp_path / "marks") == {State.BYTES: 3}
    assert secrets_of(store) == {RAW}
    assert store.writes == 0


def test_a_survey_changes_nothing_and_makes_no_file(tmp_path: Path) -> None:
    store = stored(text(HEX))

    found = survey(reader(store), Marks(tmp_path / "marks", "here"), None, lambda _: None)

    assert found == {State.TEXT_OF_TEXT: 3}
    assert (store.writes, list(tmp_path.iterdir())) == (0, [])


def test_a_user_can_be_upgraded_alone(tmp_path: Path) -> None:
    store, marks = stored(text(HEX)), Marks(tmp_path / "marks", "here")

    with marks.opened():
        found = upgrade(reader(store), writer(store), marks, "u1", lambda _: None)

    assert found == {State.DONE: 1}
    assert secrets_of(store) == {HEX, text(HEX)}


@pytest.mark.parametrize("secrets", [RAW, HEX])
@pytest.mark.parametrize("is_late", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("step", range(3))
def test_an_upgrade_that_is_stopped_anywhere_is_completed_by_the_next(
    tmp_path: Path, secrets: tuple[bytes, bytes], step: int, *, is_late: bool
) -> None:
    store = stored(text(secrets))
    marks = Marks(tmp_path / "marks", "here")

    def transact(transaction: Transact) -> Failures:
        if is_late or store.writes != step:
            writer(store)(transaction)
        if store.writes == step + is_late:
            raise Interruption
        return {}

    with marks.opened(), pytest.raises(Interruption):
        upgrade(reader(store), transact, marks, None, lambda _: None)
    assert store.writes == step + is_late

    assert run_upgrade(store, tmp_path / "marks") == {State.DONE: 3}
    assert secrets_of(store) == {secrets}
    assert store.writes == 3


def test_marks_that_were_cut_at_any_byte_never_lead_to_decoding_twice(tmp_path: Path) -> None:
    """The marks of a page are on the disk before its first write: one that is cut had no write behind it."""
    path = tmp_path / "marks"
    run_upgrade(stored(text(HEX), 1), path)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        store = stored(text(HEX), 1)
        run_upgrade(store, path)
        assert run_upgrade(store, path) == {State.DONE: 1}
        assert secrets_of(store) == {HEX}


def test_the_marks_are_on_the_disk_before_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    synced = os.fsync

    def save(number: int) -> None:
        synced(number)
        events.append("saved")

    monkeypatch.setattr("os.fsync", save)

    run_upgrade(stored(text(RAW), 1), tmp_path / "marks", lambda: events.append("write"))

    # The name of the file, then the marks in it.
    assert events == ["saved", "saved", "write"]
    assert len((tmp_path / "marks").read_bytes().splitlines()) == 2


def test_credentials_that_change_in_between_are_left(tmp_path: Path) -> None:
    store = stored(text(RAW), 1)

    def rotate() -> None:
        put(store, credentials("u0", secret=HEX[0], salt=HEX[1]))

    assert run_upgrade(store, tmp_path / "marks", rotate) == {State.REPLACED: 1}
    assert secrets_of(store) == {HEX}
    assert run_upgrade(store, tmp_path / "marks") == {State.REPLACED: 1}
    assert secrets_of(store) == {HEX}


@pytest.mark.parametrize("attribute", ["secret_key_hash", "salt", "public_key"])
def test_every_attribute_must_be_as_it_was_read(tmp_path: Path, attribute: str) -> None:
    store = stored(text(RAW), 1)
    changed: Item = {**credentials("u0", secret=text(RAW)[0], salt=text(RAW)[1]), attribute: "new"}

    assert run_upgrade(store, tmp_path / "marks", lambda: put(store, changed)) == {State.REPLACED: 1}
    assert list(store.items.values()) == [changed]


def test_credentials_that_are_gone_stay_gone(tmp_path: Path) -> None:
    store = stored(text(RAW), 1)

    run_upgrade(store, tmp_path / "marks", store.items.clear)

    assert store.items == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"salt": None}, "salt is missing"), ({"secret_key_hash": HASH.decode()}, "secret_key_hash must be bytes")],
)
def test_an_item_that_is_no_credentials_is_named_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    store, marks = stored(text(RAW), 1), Marks(tmp_path / "marks", "here")
    odd = {name: value for name, value in {**credentials("odd"), **change}.items() if value is not None}
    put(store, odd)

    with pytest.raises(RefusedError, match=f"package.credentials with sub 'odd', id '1' is .*: {message}") as caught:
        survey(reader(store), marks, None, lambda _: None)

    assert find(str(caught.value)) == []


def test_two_forms_are_not_told_apart_by_guessing() -> None:
    store = stored(text(HEX), 2)
    put(store, credentials("new", secret=HEX[0], salt=HEX[1]))
    found = Counter({State.TEXT_OF_TEXT: 2, State.TEXT: 1})

    assert survey(reader(store), Marks(Path("none"), "here"), None, lambda _: None) == found
    with pytest.raises(ConflictError, match="1 credentials hold base64 text and 2 base64 text of base64 text"):
        check_one_form(found)
    check_one_form(Counter({State.TEXT: 2, State.BYTES: 1, State.DONE: 7}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "holds no marks of this upgrade of this table"),
        (b"my only copy, in one line", "holds no marks of this upgrade of this table"),
        (b"a text of\rold line ends\nand more", "holds no marks of this upgrade of this table"),
        (b"{title}{}\n", "line 2: it is no mark"),
        (b'{title}{"sub": "u", "id": "1", "before": "x", "after": ""}\n', "line 2: it is no mark"),
        (b"{title}[]\n", "line 2: it is no mark"),
    ],
)
def test_a_file_that_holds_no_marks_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "marks"
    with Marks(path, "here").opened():
        pass
    foreign = content.replace(b"{title}", path.read_bytes())
    path.write_bytes(foreign)

    with pytest.raises(ValidationError, match=message), Marks(path, "here").opened():
        pass
    assert path.read_bytes() == foreign


def test_marks_of_another_table_are_refused(tmp_path: Path) -> None:
    run_upgrade(stored(text(RAW)), tmp_path / "marks")

    with pytest.raises(ValidationError, match="holds no marks of this upgrade of this table"):
        Marks(tmp_path / "marks", "elsewhere")


def test_marks_that_cannot_be_read_or_written_are_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cannot be read"):
        Marks(tmp_path, "here")
    with (
        pytest.raises(ValidationError, match="cannot be written"),
        Marks(tmp_path / "nowhere" / "marks", "here").opened(),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_marks_are_private_and_hold_no_secret(tmp_path: Path) -> None:
    run_upgrade(stored(text((HASH, SALT))), tmp_path / "marks")

    content = (tmp_path / "marks").read_text()
    assert stat.S_IMODE((tmp_path / "marks").stat().st_mode) == 0o600
    assert find(content) == []
    assert base64.b64encode(HASH).decode() not in content
