"""The alarms of a table, and the parameter with the SNS topic that they notify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_cdk import Aws, CfnCondition, CfnParameter, Duration, Fn
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from open_alchemy.package_database.core.operations import Table

from .names import logical_name
from .requests import READS, WRITES

_NO_TOPIC: Final = "none"
_LATENCY_MILLISECONDS: Final = 100
"""Threshold of the average latency, which is usually below 10 ms."""


def add_topic(scope: Construct) -> str:
    """Adds the parameter for an SNS topic, and returns the alarm action: the topic, or ``AWS::NoValue``."""
    topic = CfnParameter(
        scope,
        "AlarmTopicArn",
        default=_NO_TOPIC,
        description=f"The ARN of the SNS topic that the alarms notify, or {_NO_TOPIC}",
    )
    is_given = CfnCondition(
        scope, "HasAlarmTopic", expression=Fn.condition_not(Fn.condition_equals(topic.value_as_string, _NO_TOPIC))
    )
    return Fn.condition_if(is_given.logical_id, topic.value_as_string, Aws.NO_VALUE).to_string()


def add_alarms(scope: Construct, table: Table, deployed: dynamodb.Table, action: str) -> None:
    """Adds the alarms of a table for throttled requests, system errors and latency."""
    operations = [*READS, *WRITES[table.name]]
    throttled = deployed.metric_throttled_requests_for_operations(operations=operations)
    failed = deployed.metric_system_errors_for_operations(operations=operations)
    assert isinstance(throttled, cloudwatch.MathExpression)
    assert isinstance(failed, cloudwatch.MathExpression)
    latencies: dict[str, cloudwatch.IMetric] = {
        operation.value.lower(): deployed.metric_successful_request_latency(
            dimensions_map={"TableName": deployed.table_name, "Operation": _api_name(operation)}, statistic="Average"
        )
        for operation in operations
    }
    for name, metric, threshold, meaning in (
        ("ThrottledRequests", _combined("SUM", throttled.using_metrics), 1, "DynamoDB throttles requests"),
        ("SystemErrors", _combined("SUM", failed.using_metrics), 1, "DynamoDB fails with system errors in requests"),
        ("Latency", _combined("MAX", latencies), _LATENCY_MILLISECONDS, "DynamoDB is slow in requests"),
    ):
        alarm = cloudwatch.Alarm(
            scope,
            f"{logical_name(table)}{name}",
            alarm_description=f"{meaning} to {table.name}. See docs/operating.md of open-alchemy.package-database.",
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        resource = alarm.node.default_child
        assert isinstance(resource, cloudwatch.CfnAlarm)
        resource.alarm_actions = [action]
        resource.ok_actions = [action]


def _api_name(operation: dynamodb.Operation) -> str:
    """Returns the name of an operation in the API: GetItem for GET_ITEM."""
    return operation.value.title().replace("_", "")


def _combined(function: str, metrics: Mapping[str, cloudwatch.IMetric]) -> cloudwatch.MathExpression:
    """Returns a function of metrics, in which a metric without data counts as zero.

    DynamoDB publishes no data for an operation that was not called or did not fail, and an expression with such a
    metric may have no data either.
    """
    terms = ", ".join(f"FILL({name}, 0)" for name in metrics)
    return cloudwatch.MathExpression(
        expression=f"{function}([{terms}])",
        using_metrics=dict(metrics),
        period=Duration.minutes(5),
        label=function.lower(),
    )
