"""The stack: both tables with their indexes, the policies to use them, and the alarms.

Names, keys and indexes are those of ``tables/schema.py``, so that code and cloud cannot drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_cdk import (
    Aws,
    CfnCondition,
    CfnOutput,
    CfnParameter,
    Fn,
    IStackSynthesizer,
    RemovalPolicy,
    Stack,
    Tags,
)
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk.aws_dynamodb import Operation
from constructs import Construct

from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.model.schema import CREDENTIALS, SPECS, TABLES

_OPERATIONS: Final = (Operation.GET_ITEM, Operation.QUERY, Operation.TRANSACT_WRITE_ITEMS)
"""The requests of the package to each table."""
_READS: Final = ("dynamodb:GetItem", "dynamodb:Query")
_WRITES: Final[Mapping[str, tuple[str, ...]]] = {
    SPECS.name: ("dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"),
    CREDENTIALS.name: ("dynamodb:DeleteItem", "dynamodb:PutItem"),
}
"""The actions of the package's transactions: a transaction has no IAM action of its own.

A test compares them with the engine's requests.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

_TYPES: Final = {
    "S": dynamodb.AttributeType.STRING,
    "N": dynamodb.AttributeType.NUMBER,
    "B": dynamodb.AttributeType.BINARY,
}
_NO_TOPIC: Final = "none"


class DatabaseStack(Stack):
    """The tables of ``STAGE=PROD`` in one region of one account.

    Args:
        scope: The app.
        construct_id: The name of the stack.
        synthesizer: How CloudFormation gets the template.
    """

    def __init__(self, scope: Construct, construct_id: str, *, synthesizer: IStackSynthesizer) -> None:
        super().__init__(
            scope,
            construct_id,
            synthesizer=synthesizer,
            description="The tables of open-alchemy.package-database, the policies to use them, and their alarms",
        )
        Tags.of(self).add("project", "open-alchemy.package-database")
        tables = {table: self._table(table) for table in TABLES}
        for table, deployed in tables.items():
            self._output(f"{_name(table)}TableName", deployed.table_name, f"The name of {table.name}")
            self._output(f"{_name(table)}TableArn", deployed.table_arn, f"The ARN of {table.name}")
        self._policy("ReadWrite", "Calls every function of the package database.", tables, _WRITES)
        self._policy("ReadOnly", "Calls the functions of the package database that only read.", tables, {})
        actions = [self._topic()]
        for table, deployed in tables.items():
            throttled = deployed.metric_throttled_requests_for_operations(operations=_OPERATIONS)
            failed = deployed.metric_system_errors_for_operations(operations=_OPERATIONS)
            self._alarm(f"{_name(table)}ThrottledRequests", throttled, f"throttles requests to {table.name}", actions)
            self._alarm(f"{_name(table)}SystemErrors", failed, f"fails by itself in requests to {table.name}", actions)

    def _table(self, table: Table) -> dynamodb.Table:
        """Adds a table, which outlives the stack and every mistake in it, with its indexes."""
        keys = {
            attribute.name: dynamodb.Attribute(name=attribute.name, type=_TYPES[attribute.type])
            for attribute in table.attributes
        }
        deployed = dynamodb.Table(
            self,
            f"{_name(table)}Table",
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
        )
        for index in table.indexes:
            sort_key = keys[index.sort_key] if index.sort_key else None
            if index.scope == "local":
                assert sort_key is not None, "a local index is another order of the table's partitions"
                deployed.add_local_secondary_index(index_name=index.name, sort_key=sort_key)
            else:
                deployed.add_global_secondary_index(
                    index_name=index.name, partition_key=keys[index.partition_key], sort_key=sort_key
                )
        return deployed

    def _policy(
        self, kind: str, description: str, tables: Mapping[Table, dynamodb.Table], writes: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Adds a managed policy that allows the reads and these writes, on the tables and indexes alone."""
        statements: list[iam.PolicyStatement] = []
        for table, deployed in tables.items():
            actions = sorted((*_READS, *writes.get(table.name, ())))
            statements.append(iam.PolicyStatement(actions=actions, resources=[deployed.table_arn]))
            statements += [
                iam.PolicyStatement(actions=["dynamodb:Query"], resources=[f"{deployed.table_arn}/index/{index.name}"])
                for index in table.indexes
            ]
        policy = iam.ManagedPolicy(
            self,
            f"{kind}Policy",
            managed_policy_name=f"PackageDatabase{kind}",
            description=description,
            statements=statements,
        )
        self._output(f"{kind}PolicyArn", policy.managed_policy_arn, description)

    def _topic(self) -> str:
        """Adds the parameter that names a topic, and returns the alarm action that is the topic's, or nothing."""
        topic = CfnParameter(
            self,
            "AlarmTopicArn",
            default=_NO_TOPIC,
            description=f"The ARN of the SNS topic that the alarms tell, or {_NO_TOPIC}",
        )
        is_given = CfnCondition(
            self, "HasAlarmTopic", expression=Fn.condition_not(Fn.condition_equals(topic.value_as_string, _NO_TOPIC))
        )
        return Fn.condition_if(is_given.logical_id, topic.value_as_string, Aws.NO_VALUE).to_string()

    def _alarm(self, name: str, metric: cloudwatch.IMetric, meaning: str, actions: list[str]) -> None:
        """Adds an alarm, which goes off where the metric is not zero in two of three periods of five minutes."""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=f"DynamoDB {meaning}. See docs/operating.md of open-alchemy.package-database.",
            metric=_sum(metric),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        resource = alarm.node.default_child
        assert isinstance(resource, cloudwatch.CfnAlarm)
        resource.alarm_actions = actions

    def _output(self, name: str, value: str, description: str) -> None:
        CfnOutput(self, name, value=value, description=description)


def _name(table: Table) -> str:
    """Returns the name of a table as CloudFormation's logical ids may have it."""
    return table.name.removeprefix("package.").capitalize()


def _sum(metric: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    """Returns the sum of a metric over operations, counting an operation without data as zero.

    DynamoDB reports these metrics only while they are not zero, and where one term of a sum has no data, the sum may
    have none either.
    """
    assert isinstance(metric, cloudwatch.MathExpression)
    terms = ", ".join(f"FILL({name}, 0)" for name in metric.using_metrics)
    return cloudwatch.MathExpression(
        expression=f"SUM([{terms}])", using_metrics=metric.using_metrics, label=metric.label
    )
