"""The tour: every function of the database at work on real documents, and what each asks of the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from ..core.deadline import Deadline
from ..core.operations import StoreOperation
from ..database import Database, open_database
from ..engines.port import Administration, Config
from ..exceptions import BaseError, NotFoundError
from ..model import ACCESS_PATTERNS
from ..model.schema import TABLES
from ..testing import local_server
from . import openapi
from .operation_text import count_items, explain

EXAMPLES = Path(__file__).parent / "examples"

_SUB = "alice"
_SHOWN_ACTIONS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One operation that the engine executed."""

    operation: StoreOperation
    items: int
    milliseconds: float


class ObservedEngine:
    """An engine that notes what it is asked."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._engine = config.open_engine(TABLES)
        self.asked: list[Asked] = []

    @property
    def attempt_seconds(self) -> float:
        """The engine's."""
        return self._engine.attempt_seconds

    def prepare(self) -> None:
        """Prepares the engine."""
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Has the engine carry out an operation, and notes what it cost."""
        start = time.perf_counter()
        result = self._engine.execute(operation, deadline)
        milliseconds = (time.perf_counter() - start) * 1000
        self.asked.append(Asked(operation, count_items(operation, result), milliseconds))
        return result

    def administration(self) -> Administration:
        """Returns the administration of the store's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()


@dataclass(frozen=True, slots=True)
class Stop:
    """One call on the tour: the function, its arguments and whether an answer is right, or which error is."""

    function: str
    arguments: dict[str, Any]
    is_right: Callable[[Any], bool]
    error: type[BaseError] | None = None


def take_tour(console: Console, config: Config | None = None) -> int:
    """Takes the tour and returns the exit code: 0 only if every answer was right.

    Args:
        console: Where it is shown.
        config: The store, where the tour has a user of its own and leaves nothing; None for a DynamoDB of its own.
    """
    if config is not None:
        console.print(f"The store at {config.location}.\n", highlight=False)
        return _take_tour(console, config, f"{_SUB}-{uuid4().hex[:8]}")
    with local_server.run() as url:
        config = local_server.config_of(url)
        administration = config.open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        names = " and ".join(table.name for table in TABLES)
        console.print(f"A DynamoDB of its own at {url}, with the tables {names}.\n", highlight=False)
        return _take_tour(console, config, _SUB)


def _take_tour(console: Console, config: Config, sub: str) -> int:
    documents = [openapi.read(path) for path in sorted(EXAMPLES.iterdir())]
    header = _grid()
    header.show_header = True
    console.print(header)
    engine = ObservedEngine(config)
    with open_database(engine) as database:
        engine.prepare()
        try:
            wrong = sum(not _visit(stop, database, engine, console) for stop in _stops(documents, sub))
        finally:
            with suppress(BaseError):
                database.delete_all(sub=sub)
    if wrong:
        console.print(f"[bold red]{wrong} answers were wrong.[/]")
    else:
        console.print(f"[bold green]Every answer was right:[/] {len(ACCESS_PATTERNS)} functions at work.")
    return int(bool(wrong))


