"""The resources of the stack and their properties."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import Any

import pytest

from delivery import assembly
from open_alchemy.package_database.core.operations import Table
from open_alchemy.package_database.engines.dynamodb.administration import create_table
from open_alchemy.package_database.model.schema import TABLES
from tests.infrastructure.requests import uses
from tests.infrastructure.synthesis import ROOT, Synthesis, Template

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


def test_the_stack_has_only_tables_policies_and_alarms(template: Template) -> None:
    types = Counter(resource["Type"] for resource in template["Resources"].values())

    assert types == {"AWS::DynamoDB::Table": 2, "AWS::IAM::ManagedPolicy": 5, "AWS::CloudWatch::Alarm": 6}


def test_the_stack_needs_no_bootstrapped_account(template: Template) -> None:
    assert "Rules" not in template
    assert list(template["Parameters"]) == ["MaxReadRequestUnits", "MaxWriteRequestUnits", "AlarmTopicArn"]


@each_table
def test_a_table_has_the_keys_and_indexes_of_the_schema(template: Template, table: Table) -> None:
    request = create_table(table)

    properties = deepcopy(deployed(template, table)["Properties"])

    keyed = {name: value for name, value in properties.items() if name in request or name.endswith("Indexes")}
    assert by_name(keyed.pop("AttributeDefinitions")) == by_name(request.pop("AttributeDefinitions"))
    for index in keyed.get("GlobalSecondaryIndexes", ()):
        assert index.pop("OnDemandThroughput") == properties["OnDemandThroughput"]
    assert keyed == request


@each_table
def test_the_request_units_of_a_table_have_a_ceiling(template: Template, table: Table) -> None:
    names = ("MaxReadRequestUnits", "MaxWriteRequestUnits")

    assert deployed(template, table)["Properties"]["OnDemandThroughput"] == {name: {"Ref": name} for name in names}
    assert [template["Parameters"][name]["Default"] for name in names] == [40_000, 40_000]


@each_table
def test_a_table_can_be_restored_and_is_encrypted(template: Template, table: Table) -> None:
    properties = deployed(template, table)["Properties"]

    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}


@each_table
def test_a_table_is_kept_when_the_stack_is_deleted(template: Template, table: Table) -> None:
    resource = deployed(template, table)

    assert resource["Properties"]["DeletionProtectionEnabled"] is True
    assert resource["DeletionPolicy"] == "Retain"
    assert resource["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("import-both", ["package.specs", "package.credentials"]),
        ("import-specs", ["package.specs"]),
        ("import-credentials", ["package.credentials"]),
    ],
)
def test_an_import_maps_the_resources_to_the_tables(template: Template, file: str, names: list[str]) -> None:
    mapping = json.loads((ROOT / "infrastructure" / f"{file}.json").read_text(encoding="utf-8"))

    assert mapping == {
        logical_id(template, table): {"TableName": table.name} for table in TABLES if table.name in names
    }


def test_the_stack_policy_denies_to_replace_or_delete_a_table() -> None:
    policy = json.loads((ROOT / "infrastructure" / "stack-policy.json").read_text(encoding="utf-8"))

    _, denied = policy["Statement"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", ["Update:Replace", "Update:Delete"])
    assert denied["Condition"] == {"StringEquals": {"ResourceType": ["AWS::DynamoDB::Table"]}}


def test_the_stack_is_protected_against_termination(synthesis: Synthesis) -> None:
    manifest = json.loads((synthesis.file.parent / "manifest.json").read_text(encoding="utf-8"))

    assert manifest["artifacts"]["PackageDatabase"]["properties"]["terminationProtection"] is True


def test_the_workflow_accepts_the_synthesized_assembly(synthesis: Synthesis) -> None:
    assert list(assembly.problems(synthesis.file.parent)) == []


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
        "SpecsReadOnlyPolicyArn": {"Ref": names["PackageDatabaseSpecsReadOnly"]},
        "SpecsReadWritePolicyArn": {"Ref": names["PackageDatabaseSpecsReadWrite"]},
        "CredentialsReadOnlyPolicyArn": {"Ref": names["PackageDatabaseCredentialsReadOnly"]},
        "CredentialsReadWritePolicyArn": {"Ref": names["PackageDatabaseCredentialsReadWrite"]},
        "ProductionTestPolicyArn": {"Ref": names["PackageDatabaseProductionTest"]},
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


each_metric = pytest.mark.parametrize(
    ("metric", "statistic", "function", "threshold"),
    [
        ("ThrottledRequests", "Sum", "SUM", 1),
        ("SystemErrors", "Sum", "SUM", 1),
        ("SuccessfulRequestLatency", "Average", "MAX", 100),
    ],
)


@each_table
@each_metric
def test_an_alarm_watches_every_operation_that_the_package_sends(
    template: Template, table: Table, metric: str, statistic: str, function: str, threshold: int
) -> None:
    sent = {use.operation for found in uses().values() for use in found if use.table == table.name}

    found = alarm(template, table, metric)

    combined, *stats = found["Metrics"]
    watched = [
        dimension["Value"]
        for stat in stats
        for dimension in stat["MetricStat"]["Metric"]["Dimensions"]
        if dimension["Name"] == "Operation"
    ]
    assert sorted(watched) == sorted(sent)
    assert {stat["MetricStat"]["Stat"] for stat in stats} == {statistic}
    assert len(stats) <= 10, "CloudWatch combines at most ten metrics in an alarm"
    terms = ", ".join(f"FILL({stat['Id']}, 0)" for stat in stats)
    assert combined["Expression"] == f"{function}([{terms}])"
    assert [each["ReturnData"] for each in found["Metrics"]] == [True] + [False] * len(stats)
    assert (found["Threshold"], found["ComparisonOperator"]) == (threshold, "GreaterThanOrEqualToThreshold")
    assert found["TreatMissingData"] == "notBreaching"


@each_table
@pytest.mark.parametrize("metric", ["ThrottledRequests", "SystemErrors", "SuccessfulRequestLatency"])
@pytest.mark.parametrize("actions", ["AlarmActions", "OKActions"])
def test_an_alarm_notifies_the_topic_of_the_parameter(
    template: Template, table: Table, metric: str, actions: str
) -> None:
    assert alarm(template, table, metric)[actions] == [
        {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}
    ]
    assert template["Parameters"]["AlarmTopicArn"]["Default"] == "none"
    assert template["Conditions"]["HasAlarmTopic"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, "none"]}]}


def test_the_guide_states_the_number_of_alarms_and_their_metrics(template: Template) -> None:
    alarms = [each["Properties"] for each in resources(template, "AWS::CloudWatch::Alarm").values()]
    metrics = sum(len(each["Metrics"]) - 1 for each in alarms)
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    assert f"{len(alarms)} alarms on {metrics} metrics" in guide
