"""The CloudFormation stack: both tables with their indexes, the IAM policies, and the alarms.

Names, keys and indexes are those of ``model/schema.py``.
"""

from __future__ import annotations

from typing import Final, TypedDict

from aws_cdk import CfnOutput, CfnParameter, IStackSynthesizer, RemovalPolicy, Stack, Tags
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.model.schema import TABLES

from .alarms import add_alarms, add_topic
from .names import logical_name
from .policies import add_policies

_TYPES: Final = {
    "S": dynamodb.AttributeType.STRING,
    "N": dynamodb.AttributeType.NUMBER,
    "B": dynamodb.AttributeType.BINARY,
}
_QUOTA: Final = 40_000
"""The default quota of AWS for a table, in request units per second."""


class Ceilings(TypedDict):
    """The maximum throughput of a table or a global index, in request units per second."""

    max_read_request_units: float
    max_write_request_units: float


class DatabaseStack(Stack):
    """The tables of ``STAGE=PROD`` in one region of one account.

    Args:
        scope: The app.
        construct_id: The name of the stack.
        synthesizer: Determines how the template is sent to CloudFormation.
    """

    def __init__(self, scope: Construct, construct_id: str, *, synthesizer: IStackSynthesizer) -> None:
        super().__init__(
            scope,
            construct_id,
            synthesizer=synthesizer,
            description="The tables of open-alchemy.package-database, the policies for their users, and their alarms",
            termination_protection=True,
        )
        Tags.of(self).add("project", "open-alchemy.package-database")
        ceilings = Ceilings(
            max_read_request_units=self._ceiling("MaxReadRequestUnits"),
            max_write_request_units=self._ceiling("MaxWriteRequestUnits"),
        )
        tables = {table: self._table(table, ceilings) for table in TABLES}
        for table, deployed in tables.items():
            self._output(f"{logical_name(table)}TableName", deployed.table_name, f"The name of {table.name}")
            self._output(f"{logical_name(table)}TableArn", deployed.table_arn, f"The ARN of {table.name}")
        for name, policy in add_policies(self, tables).items():
            self._output(f"{name}PolicyArn", policy.managed_policy_arn, policy.description)
        action = add_topic(self)
        for table, deployed in tables.items():
            add_alarms(self, table, deployed, action)

    def _table(self, table: Table, ceilings: Ceilings) -> dynamodb.Table:
        """Adds a table with its indexes. CloudFormation never deletes it (``RemovalPolicy.RETAIN``)."""
        keys = {
            attribute.name: dynamodb.Attribute(name=attribute.name, type=_TYPES[attribute.type])
            for attribute in table.attributes
        }
        deployed = dynamodb.Table(
            self,
            f"{logical_name(table)}Table",
            table_name=table.name,
            partition_key=keys[table.partition_key],
            sort_key=keys[table.sort_key],
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
            **ceilings,
        )
        for index in table.indexes:
            sort_key = keys[index.sort_key] if index.sort_key else None
            if index.scope == "local":
                assert sort_key is not None, "a local index needs a sort key"
                deployed.add_local_secondary_index(index_name=index.name, sort_key=sort_key)
            else:
                deployed.add_global_secondary_index(
                    index_name=index.name, partition_key=keys[index.partition_key], sort_key=sort_key, **ceilings
                )
        return deployed

    def _ceiling(self, name: str) -> float:
        """Adds a parameter that limits the request units per second of each table and global index."""
        parameter = CfnParameter(
            self,
            name,
            type="Number",
            min_value=1,
            default=_QUOTA,
            description=f"{name} of each table and global index; {_QUOTA} is the quota of an account by default",
        )
        return parameter.value_as_number

    def _output(self, name: str, value: str, description: str) -> None:
        CfnOutput(self, name, value=value, description=description)
