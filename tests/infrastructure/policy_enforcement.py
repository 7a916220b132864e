"""Enforces the policies of IAM users on moto's DynamoDB, as AWS documents.

moto ignores ``dynamodb:LeadingKeys``, and requires one action for a whole transaction. AWS requires the action of each
part:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from typing import Any

from moto.iam.models import iam_backends

from open_alchemy.package_database.model.schema import TABLES
from open_alchemy.package_database.testing.dynamodb_server import Application

ACCOUNT = "123456789012"

_PARTITION_KEYS = {table.name: table.partition_key for table in TABLES} | {
    f"{table.name}/index/{index.name}": index.partition_key for table in TABLES for index in table.indexes
}
_TRANSACTION_ACTIONS = {
    "Put": "PutItem",
    "Delete": "DeleteItem",
    "Update": "UpdateItem",
    "ConditionCheck": "ConditionCheckItem",
}


@dataclass(frozen=True, slots=True)
class Access:
    """An access that a policy must allow.

    Attributes:
        action: The IAM action, without ``dynamodb:``.
        resource: The name of the table, or ``table/index/name``.
        leading_keys: The partition keys of the request.
    """

    action: str
    resource: str
    leading_keys: tuple[str, ...]


def accesses(operation: str, request: Mapping[str, Any]) -> Iterator[Access]:
    """Yields the accesses that a request to DynamoDB requires."""
    match operation:
        case "TransactWriteItems":
            for part in request["TransactItems"]:
                for kind, content in part.items():
                    yield _single(_TRANSACTION_ACTIONS[kind], content)
        case "BatchWriteItem":
            for table, writes in request["RequestItems"].items():
                keys = [_leading_key(table, content) for write in writes for content in write.values()]
                yield Access(operation, table, tuple(keys))
        case "Query":
            index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
            yield Access(operation, request["TableName"] + index, _queried(request, request["TableName"] + index))
        case "GetItem" | "PutItem" | "DeleteItem":
            yield _single(operation, request)
        case _:
            yield Access(operation, request.get("TableName", "*"), ())


def _single(action: str, content: Mapping[str, Any]) -> Access:
    return Access(action, content["TableName"], (_leading_key(content["TableName"], content),))


def _leading_key(table: str, content: Mapping[str, Any]) -> str:
    key: dict[str, str] = (content.get("Key") or content["Item"])[_PARTITION_KEYS[table]]
    return next(iter(key.values()))


def _queried(request: Mapping[str, Any], resource: str) -> tuple[str, ...]:
    names = request.get("ExpressionAttributeNames", {})
    equal = re.findall(r"([#\w]+)\s*=\s*(:\w+)", request["KeyConditionExpression"])
    return tuple(
        next(iter(request["ExpressionAttributeValues"][value].values()))
        for name, value in equal
        if names.get(name, name) == _PARTITION_KEYS[resource]
    )


def is_allowed(access: Access, documents: Iterable[Mapping[str, Any]]) -> bool:
    """Returns whether a statement allows the access. The policies have no statement that denies."""
    return any(_allows(statement, access) for document in documents for statement in document["Statement"])


def _allows(statement: Mapping[str, Any], access: Access) -> bool:
    resources = [resource.rpartition(":table/")[2] for resource in _several(statement["Resource"])]
    return (
        statement["Effect"] == "Allow"
        and f"dynamodb:{access.action}" in _several(statement["Action"])
        and access.resource in resources
        and _conditions_hold(statement.get("Condition", {}), access.leading_keys)
    )


def _conditions_hold(conditions: Mapping[str, Any], leading_keys: tuple[str, ...]) -> bool:
    for operator, compared in conditions.items():
        assert compared.keys() == {"dynamodb:LeadingKeys"}
        patterns = _several(compared["dynamodb:LeadingKeys"])
        match operator:
            case "ForAllValues:StringLike":
                holds = all(any(fnmatchcase(key, pattern) for pattern in patterns) for key in leading_keys)
            case "Null":
                holds = (not leading_keys) == (patterns == ["true"])
            case _:
                raise NotImplementedError(operator)
        if not holds:
            return False
    return True


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def enforce(application: Application) -> Application:
    """Returns an application that enforces the policies of IAM users. Other credentials have all permissions."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        documents = _documents(environ.get("HTTP_AUTHORIZATION", ""))
        if service.startswith("DynamoDB_") and documents is not None:
            for access in accesses(operation, json.loads(body)):
                if not is_allowed(access, documents):
                    start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
                    message = f"not authorized to perform: dynamodb:{access.action} on {access.resource}"
                    return [
                        json.dumps({"__type": "c.a.coral.service#AccessDeniedException", "message": message}).encode()
                    ]
        return application(environ, start_response)

    return answer


def _documents(authorization: str) -> list[Mapping[str, Any]] | None:
    """Returns the policies of the IAM user whose access key signed a request; None for an unknown key."""
    signer = re.search(r"Credential=([^/]+)/", authorization)
    for user in iam_backends[ACCOUNT]["aws"].users.values():
        if signer and signer[1] in {key.access_key_id for key in user.access_keys}:
            return [json.loads(policy.versions[-1].document) for policy in user.managed_policies.values()]
    return None
