"""Requests and items that all peers share."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

SPECS: Final = "package.specs"
CREDENTIALS: Final = "package.credentials"
REGION: Final = "us-east-1"
ACCESS_KEY: Final = "benchmark"
POOL: Final = 50
"""Maximum number of connections: this package's, set for each peer that has the setting."""

SUB: Final = "user"
NAME: Final = "my-spec"
LISTS: Final = {"list_1000": ("user-1000", 1000)}
LISTED: Final = ("id", "name", "updated_at", "version", "model_count", "title", "description")
"""The attributes of a spec in a list."""
PUBLIC_KEY: Final = "key"
VERSION_4_PUBLIC_KEY: Final = "key-4"
"""Public key of credentials written by version 4, which stores binary values encoded twice."""
VERSION: Final = {"name": NAME, "version": "2.0", "model_count": 3, "title": "A title"}

GET_SPEC: Final[dict[str, Any]] = {
    "TableName": SPECS,
    "Key": {"sub": {"S": SUB}, "updated_at_id": {"S": f"latest#{NAME}"}},
    "ConsistentRead": True,
}
GET_CREDENTIALS: Final[dict[str, Any]] = {
    "TableName": CREDENTIALS,
    "Key": {"sub": {"S": SUB}, "id": {"S": "laptop"}},
    "ConsistentRead": True,
}
QUERY_USER: Final[dict[str, Any]] = {
    "TableName": CREDENTIALS,
    "IndexName": "publicKey",
    "KeyConditionExpression": "#key = :0",
    "ExpressionAttributeNames": {"#key": "public_key"},
    "ExpressionAttributeValues": {":0": {"S": PUBLIC_KEY}},
}


def query_latest(sub: str) -> dict[str, Any]:
    """Returns the request that lists a user's specs, with the projection that the package sends."""
    return {
        "TableName": SPECS,
        "KeyConditionExpression": "#sub = :0 AND begins_with(#key, :1)",
        "ProjectionExpression": ", ".join(f"#{name}" for name in LISTED),
        "ExpressionAttributeNames": {f"#{name}": name for name in LISTED} | {"#sub": "sub", "#key": "updated_at_id"},
        "ExpressionAttributeValues": {":0": {"S": sub}, ":1": {"S": "latest#"}},
        "ConsistentRead": True,
    }


def spec_item(number: int, moment: str = "latest", sub: str = SUB) -> dict[str, Any]:
    """Returns a spec's record as DynamoDB stores it, about 300 bytes."""
    id_ = NAME if number == 0 else f"{NAME}-{number:06}"
    return {
        "sub": {"S": sub},
        "id": {"S": id_},
        "name": {"S": id_},
        "updated_at": {"S": "1700000000" if moment == "latest" else moment.lstrip("0")},
        "version": {"S": "2.0"},
        "model_count": {"N": "3"},
        "title": {"S": "A title"},
        "description": {"S": "What this spec is about, in a sentence or two, as people write them."},
        "revision": {"S": f"{number:032x}"},
        "updated_at_id": {"S": f"{moment}#{id_}"},
        "id_updated_at": {"S": f"{id_}#{moment}"},
    }


def credentials_item(public_key: str, *, encoded_twice: bool) -> dict[str, Any]:
    """Returns credentials as DynamoDB stores them."""

    def binary(value: bytes) -> dict[str, str]:
        return {"B": b64encode(b64encode(value) if encoded_twice else value).decode()}

    return {
        "sub": {"S": SUB},
        "id": {"S": "laptop"},
        "public_key": {"S": public_key},
        "secret_key_hash": binary(b"h" * 32),
        "salt": binary(b"s" * 16),
    }


def create_requests() -> dict[str, Any]:
    """Returns the transaction that publishes a version, as the package sends it."""
    return {"TransactItems": [_put("00000000001700000000"), _put("latest")], "ClientRequestToken": "0" * 32}


def _put(moment: str) -> dict[str, Any]:
    return {
        "Put": {
            "TableName": SPECS,
            "Item": spec_item(0, moment),
            "ConditionExpression": "(attribute_not_exists(#sub) OR #version = :0)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ExpressionAttributeNames": {"#sub": "sub", "#version": "version"},
            "ExpressionAttributeValues": {":0": {"S": "2.0"}},
        }
    }
