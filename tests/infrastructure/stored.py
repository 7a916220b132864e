"""The stored template, and what a change of it would do to the deployed tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

from tests.infrastructure.synthesis import Template

FILE = Path(__file__).parent / "template.json"
COMMAND = "python -m tests.infrastructure"

_TABLE = "AWS::DynamoDB::Table"
_REPLACING = ("TableName", "KeySchema", "LocalSecondaryIndexes")
"""Properties whose change replaces the table.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
"""


def read() -> Template:
    """Returns the stored template."""
    template: Template = json.loads(FILE.read_text(encoding="utf-8"))
    return template


def text(template: Template) -> str:
    """Returns a template as it is stored."""
    return json.dumps(template, indent=1) + "\n"


def losses(stored: Template, synthesized: Template) -> list[str]:
    """Returns what would part services from their data, were the synthesized template deployed over the stored one."""
    found = synthesized["Resources"]
    return [
        loss
        for logical_id, table in stored["Resources"].items()
        if table["Type"] == _TABLE
        for loss in _table_losses(logical_id, table["Properties"], found.get(logical_id, {}).get("Properties"))
    ]


def _table_losses(logical_id: str, before: dict[str, Any], after: dict[str, Any] | None) -> Iterator[str]:
    name = before["TableName"]
    if after is None:
        yield (
            f"{name}: the resource {logical_id} is gone: CloudFormation would leave the table and its data behind, and "
            "an empty one would take its place"
        )
        return
    types = _types(after)
    retyped = [attribute for attribute, type_ in _types(before).items() if types.get(attribute, type_) != type_]
    changed = [key for key in _REPLACING if before.get(key) != after.get(key)] + [
        f"AttributeDefinitions of {attribute}" for attribute in retyped
    ]
    for key in changed:
        yield (
            f"{name}: {key} is not what is deployed: CloudFormation would replace the table by an empty one, "
            "without its data"
        )
    indexes = {index["IndexName"]: index for index in after.get("GlobalSecondaryIndexes", ())}
    for index in before.get("GlobalSecondaryIndexes", ()):
        if indexes.get(index["IndexName"]) != index:
            yield (
                f"{name}: the index {index['IndexName']} is not what is deployed: CloudFormation would delete it, and "
                "what reads it would fail until another is built and every service knows that one"
            )


def _types(properties: dict[str, Any]) -> dict[str, str]:
    return {entry["AttributeName"]: entry["AttributeType"] for entry in properties["AttributeDefinitions"]}


def difference(stored: Template, synthesized: Template) -> str:
    """Returns the difference between two templates for a reader; empty where there is none."""
    lines = unified_diff(
        text(stored).splitlines(), text(synthesized).splitlines(), "stored", "synthesized", lineterm=""
    )
    return "\n".join(lines)
