"""Records what a DynamoDB server answers to each kind of request, for ``test_decoding``.

AWS_ENDPOINT_URL_DYNAMODB=http://localhost:8000 python -m tests.dynamodb_http.record

The server must be empty. Any DynamoDB will do; what is stored was recorded from moto's.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.engines.dynamodb.config import DUMMY_CREDENTIALS
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS

RECORDED = Path(__file__).with_name("recorded.json")
SPEC = {"sub": {"S": "u1"}, "updated_at_id": {"S": "latest#a"}}
SPEC_ITEM = SPEC | {
    "id_updated_at": {"S": "a#latest"},
    "model_count": {"N": "3"},
    "title": {"S": '\u0000 é 😀 "\\'},
}
KEY = {"sub": {"S": "u1"}, "id": {"S": "1"}}
KEY_ITEM = KEY | {"public_key": {"S": "pk"}, "salt": {"B": b"\x00salt\xff"}, "secret_key_hash": {"B": b""}}
OTHER_TYPES = {
    "list": {"L": [{"B": b"1"}, {"S": "B"}, {"NULL": True}]},
    "map": {"M": {"B": {"B": b"2"}, "BOOL": {"BOOL": False}}},
    "numbers": {"NS": ["1", "2.5"]},
    "binaries": {"BS": [b"3", b"4"]},
}
ABSENT = "attribute_not_exists(#sub)"
CHECKED = {
    "ConditionExpression": ABSENT,
    "ExpressionAttributeNames": {"#sub": "sub"},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
BY_SUB = {
    "KeyConditionExpression": "#sub = :sub",
    "ExpressionAttributeNames": {"#sub": "sub"},
    "ExpressionAttributeValues": {":sub": {"S": "u1"}},
}

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("PutItem", {"TableName": SPECS.name, "Item": SPEC_ITEM}),
    ("PutItem", {"TableName": CREDENTIALS.name, "Item": KEY_ITEM}),
    ("PutItem", {"TableName": CREDENTIALS.name, "Item": KEY_ITEM | {"id": {"S": "2"}} | OTHER_TYPES}),
    ("GetItem", {"TableName": SPECS.name, "Key": SPEC, "ConsistentRead": True}),
    ("GetItem", {"TableName": SPECS.name, "Key": SPEC | {"sub": {"S": "other"}}}),
    ("GetItem", {"TableName": CREDENTIALS.name, "Key": KEY}),
    ("Query", {"TableName": CREDENTIALS.name, **BY_SUB}),
    ("Query", {"TableName": CREDENTIALS.name, "Limit": 1, **BY_SUB}),
    ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": CREDENTIALS.name, "Item": KEY_ITEM, **CHECKED}}]}),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"ConditionCheck": {"TableName": CREDENTIALS.name, "Key": KEY | {"id": {"S": "3"}}, **CHECKED}},
                {"Put": {"TableName": SPECS.name, "Item": SPEC_ITEM, **CHECKED}},
            ]
        },
    ),
    ("TransactWriteItems", {"TransactItems": [{"Delete": {"TableName": SPECS.name, "Key": SPEC}}]}),
    ("BatchWriteItem", {"RequestItems": {CREDENTIALS.name: [{"DeleteRequest": {"Key": KEY}}]}}),
    ("Scan", {"TableName": CREDENTIALS.name}),
    ("DeleteItem", {"TableName": CREDENTIALS.name, "Key": KEY}),
    ("DescribeTable", {"TableName": SPECS.name}),
    ("GetItem", {"TableName": "not.there", "Key": KEY}),
    ("GetItem", {"TableName": SPECS.name, "Key": KEY}),
]


def main() -> None:
    """Asks each request, and writes the answers."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"],
        region_name="us-east-1",
        aws_access_key_id=DUMMY_CREDENTIALS.access_key_id,
        aws_secret_access_key=DUMMY_CREDENTIALS.secret_access_key,
    )
    answers: list[dict[str, Any]] = []

    def note(response_dict: dict[str, Any], **_: object) -> None:
        headers = {"x-amz-crc32": response_dict["headers"]["x-amz-crc32"]}
        answers.append(
            {"status": response_dict["status_code"], "headers": headers, "body": response_dict["body"].decode()}
        )

    client.meta.events.register("response-received.dynamodb", note)
    for table in (SPECS, CREDENTIALS):
        client.create_table(**create_table(table))
    answers.clear()
    for action, request in REQUESTS:
        method = getattr(client, _method(action))
        with suppress(ClientError):
            method(**request)
    actions = [action for action, _ in REQUESTS]
    assert len(answers) == len(actions)
    recorded = [{"action": action, **answer} for action, answer in zip(actions, answers, strict=True)]
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def _method(action: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in action).lstrip("_")


if __name__ == "__main__":
    main()
