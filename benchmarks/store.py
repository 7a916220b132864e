"""A specs table on loopback that reads and writes, and pages as DynamoDB does; it counts what that would cost on AWS.

It understands the requests that the package sends, and no others. What it measures is the package's part of a long
conversation: how many requests, how many units and how much work on the client, not how fast DynamoDB is.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from .capacity import Tally, item_size, read_units, write_units
from .conditions import holds
from .loopback import http_answer, serve
from .peers.examples import spec_item

Item: TypeAlias = dict[str, dict[str, str]]

PAGE_BYTES: Final = 1 << 20
"""A page ends when its items have so many bytes (AWS, Query)."""
_SORT_KEYS: Final = {None: "updated_at_id", "idUpdatedAt": "id_updated_at"}
_FIRST_SECOND: Final = 1_600_000_000


@dataclass(frozen=True, slots=True)
class _Record:
    """An item, its JSON and its size in bytes."""

    item: Item
    text: str
    size: int


class Store:
    """The items of one user."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._records: dict[str, _Record] = {}
        self._order: dict[str | None, list[tuple[str, str]]] = {index: [] for index in _SORT_KEYS}

    def load(self, *, specs: int, versions: int) -> None:
        """Starts anew with so many specs' latest records, and so many versions of the first."""
        self.tally = Tally()
        self._records.clear()
        moments = [f"{_FIRST_SECOND + number:020}" for number in range(versions)]
        latest = [spec_item(number) for number in range(specs)]
        if moments:
            latest[0]["updated_at"] = {"S": moments[-1].lstrip("0")}
        for item in (*latest, *(spec_item(0, moment) for moment in moments)):
            self._records[item["updated_at_id"]["S"]] = _record(item)
        for index, sort_key in _SORT_KEYS.items():
            self._order[index] = sorted((record.item[sort_key]["S"], key) for key, record in self._records.items())

    def respond(self, action: bytes, body: bytes) -> bytes:
        """Returns the answer to a request."""
        request: dict[str, Any] = json.loads(body)
        self.tally.requests += 1
        match action:
            case b"GetItem":
                return self._get(request)
            case b"Query":
                return self._query(request)
            case b"TransactWriteItems":
                return self._transact(request["TransactItems"])
            case b"Load":
                self.load(**request)
                return http_answer(b"{}")
            case _:
                self.tally.requests -= 1
                return http_answer(json.dumps(asdict(self.tally)).encode())

    def _get(self, request: dict[str, Any]) -> bytes:
        record = self._records.get(request["Key"]["updated_at_id"]["S"])
        self.tally.read_units += read_units([record.size] if record else [], consistent=True)
        return http_answer(f'{{"Item":{record.text}}}'.encode() if record else b"{}")

    def _query(self, request: dict[str, Any]) -> bytes:
        index = request.get("IndexName")
        order, sort_key = self._order[index], _SORT_KEYS[index]
        prefix = request["ExpressionAttributeValues"].get(":1", {"S": ""})["S"]
        start = request.get("ExclusiveStartKey")
        place = bisect_left(order, (prefix, ""))
        if start is not None:
            place = bisect_left(order, (start[sort_key]["S"], start["updated_at_id"]["S"])) + 1
        page: list[_Record] = []
        size = 0
        while place < len(order) and size < PAGE_BYTES and order[place][0].startswith(prefix):
            page.append(self._records[order[place][1]])
            size += page[-1].size
            place += 1
        self.tally.read_units += read_units([size], consistent=True)
        more = f',"LastEvaluatedKey":{_key_text(page[-1].item)}' if size >= PAGE_BYTES else ""
        items = ",".join(record.text for record in page)
        return http_answer(f'{{"Count":{len(page)},"Items":[{items}]{more}}}'.encode())

    def _transact(self, actions: list[Any]) -> bytes:
        parts = [next(iter(action.items())) for action in actions]
        keys = [part.get("Key", part.get("Item"))["updated_at_id"]["S"] for _, part in parts]
        found = [self._records.get(key) for key in keys]
        after = [_record(part["Item"]) if name == "Put" else None for name, part in parts]
        checks = sum(name == "ConditionCheck" for name, _ in parts)
        sizes = [max(record.size for record in (*pair, _NOTHING) if record) for pair in zip(found, after, strict=True)]
        # A check is charged as a write to the table, and touches no index.
        self.tally.write_units += write_units(sizes[:checks], transaction=True)
        self.tally.write_units += write_units(sizes[checks:], transaction=True, indexes=1)
        if not all(holds(part, old.item if old else None) for (_, part), old in zip(parts, found, strict=True)):
            return self._cancelled(parts, found)
        for (name, _), key, new in zip(parts, keys, after, strict=True):
            if name != "ConditionCheck":
                self._replace(key, new)
        return http_answer(b"{}")

    def _cancelled(self, parts: list[Any], found: list[_Record | None]) -> bytes:
        reasons = [
            {"Code": "None"}
            if holds(part, old.item if old else None)
            else {"Code": "ConditionalCheckFailed", **({"Item": old.item} if old else {})}
            for (_, part), old in zip(parts, found, strict=True)
        ]
        content = {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "CancellationReasons": reasons,
        }
        return http_answer(json.dumps(content).encode(), "400 Bad Request")

    def _replace(self, key: str, new: _Record | None) -> None:
        old = self._records.pop(key, None)
        if new is not None:
            self._records[key] = new
        for index, sort_key in _SORT_KEYS.items():
            order = self._order[index]
            if old is not None:
                del order[bisect_left(order, (old.item[sort_key]["S"], key))]
            if new is not None:
                insort(order, (new.item[sort_key]["S"], key))


def _record(item: Item) -> _Record:
    return _Record(item, json.dumps(item, separators=(",", ":")), item_size(item))


def _key_text(item: Item) -> str:
    return json.dumps({name: item[name] for name in ("sub", "updated_at_id", "id_updated_at")})


_NOTHING: Final = _Record({}, "{}", 0)

if __name__ == "__main__":
    serve(Store().respond)
