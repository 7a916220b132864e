"""Determines the requests of each function by running every access pattern and recording the requests."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from open_alchemy.package_database import ConflictError, NotFoundError
from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.operations import StoreOperation
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.database import open_database
from open_alchemy.package_database.engines.dynamodb.boto3_client import Attempt, Boto3Client
from open_alchemy.package_database.engines.dynamodb.execution import Executor
from open_alchemy.package_database.engines.dynamodb.retry import Quota
from open_alchemy.package_database.model import ACCESS_PATTERNS
from open_alchemy.package_database.model.keys import LATEST
from open_alchemy.package_database.testing.memory import MemoryEngine, MemoryStore


@dataclass(frozen=True, slots=True)
class Use:
    """A request on a table or an index, and the IAM action that it requires."""

    operation: str
    action: str
    table: str
    index: str | None


_READS = {"GetItem", "BatchGetItem", "Query", "Scan"}
_TRANSACTION = {
    "Put": "PutItem",
    "Delete": "DeleteItem",
    "Update": "UpdateItem",
    "ConditionCheck": "ConditionCheckItem",
}
_ARGUMENTS: dict[str, Any] = {
    "sub": "u1",
    "name": "a",
    "version": "1",
    "revision": "r",
    "model_count": 1,
    "id_": "laptop",
    "public_key": "pk",
    "secret_key_hash": b"hash",
    "salt": b"salt",
}


def uses() -> dict[str, set[Use]]:
    """Returns the requests of each access pattern, over all states of the store that lead to other requests."""
    names = [pattern.name for pattern in ACCESS_PATTERNS]
    return {name: {use for store in _stores() for use in _run(name, store)} for name in names}


def only_reads(found: set[Use]) -> bool:
    """Returns whether none of the requests writes."""
    return all(use.action in _READS for use in found)


class _Recorder(MemoryEngine):
    """The in-memory engine, which also records the DynamoDB request of each operation."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.uses: set[Use] = set()
        self._executor = Executor(Boto3Client.attempts, Quota(), random=lambda: 0)

    def execute(self, operation: StoreOperation, deadline: Deadline) -> Any:
        drive(self._executor.execute(operation, deadline), self._answer)
        return super().execute(operation, deadline)

    def _answer(self, attempt: Attempt) -> Any:
        self.uses.update(_uses(attempt.action, attempt.request))
        return {"Items": []}


def _uses(operation: str, request: dict[str, Any]) -> Iterator[Use]:
    match operation:
        case "TransactWriteItems":
            for item in request["TransactItems"]:
                for kind, content in item.items():
                    yield Use(operation, _TRANSACTION[kind], content["TableName"], None)
        case _:
            yield Use(operation, operation, request["TableName"], request.get("IndexName"))


def _stores() -> list[MemoryStore]:
    """Returns an empty store, one with a user's spec and credentials, and that one without its latest record."""
    full = MemoryStore()
    for version in ("1", "2"):
        _call("create_update_spec", MemoryEngine(full), version=version)
    _call("create_update_credentials", MemoryEngine(full))
    # Version 4 may have left version records without the latest record.
    torn = full.copy()
    torn.items = {place: item for place, item in full.items.items() if not place[2].startswith(LATEST.encode())}
    return [MemoryStore(), full, torn]


def _run(name: str, store: MemoryStore) -> set[Use]:
    recorder = _Recorder(store)
    with suppress(NotFoundError, ConflictError):
        _call(name, recorder)
    return recorder.uses


def _call(name: str, engine: MemoryEngine, **changed: Any) -> None:
    (pattern,) = (pattern for pattern in ACCESS_PATTERNS if pattern.name == name)
    parameters = inspect.signature(pattern.steps).parameters.values()
    arguments = {each.name: _ARGUMENTS[each.name] for each in parameters if each.default is each.empty}
    result = getattr(open_database(engine), name)(**{**arguments, **changed})
    if pattern.is_stream:
        list(result)
