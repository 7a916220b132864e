"""In-memory stores for the tests of export, import and upgrade."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from open_alchemy.package_database.admin.export_reader import open_export
from open_alchemy.package_database.admin.export_writer import open_part, pages
from open_alchemy.package_database.admin.import_batches import Imported, import_entries
from open_alchemy.package_database.core.operations import Item, Page, Scan, Steps
from open_alchemy.package_database.core.secret import Secret
from open_alchemy.package_database.database import run
from open_alchemy.package_database.model.schema import CREDENTIALS
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore
from tests.simulation.scheduler import SECOND, Plan, execute


class Interruption(BaseException):
    """Interrupts a program, such as ``KeyboardInterrupt``."""


def credentials(sub: str = "u1", id_: str = "1", *, secret: bytes = b"\xffhash", salt: bytes = b"\xffsalt") -> Item:
    return {
        "sub": sub,
        "id": id_,
        "public_key": f"pk-{sub}-{id_}",
        "secret_key_hash": Secret(secret),
        "salt": Secret(salt),
    }


def put(store: MemoryStore, item: Item) -> None:
    store.items[CREDENTIALS.name, str(item["sub"]).encode(), str(item["id"]).encode()] = item


def filled(users: int = 3) -> MemoryStore:
    """Returns a store in which each user has a spec in two versions, and credentials."""
    store = MemoryStore()
    for number in range(users):
        for second in (0, 1):
            execute(store, Plan("create", f"{second}.0", (SECOND + second,), sub=f"u{number}"))
        put(store, credentials(f"u{number}"))
    return store


def reader(store: MemoryStore, *, fail_at: int | None = None) -> Callable[[Scan], Page]:
    """Returns a function that reads pages of at most two items, and is interrupted at page ``fail_at``."""
    count = 0

    def read(scan: Scan) -> Page:
        nonlocal count
        count += 1
        if count == fail_at:
            raise Interruption
        small = Scan(scan.table, 2, scan.after, scan.partition)
        page: Page = run(_ask(small), MemoryEngine(store), name="test")
        return page

    return read


def _ask(operation: Any) -> Steps[Any]:
    return (yield operation)


def export(
    store: MemoryStore,
    path: Path,
    *,
    sub: str | None = None,
    place: str = "here",
    fail_at: int | None = None,
    replace: bool = False,
) -> None:
    with open_part(path, sub, place, replace=replace) as part:
        for entries in pages(reader(store, fail_at=fail_at), sub, part.last):
            part.add(entries)
        part.finish(path)


def import_(path: Path, store: MemoryStore) -> Imported:
    with open_export(path) as file:
        file.verify(lambda _: None)
        return import_entries(
            file.entries(), lambda steps: run(steps, MemoryEngine(store), name="an import"), lambda _: None
        )