def _stops(documents: list[openapi.Document], sub: str) -> Iterator[Stop]:
    """Yields the calls. What is right follows from the documents."""
    newest = {document.title: document for document in documents}
    titles = sorted(newest, key=lambda title: title.lower().replace(".", "-"))
    library = [document for document in documents if document.title == "Library"]
    user = {"sub": sub}
    first, second = (f"pk-{number} of {sub}" for number in (1, 2))
    spec = user | {"name": "library"}
    key = user | {"id_": "laptop"}
    secrets = {"secret_key_hash": b"hash of the secret key", "salt": b"salt"}

    for document in documents:
        published = {
            "name": document.title,
            "version": document.version,
            "model_count": document.model_count,
            "title": document.title,
            "description": document.description,
        }
        yield Stop("create_update_spec", user | published, _is_none)
    models = sum(document.model_count for document in newest.values())
    yield Stop("count_customer_models", user, lambda answer: answer == models)
    yield Stop("list_specs", user, lambda answer: [info["name"] for info in answer] == titles)
    yield Stop("get_spec", spec, lambda answer: answer["description"] == newest["Library"].description)
    yield Stop("get_latest_spec_version", spec, lambda answer: answer == newest["Library"].version)
    versions = [document.version for document in library]
    yield Stop("list_spec_versions", spec, lambda answer: [info["version"] for info in answer] == versions)
    yield Stop("create_update_credentials", key | {"public_key": first} | secrets, _is_none)
    yield Stop("list_credentials", user, lambda answer: [info["id"] for info in answer] == ["laptop"])
    yield Stop("get_credentials", key, lambda answer: answer["public_key"] == first)
    yield Stop(
        "get_user",
        {"public_key": first},
        lambda answer: (answer.sub, answer.secret_key_hash, answer.salt) == (sub, *secrets.values()),
    )
    yield Stop("delete_credentials", key, _is_none)
    yield Stop("get_user", {"public_key": first}, _is_none)
    yield Stop("delete_spec", spec, _is_none)
    yield Stop("list_spec_versions", spec, _is_none, NotFoundError)
    yield Stop("delete_all_specs", user, _is_none)
    yield Stop("create_update_credentials", key | {"public_key": second} | secrets, _is_none)
    yield Stop("delete_all_credentials", user, _is_none)
    yield Stop("delete_all", user, _is_none)
    yield Stop("count_customer_models", user, lambda answer: answer == 0)
    yield Stop("list_credentials", user, lambda answer: answer == [])


def _is_none(answer: object) -> bool:
    return answer is None


def _is_right(stop: Stop, answer: object) -> bool:
    try:
        return stop.is_right(answer)
    except (TypeError, LookupError, AttributeError):
        return False  # Of another kind than what is right.


def _visit(stop: Stop, database: Database, engine: ObservedEngine, console: Console) -> bool:
    engine.asked.clear()
    try:
        answer: object = getattr(database, stop.function)(**stop.arguments)
        right = stop.error is None and _is_right(stop, answer)
    except BaseError as error:
        answer, right = error, stop.error is not None and isinstance(error, stop.error)
    question = next(pattern.question for pattern in ACCESS_PATTERNS if pattern.name == stop.function)
    verdict = "[green]✓[/]" if right else "[bold red]WRONG[/]"
    arguments = ", ".join(f"{name}={_show(name, value)}" for name, value in stop.arguments.items())
    console.print(f"{verdict} [bold]{question}[/]")
    for line in (f"  {stop.function}({arguments})", f"  → {_summarize(answer)}"):
        console.print(escape(line), highlight=False, overflow="ellipsis", no_wrap=True)
    grid = _grid()
    for entry in engine.asked:
        grid.add_row(*_row(entry))
    console.print(grid, "")
    return right


def _grid() -> Grid:
    grid = Grid.grid(expand=True, padding=(0, 1))
    grid.add_column("operation", width=12)
    grid.add_column("table or index, and what is asked of it", ratio=1)
    grid.add_column("items", justify="right", width=5)
    grid.add_column("ms", justify="right", width=6)
    return grid


def _row(entry: Asked) -> tuple[str, ...]:
    explained = explain(entry.operation)
    lines = [explained.target, *explained.asked[:_SHOWN_ACTIONS]]
    if len(explained.asked) > _SHOWN_ACTIONS:
        lines.append(f"and {len(explained.asked) - _SHOWN_ACTIONS} more")
    return f"  {explained.operation}", escape("\n".join(lines)), str(entry.items), f"{entry.milliseconds:.1f}"


def _show(name: str, value: object) -> str:
    return "<secret>" if name in ("secret_key_hash", "salt") else repr(value)


def _summarize(answer: object) -> str:
    if isinstance(answer, BaseError):
        return f"{type(answer).__name__}: {answer}"
    if isinstance(answer, list):
        shown = ", ".join(_summarize(entry) for entry in answer)
        return f"{len(answer)}: {shown}" if answer else "[]"
    if isinstance(answer, dict):
        return " ".join(str(answer[name]) for name in ("id", "version", "public_key") if name in answer)
    return repr(answer)
