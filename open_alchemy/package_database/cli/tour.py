"""The tour: calls every function on example documents, checks the answers and shows the requests to the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.text import Text

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
from .output import count_of, printable

EXAMPLES = Path(__file__).parent / "examples"

_SUB = "alice"


@dataclass(frozen=True, slots=True)
class Request:
    """An operation that was executed, the number of its items and its duration."""

    operation: StoreOperation
    items: int
    milliseconds: float


class RecordingEngine:
    """An engine that records its operations."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._engine = config.open_engine(TABLES)
        self.requests: list[Request] = []

    @property
    def attempt_seconds(self) -> float:
        """As the recorded engine."""
        return self._engine.attempt_seconds

    def prepare(self) -> None:
        """Prepares the recorded engine."""
        self._engine.prepare()

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes and records an operation."""
        start = time.perf_counter()
        result = self._engine.execute(operation, deadline)
        milliseconds = (time.perf_counter() - start) * 1000
        self.requests.append(Request(operation, count_items(operation, result), milliseconds))
        return result

    def administration(self) -> Administration:
        """Returns the administration of the store's tables."""
        return self._engine.administration()

    def close(self) -> None:
        """Closes the recorded engine."""
        self._engine.close()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the tour: the function, its arguments, and a check of its answer or the expected error."""

    function: str
    arguments: dict[str, Any]
    is_right: Callable[[Any], bool]
    error: type[BaseError] | None = None


def take_tour(console: Console, config: Config | None = None, *, verbose: bool = False) -> int:
    """Runs the tour and returns the exit code: 0 only if every answer is right.

    Args:
        console: Where it is shown.
        config: The store, on which the tour uses a user of its own and deletes its data; None for a local DynamoDB.
        verbose: Whether to show every request.
    """
    if config is not None:
        _print(console, f"Store: {config.location}", "")
        return _take_tour(console, config, f"{_SUB}-{uuid4().hex[:8]}", verbose=verbose)
    with local_server.run() as url:
        config = local_server.config_of(url)
        administration = config.open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        _print(console, f"Store: a local DynamoDB at {url}", "")
        return _take_tour(console, config, _SUB, verbose=verbose)


def _take_tour(console: Console, config: Config, sub: str, *, verbose: bool) -> int:
    documents = [openapi.read(path) for path in sorted(EXAMPLES.iterdir())]
    engine = RecordingEngine(config)
    with open_database(engine) as database:
        engine.prepare()
        try:
            wrong = sum(not _make(call, database, engine, console, verbose=verbose) for call in _calls(documents, sub))
        finally:
            with suppress(BaseError):
                database.delete_all(sub=sub)
    if wrong:
        _print(console, f"{wrong} answers were wrong.", style="bold red")
    else:
        _print(console, f"Every answer was right: {len(ACCESS_PATTERNS)} functions were called.", style="bold green")
    return int(bool(wrong))


def _calls(documents: list[openapi.Document], sub: str) -> Iterator[Call]:
    """Yields the calls. The expected answers follow from the documents."""
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
        yield Call("create_update_spec", user | published, _is_none)
    models = sum(document.model_count for document in newest.values())
    yield Call("count_customer_models", user, lambda answer: answer == models)
    yield Call("list_specs", user, lambda answer: [info["name"] for info in answer] == titles)
    yield Call("iter_specs", user, lambda answer: [info["name"] for info in answer] == titles)
    yield Call("get_spec", spec, lambda answer: answer["description"] == newest["Library"].description)
    yield Call("get_latest_spec_version", spec, lambda answer: answer == newest["Library"].version)
    versions = [document.version for document in library]
    yield Call("list_spec_versions", spec, lambda answer: [info["version"] for info in answer] == versions)
    yield Call("create_update_credentials", key | {"public_key": first} | secrets, _is_none)
    yield Call("list_credentials", user, lambda answer: [info["id"] for info in answer] == ["laptop"])
    yield Call("get_credentials", key, lambda answer: answer["public_key"] == first)
    yield Call(
        "get_user",
        {"public_key": first},
        lambda answer: (answer.sub, answer.secret_key_hash, answer.salt) == (sub, *secrets.values()),
    )
    yield Call("delete_credentials", key, _is_none)
    yield Call("get_user", {"public_key": first}, _is_none)
    yield Call("delete_spec", spec, _is_none)
    yield Call("list_spec_versions", spec, _is_none, NotFoundError)
    yield Call("delete_all_specs", user, _is_none)
    yield Call("create_update_credentials", key | {"public_key": second} | secrets, _is_none)
    yield Call("delete_all_credentials", user, _is_none)
    yield Call("delete_all", user, _is_none)
    yield Call("count_customer_models", user, lambda answer: answer == 0)
    yield Call("list_credentials", user, lambda answer: answer == [])


def _is_none(answer: object) -> bool:
    return answer is None


def _is_right(call: Call, answer: object) -> bool:
    try:
        return call.is_right(answer)
    except (TypeError, LookupError, AttributeError):
        return False  # The answer has another type.


def _make(call: Call, database: Database, engine: RecordingEngine, console: Console, *, verbose: bool) -> bool:
    """Makes a call, shows it, and returns whether its answer is right."""
    engine.requests.clear()
    try:
        answer: object = getattr(database, call.function)(**call.arguments)
        answer = list(answer) if isinstance(answer, Iterator) else answer
        right = call.error is None and _is_right(call, answer)
    except BaseError as error:
        answer, right = error, call.error is not None and isinstance(error, call.error)
    question = next(pattern.question for pattern in ACCESS_PATTERNS if pattern.name == call.function)
    arguments = ", ".join(f"{name}={_show(name, value)}" for name, value in call.arguments.items())
    milliseconds = sum(request.milliseconds for request in engine.requests)
    _print(console, f"{'✓' if right else 'WRONG'} {question}", style="bold" if right else "bold red")
    _print(console, f"  {call.function}({arguments})", f"  → {_summarize(answer)}")
    _print(console, f"  {count_of(len(engine.requests), 'request')}, {milliseconds:.1f} ms", style="dim")
    if verbose:
        for request in engine.requests:
            _print(console, *_describe(request))
    _print(console, "")
    return right


def _print(console: Console, *lines: str, style: str = "") -> None:
    """Prints lines; one that does not fit a terminal is cut."""
    for line in lines:
        text = Text(printable(line), style)
        if console.is_terminal:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text, soft_wrap=True)


def _describe(request: Request) -> Iterator[str]:
    text = explain(request.operation)
    cost = f"{count_of(request.items, 'item')}, {request.milliseconds:.1f} ms"
    yield f"    {text.operation} {text.target} ({cost})"
    for line in text.asked:
        yield f"      {line}"


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
