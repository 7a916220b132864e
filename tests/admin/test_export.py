"""An export is complete or refused, private, and resumed after an interruption."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from open_alchemy.package_database import RefusedError, ValidationError
from open_alchemy.package_database.admin.export_reader import open_export
from open_alchemy.package_database.admin.export_writer import open_part, pages
from open_alchemy.package_database.admin.import_batches import import_entries
from open_alchemy.package_database.admin.import_items import BATCH_ENTRIES, Outcome
from open_alchemy.package_database.core.operations import Item, Operation, Page, Scan, Stamp, Stamped
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.model.schema import SPECS
from open_alchemy.package_database.testing.memory import MemoryStore
from tests.admin.stores import Interruption, credentials, export, filled, import_, put, reader
from tests.canary import HASH, SALT, find
from tests.pairwise import is_long
from tests.unmeasured import unmeasured

STEP = 1 if is_long() else 7
"""Every byte of a file in a long run, every seventh one in an ordinary run."""


def lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines(keepends=True)


def write(path: Path, content: list[bytes]) -> None:
    path.write_bytes(b"".join(content))


def items_of(path: Path) -> list[Item]:
    with open_export(path) as file:
        return [entry.item for entry in file.entries()]


def sealed(body: list[bytes], **header: object) -> list[bytes]:
    """Returns the lines of an export with this body. The header is valid except for the given values."""
    fields = {
        "format": "open-alchemy.package-database export",
        "schema_version": 5,
        "sub": None,
        "items": len(body),
        "sha256": hashlib.sha256(b"".join(body)).hexdigest(),
    }
    return [json.dumps(fields | header).encode() + b"\n", *body]


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_imported_items_equal_exported_items(tmp_path: Path, name: str) -> None:
    store, other = filled(), MemoryStore()
    put(store, {**credentials("é\n#"), "an older attribute": 7, "another": "é\u2028\x00"})

    export(store, tmp_path / name)
    imported = import_(tmp_path / name, other)

    assert other.items == store.items
    assert imported.counts == {Outcome.NEW: 10, Outcome.SAME: 0, Outcome.KEPT: 0}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_export_has_the_documented_format(tmp_path: Path) -> None:
    store = MemoryStore()
    put(store, credentials(secret=b"hash", salt=b""))

    export(store, tmp_path / "all.jsonl")

    header, body = lines(tmp_path / "all.jsonl")
    assert json.loads(header) == {
        "format": "open-alchemy.package-database export",
        "schema_version": 5,
        "sub": None,
        "items": 1,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    assert json.loads(body) == {
        "table": "package.credentials",
        "item": {
            "sub": "u1",
            "id": "1",
            "public_key": "pk-u1-1",
            "secret_key_hash": {"base64": "aGFzaA=="},
            "salt": {"base64": ""},
        },
    }


def test_the_export_of_a_user_contains_only_that_user(tmp_path: Path) -> None:
    store, other = filled(), MemoryStore()

    export(store, tmp_path / "u1.jsonl", sub="u1")
    import_(tmp_path / "u1.jsonl", other)

    assert other.items == {place: item for place, item in store.items.items() if item["sub"] == "u1"}


def test_an_empty_store_is_an_empty_export(tmp_path: Path) -> None:
    export(MemoryStore(), tmp_path / "all.jsonl.gz")

    assert items_of(tmp_path / "all.jsonl.gz") == []


@pytest.mark.parametrize("page", range(1, 8))
def test_a_resumed_export_equals_an_uninterrupted_one(tmp_path: Path, page: int) -> None:
    store, path = filled(), tmp_path / "all.jsonl"
    export(store, tmp_path / "whole.jsonl")

    with pytest.raises(Interruption):
        export(store, path, fail_at=page)
    assert not path.exists()
    reads: list[Scan] = []
    read = reader(store)

    def count(scan: Scan) -> Page:
        reads.append(scan)
        return read(scan)

    with open_part(path, None, "here", replace=False) as part:
        assert part.items == max(0, len(lines(tmp_path / "all.jsonl.part")) - 1)
        for entries in pages(count, None, part.last):
            part.add(entries)
        part.finish(path)

    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(reads) <= 9 - page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "whole.jsonl"]


def test_a_part_truncated_at_any_byte_is_resumed(tmp_path: Path) -> None:
    store, path, part = filled(1), tmp_path / "all.jsonl", tmp_path / "all.jsonl.part"
    with pytest.raises(Interruption):
        export(store, path, fail_at=3)
    whole = part.read_bytes()
    export(store, path)
    expected = path.read_bytes()

    for length in (*range(0, len(whole), STEP), len(whole)):
        part.write_bytes(whole[:length])
        export(store, path, replace=True)
        assert path.read_bytes() == expected


@pytest.mark.parametrize("is_in_place", [False, True], ids=["before the export is in place", "after"])
def test_a_complete_export_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_in_place: bool
) -> None:
    store, path = filled(1), tmp_path / "all.jsonl"
    replace = Path.replace

    def stop(self: Path, target: Path) -> None:
        if is_in_place:
            replace(self, target)
        raise Interruption

    with monkeypatch.context() as patch, pytest.raises(Interruption):
        patch.setattr(Path, "replace", stop)
        export(store, path)
    assert path.exists() == is_in_place
    changed = credentials("u0", secret=b"changed")
    put(store, changed)

    export(store, path, replace=True)

    assert changed in items_of(path)
    assert len(items_of(path)) == 4


def test_an_incomplete_line_of_a_deleted_item_is_removed(tmp_path: Path) -> None:
    store, path, part = filled(1), tmp_path / "all.jsonl", tmp_path / "all.jsonl.part"
    with pytest.raises(Interruption):
        export(store, path, fail_at=3)
    part.write_bytes(part.read_bytes()[:-10])
    store.items.clear()

    export(store, path)

    assert len(items_of(path)) == 2


@pytest.mark.parametrize("difference", [{"place": "elsewhere"}, {"sub": "u1"}])
def test_the_part_of_another_export_is_not_resumed(tmp_path: Path, difference: dict[str, str]) -> None:
    with pytest.raises(Interruption):
        export(filled(), tmp_path / "all.jsonl", fail_at=2)

    with pytest.raises(ValidationError, match=r"all\.jsonl\.part is not the beginning of this export"):
        export(filled(), tmp_path / "all.jsonl", **difference)  # type: ignore[arg-type]


@pytest.mark.parametrize("identity", ["here", None])
@pytest.mark.parametrize("content", [b"my only copy, in one line", b"old\rline ends\nand more", b"\n"])
def test_a_file_that_is_not_a_part_is_not_changed(tmp_path: Path, content: bytes, identity: str | None) -> None:
    part = tmp_path / "all.jsonl.part"
    part.write_bytes(content)

    with (
        pytest.raises(ValidationError, match="is not the beginning of this export"),
        open_part(tmp_path / "all.jsonl", None, identity, replace=False),
    ):
        pass
    assert part.read_bytes() == content


def test_a_damaged_part_is_refused_by_its_line(tmp_path: Path) -> None:
    part = tmp_path / "all.jsonl.part"
    with pytest.raises(Interruption):
        export(filled(), tmp_path / "all.jsonl", fail_at=4)
    title, first, *rest = lines(part)
    write(part, [title, first, b"{}\n", *rest])

    with pytest.raises(ValidationError, match=r"part, line 3: it is not an item of a table: delete the file"):
        export(filled(), tmp_path / "all.jsonl")


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text("precious")

    with pytest.raises(ValidationError, match="already exists: --force replaces it"):
        export(filled(), path)
    assert path.read_text() == "precious"
    export(filled(), path, replace=True)

    assert len(items_of(path)) == 12


def test_a_missing_folder_is_a_validation_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"part cannot be written: No such file"):
        export(filled(), tmp_path / "nowhere" / "all.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_can_ever_read_an_export(tmp_path: Path) -> None:
    def modes() -> Iterator[int]:
        return (stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())

    before = os.umask(0)
    try:
        with open_part(tmp_path / "all.jsonl", None, "here", replace=False) as part:
            assert list(modes()) == [0o600]
        (tmp_path / "all.jsonl.part").chmod(0o644)
        with open_part(tmp_path / "all.jsonl", None, "here", replace=False) as part:
            assert list(modes()) == [0o600]
            part.add([])
            part.finish(tmp_path / "all.jsonl")
        assert list(modes()) == [0o600]
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets only some make links")
def test_a_part_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "all.jsonl.part").symlink_to(tmp_path / "target")

    with pytest.raises(ValidationError, match="cannot be written"):
        export(filled(), tmp_path / "all.jsonl")

    assert (tmp_path / "target").read_text() == "precious"


def test_an_invalid_item_ends_the_export_with_its_name(tmp_path: Path) -> None:
    store = filled()
    item = dict(credentials("odd"))
    del item["public_key"]
    put(store, item)

    with pytest.raises(
        RefusedError, match=r"package\.credentials with sub 'odd', id '1' is invalid: public_key is missing"
    ):
        export(store, tmp_path / "all.jsonl")


def test_a_truncated_export_is_refused_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    export(filled(1), path)
    whole = path.read_bytes()

    for length in (*range(0, len(whole), STEP), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValidationError, match="all.jsonl"):
            items_of(path)


def test_a_truncated_gzip_is_refused_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl.gz"
    export(filled(1), path)
    whole = path.read_bytes()

    for length in (*range(0, len(whole), STEP), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValidationError, match=r"all\.jsonl\.gz"):
            items_of(path)


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_a_changed_byte_is_detected_or_changes_no_item(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    export(filled(1), path)
    whole, expected = path.read_bytes(), items_of(path)

    accepted = 0
    for place in range(0, len(whole), STEP):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            assert items_of(path) == expected
            accepted += 1
        except ValidationError:
            pass
    # The header of gzip has bytes that do not affect the content.
    assert accepted <= 10


FOREIGN = {
    "empty": (b"", "header: it is not an export of the package database"),
    "text": (b"hello\nworld\n", "header: it is not an export of the package database"),
    "json": (b'{"a": 1}\n', "header: it is not an export of the package database"),
    "list": (b"[]\n", "header: it is not an export of the package database"),
    "binary": (b"\x00\xff" * 1000, "header: it is not an export of the package database"),
    "not gzip": (b"\x1f\x8bhello", "header: it is truncated or damaged"),
    "one endless line": (b"x" * 5_000_000, "header: it is not an export of the package database"),
    "deep": (b"[" * 100_000 + b"\n", "header: it is not an export of the package database"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_another_file_format_is_refused(tmp_path: Path, name: str) -> None:
    content, message = FOREIGN[name]
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(ValidationError, match=message):
        items_of(tmp_path / "file")


def test_a_missing_file_is_a_validation_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cannot be read: No such file"):
        items_of(tmp_path / "file")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"schema_version": 6}, "the schema version 6, and this package reads 5: use a newer package"),
        ({"schema_version": 4}, "it has the schema version 4, and this package reads 5"),
        ({"schema_version": "5"}, "it has the schema version '5', and this package reads 5"),
        ({"schema_version": None}, "it has the schema version None, and this package reads 5"),
        ({"schema_version": True}, "it has the schema version True, and this package reads 5"),
        ({"sub": 7}, "its header is damaged"),
        ({"items": "many"}, "its header is damaged"),
        ({"items": 2}, "has 1 items, but its header states 2: it is truncated or damaged"),
        ({"items": 0}, "has 1 items, but its header states 0"),
        ({"sha256": "0" * 64}, "does not match the checksum of its header: it was changed or damaged"),
        ({"sub": "u2"}, "line 2: its sub is not that of the header"),
    ],
)
def test_an_invalid_header_is_refused(tmp_path: Path, header: dict[str, object], message: str) -> None:
    store = MemoryStore()
    put(store, credentials())
    export(store, tmp_path / "all.jsonl")
    body = lines(tmp_path / "all.jsonl")[1:]
    write(tmp_path / "changed.jsonl", sealed(body, **header))

    with pytest.raises(ValidationError, match=message):
        items_of(tmp_path / "changed.jsonl")


ITEM = '"sub": "u1", "id": "1", "public_key": "pk", "secret_key_hash": {"base64": "aA=="}'
LINES = {
    "no object": ("[]", "it is not an item of a table"),
    "another table": ('{"table": "package.other", "item": {}}', "it is not an item of a table"),
    "more keys": ('{"table": "package.credentials", "item": {}, "more": 1}', "it is not an item of a table"),
    "no item": ('{"table": "package.credentials", "item": "x"}', "it is not an item of a table"),
    "no JSON": ('{"table"', "it is not JSON in UTF-8"),
    "not a number": (
        '{"table": "package.credentials", "item": {"a": NaN}}',
        "'a' must be text, a whole number or base64",
    ),
    "a fraction": (
        '{"table": "package.credentials", "item": {"a": 1.5}}',
        "'a' must be text, a whole number or base64",
    ),
    "true": ('{"table": "package.credentials", "item": {"a": true}}', "'a' must be text, a whole number or base64"),
    "no base64": (
        f'{{"table": "package.credentials", "item": {{{ITEM}, "salt": {{"base64": "?"}}}}}}',
        "'salt' must be",
    ),
    "number in base64": ('{"table": "package.credentials", "item": {"a": {"base64": 7}}}', "'a' must be text"),
    "text as bytes": (f'{{"table": "package.credentials", "item": {{{ITEM}, "salt": "x"}}}}', "salt must be bytes"),
    "too long": (
        f'{{"table": "package.credentials", "item": {{"a": "{"x" * 5_000_000}"}}}}',
        "or is longer than 4194304",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_an_invalid_line_is_refused_with_its_number(tmp_path: Path, name: str) -> None:
    line, message = LINES[name]
    write(tmp_path / "file", sealed([line.encode() + b"\n"]))

    with pytest.raises(ValidationError, match=f"file, line 2: .*{message}"):
        items_of(tmp_path / "file")


def test_a_missing_line_is_refused(tmp_path: Path) -> None:
    export(filled(), tmp_path / "all.jsonl")
    whole = lines(tmp_path / "all.jsonl")
    write(tmp_path / "all.jsonl", whole[:4] + whole[5:])

    with pytest.raises(ValidationError, match="has 11 items, but its header states 12: it is truncated or damaged"):
        items_of(tmp_path / "all.jsonl")


def test_an_invalid_file_is_refused_before_the_first_write(tmp_path: Path) -> None:
    export(filled(100), tmp_path / "all.jsonl")
    *whole, last = lines(tmp_path / "all.jsonl")
    write(tmp_path / "all.jsonl", [*whole, last.replace(b'"u99"', b'"u98"')])
    store = MemoryStore()

    with pytest.raises(ValidationError):
        import_(tmp_path / "all.jsonl", store)

    assert store.writes == 0


def test_no_secret_is_in_a_message(tmp_path: Path) -> None:
    store = MemoryStore()
    put(store, credentials(secret=HASH, salt=SALT))
    export(store, tmp_path / "all.jsonl")
    (body,) = lines(tmp_path / "all.jsonl")[1:]
    messages = []

    for damaged in (body[:-2] + b"\n", body.replace(b'"pk', b'7, "'), body.replace(b'"sub":"u1",', b"")):
        write(tmp_path / "all.jsonl", sealed([damaged]))
        with pytest.raises(ValidationError) as caught:
            items_of(tmp_path / "all.jsonl")
        frames = caught.traceback[1:]
        messages += [
            str(caught.value),
            *(repr(frame.frame.f_locals) for frame in frames if "tests" not in str(frame.path)),
        ]

    assert find(" ".join(messages)) == []


def test_an_import_keeps_different_stored_items_and_lists_them(tmp_path: Path) -> None:
    store = filled()
    export(filled(), tmp_path / "all.jsonl")
    changed = credentials("u1", secret=b"changed")
    put(store, changed)
    before = dict(store.items)

    imported = import_(tmp_path / "all.jsonl", store)

    assert store.items == before
    assert imported.counts == {Outcome.NEW: 0, Outcome.SAME: 8, Outcome.KEPT: 1}
    assert [entry.key for entry in imported.kept] == [{"sub": "u1", "id": "1"}]


def test_a_single_latest_record_is_imported_with_its_version(tmp_path: Path) -> None:
    store, other = filled(1), MemoryStore()
    for place in [place for place in store.items if place[0] == SPECS.name and place[2] != b"latest#a"]:
        del store.items[place]
    export(store, tmp_path / "all.jsonl")

    import_(tmp_path / "all.jsonl", other)
    again = import_(tmp_path / "all.jsonl", other)

    assert sorted(place[2] for place in other.items) == [b"00000000000001000000#a", b"1", b"latest#a"]
    assert again.counts[Outcome.NEW] == 0


@pytest.mark.parametrize("count", [BATCH_ENTRIES - 1, BATCH_ENTRIES, BATCH_ENTRIES + 1, 5 * BATCH_ENTRIES])
def test_any_number_of_items_is_imported(tmp_path: Path, count: int) -> None:
    store, other = MemoryStore(), MemoryStore()
    for number in range(count):
        put(store, credentials("u1", str(number)))
    export(store, tmp_path / "all.jsonl")

    import_(tmp_path / "all.jsonl", other)

    assert other.items == store.items
    assert other.writes == -(-count // BATCH_ENTRIES)


def page_of(scan: Scan, count: int) -> Page:
    """Creates a page of a table with this number of credentials when it is read."""
    begin = 0 if scan.after is None else int(scan.after["sub"]) + 1
    end = min(count, begin + scan.limit) if scan.table is not SPECS else begin
    items = tuple(credentials(str(number)) for number in range(begin, end))
    return Page(items, {"sub": str(end - 1), "id": "1"} if end < count and items else None)


def peak(path: Path, count: int) -> int:
    """Returns the peak memory of an export and an import of this number of items."""
    tracemalloc.start()
    with open_part(path, None, "here", replace=True) as part:
        for entries in pages(lambda scan: page_of(scan, count), None, part.last):
            part.add(entries)
        part.finish(path)
    with open_export(path) as file:
        assert file.verify(lambda _: None).items == count
        import_entries(file.entries(), lambda steps: drive(steps, answer), lambda _: None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def answer(operation: Operation) -> Any:
    """Returns the results of a store without conflicting items."""
    return Stamped(0, "revision") if isinstance(operation, Stamp) else {}


def test_memory_does_not_grow_with_the_number_of_items(tmp_path: Path) -> None:
    with unmeasured():
        few, many = (peak(tmp_path / f"{count}.jsonl.gz", count) for count in (400, 1_000))

    # Less than the keys of the items.
    assert many < few + 30_000
