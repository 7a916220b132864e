"""The managed policies: read-only and read-write access to each table, and access of the production tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk.aws_dynamodb import Operation
from constructs import Construct

from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS

from .names import logical_name
from .requests import READS, WRITES, Operations

# A transaction has no IAM action; each of its actions has one:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
_TRANSACTION_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    SPECS.name: ("dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"),
    CREDENTIALS.name: ("dynamodb:DeleteItem", "dynamodb:PutItem"),
}

# The partition keys of a request: user ids, or public keys on the index. ForAllValues alone also holds for a request
# without partition keys, hence Null.
_ONLY_TEST_KEYS: Final[Mapping[str, Any]] = {
    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["test.*"]},
    "Null": {"dynamodb:LeadingKeys": "false"},
}


def add_policies(scope: Construct, tables: Mapping[Table, dynamodb.Table]) -> dict[str, iam.ManagedPolicy]:
    """Adds the policies, and returns them by the part of their name after ``PackageDatabase``."""
    policies: dict[str, iam.ManagedPolicy] = {}

    def add(name: str, description: str, statements: list[iam.PolicyStatement]) -> None:
        policies[name] = iam.ManagedPolicy(
            scope,
            f"{name}Policy",
            managed_policy_name=f"PackageDatabase{name}",
            description=description,
            statements=statements,
        )

    for table, deployed in tables.items():
        writes = WRITES[table.name]
        add(f"{logical_name(table)}ReadOnly", f"Reads {table.name}.", _statements(table, deployed, ()))
        add(f"{logical_name(table)}ReadWrite", f"Reads and writes {table.name}.", _statements(table, deployed, writes))
    add(
        "ProductionTest",
        "Reads and writes the items of users whose ids begin with test.",
        [
            statement
            for table, deployed in tables.items()
            for statement in _statements(table, deployed, WRITES[table.name], _ONLY_TEST_KEYS)
        ],
    )
    return policies


def _statements(
    table: Table, deployed: dynamodb.Table, writes: Operations, conditions: Mapping[str, Any] | None = None
) -> list[iam.PolicyStatement]:
    """Returns the statements that allow the reads and these writes on a table, and queries of its indexes."""
    indexes = [f"{deployed.table_arn}/index/{index.name}" for index in table.indexes]
    return [
        iam.PolicyStatement(actions=actions, resources=resources, conditions=conditions)
        for actions, resources in (
            (_actions(table, (*READS, *writes)), [deployed.table_arn]),
            (_actions(table, (Operation.QUERY,)), indexes),
        )
    ]


def _actions(table: Table, operations: Operations) -> list[str]:
    """Returns the IAM actions that allow operations, in order."""
    actions: set[str] = set()
    for operation in operations:
        if operation is Operation.TRANSACT_WRITE_ITEMS:
            actions.update(_TRANSACTION_ACTIONS[table.name])
        else:
            actions.add(f"dynamodb:{operation.value.title().replace('_', '')}")
    return sorted(actions)
