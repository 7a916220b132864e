"""The command ``tour``: calls every function on example documents, checks the results and prints the operations."""

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
from ..engines.port import Config
from ..engines.wrapper import EngineWrapper
from ..exceptions import BaseError, ConflictError, NotFoundError
from ..model import ACCESS_PATTERNS
from ..model.schema import TABLES
from ..testing import dynamodb_server
from . import openapi
from .operation_text import count_items, explain
from .output import count_of, printable

EXAMPLES = Path(__file__).parent / "examples"

_SUB = "alice"


@dataclass(frozen=True, slots=True)
class Execution:
    """An executed operation, the number of its items and its duration."""

    operation: StoreOperation
    items: int
    milliseconds: float


class RecordingEngine(EngineWrapper):
    """An engine that records the operations that another engine executes."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.open_engine(TABLES))
        self.executions: list[Execution] = []

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        """Executes and records an operation."""
        start = time.perf_counter()
        result = super().execute(operation, deadline)
        milliseconds = (time.perf_counter() - start) * 1000
        self.executions.append(Execution(operation, count_items(operation, result), milliseconds))
        return result


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function with its arguments, and a check of its result or the expected error."""

    function: str
    arguments: dict[str, Any]
    is_expected: Callable[[Any], bool]
    error: type[BaseError] | None = None


def run_tour(console: Console, config: Config | None = None, *, verbose: bool = False) -> int:
    """Runs the tour and returns the exit code: 0 only if every result is correct.

    Args:
        console: The output.
        config: The store, on which the tour creates the data of a new user and deletes it; None for a local DynamoDB.
        verbose: Whether to print every operation.
    """
    if config is not None:
        _print(console, f"Store: {config.location}", "")
        return _run_calls(console, config, f"{_SUB}-{uuid4().hex[:8]}", verbose=verbose)
    with dynamodb_server.run() as url:
        config = dynamodb_server.config_of(url)
        administration = config.open_engine(TABLES).administration()
        for table in TABLES:
            administration.create(table)
        _print(console, f"Store: a local DynamoDB at {url}", "")
        return _run_calls(console, config, _SUB, verbose=verbose)


def _run_calls(console: Console, config: Config, sub: str, *, verbose: bool) -> int:
    _print(console, f"Calls every function and checks each result. The user {sub} and the specs are example data.")
    _print(
        console,
        "A second version of a spec within one second takes 2 operations: the first returns the latest time.",
        "",
    )
    documents = [openapi.read(path) for path in sorted(EXAMPLES.iterdir())]
    engine = RecordingEngine(config)
    with open_database(engine) as database:
        engine.prepare()
        try:
            wrong = sum(
                not _run_call(call, database, engine, console, verbose=verbose) for call in _calls(documents, sub)
            )
        finally:
            with suppress(BaseError):
                database.delete_all(sub=sub)
    if wrong:
        _print(console, f"{count_of(wrong, 'result')} not as expected.", style="bold red")
    else:
        _print(console, f"All results are correct: {len(ACCESS_PATTERNS)} functions were called.", style="bold green")
    return int(bool(wrong))


def _calls(documents: list[openapi.Document], sub: str) -> Iterator[Call]:
    """Yields the calls. The expected results are derived from the documents."""
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
    yield Call("iter_spec_snapshots", user, lambda answer: [info["name"] for info in answer] == titles)
    yield Call("get_spec", spec, lambda answer: answer["description"] == newest["Library"].description)
    yield Call("get_latest_spec_version", spec, lambda answer: answer == newest["Library"].version)
    yield Call("get_spec_snapshot", spec, lambda answer: len(answer["revision"]) > 0)
    outdated = {"revision": "an older one", "version": "0", "model_count": 0}
    yield Call("update_spec", spec | outdated, _is_none, ConflictError)
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


def _is_none(result: object) -> bool:
    return result is None


def _is_correct(call: Call, result: object) -> bool:
    try:
        return call.is_expected(result)
    except (TypeError, LookupError, AttributeError):
        return False  # The result has another type.


def _run_call(call: Call, database: Database, engine: RecordingEngine, console: Console, *, verbose: bool) -> bool:
    """Makes a call, prints it, and returns whether its result is correct."""
    engine.executions.clear()
    try:
        result: object = getattr(database, call.function)(**call.arguments)
        result = list(result) if isinstance(result, Iterator) else result
        correct = call.error is None and _is_correct(call, result)
    except BaseError as error:
        result, correct = error, call.error is not None and isinstance(error, call.error)
    question = next(pattern.question for pattern in ACCESS_PATTERNS if pattern.name == call.function)
    arguments = ", ".join(f"{name}={_show(name, value)}" for name, value in call.arguments.items())
    milliseconds = sum(execution.milliseconds for execution in engine.executions)
    _print(console, f"{'✓' if correct else 'WRONG'} {question}", style="bold" if correct else "bold red")
    _print(console, f"  {call.function}({arguments})", f"  → {_summarize(result)}")
    _print(console, f"  {count_of(len(engine.executions), 'operation')}, {milliseconds:.1f} ms", style="dim")
    if verbose:
        for execution in engine.executions:
            _print(console, *_describe(execution))
    _print(console, "")
    return correct


def _print(console: Console, *lines: str, style: str = "") -> None:
    """Prints lines; on a terminal, lines that are too long are truncated."""
    for line in lines:
        text = Text(printable(line), style)
        if console.is_terminal:
            text.truncate(console.width, overflow="ellipsis")
        console.print(text, soft_wrap=True)


def _describe(execution: Execution) -> Iterator[str]:
    text = explain(execution.operation)
    cost = f"{count_of(execution.items, 'item')}, {execution.milliseconds:.1f} ms"
    yield f"    {text.operation} {text.target} ({cost})"
    for line in text.parameters:
        yield f"      {line}"


def _show(name: str, value: object) -> str:
    return "<secret>" if name in ("secret_key_hash", "salt") else repr(value)


def _summarize(result: object) -> str:
    if isinstance(result, BaseError):
        return f"{type(result).__name__}: {result}"
    if isinstance(result, list):
        shown = ", ".join(_summarize(entry) for entry in result)
        return f"{len(result)}: {shown}" if result else "[]"
    if isinstance(result, dict):
        return " ".join(str(result[name]) for name in ("id", "version", "public_key") if name in result)
    return repr(result)
