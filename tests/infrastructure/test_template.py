"""What the stack consists of."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.model.schema import TABLES
from tests.infrastructure.requests import uses
from tests.infrastructure.synthesis import ROOT, Template

each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def resources(template: Template, type_: str) -> dict[str, Any]:
    return {name: each for name, each in template["Resources"].items() if each["Type"] == type_}


def deployed(template: Template, table: Table) -> Any:
    """Returns the resource of a table."""
    tables = resources(template, "AWS::DynamoDB::Table").values()
    (found,) = (each for each in tables if each["Properties"]["TableName"] == table.name)
    return found


def by_name(definitions: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(definitions, key=lambda definition: definition["AttributeName"])


def logical_id(template: Template, table: Table) -> str:
    resource = deployed(template, table)
    return next(name for name, each in resources(template, "AWS::DynamoDB::Table").items() if each is resource)


def test_the_stack_has_two_tables_their_policies_and_alarms_and_nothing_else(template: Template) -> None:
    types = Counter(resource["Type"] for resource in template["Resources"].values())

    assert types == {"AWS::DynamoDB::Table": 2, "AWS::IAM::ManagedPolicy": 2, "AWS::CloudWatch::Alarm": 4}


def test_the_stack_needs_no_bootstrapped_account(template: Template) -> None:
    assert "Rules" not in template
    assert list(template["Parameters"]) == ["AlarmTopicArn"]


@each_table
def test_a_table_has_the_keys_and_indexes_of_the_schema(template: Template, table: Table) -> None:
    request = create_table(table)

    properties = deployed(template, table)["Properties"]

    keyed = {name: value for name, value in properties.items() if name in request or name.endswith("Indexes")}
    assert by_name(keyed.pop("AttributeDefinitions")) == by_name(request.pop("AttributeDefinitions"))
    assert keyed == request


@each_table
def test_a_table_can_be_restored_and_is_encrypted(template: Template, table: Table) -> None:
    properties = deployed(template, table)["Properties"]

    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}


@each_table
def test_a_table_outlives_the_stack(template: Template, table: Table) -> None:
    resource = deployed(template, table)

    assert resource["Properties"]["DeletionProtectionEnabled"] is True
    assert resource["DeletionPolicy"] == "Retain"
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_the_tables_are_found_again_by_an_import(template: Template) -> None:
    mapping = json.loads((ROOT / "infrastructure" / "tables.json").read_text(encoding="utf-8"))

    assert mapping == {logical_id(template, table): {"TableName": table.name} for table in TABLES}


@each_table
def test_a_table_is_tagged(template: Template, table: Table) -> None:
    tags = deployed(template, table)["Properties"]["Tags"]

    assert tags == [{"Key": "project", "Value": "open-alchemy.package-database"}]


def test_the_outputs_name_the_tables_and_policies(template: Template) -> None:
    ids = {table.name: logical_id(template, table) for table in TABLES}
    policies = resources(template, "AWS::IAM::ManagedPolicy").items()
    names = {each["Properties"]["ManagedPolicyName"]: name for name, each in policies}

    values = {name: output["Value"] for name, output in template["Outputs"].items()}

    assert values == {
        "SpecsTableName": {"Ref": ids["package.specs"]},
        "SpecsTableArn": {"Fn::GetAtt": [ids["package.specs"], "Arn"]},
        "CredentialsTableName": {"Ref": ids["package.credentials"]},
        "CredentialsTableArn": {"Fn::GetAtt": [ids["package.credentials"], "Arn"]},
        "ReadWritePolicyArn": {"Ref": names["PackageDatabaseReadWrite"]},
        "ReadOnlyPolicyArn": {"Ref": names["PackageDatabaseReadOnly"]},
    }


def alarm(template: Template, table: Table, metric: str) -> Any:
    """Returns the properties of the alarm for a metric of a table."""
    dimension = {"Name": "TableName", "Value": {"Ref": logical_id(template, table)}}
    alarms = [each["Properties"] for each in resources(template, "AWS::CloudWatch::Alarm").values()]
    (found,) = (
        each
        for each in alarms
        if all(
            stat["MetricStat"]["Metric"]["MetricName"] == metric
            and dimension in stat["MetricStat"]["Metric"]["Dimensions"]
            for stat in each["Metrics"][1:]
        )
    )
    return found


each_metric = pytest.mark.parametrize("metric", ["ThrottledRequests", "SystemErrors"])


@each_table
@each_metric
def test_an_alarm_watches_every_operation_that_the_facade_sends(template: Template, table: Table, metric: str) -> None:
    sent = {use.operation for found in uses().values() for use in found if use.table == table.name}

    _, *stats = alarm(template, table, metric)["Metrics"]

    watched = [
        dimension["Value"]
        for stat in stats
        for dimension in stat["MetricStat"]["Metric"]["Dimensions"]
        if dimension["Name"] == "Operation"
    ]
    assert sorted(watched) == sorted(sent)
    assert {stat["MetricStat"]["Stat"] for stat in stats} == {"Sum"}
    assert len(stats) <= 10, "CloudWatch adds up to ten metrics in one alarm"


@each_table
@each_metric
def test_an_alarm_adds_up_the_operations_whether_or_not_they_have_data(
    template: Template, table: Table, metric: str
) -> None:
    found = alarm(template, table, metric)

    total, *stats = found["Metrics"]

    terms = ", ".join(f"FILL({stat['Id']}, 0)" for stat in stats)
    assert total["Expression"] == f"SUM([{terms}])"
    assert [each["ReturnData"] for each in found["Metrics"]] == [True] + [False] * len(stats)
    assert (found["Threshold"], found["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert found["TreatMissingData"] == "notBreaching"


@each_table
@each_metric
def test_an_alarm_tells_the_topic_that_the_operator_names(template: Template, table: Table, metric: str) -> None:
    actions = alarm(template, table, metric)["AlarmActions"]

    assert actions == [{"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}]
    assert template["Parameters"]["AlarmTopicArn"]["Default"] == "none"
    assert template["Conditions"]["HasAlarmTopic"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, "none"]}]}
