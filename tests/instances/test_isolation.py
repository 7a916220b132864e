"""Threads and tasks switch between instances at random: no read or write reaches another instance's store.

Every record has the name of its instance. The test finds a leak when the ``ContextVar`` is replaced by a variable that
is shared by all threads, or by all tasks of a thread.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from open_alchemy import package_database
from open_alchemy.package_database import BaseError
from open_alchemy.package_database.instances import api, selection
from open_alchemy.package_database.instances.closer import closer
from open_alchemy.package_database.instances.instance_file import InstanceFile
from open_alchemy.package_database.instances.open_engines import OpenEngines

DESCRIPTORS = Path("/proc/self/fd")


class Size(NamedTuple):
    """How much a run does, and how many engines stay open."""

    instances: int
    threads: int
    tasks: int
    steps: int
    max_open: int


MODERATE = Size(instances=24, threads=16, tasks=24, steps=2, max_open=8)
SMALL = Size(instances=8, threads=8, tasks=12, steps=2, max_open=4)
FULL = Size(instances=1_000, threads=64, tasks=1_000, steps=4, max_open=100)


@contextmanager
def instances_in(folder: Path, size: Size) -> Iterator[list[str]]:
    """Makes instances on SQLite files the instances of this process; yields their ids."""
    ids = [f"instance-{number}" for number in range(size.instances)]
    tables = "".join(f'[instances.{name}]\nurl = "sqlite:///{folder / name}.db"\n' for name in ids)
    file = folder / "instances.toml"
    file.write_text(f"max_open = {size.max_open}\n{tables}")
    directory = InstanceFile(str(file), {})
    with api.replaced(lambda: directory):
        yield ids
    directory.close()


class Run:
    """A run with its findings."""

    def __init__(self, ids: list[str], seed: int) -> None:
        self._ids = ids
        self._seed = seed
        self.leaks: list[str] = []
        self.still_open: set[str] = set()

    def in_thread(self, number: int, steps: int) -> None:
        random = Random(f"{self._seed} thread {number}")  # noqa: S311 (repeatable)
        database = package_database.get()
        for step in range(steps):
            outer, inner = random.choices(self._ids, k=2)
            try:
                with package_database.instance(outer):
                    self._write(database, outer, f"t{number}-{step}")
                    streamed = database.iter_specs(sub="u1")
                    with package_database.instance(inner):
                        self._check(inner, database.list_specs(sub="u1"))
                        # The stream was opened in the outer instance.
                        self._check(outer, list(streamed))
                    self._check(outer, database.list_specs(sub="u1"))
            except BaseError as error:
                self.leaks.append(f"{outer}: {error}")

    async def in_task(self, number: int, steps: int) -> None:
        random = Random(f"{self._seed} task {number}")  # noqa: S311 (repeatable)
        database = package_database.get_async()
        for step in range(steps):
            outer, inner = random.choices(self._ids, k=2)
            try:
                with package_database.instance(outer):
                    name = f"{outer}.a{number}-{step}"
                    await asyncio.sleep(0)
                    await database.create_update_spec(sub="u1", name=name, version="1", model_count=1)
                    with package_database.instance(inner):
                        self._check(inner, await database.list_specs(sub="u1"))
                    in_thread = await asyncio.to_thread(lambda: package_database.get().list_specs(sub="u1"))
                    self._check(outer, in_thread)
                    self._check(outer, await asyncio.create_task(database.list_specs(sub="u1")))
            except BaseError as error:
                self.leaks.append(f"{outer}: {error}")

    def _write(self, database: Any, instance: str, name: str) -> None:
        database.create_update_spec(sub="u1", name=f"{instance}.{name}", version="1", model_count=1)

    def _check(self, instance: str, specs: list[Any]) -> None:
        self.leaks += [f"{spec['name']} in {instance}" for spec in specs if spec["name"].partition(".")[0] != instance]


def execute(folder: Path, size: Size, seed: int = 1) -> Run:
    """Runs threads and tasks, and adds what the stores contain at the end to the findings."""
    with instances_in(folder, size) as ids:
        run = Run(ids, seed)

        async def tasks() -> None:
            await asyncio.gather(*(run.in_task(number, size.steps) for number in range(size.tasks)))

        loop = threading.Thread(target=asyncio.run, args=(tasks(),))
        loop.start()
        with ThreadPoolExecutor(size.threads) as threads:
            list(threads.map(run.in_thread, range(size.threads), [size.steps] * size.threads))
        loop.join()
        run.still_open = still_open(folder)
        for instance in ids:
            with package_database.connect(f"sqlite:///{folder / instance}.db") as database:
                run._check(instance, database.list_specs(sub="u1"))
    return run


def still_open(folder: Path) -> set[str]:
    """Returns the databases in a folder that are open when the thread that closes engines has nothing left to close."""
    gc.collect()
    is_done = threading.Event()
    closer.start()
    closer.add(is_done.set)
    is_done.wait()
    return open_in(folder)


def open_in(folder: Path) -> set[str]:
    """Returns the databases in a folder that are open in this process; none where the system does not list them."""
    found = set()
    for descriptor in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        with suppress(OSError):
            target = descriptor.readlink()
            if target.parent == folder and target.suffix == ".db":
                found.add(target.name)
    return found


@pytest.mark.parametrize("size", [MODERATE, pytest.param(FULL, marks=pytest.mark.long)], ids=["moderate", "full"])
def test_no_call_reaches_the_store_of_another_instance(tmp_path: Path, size: Size) -> None:
    run = execute(tmp_path, size)

    assert run.leaks == []
    assert len(run.still_open) <= size.max_open


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="the system does not list open files")
def test_engines_that_are_never_closed_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenEngines, "_close_surplus", lambda _: None)

    assert len(execute(tmp_path, SMALL).still_open) > SMALL.max_open


class GlobalVariable:
    """Has the methods of a ``ContextVar``, but one value for the process."""

    def __init__(self) -> None:
        self.value: tuple[Any, ...] = ()

    def get(self) -> tuple[Any, ...]:
        return self.value

    def set(self, value: tuple[Any, ...]) -> None:
        self.value = value


class ThreadVariable(threading.local, GlobalVariable):
    """The same, with one value for each thread."""


@pytest.mark.parametrize("variable", [GlobalVariable, ThreadVariable])
def test_another_variable_than_a_context_variable_leaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: type[Any]
) -> None:
    monkeypatch.setattr(selection, "_selections", variable())

    assert execute(tmp_path, SMALL).leaks != []
