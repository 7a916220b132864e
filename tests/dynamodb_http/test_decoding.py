"""What a server answered, read by both wires: they understand the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from open_alchemy.package_database.core.deadline import Deadline
from open_alchemy.package_database.core.runner import drive
from open_alchemy.package_database.engines.dynamodb.config import Wire
from open_alchemy.package_database.engines.dynamodb.engine import DynamoDBEngine
from open_alchemy.package_database.engines.dynamodb.retry import Failure
from tests.apis import config_of
from tests.canned_server import Handler, serve
from tests.dynamodb_http.record import RECORDED, REQUESTS

ANSWERS: list[dict[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))


def ask(wire: Wire, answer: dict[str, Any]) -> Any:
    def give(handler: Handler) -> None:
        headers = {name.replace("-", "_"): value for name, value in answer["headers"].items()}
        handler.answer(answer["status"], answer["body"].encode(), **headers)

    with serve(give) as server:
        made = DynamoDBEngine(config_of(server.url)._replace(wire=wire))._client
        request = next(request for action, request in REQUESTS if action == answer["action"])
        read = drive(made.attempts(answer["action"], request, Deadline(2.0)), made.perform)
        made.close()
    if isinstance(read, Failure):
        return read._replace(cause=None)
    return {name: value for name, value in read.items() if name != "ResponseMetadata"}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['action']} {answer['status']}")
def test_both_wires_read_the_same(answer: dict[str, Any]) -> None:
    lean, boto3 = ask("lean", answer), ask("boto3", answer)

    assert _without_times(lean) == _without_times(boto3)


def test_what_was_recorded_has_answers_and_refusals() -> None:
    assert {answer["status"] for answer in ANSWERS} == {200, 400}
    assert len(ANSWERS) == len(REQUESTS)


def _without_times(read: Any) -> Any:
    """Leaves out when a table was created: boto3 makes a datetime of it, and only boto3 is asked for it."""
    if isinstance(read, dict) and "Table" in read:
        return {**read, "Table": {**read["Table"], "CreationDateTime": None}}
    return read
