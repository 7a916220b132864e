"""The canned server: returns a constant, valid response for each action that the peers send."""

from __future__ import annotations

import json
import sys
from typing import Any

from .loopback import http_response, serve
from .peers.examples import (
    CREDENTIALS,
    LISTED,
    LISTS,
    PUBLIC_KEY,
    SPECS,
    VERSION_4_PUBLIC_KEY,
    credentials_item,
    spec_item,
)


def _response(content: Any) -> bytes:
    return http_response(json.dumps(content, separators=(",", ":")).encode())


def _page(items: list[Any]) -> bytes:
    return _response({"Items": items, "Count": len(items), "ScannedCount": len(items)})


_EMPTY = _response({})
_SPEC = _response({"Item": spec_item(0)})
_CREDENTIALS = _response({"Item": credentials_item(PUBLIC_KEY, encoded_twice=False)})
_USER = _page([credentials_item(PUBLIC_KEY, encoded_twice=False)])
_VERSION_4_USER = _page([credentials_item(VERSION_4_PUBLIC_KEY, encoded_twice=True)])
_LISTS = {f'"{sub}"'.encode(): [spec_item(number, sub=sub) for number in range(size)] for sub, size in LISTS.values()}
_WHOLE = {sub: _page(items) for sub, items in _LISTS.items()}
_LISTED = {sub: _page([{name: item[name] for name in LISTED} for item in items]) for sub, items in _LISTS.items()}
_TABLES = {
    name: _response(
        {
            "Table": {
                "TableName": name,
                "TableStatus": "ACTIVE",
                "KeySchema": [
                    {"AttributeName": "sub", "KeyType": "HASH"},
                    {"AttributeName": sort_key, "KeyType": "RANGE"},
                ],
                "AttributeDefinitions": [
                    {"AttributeName": key, "AttributeType": "S"} for key in ("sub", sort_key, index_key)
                ],
                scope: [{"IndexName": index, "KeySchema": index_keys}],
            }
        }
    )
    for name, sort_key, index_key, scope, index, index_keys in (
        (
            SPECS,
            "updated_at_id",
            "id_updated_at",
            "LocalSecondaryIndexes",
            "idUpdatedAt",
            [
                {"AttributeName": "sub", "KeyType": "HASH"},
                {"AttributeName": "id_updated_at", "KeyType": "RANGE"},
            ],
        ),
        (
            CREDENTIALS,
            "id",
            "public_key",
            "GlobalSecondaryIndexes",
            "publicKey",
            [{"AttributeName": "public_key", "KeyType": "HASH"}],
        ),
    )
}


def respond(action: bytes, body: bytes) -> bytes:
    """Returns the response to a request."""
    match action:
        case b"GetItem":
            return _CREDENTIALS if CREDENTIALS.encode() in body else _SPEC
        case b"Query" if CREDENTIALS.encode() in body:
            return _VERSION_4_USER if f'"{VERSION_4_PUBLIC_KEY}"'.encode() in body else _USER
        case b"Query":
            pages = _LISTED if b'"ProjectionExpression"' in body else _WHOLE
            return next((page for sub, page in pages.items() if sub in body), _page([]))
        case b"DescribeTable":
            return _TABLES[CREDENTIALS if CREDENTIALS.encode() in body else SPECS]
        case b"PutItem" | b"TransactWriteItems" | b"BatchWriteItem":
            return _EMPTY
        case _:
            unknown = {"__type": "com.amazon.coral.service#UnknownOperationException", "message": action.decode()}
            return http_response(json.dumps(unknown).encode(), "400 Bad Request")


if __name__ == "__main__":
    serve(respond, *map(float, sys.argv[1:]))
