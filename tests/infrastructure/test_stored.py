"""A change of the template is seen before it is deployed, and one that costs the data is told apart."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.infrastructure import stored
from tests.infrastructure.synthesis import Template

SPECS, CREDENTIALS = "SpecsTable26CE7812", "CredentialsTableD9D3F717"

REPLACED = "is not what is deployed: CloudFormation would replace the table by an empty one, without its data"

DELETED = (
    "is not what is deployed: CloudFormation would delete it, and what reads it would fail until another is built and "
    "every service knows that one"
)


def test_the_stack_parts_no_service_from_its_data(template: Template) -> None:
    losses = stored.losses(stored.read(), template)

    assert not losses, "\n".join(losses)


def test_the_template_is_the_stored_one(template: Template) -> None:
    difference = stored.difference(stored.read(), template)

    assert not difference, f"look at what changes, and store it with {stored.COMMAND}:\n{difference}"


def set_in(resource: str, *path: str | int, to: object) -> Callable[[Template], None]:
    def damage(template: Template) -> None:
        place: Any = template["Resources"][resource]["Properties"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return damage


def rename(template: Template) -> None:
    template["Resources"]["Other"] = template["Resources"].pop(SPECS)


@pytest.mark.parametrize(
    ("damage", "loss"),
    [
        (set_in(SPECS, "TableName", to="specs"), f"package.specs: TableName {REPLACED}"),
        (set_in(SPECS, "KeySchema", 1, "AttributeName", to="id_updated_at"), f"package.specs: KeySchema {REPLACED}"),
        (
            set_in(SPECS, "LocalSecondaryIndexes", 0, "IndexName", to="byId"),
            f"package.specs: LocalSecondaryIndexes {REPLACED}",
        ),
        (
            set_in(CREDENTIALS, "AttributeDefinitions", 1, "AttributeType", to="B"),
            f"package.credentials: AttributeDefinitions of id {REPLACED}",
        ),
        (
            set_in(CREDENTIALS, "GlobalSecondaryIndexes", 0, "IndexName", to="key"),
            f"package.credentials: the index publicKey {DELETED}",
        ),
        (
            rename,
            f"package.specs: the resource {SPECS} is gone: CloudFormation would leave the table, and its data, behind",
        ),
    ],
    ids=["table name", "key", "local index", "attribute type", "global index", "logical id"],
)
def test_a_change_that_costs_the_data_is_told(damage: Callable[[Template], None], loss: str) -> None:
    changed = deepcopy(stored.read())

    damage(changed)

    assert stored.losses(stored.read(), changed) == [loss]


def test_any_other_change_is_shown_and_costs_nothing() -> None:
    changed = deepcopy(stored.read())

    set_in(SPECS, "DeletionProtectionEnabled", to=False)(changed)

    assert stored.losses(stored.read(), changed) == []
    assert '-    "DeletionProtectionEnabled": true,' in stored.difference(stored.read(), changed)
    assert '+    "DeletionProtectionEnabled": false,' in stored.difference(stored.read(), changed)
