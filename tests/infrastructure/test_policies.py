"""The policies allow what the facade calls, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from open_alchemy.package_database.model.schema import TABLES
from tests.infrastructure.requests import only_reads, uses
from tests.infrastructure.synthesis import ROOT, Template
from tests.infrastructure.test_template import logical_id, resources


def allowed(template: Template, name: str) -> set[str]:
    """Returns what a policy allows, as ``action on table``, or ``action on table/index/name``."""
    policies = resources(template, "AWS::IAM::ManagedPolicy").values()
    (policy,) = (each for each in policies if each["Properties"]["ManagedPolicyName"] == name)
    arns = {logical_id(template, table): table.name for table in TABLES}
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {
        f"{action} on {_resource(resource, arns)}"
        for statement in statements
        for action in _several(statement["Action"])
        for resource in _several(statement["Resource"])
    }


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resource(resource: Any, arns: dict[str, str]) -> str:
    match resource:
        case {"Fn::GetAtt": [logical_id, "Arn"]}:
            return arns[logical_id]
        case {"Fn::Join": ["", [{"Fn::GetAtt": [logical_id, "Arn"]}, path]]}:
            return f"{arns[logical_id]}{path}"
        case _:
            return str(resource)


def needed(patterns: set[str]) -> set[str]:
    """Returns what access patterns need, in the form of ``allowed``."""
    found = {use for name, each in uses().items() if name in patterns for use in each}
    places = {use: f"{use.table}/index/{use.index}" if use.index else use.table for use in found}
    return {f"dynamodb:{use.action} on {place}" for use, place in places.items()}


def check(allowed: set[str], needed: set[str]) -> None:
    assert sorted(allowed - needed) == [], "the policy allows what no function calls"
    assert sorted(needed - allowed) == [], "the policy does not allow what functions call"


def test_the_read_write_policy_allows_what_the_facade_calls(template: Template) -> None:
    check(allowed(template, "PackageDatabaseReadWrite"), needed(set(uses())))


def test_the_read_only_policy_allows_what_the_functions_call_that_only_read(template: Template) -> None:
    readers = {name for name, found in uses().items() if only_reads(found)}

    check(allowed(template, "PackageDatabaseReadOnly"), needed(readers))


def test_the_guide_names_the_functions_that_only_read() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    (row,) = re.findall(r"\| `PackageDatabaseReadOnly` \| (.*) \|", guide)

    assert set(re.findall(r"\w+", row)) == {name for name, found in uses().items() if only_reads(found)}


def test_what_the_facade_calls() -> None:
    assert needed(set(uses())) == {
        "dynamodb:ConditionCheckItem on package.specs",
        "dynamodb:DeleteItem on package.credentials",
        "dynamodb:DeleteItem on package.specs",
        "dynamodb:GetItem on package.credentials",
        "dynamodb:GetItem on package.specs",
        "dynamodb:PutItem on package.credentials",
        "dynamodb:PutItem on package.specs",
        "dynamodb:Query on package.credentials",
        "dynamodb:Query on package.credentials/index/publicKey",
        "dynamodb:Query on package.specs",
        "dynamodb:Query on package.specs/index/idUpdatedAt",
    }
