"""Each policy allows what the functions call on its table, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infrastructure.names import logical_name
from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.model.schema import TABLES
from tests.infrastructure.requests import only_reads, uses
from tests.infrastructure.synthesis import ROOT, Template
from tests.infrastructure.test_template import logical_id, resources

each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def statements(template: Template, name: str) -> list[Any]:
    """Returns the statements of a policy."""
    policies = resources(template, "AWS::IAM::ManagedPolicy").values()
    (policy,) = (each for each in policies if each["Properties"]["ManagedPolicyName"] == name)
    found: list[Any] = policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def allowed(template: Template, name: str) -> set[str]:
    """Returns the permissions of a policy as ``action on table`` or ``action on table/index/name``."""
    arns = {logical_id(template, table): table.name for table in TABLES}
    found = statements(template, name)
    assert {statement["Effect"] for statement in found} == {"Allow"}
    return {
        f"{action} on {_resource(resource, arns)}"
        for statement in found
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
    """Returns the permissions that access patterns require, in the format of ``allowed``."""
    found = {use for name, each in uses().items() if name in patterns for use in each}
    places = {use: f"{use.table}/index/{use.index}" if use.index else use.table for use in found}
    return {f"dynamodb:{use.action} on {place}" for use, place in places.items()}


def of_table(actions: set[str], table: Table) -> set[str]:
    return {action for action in actions if action.partition(" on ")[2].partition("/")[0] == table.name}


def check(allowed: set[str], needed: set[str]) -> None:
    assert sorted(allowed - needed) == [], "the policy allows what no function calls"
    assert sorted(needed - allowed) == [], "the policy does not allow what functions call"


@each_table
def test_a_read_write_policy_allows_what_the_functions_call_on_its_table(template: Template, table: Table) -> None:
    name = f"PackageDatabase{logical_name(table)}ReadWrite"

    check(allowed(template, name), of_table(needed(set(uses())), table))


@each_table
def test_a_read_only_policy_allows_what_the_reading_functions_call_on_its_table(
    template: Template, table: Table
) -> None:
    name = f"PackageDatabase{logical_name(table)}ReadOnly"
    readers = {name for name, found in uses().items() if only_reads(found)}

    check(allowed(template, name), of_table(needed(readers), table))


def test_the_policy_of_the_production_tests_allows_all_calls_for_test_users(template: Template) -> None:
    check(allowed(template, "PackageDatabaseProductionTest"), needed(set(uses())))
    assert [statement["Condition"] for statement in statements(template, "PackageDatabaseProductionTest")] == [
        {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["test.*"]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }
    ] * 4


def test_the_other_policies_have_no_conditions(template: Template) -> None:
    policies = [
        each["Properties"]["ManagedPolicyName"] for each in resources(template, "AWS::IAM::ManagedPolicy").values()
    ]

    conditional = {
        name for name in policies if any("Condition" in statement for statement in statements(template, name))
    }
    assert conditional == {"PackageDatabaseProductionTest"}


@each_table
def test_the_guide_names_the_functions_of_each_policy(table: Table) -> None:
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    found = {name: uses_ for name, uses_ in uses().items() if {use.table for use in uses_} == {table.name}}

    for access, functions in (
        ("ReadOnly", {name for name, each in found.items() if only_reads(each)}),
        ("ReadWrite", {name for name, each in found.items() if not only_reads(each)}),
    ):
        (row,) = re.findall(rf"\| `PackageDatabase{logical_name(table)}{access}` \| (.*) \|", guide)
        assert set(re.findall(r"`(\w+)`", row)) == functions


def test_the_functions_call_only_these_actions() -> None:
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
