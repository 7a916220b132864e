"""The reviewed template, and the effect of a change on the deployed tables."""

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
    """Returns the text of the stored file."""
    return json.dumps(template, indent=1) + "\n"


def losses(stored: Template, synthesized: Template) -> list[str]:
    """Returns the losses of data or indexes that a deployment of the synthesized template would cause."""
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
            f"{name}: the resource {logical_id} is missing: CloudFormation would abandon the table with its data, and "
            "create an empty one"
        )
        return
    types = _types(after)
    retyped = [attribute for attribute, type_ in _types(before).items() if types.get(attribute, type_) != type_]
    changed = [key for key in _REPLACING if before.get(key) != after.get(key)] + [
        f"AttributeDefinitions of {attribute}" for attribute in retyped
    ]
    for key in changed:
        yield (f"{name}: {key} differs from the deployed one: CloudFormation would replace the table by an empty one")
    indexes = [_fixed(index) for index in after.get("GlobalSecondaryIndexes", ())]
    for index in before.get("GlobalSecondaryIndexes", ()):
        if _fixed(index) not in indexes:
            loss = "CloudFormation would delete it, and its readers would fail"
            yield f"{name}: the index {index['IndexName']} differs from the deployed one: {loss}"


def _fixed(index: dict[str, Any]) -> dict[str, Any]:
    """Returns the properties of a global index whose change replaces it."""
    return {name: value for name, value in index.items() if name != "OnDemandThroughput"}


def _types(properties: dict[str, Any]) -> dict[str, str]:
    return {entry["AttributeName"]: entry["AttributeType"] for entry in properties["AttributeDefinitions"]}


def difference(stored: Template, synthesized: Template) -> str:
    """Returns the difference between two templates as a unified diff."""
    lines = unified_diff(
        text(stored).splitlines(), text(synthesized).splitlines(), "stored", "synthesized", lineterm=""
    )
    return "\n".join(lines)
