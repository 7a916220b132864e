"""A DynamoDB in this process, on which every test starts with the same items. It knows no fault."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.model.keys import LATEST, padded, record_keys
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES
from open_alchemy.package_database.testing import moto_patches

WRITES = frozenset({"BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems"})
CREDENTIALS_COUNT = 25
"""As many as one BatchWriteItem deletes."""

_SIGNATURE = "AWS4-HMAC-SHA256 Credential=key/20250101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True, slots=True)
class Request:
    """A request: an action of DynamoDB, and its parameters as JSON."""

    action: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    content: dict[str, Any]


class Backend:
    """moto, with the idempotency of client request tokens, which moto ignores. Safe to use from many threads.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """

    def __init__(self) -> None:
        self._replacements = list(moto_patches.replacements())
        self._client = Client(create_backend_app("dynamodb"))
        self._lock = threading.Lock()
        self._executed: dict[str, Any] = {}
        self._create_tables()
        self._initial = {table.name: _copy(table.items) for table in self._tables()}

    def answer(self, request: Request) -> Answer:
        """Executes a request, unless a transaction with its token was executed, and returns the answer."""
        with self._lock:
            token = request.content.get("ClientRequestToken")
            if token in self._executed:
                if self._executed[token] == request.content:
                    return Answer(200, {})
                return Answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException"})
            answer = self._ask(request)
            if token is not None and answer.status == 200:
                self._executed[token] = request.content
            return answer

    def restore(self) -> None:
        """Restores the tables, version 1.0 of the spec a of user u1 and their credentials, and forgets all tokens."""
        self._executed.clear()
        if self._backend().tables.keys() < self._initial.keys():
            # mock_aws of another test has reset moto in this process.
            self._create_tables()
        for table in self._tables():
            table.items = _copy(self._initial[table.name])

    def items(self) -> dict[str, list[Any]]:
        """Returns the items of each table, in a fixed order."""
        return {
            table.name: sorted((item.to_json()["Attributes"] for item in table.all_items()), key=str)
            for table in self._tables()
        }

    def _create_tables(self) -> None:
        for table, items in ((SPECS, _specs()), (CREDENTIALS, _credentials())):
            self._ask(Request("DeleteTable", {"TableName": table.name}))
            self._ask(Request("CreateTable", create_table(table)))
            puts = [{"PutRequest": {"Item": item}} for item in items]
            assert self._ask(Request("BatchWriteItem", {"RequestItems": {table.name: puts}})).status == 200

    @classmethod
    def _tables(cls) -> list[Any]:
        """Returns moto's tables: a scan over HTTP takes longer than most tests."""
        tables = cls._backend().tables
        return [tables[table.name] for table in TABLES]

    @staticmethod
    def _backend() -> Any:
        return get_backend("dynamodb")[DEFAULT_ACCOUNT_ID]["us-east-1"]

    def _ask(self, request: Request) -> Answer:
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{request.action}", "Authorization": _SIGNATURE}
        with pytest.MonkeyPatch.context() as patch:
            # Without them moto takes several times as long. Other tests of this process use moto as it is.
            for replacement in self._replacements:
                patch.setattr(*replacement)
            response = self._client.post("/", headers=headers, data=json.dumps(request.content))
        return Answer(response.status_code, json.loads(response.get_data()))


def _copy(items: Mapping[str, Mapping[str, Any]]) -> defaultdict[str, dict[str, Any]]:
    """Returns a copy of the items of a table of moto, by partition key and sort key."""
    return defaultdict(dict, {key: dict(partition) for key, partition in items.items()})


def _specs() -> list[dict[str, Any]]:
    attributes = {"sub": "u1", "id": "a", "name": "a", "version": "1.0", "updated_at": "1700000000", "revision": "r"}
    records = [{**attributes, **record_keys(moment, "a")} for moment in (LATEST, padded(1_700_000_000))]
    return [{**{name: {"S": value} for name, value in record.items()}, "model_count": {"N": "1"}} for record in records]


def _credentials() -> list[dict[str, Any]]:
    return [
        {
            **{name: {"S": value} for name, value in (("sub", "u1"), ("id", f"{n}"), ("public_key", f"pk {n}"))},
            **{name: {"B": "AA=="} for name in ("secret_key_hash", "salt")},
        }
        for n in range(CREDENTIALS_COUNT)
    ]
